package providertest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"usher/internal/activation"
)

const (
	caseBadEventPlaced  = "one event is rejected at its index"
	caseBadEventCounted = "one event is counted invalid without an index"
	caseZero            = "a zero is a value"
	caseWithoutRequired = "an event without a required value"
)

// eventReceiptChecks are about good calls, and about what events lack.
func eventReceiptChecks() []eventCheck {
	return []eventCheck{
		{"events are accepted", never, acceptEvents},
		{caseBadEventPlaced, ability, rejectEvent},
		{caseBadEventCounted, ability, countEvent},
		{"events keep their order", ability, eventOrder},
		{"event batches in parallel", never, parallelEvents},
		{"what takes events is made sure of", never, readyTwice},
		{"an event without an optional value", never, withoutOptional},
		{caseWithoutRequired, never, withoutRequired},
		{caseZero, ability, zero},
	}
}

// size is n, or as many rows as a call may have.
func (e *events) size(n int) int { return min(n, e.def.MaxRows) }

func acceptEvents(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	all := e.some(e.size(5))
	rc, err := e.deliver(e.batch(all...), all)
	if err != nil {
		return err
	}
	if rc.Accepted != int64(len(all)) || rc.Unplaced != 0 {
		return fmt.Errorf("accepted %d, unplaced %d of %d", rc.Accepted, rc.Unplaced, len(all))
	}
	return e.each(all...)
}

func rejectEvent(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	all := e.some(e.size(5))
	bad := min(2, len(all)-1)
	if err := e.net.Fail(Fault{Kind: BadRow, Row: bad}); err != nil {
		return err
	}
	b := e.batch(all...)
	rc, err := e.deliver(b, all)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rc.Exceptions, func(x activation.Exception) bool { return x.Outcome == activation.Rejected })
	if rc.Rejected != 1 || rc.Exceptions[i].Ordinal != int64(bad) || rc.Exceptions[i].Code == "" {
		return fmt.Errorf("event %d is bad, the receipt is %+v", bad, rc)
	}
	if err := e.again(b, all, rc, nil); err != nil {
		return err
	}
	return e.each(slices.Delete(slices.Clone(all), bad, bad+1)...)
}

func countEvent(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	if err := e.net.Fail(Fault{Kind: BadRow, Row: 0}); err != nil {
		return err
	}
	all := e.some(e.size(5))
	rc, err := e.deliver(e.batch(all...), all)
	if err != nil {
		return err
	}
	if rc.Accepted != int64(len(all)) || rc.Unplaced != 1 || len(rc.Exceptions) != 0 {
		return fmt.Errorf("one event is bad and not named, the receipt is %+v", rc)
	}
	if got := e.net.Count(); got != len(all)-1 {
		return fmt.Errorf("%d events took effect, want %d", got, len(all)-1)
	}
	return nil
}

func eventOrder(e *events) error {
	net, ok := e.net.(Ordered)
	if !ok {
		return errors.New("the network tells no order: give it Order, or skip the case with a reason")
	}
	if err := e.ready(); err != nil {
		return err
	}
	var want []string
	for range 3 {
		some := e.some(e.size(4))
		for _, v := range some {
			want = append(want, v.id)
		}
		if _, err := e.deliver(e.batch(some...), some); err != nil {
			return err
		}
	}
	if got := net.Order(); !slices.Equal(got, want) {
		return errors.New("events took effect in another order than they came in")
	}
	return nil
}

func parallelEvents(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	const workers = 4
	each := e.size(6)
	all := e.some(workers * each)
	errs := make([]error, workers)
	batches := make([]batch, workers)
	for i := range batches {
		batches[i] = e.batch(all[i*each : (i+1)*each]...)
	}
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { _, errs[i] = e.deliver(batches[i], all[i*each:(i+1)*each]) })
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), e.each(all...))
}

func readyTwice(e *events) error {
	first, err := e.ensure(e.audience())
	if err != nil {
		return err
	}
	a := e.audience()
	a.Remote = first
	for range 2 {
		again, err := e.ensure(a)
		if err != nil {
			return err
		}
		if again != first {
			return fmt.Errorf("its id was %q and is %q now", first, again)
		}
		a.Remote = ""
	}
	if n := e.net.Count(); n != 0 {
		return fmt.Errorf("%d events took effect by it", n)
	}
	return nil
}

// without is the event without the value at j; ok is false where nothing would
// be left that says whose it is.
func (e *events) without(v event, j int) (event, bool) {
	v.values = slices.Clone(v.values)
	v.values[j] = nil
	for i, k := range e.set.Keys {
		if k.Identifies && v.values[i] != nil {
			return v, true
		}
	}
	return v, false
}

// withoutOptional sends events that lack one value each, and one that lacks all
// that may be lacked.
func withoutOptional(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	var all []event
	var lacks []string
	bare := e.some(1)[0]
	for j, k := range e.set.Keys {
		if k.Required || k.Name == e.h.ID {
			continue
		}
		if v, ok := e.without(e.some(1)[0], j); ok {
			all, lacks = append(all, v), append(lacks, k.Name)
		}
		if v, ok := e.without(bare, j); ok {
			bare = v
		}
	}
	all, lacks = append(all, bare), append(lacks, "everything optional")
	for part := range slices.Chunk(all, e.def.MaxRows) {
		rc, err := e.deliver(e.batch(part...), part)
		if err != nil {
			return err
		}
		if rc.Accepted != int64(len(part)) || rc.Unplaced != 0 {
			return fmt.Errorf("accepted %d, unplaced %d of %d events that lack, in this order, %v: %+v", rc.Accepted, rc.Unplaced, len(part), lacks[:len(part)], rc.Exceptions)
		}
		lacks = lacks[len(part):]
	}
	return e.each(all...)
}

// withoutRequired wants events that lack what the network requires to stay here.
func withoutRequired(e *events) error {
	if err := e.ready(); err != nil {
		return err
	}
	tried := 0
	for j, k := range e.set.Keys {
		if !k.Required {
			continue
		}
		tried++
		v, _ := e.without(e.some(1)[0], j)
		writes := e.net.Writes()
		rc, err := e.deliver(e.batch(v), []event{v})
		if err == nil && rc.Rejected != 1 {
			return fmt.Errorf("an event without %s is not rejected: %+v", k.Name, rc)
		}
		if kind := activation.KindOf(err); err != nil && (mayHave(err) || kind != activation.Invalid && kind != activation.RefusedWhole) {
			return fmt.Errorf("an event without %s: %w", k.Name, err)
		}
		if e.net.Writes() != writes {
			return fmt.Errorf("an event without %s was sent", k.Name)
		}
	}
	if tried == 0 {
		return unfit("the workflow requires no value")
	}
	return e.each()
}

// zero sends an event with the value 0 and one without a value, and wants the
// network to know one from the other.
func zero(e *events) error {
	net, ok := e.net.(Valued)
	j := slices.IndexFunc(e.set.Keys, func(k key) bool { return k.Name == e.h.Zero })
	if !ok || j < 0 {
		return fmt.Errorf("the network shows no value of %q: give it Value, and the event that key", e.h.Zero)
	}
	if err := e.ready(); err != nil {
		return err
	}
	two := e.some(2)
	raw := e.h.Event(e.next)
	e.next++
	raw[e.h.Zero] = "0"
	values, _ := e.row(raw, nil)
	two[0] = event{id: raw[e.h.ID], values: values}
	two[1], _ = e.without(two[1], j)
	if e.set.Keys[j].Required {
		two = two[:1]
	}
	for part := range slices.Chunk(two, e.def.MaxRows) {
		if _, err := e.deliver(e.batch(part...), part); err != nil {
			return err
		}
	}
	text, there := net.Value(two[0].id, e.h.Zero)
	if n, err := strconv.ParseFloat(text, 64); !there || err != nil || n != 0 {
		return fmt.Errorf("the value 0 of %s arrived as %q (there: %t)", e.h.Zero, text, there)
	}
	if len(two) > 1 {
		if text, there := net.Value(two[1].id, e.h.Zero); there {
			return fmt.Errorf("no value of %s arrived as %q", e.h.Zero, text)
		}
	}
	return e.each(two...)
}
