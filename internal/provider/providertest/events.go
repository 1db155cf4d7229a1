package providertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// EventNetwork is the far side of one case that takes events: a fresh stand-in
// with one empty account. Its methods may be called in parallel.
type EventNetwork interface {
	// Deps are credentials, account, config and whatever else a destination
	// needs. The suite adds client, dialer, log and clock.
	Deps() provider.Deps
	// Hosts are the host:port pairs that the client may reach.
	Hosts() []string
	// Fail arranges a fault for the next call that carries events. An error means
	// that the network cannot fail so.
	Fail(f Fault) error
	// Heal ends all faults and finishes what is late.
	Heal()
	// Got is how often the event with this value of EventHarness.ID took effect;
	// a repetition that the network drops is none.
	Got(id string) int
	// Count is how many events took effect in all.
	Count() int
	// Writes is how many calls that change anything have arrived.
	Writes() int
	// Calls is how many calls of any sort have arrived.
	Calls() int
	// Close ends the network; nothing of it runs on.
	Close()
}

// Ordered is an EventNetwork that knows in which order events took effect.
type Ordered interface {
	// Order are the values of EventHarness.ID in that order.
	Order() []string
}

// Valued is an EventNetwork that can show what an event brought.
type Valued interface {
	// Value is what the event with this value of EventHarness.ID brought for the
	// key, as the network has it, and whether it brought anything.
	Value(id, key string) (value string, there bool)
}

// EventHarness connects the suite to a workflow that takes events.
type EventHarness struct {
	// Definition is the provider under test, Workflow the name of the one to judge.
	Definition provider.Definition
	Workflow   string
	// Settings are the settings of the job.
	Settings map[string]string
	// Transport is how calls reach the network.
	Transport Transport
	// Open starts a network for one case.
	Open func() (EventNetwork, error)
	// Event gives the raw values of event i by key name, another for each i: the
	// workflow's Events and the person's match keys. The first call decides which
	// keys there are.
	Event func(i int) map[string]string
	// ID is the event key by which the network tells events apart.
	ID string
	// Zero is an event key for which 0 is a value like any other; "" where there
	// is none.
	Zero string
	// Skip names cases that do not fit the network, with the reason. The transport
	// decides which may be named.
	Skip map[string]string
}

// eventCheck is one case. It returns what is wrong.
type eventCheck struct {
	name string
	// skip says who may skip it.
	skip rule
	run  func(*events) error
}

func eventChecks() []eventCheck {
	return slices.Concat(eventReceiptChecks(), eventFaultChecks(), eventLimitChecks(), eventPollChecks())
}

// EventCases are the names of all cases of events.
func EventCases() []string {
	var names []string
	for _, c := range eventChecks() {
		names = append(names, c.name)
	}
	return names
}

// RunEvents runs all cases of events, like Run.
func RunEvents(t *testing.T, h EventHarness) {
	t.Helper()
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Run(h.Workflow, func(t *testing.T) {
		t.Logf("%s%s", TransportLine, h.Transport)
		for _, c := range eventChecks() {
			t.Run(c.name, func(t *testing.T) { judge(t, h.Skip[c.name], func() error { return h.run(c) }) })
		}
	})
}

// Judge runs one case and returns what is wrong.
func (h EventHarness) Judge(name string) error {
	for _, c := range eventChecks() {
		if c.name == name {
			return h.run(c)
		}
	}
	return fmt.Errorf("there is no case %q", name)
}

// Validate refuses what Harness.Validate refuses.
func (h EventHarness) Validate() error {
	rules := map[string]rule{}
	for _, c := range eventChecks() {
		rules[c.name] = c.skip
	}
	if err := validate(h.Definition, h.Workflow, provider.Event, h.Transport, rules, h.Skip); err != nil {
		return err
	}
	skipped := func(name string) bool { _, ok := h.Skip[name]; return ok }
	async := h.Definition.For(h.Workflow).Async
	switch {
	case h.Transport == HTTP && skipped(caseBadEventPlaced) && skipped(caseBadEventCounted) && skipped(caseEventsRefused):
		return fmt.Errorf("one of %q, %q and %q must run", caseBadEventPlaced, caseBadEventCounted, caseEventsRefused)
	case skipped(caseLateEvents) == async:
		return fmt.Errorf("case %q is skipped if and only if the network answers at once", caseLateEvents)
	case skipped(caseNoEventPoll) && !async:
		return fmt.Errorf("case %q is skipped only if the network answers later", caseNoEventPoll)
	case (h.Zero == "") != skipped(caseZero):
		return fmt.Errorf("either Zero names a key that is a number, or case %q is skipped with a reason", caseZero)
	}
	return nil
}

// events is all that one case of events has.
type events struct {
	stage
	h    EventHarness
	net  EventNetwork
	next int // the event that was not made yet
	lies lies
}

// lies are what was said of events and is not so, by any goroutine.
type lies struct {
	mu   sync.Mutex
	told []error
}

func (l *lies) hear(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, err)
}

func (h EventHarness) run(c eventCheck) error {
	return play(func(ctx context.Context) (*stage, error) {
		e := &events{h: h, stage: stage{ctx: ctx, def: h.Definition.For(h.Workflow), transport: h.Transport, settings: h.Settings}}
		var err error
		if e.net, err = h.Open(); err != nil {
			return nil, fmt.Errorf("open the network: %w", err)
		}
		e.far = e.net
		w, _ := h.Definition.Workflow(h.Workflow)
		if err := e.raise(w.Events, h.Event(0)); err != nil {
			return &e.stage, err
		}
		if !slices.ContainsFunc(e.set.Keys, func(k key) bool { return k.Name == h.ID }) {
			return &e.stage, fmt.Errorf("no key of an event is named %q", h.ID)
		}
		err = c.run(e)
		return &e.stage, errors.Join(append(e.lies.told, err)...)
	})
}

// event is one event: its raw id, and a value per key of the set.
type event struct {
	id     string
	values person
}

// some makes n events that were not there before.
func (e *events) some(n int) []event {
	list := make([]event, n)
	w, _ := e.def.Workflow(e.h.Workflow)
	var buf []byte
	for i := range list {
		raw := e.h.Event(e.next)
		e.next++
		for j, k := range e.set.Keys {
			// What names nobody (a name, an amount, a time) may be told.
			if j >= len(w.Events) || k.Hash || k.Identifies && k.Name != e.h.ID {
				e.said.mustNotSay(raw[k.Name])
			}
		}
		list[i].id = raw[e.h.ID]
		list[i].values, buf = e.row(raw, buf)
		e.hide(list[i].values)
	}
	return list
}

// batch makes a batch of these events. It has no remote id: none is stored for
// what takes events.
func (e *events) batch(list ...event) batch {
	rows := make([]person, len(list))
	for i, v := range list {
		rows[i] = v.values
	}
	return e.pack(activation.OpAdd, "", e.audience(), rows...)
}

func (e *events) audience() provider.Audience {
	return provider.Audience{Marker: "target-1.g1", Name: "Conformance"}
}

// ready makes sure of what takes the events.
func (e *events) ready() error {
	_, err := e.ensure(e.audience())
	return err
}

// deliver sends a batch of these events, and compares what is said of each with
// what became of it.
func (e *events) deliver(b batch, list []event) (activation.Receipt, error) {
	return e.deliverBy(e.ctx, e.dest, b, list)
}

func (e *events) deliverBy(ctx context.Context, d provider.Destination, b batch, list []event) (activation.Receipt, error) {
	before := e.counts(list)
	rc, err := e.send(ctx, d, b)
	if lie := e.honest(rc, err, list, before); lie != nil {
		e.lies.hear(lie)
	}
	return rc, err
}

// mayHave says whether the error says that the call may have taken effect.
func mayHave(err error) bool {
	var e *activation.Error
	return errors.As(err, &e) && e.MayHaveApplied
}

// counts is how often each of the events took effect.
func (e *events) counts(list []event) []int {
	all := make([]int, len(list))
	for i, v := range list {
		all[i] = e.net.Got(v.id)
	}
	return all
}

// honest compares a receipt, or an error, with what the call did.
func (e *events) honest(rc activation.Receipt, err error, list []event, before []int) error {
	outcomes := make([]activation.Outcome, len(list))
	for i := range outcomes {
		outcomes[i] = activation.Accepted
		if err != nil {
			outcomes[i] = activation.Unsent
			if mayHave(err) {
				outcomes[i] = activation.Unknown
			}
		}
	}
	for _, x := range rc.Exceptions {
		if x.Ordinal >= 0 && x.Ordinal < int64(len(list)) {
			outcomes[x.Ordinal] = x.Outcome
		}
	}
	var missing int64
	for i, v := range list {
		now := e.net.Got(v.id)
		switch took := now > before[i]; {
		case took && (outcomes[i] == activation.Unsent || outcomes[i] == activation.Rejected):
			return fmt.Errorf("event %d took effect and is called %s", i, outcomes[i])
		case now == 0 && outcomes[i] == activation.Accepted:
			missing++
		case now > before[i]+1:
			return fmt.Errorf("event %d took effect %d times by one batch", i, now-before[i])
		}
	}
	if missing > rc.Unplaced {
		return fmt.Errorf("%d events are called accepted and did not take effect", missing-rc.Unplaced)
	}
	return nil
}

// again sends what surely did not take effect, and what is unknown where that
// may be sent again, until nothing of it is left: as delivery does.
func (e *events) again(b batch, list []event, rc activation.Receipt, err error) error {
	for range len(list) + 1 {
		repeats := e.def.Replay != provider.ReplayNever
		if err != nil {
			if mayHave(err) && !repeats {
				return nil
			}
			b.Attempt++ // the same item
			rc, err = e.deliver(b, list)
			continue
		}
		var rest []event
		for _, x := range rc.Exceptions {
			if x.Outcome == activation.Unsent || x.Outcome == activation.Unknown && repeats {
				rest = append(rest, list[x.Ordinal])
			}
		}
		if len(rest) == 0 {
			return nil
		}
		list, b = rest, e.batch(rest...)
		rc, err = e.deliver(b, list)
	}
	return errors.Join(errors.New("sending again does not come to an end"), err)
}

// each wants every event to have taken effect once, and none beside them.
func (e *events) each(list ...event) error {
	for i, v := range list {
		if got := e.net.Got(v.id); got != 1 {
			return fmt.Errorf("event %d of %d took effect %d times", i, len(list), got)
		}
	}
	if got := e.net.Count(); got != len(list) {
		return fmt.Errorf("%d events took effect, want %d", got, len(list))
	}
	return nil
}
