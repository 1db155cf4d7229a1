package storetest

import (
	"strings"

	"usher/internal/activation"
)

func runToDone(w *world) {
	ctx := w.t.Context()
	j, targets := w.job("vips", nil, w.audience("vips"))
	w.equal([]activation.TargetID{targets[0].ID}, w.due())
	w.woken.take()
	r, items := w.queued(targets[0].ID, 2)
	w.equal([]string{"run " + string(r.ID)}, w.woken.take())
	w.equal(0, len(w.due()))
	w.equal(1, r.Attempt)
	w.ok(w.RaiseDirty(ctx, map[activation.AudienceID]int64{targets[0].Audience: 7}))
	w.ok(w.SetRemote(ctx, targets[0].ID, 1, "remote-1"))
	w.ok(w.SetRemote(ctx, targets[0].ID, 1, "remote-1"))
	w.is(activation.ErrConflict, w.SetRemote(ctx, targets[0].ID, 1, "remote-2"))
	for _, it := range items {
		w.delivered(r, it)
	}
	r.Status, r.Counts.Added = activation.RunCompleted, 20
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	w.is(activation.ErrFenced, w.FinishRun(ctx, r, activation.End{Done: true}))
	got := w.target(targets[0].ID)
	w.equal("", got.OpenRun)
	w.equal(5, got.DoneSeq)
	w.equal(7, got.DirtySeq)
	done := w.run(r.ID)
	w.equal(activation.RunCompleted, done.Status)
	w.equal(20, done.Counts.Added)
	w.equal(w.clock.Now(), done.EndedAt)
	w.equal(activation.JobRunnable, w.jobState(j.ID))
	receipts, err := w.Receipts(ctx, r.ID)
	w.ok(err)
	w.equal(2, len(receipts))
	w.equal(10, receipts[items[0].ID][0].Accepted)
	logs, err := w.JobLogs(ctx, j.ID, j.CreatedAt, 10)
	w.ok(err)
	w.equal(3, len(logs))
	w.equal(activation.LogSynced, logs[2].Event)
}

func oneOpenRun(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r := w.started(targets[0].ID)
	_, err := w.OpenRun(ctx, activation.Run{Target: targets[0].ID})
	w.is(activation.ErrConflict, err)
	if !strings.Contains(activation.SafeMessage(err), string(r.ID)) {
		w.t.Fatalf("the conflict does not name the open run: %v", err)
	}
	_, _, err = w.TakeRun(ctx, r.ID, "n2", lease)
	w.is(activation.ErrConflict, err)
}
