package providertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
)

const (
	caseEventsRefused = "events are refused whole"
	caseLateEvents    = "an answer about events that comes late"
	casePartialEvents = "a late answer that rejects one event"
	caseNoEventPoll   = "a poll about events of a network that answers at once"
)

// eventFaultChecks are about calls that go wrong. All of them end with every
// event having taken effect once, as far as events may be sent again.
func eventFaultChecks() []eventCheck {
	return []eventCheck{
		{"no answer after events took effect", local, noAnswerToEvents},
		{"cut after events took effect", local, cutEvents},
		{"internal error after events took effect", notHTTP, brokenEvents},
		{"a web page instead of an answer to events", notHTTP, pageForEvents},
		{"token refused between events", local, badTokenForEvents},
		{"events throttled for a time", notHTTP, throttledEventsFor},
		{"events throttled without a time", notHTTP, throttledEvents},
		{caseEventsRefused, ability, refuseEvents},
		{"events cancelled before the call", never, cancelledBeforeEvents},
		{"events cancelled during the call", local, cancelledDuringEvents},
		{"a check sends no event", never, checkSendsNothing},
		{"a check for events finds a bad token", ability, checkFindsBadTokenForEvents},
	}
}

// failing delivers one event, arranges the fault for the next call, and returns
// the events to send then and the one that was sent.
func (e *events) failing(f Fault) (batch, []event, event, error) {
	if err := e.ready(); err != nil {
		return batch{}, nil, event{}, err
	}
	first, list := e.some(1), e.some(e.size(3))
	if _, err := e.deliver(e.batch(first...), first); err != nil {
		return batch{}, nil, event{}, err
	}
	return e.batch(list...), list, first[0], e.net.Fail(f)
}

// afterwards heals the network, sends what may be sent again, and wants all
// events to have taken effect once.
func (e *events) afterwards(b batch, list []event, first event, rc activation.Receipt, err error) error {
	e.net.Heal()
	if err := e.again(b, list, rc, err); err != nil {
		return fmt.Errorf("sent again: %w", err)
	}
	return e.each(append([]event{first}, list...)...)
}

// unknownOutcome checks a call whose outcome nobody knows: it must say so, as an error
// for all or in a receipt for those it is true of.
func unknownOutcome(rc activation.Receipt, err error) error {
	if err == nil {
		if rc.Unknown == 0 {
			return fmt.Errorf("the outcome of no event is called unknown: %+v", rc)
		}
		return nil
	}
	_, err = wantError(err, activation.Unavailable, true)
	return err
}

func (e *events) unknown(f Fault, limit time.Duration) error {
	b, list, first, err := e.failing(f)
	if err != nil {
		return err
	}
	d, err := e.destination(limit)
	if err != nil {
		return err
	}
	ctx, cancel := e.within(limit)
	defer cancel()
	rc, err := e.deliverBy(ctx, d, b, list)
	if err := unknownOutcome(rc, err); err != nil {
		return err
	}
	return e.afterwards(b, list, first, rc, err)
}

func noAnswerToEvents(e *events) error { return e.unknown(Fault{Kind: NoAnswer}, shortTime) }
func cutEvents(e *events) error        { return e.unknown(Fault{Kind: Cut}, callTime) }
func brokenEvents(e *events) error     { return e.unknown(Fault{Kind: Broken}, callTime) }

// pageForEvents is answered by something that is not the network: whether the
// call went further, nobody knows.
func pageForEvents(e *events) error {
	b, list, _, err := e.failing(Fault{Kind: Page})
	if err != nil {
		return err
	}
	rc, err := e.deliver(b, list)
	return unknownOutcome(rc, err)
}

func badTokenForEvents(e *events) error {
	b, list, first, err := e.failing(Fault{Kind: BadToken})
	if err != nil {
		return err
	}
	rc, err := e.deliver(b, list)
	if _, err := wantError(err, activation.Unauthorized, false); err != nil {
		return err
	}
	return e.afterwards(b, list, first, rc, err)
}

func (e *events) throttle(f Fault) (time.Duration, error) {
	b, list, first, err := e.failing(f)
	if err != nil {
		return 0, err
	}
	rc, err := e.deliver(b, list)
	w, wrong := wantError(err, activation.WaitUntil, false)
	if wrong != nil {
		return 0, wrong
	}
	wait := time.Until(w.Until)
	// Another destination, because this one may keep to the time it was told.
	if e.dest, wrong = e.destination(callTime); wrong != nil {
		return 0, wrong
	}
	return wait, e.afterwards(b, list, first, rc, err)
}

func throttledEventsFor(e *events) error {
	const wait = 7 * time.Minute
	got, err := e.throttle(Fault{Kind: Throttle, Wait: wait})
	if err == nil && (got < wait-5*time.Second || got > wait+5*time.Second) {
		return fmt.Errorf("waits %v, the network asked for %v", got, wait)
	}
	return err
}

func throttledEvents(e *events) error {
	got, err := e.throttle(Fault{Kind: Throttle})
	if err == nil && (got < time.Second/2 || got > 25*time.Hour) {
		return fmt.Errorf("waits %v, the network named no time", got)
	}
	return err
}

func refuseEvents(e *events) error {
	b, list, first, err := e.failing(Fault{Kind: RefuseWhole})
	if err != nil {
		return err
	}
	rc, err := e.deliver(b, list)
	if _, err := wantError(err, activation.RefusedWhole, false); err != nil {
		return err
	}
	return e.afterwards(b, list, first, rc, err)
}

func cancelledBeforeEvents(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	writes := e.net.Writes()
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	list := e.some(e.size(2))
	_, err := e.deliverBy(ctx, e.dest, e.batch(list...), list)
	if _, kindErr := wantError(err, activation.Unavailable, false); kindErr != nil {
		return kindErr
	}
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the cause is lost: %w", err)
	}
	if e.net.Writes() != writes {
		return errors.New("a cancelled call was made")
	}
	return nil
}

func cancelledDuringEvents(e *events) error {
	b, list, first, err := e.failing(Fault{Kind: NoAnswer})
	if err != nil {
		return err
	}
	ctx, stop := e.cancelMeanwhile()
	begin := time.Now()
	rc, err := e.deliverBy(ctx, e.dest, b, list)
	took := time.Since(begin)
	stop()
	if err := unknownOutcome(rc, err); err != nil {
		return err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the cause is lost: %w", err)
	}
	if took > callTime/2 {
		return fmt.Errorf("stopping took %v", took)
	}
	return e.afterwards(b, list, first, rc, err)
}

func checkSendsNothing(e *events) error {
	err := e.dest.Check(e.ctx)
	e.said.hear(err)
	if err != nil {
		return err
	}
	if n := e.net.Writes(); n != 0 || e.net.Count() != 0 {
		return fmt.Errorf("%d calls that change something", n)
	}
	return nil
}

func checkFindsBadTokenForEvents(e *events) error {
	if err := e.net.Fail(Fault{Kind: BadToken}); err != nil {
		return err
	}
	err := e.dest.Check(e.ctx)
	e.said.hear(err)
	_, err = wantError(err, activation.Unauthorized, false)
	return err
}

// eventLimitChecks are about the size of batches.
func eventLimitChecks() []eventCheck {
	return []eventCheck{
		{"an empty batch of events", never, noEvents},
		{"a batch of events over the limit", never, tooManyEvents},
	}
}

func noEvents(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	writes := e.net.Writes()
	if _, err := e.deliver(e.batch(), nil); err != nil {
		return err
	}
	if e.net.Writes() != writes {
		return errors.New("an empty batch was sent")
	}
	return nil
}

func tooManyEvents(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	writes := e.net.Writes()
	many := make([]event, e.def.MaxRows+1)
	one := e.some(1)[0]
	for i := range many {
		many[i] = one
	}
	_, err := e.send(e.ctx, e.dest, e.batch(many...))
	_, err = wantError(err, activation.RefusedWhole, false)
	if e.net.Writes() != writes {
		err = errors.Join(err, fmt.Errorf("%d events were sent", len(many)))
	}
	return errors.Join(err, e.each())
}

// eventPollChecks are about networks that answer later.
func eventPollChecks() []eventCheck {
	return []eventCheck{
		{caseLateEvents, ability, lateEvents},
		{casePartialEvents, ability, partialEvents},
		{caseNoEventPoll, ability, noEventPoll},
	}
}

func lateEvents(e *events) error {
	b, list, first, err := e.failing(Fault{Kind: Late})
	if err != nil {
		return err
	}
	if err := e.late(b); err != nil {
		return err
	}
	return e.each(append([]event{first}, list...)...)
}

func partialEvents(e *events) error {
	b, list, first, err := e.failing(Fault{Kind: Late})
	if err != nil {
		return err
	}
	bad := min(1, len(list)-1)
	if err := e.net.Fail(Fault{Kind: BadRow, Row: bad}); err != nil {
		return err
	}
	rc, err := e.deliver(b, list) // heals and polls
	if err != nil {
		return err
	}
	if rc.Rejected != 1 || rc.Exceptions[0].Ordinal != int64(bad) {
		return fmt.Errorf("event %d is bad, the receipt is %+v", bad, rc)
	}
	rest := []event{first}
	for i, v := range list {
		if i != bad {
			rest = append(rest, v)
		}
	}
	return e.each(rest...)
}

func noEventPoll(e *events) error {
	_, err := e.dest.Poll(e.ctx, "token", 1)
	e.said.hear(err)
	_, err = wantError(err, activation.Invalid, false)
	return err
}
