package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// declared things have unique names, cannot be deleted while used, and an
// audience's version grows with its rule.
func declared(w *world) {
	ctx := w.t.Context()
	vips := w.audience("vips")
	_, err := w.CreateAudience(ctx, activation.Audience{Slug: "vips"}, "ann")
	w.is(activation.ErrConflict, err)
	_, err = w.CreateDestination(ctx, activation.Destination{Name: "Ads"}, "ann")
	w.is(activation.ErrConflict, err)

	vips.Name = "Very important"
	got, err := w.UpdateAudience(ctx, vips, "ann")
	w.ok(err)
	w.equal(1, got.Version)
	vips.Rule = `FILTER email = "secret@example.com"`
	got, err = w.UpdateAudience(ctx, vips, "ann")
	w.ok(err)
	w.equal(2, got.Version)
	bySlug, err := w.Audience(ctx, "vips")
	w.ok(err)
	w.equal(got, bySlug)
	entries, err := w.Audit(ctx, storeAudit("audience", string(vips.ID)))
	w.ok(err)
	w.equal(3, len(entries))
	for _, e := range entries {
		if strings.Contains(e.Before+e.After, "secret@") {
			w.t.Fatal("the audit log keeps a person named in a rule")
		}
	}

	j, _ := w.job("vips", nil, vips)
	w.is(activation.ErrConflict, w.DeleteAudience(ctx, vips.ID, "ann"))
	w.is(activation.ErrConflict, w.DeleteDestination(ctx, w.dest.ID, "ann"))
	w.is(activation.ErrConflict, w.DeleteAuthorization(ctx, w.auth.ID, "ann"))
	moved := w.dest
	moved.Account = "999"
	_, err = w.UpdateDestination(ctx, moved, "ann")
	w.is(activation.ErrConflict, err)
	unused := w.audience("unused")
	w.ok(w.DeleteAudience(ctx, unused.ID, "ann"))
	w.is(activation.ErrNotFound, w.DeleteAudience(ctx, unused.ID, "ann"))
	_, err = w.Audience(ctx, unused.ID)
	w.is(activation.ErrNotFound, err)
	_, err = w.CreateJob(ctx, activation.Job{Name: "x", Workflow: "w", Destination: w.dest.ID, Audiences: []activation.AudienceID{unused.ID}})
	w.equal(activation.Invalid, activation.KindOf(err))

	jobs, err := w.Jobs(ctx, store.JobFilter{Audience: vips.ID})
	w.ok(err)
	w.equal(1, len(jobs))
	w.equal(j, jobs[0])
	counts, err := w.JobCounts(ctx, store.JobFilter{})
	w.ok(err)
	w.equal(1, counts[activation.JobRunnable])
}

// credentials are kept sealed, and new ones are unknown until checked.
func credentials(w *world) {
	ctx := w.t.Context()
	got, err := w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal("sealed k1", string(got.Sealed)+" "+got.KeyID)
	w.equal(activation.AuthUnknown, got.Status)
	w.ok(w.MarkHealthy(ctx, got.ID))
	got.Label = "renamed"
	got.Sealed = nil
	w.ok(w.UpdateAuthorization(ctx, got, "ann"))
	got, err = w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal("healthy renamed sealed", string(got.Status)+" "+got.Label+" "+string(got.Sealed))
	w.equal(w.clock.Now(), got.LastCheckedAt)

	_, targets := w.job("vips", nil, w.audience("vips"))
	w.fail(targets[0].ID, activation.Unauthorized)
	fresh := w.authorization("fresh")
	w.ok(w.ReplaceAuthorization(ctx, w.auth.ID, fresh.ID, nil, "ann"))
	d, err := w.Destination(ctx, w.dest.ID)
	w.ok(err)
	w.equal(fresh.ID, d.Authorization)
	w.equal(activation.TargetRunnable, w.target(targets[0].ID).State)
	w.clock.Add(time.Minute)
	w.equal(1, len(w.due()))
	w.ok(w.DeleteAuthorization(ctx, w.auth.ID, "ann"))
	w.equal(activation.Invalid, activation.KindOf(w.ReplaceAuthorization(ctx, fresh.ID, "nowhere", nil, "ann")))
	w.is(activation.ErrNotFound, w.MarkHealthy(ctx, "nowhere"))
}

// leases are held by one node, by the database's clock.
func leases(w *world) {
	ctx := w.t.Context()
	other := w.again()
	take := func(s *store.Store, node string) bool {
		w.t.Helper()
		got, err := s.Acquire(ctx, "auth:1", node, time.Minute)
		w.ok(err)
		return got
	}
	w.equal(true, take(w.Store, "n1"))
	w.equal(true, take(w.Store, "n1"))
	w.equal(false, take(other, "n2"))
	held, err := other.Renew(ctx, "auth:1", "n2", time.Minute)
	w.ok(err)
	w.equal(false, held)
	w.clock.Add(time.Minute)
	list, err := w.Leases(ctx)
	w.ok(err)
	w.equal(0, len(list))
	held, err = w.Renew(ctx, "auth:1", "n1", time.Minute) // over, but nobody took it
	w.ok(err)
	w.equal(true, held)
	w.clock.Add(time.Minute)
	w.equal(true, take(other, "n2"))
	held, err = w.Renew(ctx, "auth:1", "n1", time.Minute)
	w.ok(err)
	w.equal(false, held)
	w.ok(w.Release(ctx, "auth:1", "n1"))
	w.equal(false, take(w.Store, "n1"))
	w.ok(other.Release(ctx, "auth:1", "n2"))
	w.equal(true, take(w.Store, "n1"))
	list, err = w.Leases(ctx)
	w.ok(err)
	w.equal([]store.Lease{{Name: "auth:1", Node: "n1", Until: w.clock.Now().Add(time.Minute)}}, list)
}

// listing filters, pages by number and counts.
func listing(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("both", nil, w.audience("a"), w.audience("b"))
	begun := w.clock.Now()
	for i := range 10 {
		w.clock.Add(time.Minute)
		target := targets[i%2].ID
		if i%5 == 0 {
			w.failedRun(target, activation.Unavailable)
		} else {
			w.succeed(target)
		}
	}
	var numbers []int64
	f := store.RunFilter{Limit: 3}
	for {
		page, err := w.Runs(ctx, f)
		w.ok(err)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			numbers = append(numbers, r.Number)
		}
		f.Before = page[len(page)-1].Number
	}
	w.equal("[10 9 8 7 6 5 4 3 2 1]", fmt.Sprint(numbers))
	for _, c := range []struct {
		f    store.RunFilter
		want int
	}{
		{store.RunFilter{Status: []activation.RunStatus{activation.RunFailed}}, 2},
		{store.RunFilter{Status: []activation.RunStatus{activation.RunFailed, activation.RunCompleted}}, 10},
		{store.RunFilter{Target: targets[0].ID}, 5},
		{store.RunFilter{Audience: targets[1].Audience, Status: []activation.RunStatus{activation.RunCompleted}}, 4},
		{store.RunFilter{Providers: []string{"meta"}, SyncType: []activation.SyncType{activation.SyncSegment}}, 10},
		{store.RunFilter{Providers: []string{"google"}}, 0},
		{store.RunFilter{Providers: []string{"google", "meta"}, Destination: w.dest.ID, Job: targets[0].Job}, 10},
		{store.RunFilter{TriggeredBy: "audience"}, 10},
		{store.RunFilter{Since: begun.Add(3 * time.Minute), Until: begun.Add(5 * time.Minute)}, 2},
	} {
		list, err := w.Runs(ctx, c.f)
		w.ok(err)
		w.equal(c.want, len(list))
		counts, err := w.RunCounts(ctx, c.f)
		w.ok(err)
		w.equal(c.want, counts[activation.RunFailed]+counts[activation.RunCompleted])
	}
}

// settings are words by name.
func settings(w *world) {
	ctx := w.t.Context()
	_, err := w.Setting(ctx, "guard.percent")
	w.is(activation.ErrNotFound, err)
	w.ok(w.SetSetting(ctx, "guard.percent", "20", "ann"))
	w.ok(w.SetSetting(ctx, "guard.percent", "25", "ann"))
	v, err := w.Setting(ctx, "guard.percent")
	w.ok(err)
	w.equal("25", v)
	w.ok(w.SetSetting(ctx, "guard.percent", "", "ann"))
	all, err := w.Settings(ctx)
	w.ok(err)
	w.equal(0, len(all))
}

// wakeUps leave after the commit and only then; a dead context writes nothing.
func wakeUps(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	w.equal([]string{"target " + string(targets[0].ID)}, w.woken.take())
	_, err := w.OpenRun(ctx, activation.Run{Target: targets[0].ID, SyncType: activation.SyncSegment})
	w.ok(err)
	w.woken.take()
	_, err = w.OpenRun(ctx, activation.Run{Target: targets[0].ID})
	w.is(activation.ErrConflict, err)
	dead, cancel := context.WithCancel(ctx)
	cancel()
	w.is(context.Canceled, w.RaiseDirty(dead, map[activation.AudienceID]int64{targets[0].Audience: 99}))
	w.equal(0, len(w.woken.take()))
	w.equal(0, w.target(targets[0].ID).DirtySeq)
}
