package storetest

import (
	"time"

	"usher/internal/activation"
)

// takeover: what was in flight is unknown, and the node that lost the run
// writes nothing any more.
func takeover(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r, items := w.queued(targets[0].ID, 2)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.clock.Add(lease - time.Microsecond)
	list, err := w.OpenRuns(ctx, 10)
	w.ok(err)
	w.equal(0, len(list))
	_, _, err = w.TakeRun(ctx, r.ID, "n2", lease)
	w.is(activation.ErrConflict, err)
	w.clock.Add(time.Microsecond)
	w.is(activation.ErrFenced, w.RenewRun(ctx, r, lease))
	_, err = w.ClaimItem(ctx, r, items[1].ID)
	w.is(activation.ErrFenced, err)
	list, err = w.OpenRuns(ctx, 10)
	w.ok(err)
	w.equal(1, len(list))

	second := w.again()
	mine, lost, err := second.TakeRun(ctx, r.ID, "n2", lease)
	w.ok(err)
	w.equal(r.Attempt+1, mine.Attempt)
	w.equal(1, len(lost))
	w.equal(activation.ItemUnknown, lost[0].State)
	receipts, err := w.Receipts(ctx, r.ID)
	w.ok(err)
	w.equal(10, receipts[it.ID][0].Unknown)

	w.is(activation.ErrFenced, w.SaveReceipt(ctx, r, it, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	w.is(activation.ErrFenced, w.UnclaimItem(ctx, r, it))
	w.is(activation.ErrFenced, w.SplitItem(ctx, r, it, []activation.Item{{First: 0, Last: 4, Op: it.Op}, {First: 5, Last: 9, Op: it.Op}}))
	w.is(activation.ErrFenced, w.EndItems(ctx, r, activation.ItemWithdrawn))
	w.is(activation.ErrFenced, w.MarkFolded(ctx, r, []activation.ItemID{it.ID}))
	w.is(activation.ErrFenced, w.SaveRun(ctx, r))
	w.is(activation.ErrFenced, w.QueueItems(ctx, r, nil))
	w.is(activation.ErrFenced, w.AwaitApproval(ctx, r))
	w.is(activation.ErrFenced, w.NewGeneration(ctx, r, activation.RunFailed))
	w.is(activation.ErrFenced, w.ReleaseRun(ctx, r, time.Time{}))
	w.is(activation.ErrFenced, w.ReplayItem(ctx, r, it.ID))
	r.Status = activation.RunCompleted
	w.is(activation.ErrFenced, w.FinishRun(ctx, r, activation.End{Done: true}))

	w.ok(second.ReplayItem(ctx, mine, it.ID))
	again, err := second.ClaimItem(ctx, mine, it.ID)
	w.ok(err)
	w.equal(it.Attempt+1, again.Attempt)
}

// releasing lets another node go on at once, or after the provider's wait.
func releasing(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r, _ := w.queued(targets[0].ID, 1)
	until := w.clock.Now().Add(5 * time.Minute)
	w.ok(w.ReleaseRun(ctx, r, until))
	_, _, err := w.TakeRun(ctx, r.ID, "n2", lease)
	w.is(activation.ErrConflict, err)
	w.equal(until, w.run(r.ID).WaitUntil)
	w.clock.Add(5 * time.Minute)
	taken, lost, err := w.TakeRun(ctx, r.ID, "n2", lease)
	w.ok(err)
	w.equal(0, len(lost))
	w.equal(2, taken.Attempt)
	w.equal(time.Time{}, taken.WaitUntil)
}

// splitting replaces an item by children that cover it exactly.
func splitting(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r, items := w.queued(targets[0].ID, 2)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	child := func(first, last int64) activation.Item {
		return activation.Item{Phase: 2, Op: activation.OpAdd, First: first, Last: last}
	}
	for _, wrong := range [][]activation.Item{nil, {child(0, 4)}, {child(0, 5), child(5, 9)}, {child(0, 3), child(5, 9)}, {child(0, 4), child(5, 10)}, {child(1, 9)}} {
		if w.SplitItem(ctx, r, it, wrong) == nil {
			w.t.Fatalf("children %v cover 0 to 9", wrong)
		}
	}
	w.ok(w.SplitItem(ctx, r, it, []activation.Item{child(0, 4), child(5, 9)}))
	all, err := w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(4, len(all))
	w.equal(activation.ItemSplit, all[0].State)
	w.equal(it.ID, all[2].Parent)
	w.equal(4, all[3].Number)
	w.equal(activation.ItemQueued, all[3].State)
}

// queueing replaces items only while none was ever claimed.
func queueing(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r, _ := w.queued(targets[0].ID, 3)
	w.ok(w.QueueItems(ctx, r, tenEach(2)))
	items, err := w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(2, len(items))
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.ok(w.UnclaimItem(ctx, r, it))
	w.is(activation.ErrConflict, w.QueueItems(ctx, r, tenEach(5)))
	w.is(activation.ErrFenced, w.UnclaimItem(ctx, r, it))
	w.ok(w.EndItems(ctx, r, activation.ItemFailed))
	items, err = w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(activation.ItemFailed, items[1].State)
	w.equal(activation.CodeNotAttempted, items[1].Code)
	w.is(activation.ErrConflict, w.EndItems(ctx, r, activation.ItemDelivered))
}

// receipts must speak of every row of their item.
func receipts(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r, items := w.queued(targets[0].ID, 1)
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	w.equal(activation.Internal, activation.KindOf(w.SaveReceipt(ctx, r, it, activation.ItemDelivered, activation.Receipt{Accepted: 9}, "", "")))
	w.is(activation.ErrConflict, w.SaveReceipt(ctx, r, it, activation.ItemQueued, activation.Receipt{Accepted: 10}, "", ""))
	w.is(activation.ErrConflict, w.SaveReceipt(ctx, r, it, activation.ItemAwaiting, activation.Receipt{}, "", ""))
	rc := activation.Receipt{
		Accepted: 8, Rejected: 2, Unplaced: 1, RequestID: "q1", HTTPStatus: 200, Headers: map[string]string{"x-trace": "1"},
		Exceptions: []activation.Exception{{Ordinal: 3, Outcome: activation.Rejected, Code: "META-7"}, {Ordinal: 4, Outcome: activation.Rejected, Code: "META-7"}},
	}
	w.ok(w.SaveReceipt(ctx, r, it, activation.ItemDelivered, rc, "", ""))
	w.is(activation.ErrFenced, w.SaveReceipt(ctx, r, it, activation.ItemDelivered, rc, "", ""))
	all, err := w.Receipts(ctx, r.ID)
	w.ok(err)
	rc.Attempt = 1
	w.equal([]activation.Receipt{rc}, all[it.ID])
}

// finishing is refused while something is not in order.
func finishing(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	r, items := w.queued(targets[0].ID, 2)
	r.Status = activation.RunCompleted
	w.is(activation.ErrConflict, w.FinishRun(ctx, r, activation.End{})) // queued
	it, err := w.ClaimItem(ctx, r, items[0].ID)
	w.ok(err)
	r.Status, r.ErrorCode = activation.RunFailed, "META-2"
	w.is(activation.ErrConflict, w.FinishRun(ctx, r, activation.End{})) // sending
	w.ok(w.SaveReceipt(ctx, r, it, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	w.is(activation.ErrConflict, w.FinishRun(ctx, r, activation.End{})) // not folded
	r.Status = activation.RunRunning
	w.is(activation.ErrConflict, w.FinishRun(ctx, r, activation.End{}))
	all, err := w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(activation.ItemQueued, all[1].State) // refused means unchanged
	r.Status, r.ErrorCode = activation.RunFailed, activation.CodeCounts
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true}))
	w.equal(0, w.target(targets[0].ID).DoneSeq)
	all, err = w.Items(ctx, r.ID)
	w.ok(err)
	w.equal(activation.ItemFailed, all[1].State)
}

// awaiting frees the target while the network still owes answers.
func awaiting(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	r, items := w.queued(target, 2)
	w.delivered(r, items[0])
	it, err := w.ClaimItem(ctx, r, items[1].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, r, it, activation.ItemAwaiting, activation.Receipt{PollToken: "p"}, "", ""))
	r.Status = activation.RunCompleted
	w.is(activation.ErrConflict, w.FinishRun(ctx, r, activation.End{}))
	r.Status = activation.RunAwaiting
	poll := w.clock.Now().Add(10 * time.Minute)
	w.ok(w.FinishRun(ctx, r, activation.End{Done: true, Until: poll}))
	w.equal("", w.target(target).OpenRun)
	w.equal(5, w.target(target).DoneSeq)
	owed, err := w.AwaitingItems(ctx, target, 1)
	w.ok(err)
	w.equal(1, len(owed))

	next := w.started(target)
	list, err := w.OpenRuns(ctx, 10)
	w.ok(err)
	w.equal(0, len(list))
	w.clock.Add(10 * time.Minute)
	w.is(activation.ErrFenced, w.RenewRun(ctx, next, lease))
	mine, lost, err := w.TakeRun(ctx, r.ID, "n1", lease)
	w.ok(err)
	w.equal(activation.RunAwaiting, mine.Status)
	w.equal(0, len(lost))
	stale := mine
	w.clock.Add(lease)
	mine, _, err = w.again().TakeRun(ctx, r.ID, "n2", lease)
	w.ok(err)
	w.is(activation.ErrFenced, w.SaveReceipt(ctx, stale, it, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	w.ok(w.SaveReceipt(ctx, mine, it, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
	owed, err = w.AwaitingItems(ctx, target, 1)
	w.ok(err)
	w.equal(1, len(owed)) // answered, but the ledger does not know it yet
	w.ok(w.MarkFolded(ctx, mine, []activation.ItemID{it.ID}))
	owed, err = w.AwaitingItems(ctx, target, 1)
	w.ok(err)
	w.equal(0, len(owed))
	mine.Status = activation.RunCompleted
	w.ok(w.FinishRun(ctx, mine, activation.End{Done: true, Due: true}))
	w.equal(next.ID, w.target(target).OpenRun)
	w.equal(true, w.target(target).DueNow)
}

// newGeneration voids what the old remote audience owed.
func newGeneration(w *world) {
	ctx := w.t.Context()
	_, targets := w.job("vips", nil, w.audience("vips"))
	target := targets[0].ID
	w.ok(w.SetRemote(ctx, target, 1, "remote-1"))
	old, items := w.queued(target, 1)
	it, err := w.ClaimItem(ctx, old, items[0].ID)
	w.ok(err)
	w.ok(w.SaveReceipt(ctx, old, it, activation.ItemAwaiting, activation.Receipt{PollToken: "p"}, "", ""))
	old.Status, old.Counts.Awaiting = activation.RunAwaiting, 10
	w.ok(w.FinishRun(ctx, old, activation.End{Done: true, Until: w.clock.Now().Add(time.Hour)}))

	r, _ := w.queued(target, 2)
	w.ok(w.NewGeneration(ctx, r, activation.RunWithdrawn))
	got := w.target(target)
	w.equal(2, got.Generation)
	w.equal("", got.RemoteID)
	w.equal("", got.OpenRun)
	w.equal(true, got.DueNow)
	w.equal(activation.RunWithdrawn, w.run(r.ID).Status)
	w.equal(activation.CodeRemoteGone, w.run(r.ID).ErrorCode)
	ended := w.run(old.ID)
	w.equal(activation.RunFailed, ended.Status)
	w.equal(10, ended.Counts.Unknown)
	w.equal(0, ended.Counts.Awaiting)
	w.is(activation.ErrFenced, w.SetRemote(ctx, target, 1, "remote-1"))
	w.ok(w.SetRemote(ctx, target, 2, "remote-2"))
	w.withheld(old.ID, "remote audience")
}
