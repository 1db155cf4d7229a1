package providertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// publishFaultChecks are about edits and calls that go wrong: what is said of them
// is what became of them.
func publishFaultChecks() []publishCheck {
	return []publishCheck{
		{"one edit is refused and its neighbours are done", never, refusesOne},
		{casePublishRefusedParent, never, refusesParent},
		{"a call that is refused whole", never, refusesCall},
		{"the edit at the head has to wait", ability, waits},
		{"one edit of unknown outcome took effect", ability, func(w *publisherWorld) error { return w.unknownOne(true) }},
		{"one edit of unknown outcome took none", ability, func(w *publisherWorld) error { return w.unknownOne(false) }},
		{"a call without an answer took effect", never, func(w *publisherWorld) error { return w.unknownCall(Fault{Kind: NoAnswer}, shortTime, true) }},
		{"a call was cut after it took effect", never, func(w *publisherWorld) error { return w.unknownCall(Fault{Kind: Cut}, callTime, true) }},
		{"a call was cut before it took effect", never, func(w *publisherWorld) error { return w.unknownCall(Fault{Kind: Lost}, callTime, false) }},
		{"a call that took effect is answered with an internal error", never, func(w *publisherWorld) error { return w.unknownCall(Fault{Kind: Broken}, callTime, true) }},
		{"edits are answered with a web page", never, editsPage},
		{"the token is refused between edits", never, editsToken},
		{"edits are throttled for a time", never, func(w *publisherWorld) error { return w.editsThrottled(7 * time.Minute) }},
		{"edits are throttled without a time", never, func(w *publisherWorld) error { return w.editsThrottled(0) }},
		{"cancelled before the edits", never, editsCancelledBefore},
		{"cancelled during the edits", never, editsCancelledDuring},
	}
}

// renames makes n objects and the edits that rename them, at most as many as may
// travel together.
func (w *publisherWorld) renames(n int) ([]provider.Edit, []activation.ObjectRef, error) {
	t, err := w.top()
	if err != nil {
		return nil, nil, err
	}
	refs, err := w.objects(t, 1, n)
	if err != nil {
		return nil, nil, err
	}
	edits := make([]provider.Edit, n)
	for i, ref := range refs {
		if edits[i], err = w.rename(ref, fmt.Sprintf("another name %d", i)); err != nil {
			return nil, nil, err
		}
	}
	if n, err = w.together(edits); err != nil {
		return nil, nil, err
	}
	return edits[:n], refs[:n], nil
}

// wantStates compares the outcomes with what was arranged, and with the far side.
func (w *publisherWorld) wantStates(edits []provider.Edit, out []provider.EditOutcome, want func(i int) provider.EditState) error {
	for i, o := range out {
		if o.State != want(i) {
			return fmt.Errorf("edit %d is %s (%s %s), want %s", i, o.State, o.Code, o.Text, want(i))
		}
	}
	return w.truth(edits, out)
}

func refusesOne(w *publisherWorld) error {
	edits, refs, err := w.renames(3)
	if err != nil {
		return err
	}
	at := len(edits) / 2
	if err := w.net.Fail(Fault{Kind: RefuseEdit, Row: at}); err != nil {
		return err
	}
	out, err := w.send(w.ctx, w.pub, edits)
	if err != nil {
		return err
	}
	err = w.wantStates(edits, out, func(i int) provider.EditState {
		if i == at {
			return provider.EditRefused
		}
		return provider.EditDone
	})
	return errors.Join(err, w.readsTrue(refs...), w.once(1, refs[at]))
}

// refusesParent has a parent refused with its children in the same call: none of
// them is made, and none is said to be.
func refusesParent(w *publisherWorld) error {
	edits, err := w.treeEdits(1)
	if err != nil {
		return err
	}
	n, err := w.together(edits)
	if err != nil {
		return err
	}
	edits = edits[:n]
	at, children := -1, map[int]bool{}
	lost := map[activation.ObjectRef]bool{}
	for i, e := range edits {
		for j := i + 1; j < len(edits) && at < 0; j++ {
			if edits[j].Parent == e.Object {
				at = i
			}
		}
	}
	if at < 0 {
		return unfit("a parent and what lies in it never travel together")
	}
	lost[edits[at].Object] = true
	for i := at + 1; i < len(edits); i++ {
		if lost[edits[i].Parent] {
			lost[edits[i].Object], children[i] = true, true
		}
	}
	if err := w.net.Fail(Fault{Kind: RefuseEdit, Row: at}); err != nil {
		return err
	}
	out, err := w.send(w.ctx, w.pub, edits)
	if err != nil {
		return err
	}
	if out[at].State != provider.EditRefused {
		return fmt.Errorf("the parent is %s", out[at].State)
	}
	for i := range children {
		if out[i].State == provider.EditDone {
			return fmt.Errorf("the %s is said to be made, in a parent that was refused", edits[i].Type)
		}
	}
	all, err := w.tree()
	if err != nil {
		return err
	}
	done := 0
	for _, o := range out {
		if o.State == provider.EditDone {
			done++
		}
	}
	if len(all) != done {
		return fmt.Errorf("%d objects are there, %d are said to be made", len(all), done)
	}
	return nil
}

func refusesCall(w *publisherWorld) error {
	edits, refs, err := w.renames(3)
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: RefuseWhole}); err != nil {
		return err
	}
	out, err := w.send(w.ctx, w.pub, edits)
	var e *activation.Error
	switch {
	case err == nil:
		err = w.wantStates(edits, out, func(int) provider.EditState { return provider.EditRefused })
	case errors.As(err, &e) && (e.Kind == activation.Invalid || e.Kind == activation.RefusedWhole) && !e.MayHaveApplied:
		err = nil
	}
	return errors.Join(err, w.once(1, refs...))
}

func waits(w *publisherWorld) error {
	edits, refs, err := w.renames(3)
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: LaterEdit}); err != nil {
		return err
	}
	out, err := w.send(w.ctx, w.pub, edits)
	if err != nil {
		return err
	}
	if out[0].State != provider.EditLater {
		return fmt.Errorf("the edit is %s (%s %s), want later", out[0].State, out[0].Code, out[0].Text)
	}
	if err := errors.Join(w.truth(edits, out), w.readsTrue(refs...), w.once(1, refs[0])); err != nil {
		return err
	}
	w.net.Heal()
	_, err = w.do(edits[0])
	return errors.Join(err, w.once(2, refs[0]))
}

func (w *publisherWorld) unknownOne(applied bool) error {
	edits, refs, err := w.renames(3)
	if err != nil {
		return err
	}
	at := len(edits) / 2
	if err := w.net.Fail(Fault{Kind: UnknownEdit, Row: at, Applied: applied}); err != nil {
		return err
	}
	out, err := w.send(w.ctx, w.pub, edits)
	if err != nil {
		return err
	}
	err = w.wantStates(edits, out, func(i int) provider.EditState {
		if i == at {
			return provider.EditUnknown
		}
		return provider.EditDone
	})
	if err != nil {
		return err
	}
	w.net.Heal()
	return w.settles(edits[at:at+1], refs[at:at+1], applied)
}

// settles says whether what is read back tells if these edits took effect.
func (w *publisherWorld) settles(edits []provider.Edit, refs []activation.ObjectRef, applied bool) error {
	all, err := w.tree()
	if err != nil {
		return err
	}
	for i, e := range edits {
		did, err := took(all, e, provider.EditOutcome{})
		if err != nil || did != applied {
			return errors.Join(err, fmt.Errorf("the fault did not do what it was to do with edit %d", i))
		}
	}
	return w.readsTrue(refs...)
}

// unknownCall loses the answer of a call with edits, and of one with creates.
func (w *publisherWorld) unknownCall(f Fault, limit time.Duration, applied bool) error {
	pub, err := w.publisher(limit)
	if err != nil {
		return err
	}
	edits, refs, err := w.renames(3)
	if err != nil {
		return err
	}
	if err := w.cutCall(pub, f, edits); err != nil {
		return err
	}
	calls := 1
	if applied {
		calls = 2
	}
	if err := errors.Join(w.settles(edits, refs, applied), w.once(calls, refs...)); err != nil {
		return err
	}
	creates, err := w.treeEdits(50)
	if err != nil {
		return err
	}
	n, err := w.together(creates)
	if err != nil {
		return err
	}
	creates = creates[:n]
	before, err := w.tree()
	if err != nil {
		return err
	}
	if err := w.cutCall(pub, f, creates); err != nil {
		return err
	}
	all, err := w.tree()
	if err != nil {
		return err
	}
	ids := make([]string, n)
	for i, e := range creates {
		for ref, o := range all {
			if _, old := before[ref]; !old && o.Type == e.Type {
				ids[i] = ref.ID
			}
		}
		if (ids[i] != "") != applied {
			return fmt.Errorf("the fault did not do what it was to do with the %s", e.Type)
		}
	}
	return w.finds(creates, ids)
}

// cutCall posts edits in one call that fails so, and wants it to be unknown.
func (w *publisherWorld) cutCall(pub provider.Publisher, f Fault, edits []provider.Edit) error {
	if err := w.net.Fail(f); err != nil {
		return err
	}
	_, err := w.send(w.ctx, pub, edits)
	_, err = wantError(err, activation.Unavailable, true)
	w.net.Heal()
	return err
}

func editsPage(w *publisherWorld) error {
	edits, refs, err := w.renames(2)
	if err != nil {
		return err
	}
	if err := w.cutCall(w.pub, Fault{Kind: Page}, edits); err != nil {
		return err
	}
	return w.readsTrue(refs...)
}

func editsToken(w *publisherWorld) error {
	edits, refs, err := w.renames(2)
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	_, err = w.send(w.ctx, w.pub, edits)
	if _, err := wantError(err, activation.Unauthorized, false); err != nil {
		return err
	}
	if err := w.once(1, refs...); err != nil {
		return err
	}
	w.net.Heal()
	if _, err := w.do(edits...); err != nil {
		return fmt.Errorf("after the token was mended: %w", err)
	}
	return w.once(2, refs...)
}

// editsThrottled is refused for now, as a whole or edit by edit.
func (w *publisherWorld) editsThrottled(wait time.Duration) error {
	edits, refs, err := w.renames(2)
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: Throttle, Wait: wait}); err != nil {
		return err
	}
	out, err := w.send(w.ctx, w.pub, edits)
	var untils []time.Time
	if err != nil {
		e, err := wantError(err, activation.WaitUntil, false)
		if err != nil {
			return err
		}
		untils = append(untils, e.Until)
	} else if err := w.wantStates(edits, out, func(int) provider.EditState { return provider.EditLater }); err != nil {
		return err
	}
	for _, o := range out {
		untils = append(untils, o.Until)
	}
	for _, until := range untils {
		got := time.Until(until)
		switch {
		case wait > 0 && (got < wait-5*time.Second || got > wait+5*time.Second):
			return fmt.Errorf("waits %v, the network asked for %v", got, wait)
		case wait == 0 && (got < time.Second || got > 25*time.Hour):
			return fmt.Errorf("waits %v, the network named no time", got)
		}
	}
	return errors.Join(w.once(1, refs...), w.readsTrueAfter(refs...))
}

// readsTrueAfter is readsTrue once the network is well again.
func (w *publisherWorld) readsTrueAfter(refs ...activation.ObjectRef) error {
	w.net.Heal()
	fresh, err := w.publisher(callTime)
	if err != nil {
		return err
	}
	w.pub = fresh
	return w.readsTrue(refs...)
}

func editsCancelledBefore(w *publisherWorld) error {
	edits, refs, err := w.renames(2)
	if err != nil {
		return err
	}
	writes := w.net.Writes()
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err = w.send(ctx, w.pub, edits)
	if _, kindErr := wantError(err, activation.Unavailable, false); kindErr != nil {
		return kindErr
	}
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the cause is lost: %w", err)
	}
	if w.net.Writes() != writes {
		return errors.New("a cancelled call was made")
	}
	return w.once(1, refs...)
}

func editsCancelledDuring(w *publisherWorld) error {
	edits, _, err := w.renames(2)
	if err != nil {
		return err
	}
	if err := w.net.Fail(Fault{Kind: NoAnswer}); err != nil {
		return err
	}
	ctx, stop := w.cancelMeanwhile()
	begin := time.Now()
	_, err = w.send(ctx, w.pub, edits)
	took := time.Since(begin)
	stop()
	if _, kindErr := wantError(err, activation.Unavailable, true); kindErr != nil {
		return kindErr
	}
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the cause is lost: %w", err)
	}
	if took > callTime/2 {
		return fmt.Errorf("stopping took %v", took)
	}
	return nil
}
