package publishing

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

const (
	// callLimit is how long one call may take. After it, and Publishing.Settles beyond
	// it, nothing of the call can appear any more.
	callLimit = 2 * time.Minute
	// settleLimit is how long results may be stored after the pass was told to stop.
	settleLimit = 3 * time.Second
	// maxOvertaken is how often in a row somebody may get in front of what is claimed.
	maxOvertaken = 100
	// countPosted is the count of a pass that says how many entries it sent.
	countPosted = "posted"
)

// The codes of what a publisher answers, or does not.
const (
	codeUnknown = "PUB-UNKNOWN"
	codeAnswer  = "PUB-ANSWER"
	codeNeeds   = "PUB-NEEDS-001"
	codeLater   = "PUB-LATER"
)

// drain posts what is released, call after call, until nothing is. What an earlier
// attempt left without an outcome is read back before anything else.
func (w *worker) drain(ctx context.Context) error {
	waits, err := w.cfg.Store.HasQueued(ctx, w.account.ID)
	if err != nil || !waits {
		return err
	}
	if err := w.readBack(ctx); err != nil {
		return err
	}
	for overtaken := 0; ctx.Err() == nil; {
		more, err := w.next(ctx)
		switch {
		case errors.Is(err, activation.ErrConflict) && overtaken < maxOvertaken:
			overtaken++ // an entry came in front of them, or one was held: look again
		case err != nil || !more:
			return err
		default:
			overtaken = 0
		}
	}
	return ctx.Err()
}

// next does what is at the head of the queue: one call, one reading, or one entry
// that can't go. more is false when the queue is empty.
func (w *worker) next(ctx context.Context) (more bool, err error) {
	if err := w.connect(ctx); err != nil {
		return false, err
	}
	entries, objects, err := w.cfg.Store.QueueHead(ctx, w.account.ID, w.most)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	n := cut(entries)
	switch {
	case n > 0:
		return true, w.call(ctx, entries[:n], objects)
	case entries[0].Operation == activation.OpSync:
		return true, w.sync(ctx, entries[0])
	}
	return true, w.fail(ctx, entries[0], codeNeeds, "what it refers to was not created")
}

// call posts as many of these entries as the publisher lets travel together.
func (w *worker) call(ctx context.Context, entries []activation.Entry, objects map[activation.ObjectRef]activation.PublisherObject) error {
	edits := make([]provider.Edit, len(entries))
	for i, e := range entries {
		edits[i] = editOf(e, objects[e.Object].Confirmed)
	}
	n, err := w.together(ctx, edits)
	if err != nil {
		return err
	}
	edits = edits[:n]
	if err := w.claim(ctx, entries[:n]); err != nil {
		return err
	}
	answers, err := w.post(ctx, edits)
	if err != nil {
		return w.callFailed(ctx, edits, err)
	}
	w.p.Count(countPosted, int64(n))
	w.most = min(w.most*2, w.maxEdits())
	return w.settleCall(ctx, entries[:n], edits, answers)
}

// claim makes entries this attempt's, as one call. It is committed when it returns.
func (w *worker) claim(ctx context.Context, entries []activation.Entry) error {
	ids := make([]activation.EntryID, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	_, err := w.cfg.Store.ClaimEntries(ctx, w.p.Pass(), w.account.ID, ids)
	return err
}

// together asks the publisher how many edits may travel in one call.
func (w *worker) together(ctx context.Context, edits []provider.Edit) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = w.brokeDown(ctx, p, false)
		}
	}()
	return min(max(1, w.client.Together(edits)), len(edits)), nil
}

// post makes the call. Whatever goes wrong in the client leaves the outcome of every
// edit unknown, unless its error says that none was sent.
func (w *worker) post(ctx context.Context, edits []provider.Edit) (answers []provider.EditOutcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			answers, err = nil, w.brokeDown(ctx, p, true)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	answers, err = w.client.Post(ctx, edits)
	if err == nil && len(answers) != len(edits) {
		return nil, &activation.Error{Kind: activation.Unavailable, Code: codeAnswer, MayHaveApplied: true, Message: fmt.Sprintf("the client of the publisher told the outcome of %d edits of %d", len(answers), len(edits))}
	}
	return answers, err
}

func (w *worker) brokeDown(ctx context.Context, p any, sent bool) error {
	w.cfg.Log.ErrorContext(ctx, "the client of a publisher panicked", "publisher_id", w.account.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", MayHaveApplied: sent, Message: "the client of the publisher broke down"}
}

// callFailed says what a call without outcomes means: unknown for all, which stay as
// they are and are read back by the next attempt; or none was sent, and they go back
// to their places. A call that is refused whole is made smaller until the edit at
// fault stands alone, which fails.
func (w *worker) callFailed(ctx context.Context, edits []provider.Edit, cause error) error {
	var e *activation.Error
	if !errors.As(cause, &e) || e.MayHaveApplied || ctx.Err() != nil {
		return cause
	}
	if e.Kind == activation.RefusedWhole && len(edits) == 1 {
		out := activation.EntryOutcome{Entry: edits[0].Entry, Status: activation.EntryFailed, ErrorCode: activation.CodeOf(cause), ErrorText: e.Message, ErrorField: e.Field, RequestID: e.RequestID}
		w.most = w.maxEdits()
		return w.settle(ctx, []activation.EntryOutcome{out})
	}
	back := make([]activation.EntryOutcome, len(edits))
	for i, edit := range edits {
		back[i] = activation.EntryOutcome{Entry: edit.Entry, Status: activation.EntryQueued}
	}
	if err := w.settle(ctx, back); err != nil {
		return errors.Join(cause, err)
	}
	if e.Kind == activation.RefusedWhole {
		w.most = max(1, len(edits)/2)
		return nil
	}
	return cause
}

// settleCall stores the outcomes of a call. One that is not known, or goes again
// later, ends the pass: what it leaves is read back, or sent, by the next.
func (w *worker) settleCall(ctx context.Context, entries []activation.Entry, edits []provider.Edit, answers []provider.EditOutcome) error {
	known := outcomesOf(entries, edits, answers)
	if err := w.settle(ctx, known); err != nil {
		return err
	}
	ended := slices.ContainsFunc(known, func(o activation.EntryOutcome) bool { return o.Status != activation.EntryQueued })
	for _, o := range answers {
		if o.State == provider.EditLater && (!ended || !o.Until.IsZero()) {
			return laterError(o) // else the head is another one now, and is tried at once
		}
	}
	if unknown := len(edits) - len(known); unknown > 0 {
		return &activation.Error{Kind: activation.Unavailable, Code: codeUnknown, MayHaveApplied: true, Message: fmt.Sprintf("the publisher did not say what became of %d of %d edits; they are read back before anything else is sent", unknown, len(edits))}
	}
	return nil
}

// laterError is why the account waits when the publisher takes an edit only later.
func laterError(o provider.EditOutcome) error {
	e := &activation.Error{Kind: activation.Unavailable, Code: o.Code, Message: o.Text, RequestID: o.RequestID}
	if !o.Until.IsZero() {
		e.Kind, e.Until = activation.WaitUntil, o.Until
	}
	if e.Code == "" {
		e.Code = codeLater
	}
	if e.Message == "" {
		e.Message = "the publisher takes this edit only later"
	}
	return e
}

// settle stores outcomes, also when the pass is being stopped: what is known should
// not be asked again. The store refuses them when the pass is another's by now.
func (w *worker) settle(ctx context.Context, outcomes []activation.EntryOutcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	ctx, done := lingering(ctx, settleLimit)
	defer done()
	if err := w.cfg.Store.SettleEntries(ctx, w.p.Pass(), w.account.ID, outcomes); err != nil {
		return fmt.Errorf("settle entries: %w", err)
	}
	count := func(s activation.EntryStatus) (n int64) {
		for _, o := range outcomes {
			if o.Status == s {
				n++
			}
		}
		return n
	}
	failed := count(activation.EntryFailed)
	w.failed += failed
	w.p.Count("done", count(activation.EntryDone))
	w.p.Count("failed", failed)
	w.cfg.Changed()
	return nil
}

// lingering returns a context that is done only some time after ctx is.
func lingering(ctx context.Context, d time.Duration) (_ context.Context, done func()) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		late := time.NewTimer(d)
		defer late.Stop()
		select {
		case <-late.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// fail ends an entry that can't be sent.
func (w *worker) fail(ctx context.Context, e activation.Entry, code, why string) error {
	if err := w.claim(ctx, []activation.Entry{e}); err != nil {
		return err
	}
	return w.settle(ctx, []activation.EntryOutcome{{Entry: e.ID, Status: activation.EntryFailed, ErrorCode: code, ErrorText: why}})
}

// noteFailed tells in the job's log that edits were refused.
func (w *worker) noteFailed(ctx context.Context) error {
	n := "1 entry was refused"
	if w.failed > 1 {
		n = number(w.failed) + " entries were refused"
	}
	return w.p.Note(ctx, "warn", codeRefused, n+"; the Activity Log says why of each, and retries them alone")
}

// sync does a reading that somebody asked for, in its turn.
func (w *worker) sync(ctx context.Context, e activation.Entry) error {
	if err := w.claim(ctx, []activation.Entry{e}); err != nil {
		return err
	}
	answer, err := w.read(ctx, e.Detail[DetailWhat])
	if err != nil && w.inVain(ctx, e, err) {
		return w.settle(ctx, []activation.EntryOutcome{{Entry: e.ID, Status: activation.EntryFailed, ErrorCode: activation.CodeOf(err), ErrorText: activation.SafeMessage(err)}})
	}
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, activation.ErrFenced) {
			back := activation.EntryOutcome{Entry: e.ID, Status: activation.EntryQueued, ErrorCode: activation.CodeOf(err), ErrorText: activation.SafeMessage(err)}
			if serr := w.settle(ctx, []activation.EntryOutcome{back}); serr != nil {
				return errors.Join(err, serr)
			}
		}
		return err
	}
	return w.settle(ctx, []activation.EntryOutcome{{Entry: e.ID, Status: activation.EntryDone, Answer: answer}})
}

// inVain reports whether a reading that somebody asked for fails, so that it holds up
// nothing behind it: what will be refused again, and costs, on which no edit depends.
func (w *worker) inVain(ctx context.Context, e activation.Entry, err error) bool {
	if e.Detail[DetailWhat] == ReadReport || !fromPublisher(ctx, err) {
		return false
	}
	kind := activation.KindOf(err)
	return !kind.Retryable() || e.Detail[DetailWhat] == ReadCosts && kind == activation.Unavailable
}

// inParts calls fn with n of all at a time.
func inParts[T any](all []T, n int, fn func([]T) error) error {
	for part := range slices.Chunk(all, n) {
		if err := fn(part); err != nil {
			return err
		}
	}
	return nil
}
