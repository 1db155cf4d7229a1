package storetest

import (
	"strings"
	"time"

	"usher/internal/activation"
)

// withheld checks that Retry is refused with a reason that holds these words,
// that the console is told the same, and that nothing changes.
func (w *world) withheld(id activation.RunID, words string) {
	w.t.Helper()
	before := w.run(id)
	ok, reason, err := w.RetryVerdict(w.t.Context(), id)
	w.ok(err)
	w.equal(false, ok)
	if !strings.Contains(reason, words) {
		w.t.Fatalf("the reason %q does not say %q", reason, words)
	}
	err = w.Retry(w.t.Context(), id, "ann")
	w.is(activation.ErrConflict, err)
	w.equal(reason, activation.SafeMessage(err))
	w.equal(before, w.run(id))
}

func retrying(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	r := w.failedRun(target, activation.Unavailable)
	w.equal(activation.JobSleeping, w.jobState(j.ID))
	ok, reason, err := w.RetryVerdict(ctx, r.ID)
	w.ok(err)
	w.equal("", reason)
	w.equal(true, ok)

	w.ok(w.Pause(ctx, j.ID, 0, "ann"))
	w.withheld(r.ID, "paused")
	w.ok(w.Resume(ctx, j.ID, "ann"))

	w.clock.Add(time.Minute)
	w.ok(w.Retry(ctx, r.ID, "ann"))
	again := w.run(r.ID)
	w.equal(activation.RunRunning, again.Status)
	w.equal(r.Attempt+1, again.Attempt)
	w.equal(r.StartedAt, again.StartedAt)
	w.equal("", again.ErrorCode)
	w.equal(time.Time{}, again.EndedAt)
	w.equal(r.ID, w.target(target).OpenRun)
	w.equal(false, w.target(target).DueNow)
	w.equal(activation.JobRunnable, w.jobState(j.ID))
	items, err := w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(activation.ItemDelivered, items[0].State)
	w.equal(true, items[0].Folded)
	w.equal(activation.ItemQueued, items[1].State)
	w.withheld(r.ID, "only a failed run")
}

func retryWithheld(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	r := w.failedRun(target, activation.Unavailable)

	later := w.started(target)
	w.withheld(r.ID, "is open")
	later.Status = activation.RunWithdrawn
	w.ok(w.FinishRun(ctx, later, activation.End{}))
	ok, _, err := w.RetryVerdict(ctx, r.ID) // the later one was never staged
	w.ok(err)
	w.equal(true, ok)

	staged, items := w.queued(target, 1)
	w.delivered(staged, items[0])
	staged.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, staged, activation.End{Done: true}))
	w.withheld(r.ID, "carries these")

	early := w.started(target)
	early.Status, early.Stage, early.ErrorCode = activation.RunFailed, activation.StageAudiences, "INTERNAL-019"
	w.ok(w.FinishRun(ctx, early, activation.End{}))
	w.withheld(early.ID, "did not fail at the destination")
}

func retryAfterKill(w *world) {
	j, targets := w.job("vips", nil, w.audience("vips"))
	r := w.failedRun(targets[0].ID, activation.Unavailable)
	w.ok(w.Kill(w.t.Context(), j.ID, "ann"))
	w.withheld(r.ID, "ended")
}

func approving(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[0].Audience: 5}))
	r := w.started(target)
	r.Stage, r.StagedAt, r.Seq, r.Counts.Remove = activation.StageStaging, w.clock.Now(), 5, 300
	w.ok(w.AwaitApproval(ctx, r))
	w.equal("", w.target(target).OpenRun)
	got := w.run(r.ID)
	w.equal(activation.RunPending, got.Status)
	w.equal(activation.SleepApproval, got.Reason)
	w.equal(300, got.Counts.Remove)
	w.equal(activation.JobSleeping, w.jobState(j.ID))
	w.clock.Add(time.Hour)
	w.equal(0, len(w.due())) // nothing that this run has not seen
	_, _, err := w.TakeRun(ctx, r.ID, "n2", lease)
	w.is(activation.ErrConflict, err)

	w.ok(w.Approve(ctx, r.ID, "ann"))
	v, err := w.LastVerdict(ctx, target)
	w.ok(err)
	w.equal(activation.GuardVerdict{Answer: activation.Approved, Removes: 300, At: w.clock.Now()}, v)
	w.equal(r.ID, w.target(target).OpenRun)
	w.equal(activation.JobRunnable, w.jobState(j.ID))
	w.is(activation.ErrConflict, w.Approve(ctx, r.ID, "ann"))
	_, _, err = w.TakeRun(ctx, r.ID, "n2", lease)
	w.ok(err)
}

func approvalOvertaken(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	r := w.started(target)
	r.Seq, r.Counts.Remove = 5, 300
	w.ok(w.AwaitApproval(ctx, r))
	w.clock.Add(time.Minute)
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[0].Audience: 6}))
	w.equal([]activation.TargetID{target}, w.due())
	next, err := w.OpenRun(ctx, activation.Run{Target: target})
	w.ok(err)
	w.equal(activation.RunWithdrawn, w.run(r.ID).Status)
	err = w.Approve(ctx, r.ID, "ann")
	w.is(activation.ErrConflict, err)
	w.ok(w.Withdraw(ctx, next.ID, "ann"))
	w.equal("", w.target(target).OpenRun)

	// While another run is open, the answer is refused and names it.
	asks := w.started(target)
	w.ok(w.AwaitApproval(ctx, asks))
	forget := activation.Run{Target: target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeForget}
	forget, err = w.OpenRun(ctx, forget)
	w.ok(err)
	w.equal(activation.RunWithdrawn, w.run(asks.ID).Status)
	w.equal(true, w.target(target).DueNow) // the forget does not do the other's work
	w.ok(w.Withdraw(ctx, forget.ID, "ann"))
}

func declining(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	r := w.started(target)
	r.Seq, r.Counts.Remove = 5, 40
	w.ok(w.AwaitApproval(ctx, r))
	n, err := w.DeclineOverdue(ctx)
	w.ok(err)
	w.equal(0, n)
	w.clock.Add(7 * 24 * time.Hour)
	n, err = w.DeclineOverdue(ctx)
	w.ok(err)
	w.equal(1, n)
	v, err := w.LastVerdict(ctx, target)
	w.ok(err)
	w.equal(activation.Declined, v.Answer)
	w.equal(40, v.Removes)
	w.equal(r.ID, w.target(target).OpenRun)
	entries, err := w.Audit(ctx, storeAudit("run", string(r.ID)))
	w.ok(err)
	w.equal("decline system", entries[0].Verb+" "+entries[0].Actor)
}

func removals(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	r := w.started(target)
	w.ok(w.QueueItems(ctx, r, []activation.Item{
		{Number: 1, Phase: 1, Op: activation.OpRemove, First: 0, Last: 4},              // an old key
		{Number: 2, Phase: 1, Op: activation.OpRemove, Plain: true, First: 5, Last: 9}, // people who leave
		{Number: 3, Phase: 2, Op: activation.OpAdd, First: 10, Last: 19},
	}))
	items, err := w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(true, items[1].Plain)
	for _, it := range items {
		w.delivered(r, it)
	}
	n, err := w.RemovedWithin(ctx, target, w.clock.Now().Add(-time.Hour))
	w.ok(err)
	w.equal(5, n)
	n, err = w.RemovedWithin(ctx, target, w.clock.Now().Add(time.Second))
	w.ok(err)
	w.equal(0, n)
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{}))
}
