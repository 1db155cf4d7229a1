package storetest

import (
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// stalling: a run that does not move is taken from its node; what holds a run
// back for a reason is no stall, and neither is time in which nobody looked.
func stalling(w *world) {
	ctx := w.t.Context()
	long := func(j *activation.Job) { j.StallAfter = 10 * time.Minute }
	j, targets := w.job("vips", long, w.audience("vips"))
	restarted := func(want int, since time.Time) {
		w.t.Helper()
		n, err := w.RestartStalled(ctx, since)
		w.ok(err)
		w.equal(want, n)
	}
	hold := func(r activation.Run, d time.Duration) { // the node goes on renewing
		w.t.Helper()
		for ; d > 0; d -= 30 * time.Second {
			w.clock.Add(30 * time.Second)
			w.ok(w.RenewRun(ctx, r, lease))
		}
	}
	r, items := w.queued(targets[0].ID, 3)
	hold(r, 9*time.Minute)
	restarted(0, time.Time{})
	first, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, r, first, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	hold(r, 9*time.Minute+30*time.Second)
	restarted(0, time.Time{}) // slow, but it moves
	second, err := w.ClaimItem(ctx, r, items[1].ID)
	w.ok(err)
	hold(r, 30*time.Second)
	restarted(0, w.clock.Now().Add(-9*time.Minute)) // nobody looked for long enough
	w.ok(w.InLine(ctx, r))
	restarted(0, time.Time{}) // it waits its turn
	hold(r, 10*time.Minute)
	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	hold(r, 10*time.Minute)
	restarted(0, time.Time{}) // paused
	w.ok(w.Resume(ctx, j.ID, "ann"))
	restarted(0, time.Time{}) // counts from the resumption
	hold(r, 9*time.Minute+30*time.Second)
	restarted(0, time.Time{})
	hold(r, 30*time.Second)
	w.woken.take()
	restarted(1, time.Time{})
	w.equal([]string{"run " + string(r.ID)}, w.woken.take())
	stalled := w.run(r.ID)
	w.equal("running  2 1", fmt.Sprint(stalled.Status, " ", stalled.Node, " ", stalled.Attempt, " ", stalled.Stalls))
	w.equal(w.clock.Now(), stalled.StalledAt)
	job, err := w.Job(ctx, j.ID)
	w.ok(err)
	w.equal(w.clock.Now(), job.StalledAt)
	w.equal(activation.JobRunnable, job.State)
	logs, err := w.JobLogs(ctx, j.ID, j.CreatedAt, 100)
	w.ok(err)
	w.equal("error error STALLED", string(logs[len(logs)-1].Event)+" "+logs[len(logs)-1].Level+" "+logs[len(logs)-1].Code)

	events, err := w.Events(ctx, store.EventFilter{SubjectID: string(j.ID), Types: []activation.EventType{activation.EventStalled}})
	w.ok(err)
	w.equal(1, len(events))

	// The node that had it is fenced; what it had in flight is unknown.
	w.is(activation.ErrFenced, w.RenewRun(ctx, r, lease))
	w.is(activation.ErrFenced, w.InLine(ctx, r))
	w.is(activation.ErrFenced, w.SaveReceipt(ctx, r, second, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	restarted(0, time.Time{})
	mine, lost, err := w.TakeRun(ctx, r.ID, "n2", lease)
	w.ok(err)
	w.equal(1, len(lost))
	w.equal(3, mine.Attempt)
	w.equal(false, w.run(r.ID).StalledAt.IsZero()) // taking is not yet moving
	third, err := w.ClaimItem(ctx, mine, items[2].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, mine, third, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	w.equal(true, w.run(r.ID).StalledAt.IsZero())

	// A provider's wait is none, however long, nor is the time after it at once.
	w.ok(w.ReleaseRun(ctx, mine, w.clock.Now().Add(5*time.Hour)))
	w.clock.Add(5 * time.Hour)
	restarted(0, time.Time{})
	w.clock.Add(9 * time.Minute)
	restarted(0, time.Time{})

	// That nobody takes a run which could go on is told once.
	w.clock.Add(time.Minute)
	restarted(1, time.Time{})
	w.clock.Add(time.Hour)
	restarted(0, time.Time{})
	w.ok(w.Kill(ctx, j.ID, "ann"))

	// Behind a run of the same authorization that moves, it stands in line.
	_, pair := w.job("pair", long, w.audience("a"), w.audience("b"))
	moving := w.started(pair[0].ID)
	waits, err := w.OpenRun(ctx, activation.Run{Target: pair[1].ID})
	w.ok(err)
	for range 30 {
		hold(moving, 30*time.Second)
		w.ok(w.SaveRun(ctx, moving))
	}
	restarted(0, time.Time{})
	w.ok(w.ReleaseRun(ctx, moving, time.Time{}))
	restarted(1, time.Time{})
	w.equal(false, w.run(waits.ID).StalledAt.IsZero())
	w.equal(true, w.run(moving.ID).StalledAt.IsZero())

	// Waiting for approval is none.
	asks, _, err := w.TakeRun(ctx, moving.ID, "n3", lease)
	w.ok(err)
	asks.StagedAt = w.clock.Now()
	w.ok(w.AwaitApproval(ctx, asks))
	w.clock.Add(24 * time.Hour)
	restarted(0, time.Time{})
}
