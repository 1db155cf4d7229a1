package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
)

// finish is step 10: every final item is folded and nothing is left to do now.
// A run that still waits for answers is given back until the next may be there.
func (x *execution) finish(ctx context.Context, p progress) error {
	if err := x.count(ctx, p); err != nil {
		return err
	}
	if err := x.run.Counts.CheckLaws(); err != nil {
		if err := x.fail(ctx, err); err != nil {
			return err
		}
	}
	until, err := x.nextLook(ctx, p)
	if err != nil {
		return err
	}
	if p.awaiting && p.any(activation.ItemAwaiting) {
		if err := x.d.store.SaveRun(ctx, x.run); err != nil {
			return err
		}
		return &pause{until}
	}
	deferred, err := x.mayHaveDeferred(ctx, p)
	if err != nil {
		return err
	}
	end := x.outcome(p, deferred)
	end.Until = until
	if err := x.released(ctx, &end); err != nil {
		return err
	}
	if err := x.convert(ctx, p); err != nil {
		return err
	}
	if err := x.settleReplace(ctx, p); err != nil {
		return err
	}
	x.endTimings()
	if x.run.Status.Final() {
		x.run.EndedAt = x.d.now()
	}
	if err := x.d.around(ctx, BeforeFinish, AfterFinish, func() error { return x.d.store.FinishRun(ctx, x.run, end) }); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	c := x.run.Counts
	x.log.InfoContext(ctx, "run ended", "status", string(x.run.Status), "code", x.run.ErrorCode,
		"added", c.Added, "removed", c.Removed, "omitted", c.Omitted, "rejected", c.Rejected, "unknown", c.Unknown)
	x.d.wake(KindTarget, string(x.target.ID))
	if end.Gone {
		x.d.forget(ctx, x.run)
	}
	return nil
}

// count fills in the run's counts from its items, its receipts and the ledger.
// The ledger is measured when the sending ends. From then on later runs may
// move the same people, so answers that come later are added item by item.
func (x *execution) count(ctx context.Context, p progress) error {
	receipts, err := x.d.store.Receipts(ctx, x.run.ID)
	if err != nil {
		return err
	}
	c := tally(x.run.Counts, p.items, receipts)
	switch {
	case p.awaiting:
	case !p.cut, x.ofEvents:
		c.InAfter = c.InBefore
	case x.replaces() && p.begun() && !p.whole(c): // the ledger may be in doubt already
		c.InAfter = c.InBefore + c.BecameIn - c.LeftIn
	default:
		if c.InAfter, err = x.d.ledger.InRows(ctx, x.run.ID, x.run.Target, x.run.Generation); err != nil {
			return fmt.Errorf("measure the ledger: %w", err)
		}
	}
	x.run.Counts = c
	return nil
}

// nextLook is when there is something to do again: the next answer, the end of
// a network's wait, or soon, where asking went wrong.
func (x *execution) nextLook(ctx context.Context, p progress) (time.Time, error) {
	if !p.any(activation.ItemAwaiting) {
		return x.networkWait(), nil
	}
	if p.awaiting && x.halt == haltFailed {
		return x.d.now().Add(askAgain), nil
	}
	receipts, err := x.d.store.Receipts(ctx, x.run.ID)
	if err != nil {
		return time.Time{}, err
	}
	return x.nextPoll(p.items, receipts), nil
}

// networkWait is until when the network asked to be left alone by the error
// that ended the run; zero when it did not.
func (x *execution) networkWait() time.Time {
	if x.failure == nil {
		return time.Time{}
	}
	return x.failure.Until
}

// outcome decides what the run's status is and what that means for its target.
// deferred says that a later run may have left people to the next one.
func (x *execution) outcome(p progress, deferred bool) End {
	if x.failure != nil {
		x.run.ErrorKind, x.run.ErrorCode, x.run.ErrorText = x.failure.Kind, activation.CodeOf(x.failure), textOf(x.failure)
	}
	failed := x.failed(p)
	switch {
	case x.halt == haltEnded && x.run.Counts.Sent == 0:
		x.run.Status = activation.RunWithdrawn
		return End{}
	case x.halt == haltEnded:
		x.run.Status, x.run.ErrorCode, x.run.ErrorText = activation.RunFailed, activation.CodeJobEnded, "the job ended while the run was under way"
		return End{}
	case x.halt == haltCalledOff:
		x.run.Status = activation.RunWithdrawn
		return End{Due: x.dueAgain}
	case x.replaces() && p.begun() && !p.whole(x.run.Counts) && (x.failure == nil || x.failure.Code != activation.CodeCounts):
		return x.cutShort()
	case p.any(activation.ItemAwaiting):
		x.run.Status = activation.RunAwaiting
		return End{Done: !failed}
	case failed:
		x.run.Status = activation.RunFailed
		return End{Due: p.awaiting && (deferred || x.unsettled(p))} // its error made the target due when it came
	}
	due := deferred || x.unsettled(p)
	x.run.Status = activation.RunCompleted
	return End{Done: true, Due: due}
}

// mayHaveDeferred reports whether a run after this one may have left people to a
// later one because the network still owed this run's answer: one has opened
// since, for whatever reason, or something has changed. The target is read when
// all answers are folded, so that a run that opens afterwards waits for none of
// them. What events wait for is in their log.
func (x *execution) mayHaveDeferred(ctx context.Context, p progress) (bool, error) {
	if !p.awaiting || x.ofEvents {
		return false, nil
	}
	t, err := x.d.store.Target(ctx, x.run.Target)
	if err != nil {
		return false, err
	}
	return t.LastOpenedAt.After(x.run.StartedAt) || t.DoneSeq > x.run.Seq || t.DirtySeq > x.run.Seq, nil
}

// textOf is what a run says about its error: the message, and the field of the
// configuration that is to be changed.
func textOf(e *activation.Error) string {
	if e.Field == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (field %q)", e.Message, e.Field)
}

// failed reports whether the run fails: for the error that halted it, or for
// one that halted an attempt which died before it could say so.
func (x *execution) failed(p progress) bool {
	if x.halt == haltFailed || x.run.ErrorKind != "" && p.any(activation.ItemFailed) {
		return true
	}
	i := slices.IndexFunc(p.items, func(i activation.Item) bool {
		return i.State == activation.ItemFailed && i.Code != activation.CodeNotAttempted || i.Code == activation.CodeCounts
	})
	switch {
	case i >= 0:
		x.run.ErrorKind, x.run.ErrorCode, x.run.ErrorText = activation.Unavailable, p.items[i].Code, p.items[i].Message
	case p.any(activation.ItemFailed):
		x.run.ErrorKind, x.run.ErrorCode, x.run.ErrorText = activation.Unavailable, activation.CodeTakenOver, "the run failed and was taken over before it said why"
	case x.tookNothing(p):
		x.run.ErrorKind, x.run.ErrorCode, x.run.ErrorText = activation.Unavailable, codeNothingTaken, "the network took nothing of the run"
	default:
		return false
	}
	return true
}

// tookNothing reports whether the network has answered, taken nobody and refused
// nobody. Later runs try again, as after any error; that it goes on so must not
// look like a success.
func (x *execution) tookNothing(p progress) bool {
	c := x.run.Counts
	return !x.ofEvents && x.run.Release == "" && c.Unsent > 0 && c.Sent == 0 && p.any(activation.ItemDelivered)
}

// unsettled reports whether rows were left that the next run should settle at
// once. People whose old keys the network refused to remove are not: they are
// tried again with the next change.
func (x *execution) unsettled(p progress) bool {
	c := x.run.Counts
	if c.Withdrawn > 0 && (c.Rejected == 0 || c.Removed > 0) { // new keys, behind old ones that are gone now
		return true
	}
	refused := c.Rejected > 0 && slices.ContainsFunc(p.items, func(i activation.Item) bool { return i.Op == activation.OpReadd })
	return c.Unknown > 0 || c.Unsent > 0 || c.Superseded > 0 && !refused
}
