package storetest

import (
	"time"

	"usher/internal/activation"
)

// telling creates a job that a stream feeds and returns it and its target.
func (w *world) telling(change func(*activation.Job)) (activation.Job, activation.Target) {
	w.t.Helper()
	j, targets := w.job("tell", func(j *activation.Job) {
		j.Workflow, j.Stream = "meta_conversions", "orders"
		if change != nil {
			change(j)
		}
	})
	return j, targets[0]
}

// raisingStreams: messages make the targets of their stream due, and no others.
func raisingStreams(w *world) {
	ctx := w.t.Context()
	_, target := w.telling(nil)
	_, others := w.job("vips", nil, w.audience("vips"))
	w.equal("orders", target.Stream)
	r, items := w.queued(target.ID, 1)
	w.equal("orders", r.Stream)
	w.delivered(r, items[0])
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	o := w.started(others[0].ID)
	o.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, o, activation.End{Done: true}))
	w.clock.Add(2 * time.Minute)
	w.equal(0, len(w.due()))
	w.woken.take()
	w.ok(w.RaiseStreams(ctx, map[string]int64{"orders": 9, "vips": 9}))
	w.equal([]string{"target " + string(target.ID)}, w.woken.take())
	w.equal([]activation.TargetID{target.ID}, w.due())
	w.ok(w.RaiseStreams(ctx, map[string]int64{"orders": 8}))
	w.equal(9, w.target(target.ID).DirtySeq)
	w.equal(0, w.target(others[0].ID).DirtySeq)
}

// restOfItems: what a network has not taken of an item is queued as children of
// it, in one transaction with the receipt.
func restOfItems(w *world) {
	ctx := w.t.Context()
	_, target := w.telling(nil)
	r, items := w.queued(target.ID, 2)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	rc := activation.Receipt{Accepted: 7, Unsent: 3, Exceptions: []activation.Exception{
		{Ordinal: 1, Outcome: activation.Unsent}, {Ordinal: 8, Outcome: activation.Unsent}, {Ordinal: 9, Outcome: activation.Unsent},
	}}
	children := func(bounds ...int64) (out []activation.Item) {
		for n := 0; n < len(bounds); n += 2 {
			out = append(out, activation.Item{Phase: 2, Op: activation.OpAdd, First: bounds[n], Last: bounds[n+1]})
		}
		return out
	}
	for _, bad := range [][]int64{{0, 10}, {3, 2}, {4, 5, 5, 6}} {
		w.is(activation.ErrConflict, w.SaveRest(ctx, r, it, rc, children(bad...)))
	}
	short := rc
	short.Accepted = 6
	w.equal(activation.CodeCounts, activation.CodeOf(w.SaveRest(ctx, r, it, short, children(1, 1))))
	old := r
	old.Attempt--
	w.is(activation.ErrFenced, w.SaveRest(ctx, old, it, rc, children(1, 1, 8, 9)))
	w.ok(w.SaveRest(ctx, r, it, rc, children(1, 1, 8, 9)))
	w.is(activation.ErrFenced, w.SaveRest(ctx, r, it, rc, children(1, 1, 8, 9)))
	items, err = w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(4, len(items))
	w.equal(activation.ItemDelivered, items[0].State)
	w.equal([]any{it.ID, 3, activation.ItemQueued, 1, 1}, []any{items[2].Parent, items[2].Number, items[2].State, items[2].First, items[2].Last})
	w.equal([]any{it.ID, 4, 8, 9}, []any{items[3].Parent, items[3].Number, items[3].First, items[3].Last})
	receipts, err := w.Receipts(ctx, r.ID)
	w.ok(err)
	w.equal(3, receipts[it.ID][0].Unsent)
	w.ok(w.MarkFolded(ctx, r, []activation.ItemID{it.ID}))
	for _, next := range items[1:] {
		w.delivered(r, next)
	}
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
}

// restingRuns: a run that met an error goes on after its target has slept, each
// time twice as long, until the errors have lasted as long as the job allows.
func restingRuns(w *world) {
	ctx := w.t.Context()
	j, target := w.telling(func(j *activation.Job) { j.FailAfter = 10 * time.Minute })
	r, items := w.queued(target.ID, 1)
	erred := func(anew bool) time.Time {
		r.ErrorKind, r.ErrorCode, r.ErrorText = activation.Unavailable, "META-2", "the service is unavailable"
		until, err := w.RestRun(ctx, r, anew)
		w.ok(err)
		return until
	}
	goOn := func(until time.Time) {
		w.equal(activation.TargetSleeping, w.target(target.ID).State)
		w.equal(activation.JobSleeping, w.jobState(j.ID))
		w.equal(0, len(w.due()))
		_, _, err := w.TakeRun(ctx, r.ID, "n2", lease)
		w.is(activation.ErrConflict, err)
		w.clock.Add(until.Sub(w.clock.Now()))
		open, err := w.OpenRuns(ctx, 10)
		w.ok(err)
		w.equal(1, len(open))
		r, _, err = w.TakeRun(ctx, r.ID, "n2", lease)
		w.ok(err)
		w.equal(activation.TargetRunnable, w.target(target.ID).State)
	}
	start := w.clock.Now()
	until := erred(false)
	w.equal(time.Minute, until.Sub(start))
	old := r
	goOn(until)
	w.equal(1, w.target(target.ID).ConsecutiveErrors)
	_, err := w.RestRun(ctx, old, false)
	w.is(activation.ErrFenced, err)
	goOn(erred(false))
	w.equal(start.Add(3*time.Minute), w.clock.Now())
	goOn(erred(true)) // it had answered in between
	w.equal(start.Add(4*time.Minute), w.clock.Now())
	w.equal(1, w.target(target.ID).ConsecutiveErrors)
	for {
		until := erred(false)
		if until.IsZero() {
			break
		}
		goOn(until)
	}
	w.equal(13*time.Minute, w.clock.Now().Sub(start)) // ten from the answer on
	w.equal(activation.RunRunning, w.run(r.ID).Status)
	w.ok(w.EndItems(ctx, r, activation.ItemFailed))
	r.Status = activation.RunFailed
	w.ok(w.FinishRun(ctx, r, activation.End{}))
	w.equal(activation.JobFailed, w.jobState(j.ID))
	w.ok(w.Bounce(ctx, j.ID, "ann")) // goes on with the same run
	w.equal(r.ID, w.target(target.ID).OpenRun)
	r, _, err = w.TakeRun(ctx, r.ID, "n3", lease)
	w.ok(err)
	w.delivered(r, items[0])
	r.Status, r.ErrorKind, r.ErrorCode, r.ErrorText = activation.RunCompleted, "", "", ""
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	w.equal(0, w.target(target.ID).ConsecutiveErrors)
}

// reopening: an awaiting run sends again what the network has not taken, once no
// other run is open.
func reopening(w *world) {
	ctx := w.t.Context()
	_, target := w.telling(nil)
	r, items := w.queued(target.ID, 1)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, r, it, activation.ItemAwaiting, activation.Receipt{PollToken: "t"}, "", ""))
	r.Status = activation.RunAwaiting
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	w.clock.Add(time.Hour)
	r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	rc := activation.Receipt{Accepted: 9, Unsent: 1, Exceptions: []activation.Exception{{Ordinal: 9, Outcome: activation.Unsent}}}
	w.ok(w.SaveRest(ctx, r, it, rc, []activation.Item{{Phase: 2, Op: activation.OpAdd, First: 9, Last: 9}}))
	w.ok(w.MarkFolded(ctx, r, []activation.ItemID{it.ID}))
	later := w.started(target.ID)
	w.is(activation.ErrConflict, w.ReopenRun(ctx, r))
	later.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, later, activation.End{Done: true}))
	old := r
	old.Attempt--
	w.is(activation.ErrFenced, w.ReopenRun(ctx, old))
	w.ok(w.ReopenRun(ctx, r))
	w.equal(r.ID, w.target(target.ID).OpenRun)
	w.equal(activation.RunRunning, w.run(r.ID).Status)
	items, err = w.Items(ctx, r.ID)
	w.ok(err)
	w.delivered(r, items[1])
	r.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	w.equal("", w.target(target.ID).OpenRun)
}

// eventsLeft: a run that did not look at all events leaves its target due, and a
// job that runs once is not over.
func eventsLeft(w *world) {
	ctx := w.t.Context()
	j, target := w.telling(func(j *activation.Job) { j.Continuous = false })
	for n, left := range []int64{7, 0} {
		w.equal([]activation.TargetID{target.ID}, w.due())
		r, items := w.queued(target.ID, 1)
		w.delivered(r, items[0])
		r.Status, r.Counts.Left = activation.RunCompleted, left
		w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
		w.equal([]activation.JobState{activation.JobRunnable, activation.JobCompleted}[n], w.jobState(j.ID))
		w.clock.Add(time.Minute)
	}
}

// unstagingEvents: rows of a run of events are kept while it may be retried,
// which is as long as its job lives, and those of the newest however it ended.
func unstagingEvents(w *world) {
	ctx := w.t.Context()
	j, target := w.telling(nil)
	listed := func() int {
		ids, err := w.UnstageableRuns(ctx, w.clock.Now(), 10)
		w.ok(err)
		return len(ids)
	}
	for _, fails := range []bool{true, false, false} {
		r, err := w.OpenRun(ctx, activation.Run{Target: target.ID, SyncType: activation.SyncEvents})
		w.ok(err)
		r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
		w.ok(err)
		r.Stage, r.StagedAt = activation.StageMembers, w.clock.Now()
		w.ok(w.QueueItems(ctx, r, tenEach(1)))
		if fails {
			w.ok(w.EndItems(ctx, r, activation.ItemFailed))
			r.Status, r.ErrorKind = activation.RunFailed, activation.Unavailable
		} else {
			items, err := w.Items(ctx, r.ID)
			w.ok(err)
			w.delivered(r, items[0])
			r.Status = activation.RunCompleted
		}
		w.ok(w.FinishRun(ctx, r, activation.End{}))
		w.clock.Add(time.Hour)
	}
	w.equal(1, listed()) // the second
	w.ok(w.Kill(ctx, j.ID, "ann"))
	w.clock.Add(time.Hour)
	w.equal(3, listed())
}
