package delivery

import (
	"cmp"
	"context"
	"errors"
	"time"

	"usher/internal/activation"
)

const (
	// askAgain is when a network that does not say is asked again.
	askAgain = time.Minute
	// codeNoAnswer: the network owed an answer for too long.
	codeNoAnswer = "NO-ANSWER"
	// soonestPoll is the least time between two questions about a run.
	soonestPoll = time.Second
)

// poll asks the network for every answer that is due. What it owes for longer
// than Settings.AnswerWithin is unknown.
func (x *execution) poll(ctx context.Context, items []activation.Item) error {
	x.polled = true
	receipts, err := x.d.store.Receipts(ctx, x.run.ID)
	if err != nil {
		return err
	}
	for _, it := range items {
		rc := receiptOf(it, receipts[it.ID])
		switch {
		case it.State != activation.ItemAwaiting:
			continue
		case x.d.now().Sub(x.awaitingSince()) > x.d.set.AnswerWithin:
			err = x.giveUpOn(ctx, it, rc, codeNoAnswer, "the network did not answer in time")
		case !x.d.now().Before(rc.PollAfter):
			err = x.ask(ctx, it, rc)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitingSince is when everything was sent.
func (x *execution) awaitingSince() time.Time {
	if n := len(x.run.Timings); n > 0 && !x.run.Timings[n-1].EndedAt.IsZero() {
		return x.run.Timings[n-1].EndedAt
	}
	return x.run.StartedAt
}

// ask polls for one item and stores what it learns. An error leaves the item
// awaiting: the question changes nothing at the network.
func (x *execution) ask(ctx context.Context, it activation.Item, before activation.Receipt) error {
	release, err := x.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := x.d.at(ctx, BeforePoll); err != nil {
		return err
	}
	rows := it.Rows() - before.Superseded
	rc, pollErr := call(ctx, x, func() (activation.Receipt, error) { return x.client.Poll(ctx, before.PollToken, rows) })
	if err := x.d.at(ctx, AfterPoll); err != nil {
		return err
	}
	if pollErr != nil {
		return x.pollErred(ctx, it, before, pollErr)
	}
	r := judgeReceipt(rows, rc)
	if r.effect == effectFail {
		x.halt, x.failure = haltFailed, r.err
	}
	if r.receipt.PollToken != "" && !r.receipt.PollAfter.After(x.d.now()) {
		r.receipt.PollAfter = x.d.now().Add(askAgain)
	}
	lifted := skipsOf(before).lift(r.receipt)
	if left := leftover(it, lifted, x.mayReplay()); x.ofEvents && r.state == activation.ItemDelivered && len(left) > 0 {
		return x.saveRest(ctx, it, lifted, left)
	}
	return x.savePoll(ctx, it, r.state, lifted, r.err)
}

// saveRest stores an answer and queues what is to be sent again.
func (x *execution) saveRest(ctx context.Context, it activation.Item, rc activation.Receipt, left []activation.Item) error {
	ctx, cancel := x.writing(ctx)
	defer cancel()
	if err := x.d.store.SaveRest(ctx, x.run, it, rc, left); err != nil {
		return err
	}
	return x.d.at(ctx, AfterPollReceipt)
}

// reopen makes an awaiting run its target's open run again, because rows are to
// be sent again. While another run is open it waits.
func (x *execution) reopen(ctx context.Context) error {
	err := x.d.around(ctx, BeforeReopen, AfterReopen, func() error { return x.d.store.ReopenRun(ctx, x.run) })
	if errors.Is(err, activation.ErrConflict) {
		return &pause{x.d.now().Add(askAgain)}
	}
	if err != nil {
		return err
	}
	x.run.Status = activation.RunRunning
	return nil
}

func (x *execution) pollErred(ctx context.Context, it activation.Item, before activation.Receipt, err error) error {
	if context.Cause(ctx) != nil {
		return err
	}
	e := x.failsAs(asError(err))
	x.log.WarnContext(ctx, "asking the network for an answer", "item", it.Number, "kind", string(e.Kind), "code", e.Code, "error", err)
	switch effectOf(e.Kind) {
	case effectGone: // unless a run is open, which finds out by itself
		if err := x.newGeneration(ctx); !errors.Is(err, activation.ErrConflict) {
			return err
		}
	case effectFail:
		if e.Kind == activation.Invalid { // it will never answer this question
			return x.giveUpOn(ctx, it, before, e.Code, e.Message)
		}
	case effectNone, effectWait:
	case effectTrouble:
		if e.Kind == activation.RefusedWhole && !e.MayHaveApplied {
			return x.refused(ctx, it, before, e)
		}
	}
	before.PollAfter = x.d.now().Add(askAgain)
	if e.Until.After(before.PollAfter) {
		before.PollAfter = e.Until
	}
	return x.savePoll(ctx, it, activation.ItemAwaiting, before, e)
}

// refused writes down that the network, when it looked at a batch, took nothing
// of it. The item has failed; a single row is rejected.
func (x *execution) refused(ctx context.Context, it activation.Item, before activation.Receipt, e *activation.Error) error {
	rows := it.Rows() - before.Superseded
	rc, state := activation.Receipt{Unsent: rows}, activation.ItemFailed
	if rows == 1 {
		rc, state = refusedRow(e), activation.ItemDelivered
	}
	rc = skipsOf(before).lift(rc)
	rc.RequestID, rc.Superseded = cmp.Or(e.RequestID, before.RequestID), before.Superseded
	return x.savePoll(ctx, it, state, rc, e)
}

func (x *execution) savePoll(ctx context.Context, it activation.Item, s activation.ItemState, rc activation.Receipt, e *activation.Error) error {
	ctx, cancel := x.writing(ctx)
	defer cancel()
	code, message := "", ""
	if e != nil {
		code, message = e.Code, e.Message
	}
	if err := x.d.store.SaveReceipt(ctx, x.run, it, s, rc, code, message); err != nil {
		return err
	}
	return x.d.at(ctx, AfterPollReceipt)
}

// nextPoll is when the next answer may be there.
func (x *execution) nextPoll(items []activation.Item, receipts map[activation.ItemID][]activation.Receipt) time.Time {
	var next time.Time
	for _, it := range items {
		if it.State != activation.ItemAwaiting {
			continue
		}
		after := receiptOf(it, receipts[it.ID]).PollAfter
		if next.IsZero() || after.Before(next) {
			next = after
		}
	}
	if soonest := x.d.now().Add(soonestPoll); next.Before(soonest) {
		return soonest
	}
	return next
}
