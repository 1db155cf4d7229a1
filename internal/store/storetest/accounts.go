package storetest

import (
	"strings"
	"time"

	"usher/internal/activation"
)

// resealed: the same secrets under another key, and nothing else changes; what
// was changed meanwhile stays as it is.
func resealed(w *world) {
	ctx := w.t.Context()
	w.ok(w.MarkHealthy(ctx, w.auth.ID))
	before, err := w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal("ann", before.CreatedBy)
	w.clock.Add(time.Hour)
	done, err := w.Reseal(ctx, before, []byte("sealed anew"), "k2")
	w.ok(err)
	w.equal(true, done)
	after, err := w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal("sealed anew k2", string(after.Sealed)+" "+after.KeyID)
	after.Sealed, after.KeyID = before.Sealed, before.KeyID
	w.equal(before, after)
	done, err = w.Reseal(ctx, before, []byte("late"), "k3")
	w.ok(err)
	w.equal(false, done)
	after, err = w.Authorization(ctx, w.auth.ID)
	w.ok(err)
	w.equal("sealed anew", string(after.Sealed))
}

// authorizationUsed: what uses an authorization is named when it is to be
// deleted.
func authorizationUsed(w *world) {
	ctx := w.t.Context()
	w.job("vips", nil, w.audience("vips"))
	err := w.DeleteAuthorization(ctx, w.auth.ID, "ann")
	w.is(activation.ErrConflict, err)
	for _, name := range []string{`the destination "Ads"`, `the job "vips"`} {
		if !strings.Contains(activation.SafeMessage(err), name) {
			w.t.Fatalf("%s is not named: %v", name, err)
		}
	}
	w.is(activation.ErrNotFound, w.DeleteAuthorization(ctx, "nowhere", "ann"))
}

// replacedAnew: targets whose audience the new authorization can't open begin
// another one, as long as no run of them is open.
func replacedAnew(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("both", nil, w.audience("a"), w.audience("b"))
	for _, target := range targets {
		w.ok(w.SetRemote(ctx, target.ID, 1, "remote of "+string(target.ID)))
	}
	r := w.started(targets[0].ID)
	fresh := w.authorization("fresh")
	anew := []activation.TargetID{targets[0].ID}
	err := w.ReplaceAuthorization(ctx, w.auth.ID, fresh.ID, anew, "ann")
	w.is(activation.ErrConflict, err)
	d, err := w.Destination(ctx, w.dest.ID)
	w.ok(err)
	w.equal(w.auth.ID, d.Authorization)

	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	w.is(activation.ErrConflict, w.ReplaceAuthorization(ctx, fresh.ID, w.auth.ID, anew, "ann")) // not one of fresh
	w.ok(w.ReplaceAuthorization(ctx, w.auth.ID, fresh.ID, anew, "ann"))
	left, stays := w.target(targets[0].ID), w.target(targets[1].ID)
	w.equal(2, left.Generation)
	w.equal("", left.RemoteID)
	w.equal(true, left.DueNow)
	w.equal(1, stays.Generation)
	w.equal("remote of "+string(stays.ID), stays.RemoteID)
}

// replacedOpen: an open run goes on when its authorization is replaced.
func replacedOpen(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r, items := w.queued(targets[0].ID, 2)
	fresh := w.authorization("fresh")
	w.ok(w.ReplaceAuthorization(ctx, w.auth.ID, fresh.ID, nil, "ann"))
	for _, it := range items {
		w.delivered(r, it)
	}
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	w.equal(activation.RunCompleted, w.run(r.ID).Status)
}

// switchedOff: what waits for approval is withdrawn with its destination, and
// owed when it is switched on.
func switchedOff(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r := w.started(targets[0].ID)
	r.Seq, r.Counts.Remove = 5, 300
	w.ok(w.AwaitApproval(ctx, r))
	w.equal(activation.RunPending, w.run(r.ID).Status)
	w.dest.Name = "Renamed"
	var err error
	w.dest, err = w.UpdateDestination(ctx, w.dest, "ann")
	w.ok(err)
	w.equal(activation.RunPending, w.run(r.ID).Status)

	w.dest.Enabled = false
	w.dest, err = w.UpdateDestination(ctx, w.dest, "ann")
	w.ok(err)
	w.equal(activation.RunWithdrawn, w.run(r.ID).Status)
	w.equal("", string(w.target(targets[0].ID).SleepReason))
	w.equal(0, len(w.due()))
	w.dest.Enabled = true
	_, err = w.UpdateDestination(ctx, w.dest, "ann")
	w.ok(err)
	w.equal([]activation.TargetID{targets[0].ID}, w.due())
}
