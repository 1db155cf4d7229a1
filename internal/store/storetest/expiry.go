package storetest

import (
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// credentialsEnd: the end is warned of once, 30 days ahead, and anew when it was
// moved; storing it changes nothing that clients are built by.
func credentialsEnd(w *world) {
	ctx := w.t.Context()
	before, err := w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	sweep := &store.Sweeper{Store: w.Store}
	due := func() int {
		works, err := sweep.Due(ctx, 1)
		w.ok(err)
		return len(works)
	}
	warned := func() int {
		n := 0
		for _, what := range w.told(activation.SourceAuth, string(w.auth.ID)) {
			if what == string(activation.EventExpiring) {
				n++
			}
		}
		return n
	}
	w.clock.Add(time.Hour)
	end := w.clock.Now().Add(40 * 24 * time.Hour)
	w.ok(w.NoteExpiry(ctx, w.auth.ID, end))
	w.is(activation.ErrNotFound, w.NoteExpiry(ctx, "none", end))
	after, err := w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal(end, after.ExpiresAt)
	w.equal(before.UpdatedAt, after.UpdatedAt)
	w.equal(0, due())

	w.clock.Add(10 * 24 * time.Hour)
	w.equal(1, due())
	for range 2 {
		w.ok(sweep.Do(ctx, activation.Work{}))
	}
	w.equal(1, warned())
	w.equal(0, due())
	w.ok(w.NoteExpiry(ctx, w.auth.ID, end.Add(time.Minute))) // the same end, told again
	w.equal(0, due())
	w.ok(w.NoteExpiry(ctx, w.auth.ID, end.Add(24*time.Hour)))
	w.equal(0, due())
	w.clock.Add(24 * time.Hour)
	w.equal(1, due())
	w.ok(sweep.Do(ctx, activation.Work{}))
	w.equal(2, warned())

	// Other credentials: the end given with them counts, none is none.
	after.Sealed, after.KeyID, after.ExpiresAt = []byte("new"), "k1", time.Time{}
	w.ok(w.UpdateAuthorization(ctx, after, "ann"))
	again, err := w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal(true, again.ExpiresAt.IsZero())
	w.equal(0, due())
	again.Sealed, again.ExpiresAt = []byte("newer"), w.clock.Now().Add(-time.Hour)
	w.ok(w.UpdateAuthorization(ctx, again, "ann"))
	w.ok(sweep.Do(ctx, activation.Work{}))
	w.equal(3, warned())
	again.Sealed = []byte("newest") // the end is the one that was warned of
	w.ok(w.UpdateAuthorization(ctx, again, "ann"))
	w.equal(0, due())
	made, err := w.CreateAuthorization(ctx, activation.Authorization{Label: "ending", Provider: "meta", KeyID: "k1", Sealed: []byte("s"), ExpiresAt: end}, "ann")
	w.ok(err)
	stored, err := w.Authorization(ctx, made.ID)
	w.ok(err)
	w.equal(end, stored.ExpiresAt)
}

// consenting: a consent under way is there once, and for 15 minutes.
func consenting(w *world) {
	ctx := w.t.Context()
	c := activation.Consent{
		StateHash: []byte("hash of a state"), Person: "ann", Provider: "google", Authorization: "a1", Label: "l", Description: "d",
		KeyID: "k1", Sealed: []byte{0, 1, 2}, ReturnTo: "/authorizations/new", CreatedAt: w.clock.Now(),
	}
	w.ok(w.SaveConsent(ctx, c))
	_, err := w.TakeConsent(ctx, []byte("another"))
	w.is(activation.ErrNotFound, err)
	got, err := w.TakeConsent(ctx, c.StateHash)
	w.ok(err)
	w.equal(c, got)
	_, err = w.TakeConsent(ctx, c.StateHash)
	w.is(activation.ErrNotFound, err)
	w.ok(w.SaveConsent(ctx, c))
	w.clock.Add(activation.ConsentLife)
	_, err = w.TakeConsent(ctx, c.StateHash)
	w.is(activation.ErrNotFound, err)
	w.ok(w.SaveConsent(ctx, c)) // the old one is forgotten
	_, err = w.TakeConsent(ctx, c.StateHash)
	w.ok(err)
}
