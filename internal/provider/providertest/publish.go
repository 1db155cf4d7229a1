package providertest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// PublisherNetwork is the far side of one case about campaigns: a fresh stand-in
// with one empty account. Its methods may be called in parallel.
type PublisherNetwork interface {
	// Deps are credentials, account and config. The suite adds the client, the log
	// and the clock.
	Deps() provider.Deps
	// Hosts are the host:port pairs that the client may reach.
	Hosts() []string
	// Info is what the account is: name, currency and zone.
	Info() provider.PublisherInfo
	// Tree is every object of the account that is not removed, in any order, with
	// all declared fields that have a value, as canonical text. It is read from the
	// stand-in without the provider.
	Tree() []provider.ObjectState
	// Effects is how many calls have taken effect on an object, that of its creation
	// included. Several operations of one call on one object count once.
	Effects(ref activation.ObjectRef) int
	// Change sets a field behind the provider's back, Remove removes an object.
	Change(ref activation.ObjectRef, field, value string) error
	Remove(ref activation.ObjectRef) error
	// Spend says what the network reports of an object on one day, and of that object
	// alone: it does not count for what it lies in. Its currency is the account's.
	Spend(c activation.Cost)
	// Fail arranges a fault for the next call that changes campaigns; what is
	// BadToken is it for calls of every sort, until Heal. An error means that the
	// network cannot fail so.
	Fail(f Fault) error
	// Heal ends all faults.
	Heal()
	// Writes is how many calls that change campaigns have arrived.
	Writes() int
	// Calls is how many calls of any sort have arrived.
	Calls() int
	// Close ends the network; nothing of it runs on.
	Close()
}

// Seeder is a PublisherNetwork with types that only others can create there.
type Seeder interface {
	// Seed makes object i of a type that can't be created.
	Seed(typ string, parent activation.ObjectRef, i int) (activation.ObjectRef, error)
}

// PublisherHarness connects the suite to a provider that edits campaigns.
type PublisherHarness struct {
	// Definition is the provider under test.
	Definition provider.Definition
	// Open starts a network for one case.
	Open func() (PublisherNetwork, error)
	// Sample gives values with which object i of a type is created, beside or instead
	// of those that the suite makes from the declaration for the required fields,
	// name and status; "" takes one away. A type may be missing. "@campaign" as a value
	// stands for the id of an object of that type.
	Sample map[string]func(i int) map[string]string
	// Fields says, by "type.field", what the suite can't know of a field.
	Fields map[string]FieldSample
	// Many is how many objects of the last type it takes for a listing to have
	// several pages; 0 = 120.
	Many int
	// Skip names cases that do not fit the network, with the reason. Cases that no
	// network may skip fail if they are declared.
	Skip map[string]string
}

// FieldSample is what the suite can't know of a field.
type FieldSample struct {
	// With are values that the object is created with so that the field can be set,
	// as in PublisherHarness.Sample.
	With map[string]string
	// Value is what it is set to; "" = a value made from the declaration.
	Value string
	// Kept is why it can't be cleared; "" = it can.
	Kept string
	// Also is set in the same edit that clears it, where one of two is needed.
	Also map[string]string
}

// publishCheck is one case about campaigns.
type publishCheck struct {
	name string
	skip rule
	run  func(*publisherWorld) error
}

// publishChecks are all cases, in the order they run.
func publishChecks() []publishCheck {
	return slices.Concat(publishDeclarationChecks(), publishEditChecks(), publishOrderChecks(), publishFaultChecks(), publishReadChecks(), publishCostChecks())
}

// PublisherCases are the names of all cases about campaigns.
func PublisherCases() []string {
	var names []string
	for _, c := range publishChecks() {
		names = append(names, c.name)
	}
	return names
}

// MustPublish are the cases about campaigns that no network may skip.
func MustPublish() []string {
	var names []string
	for _, c := range publishChecks() {
		if !c.skip(HTTP) && !slices.Contains(mayNotFitPublisher, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

// RunPublisher runs all cases about campaigns, each as a subtest below one that is
// named like the workflow that posts, which is how the matrix finds them.
func RunPublisher(t *testing.T, h PublisherHarness) {
	t.Helper()
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Run(h.Definition.Publishing.Post, func(t *testing.T) {
		t.Logf("%s%s", TransportLine, HTTP)
		for _, c := range publishChecks() {
			t.Run(c.name, func(t *testing.T) { judge(t, h.Skip[c.name], func() error { return h.run(c) }) })
		}
	})
}

// Judge runs one case and returns what is wrong.
func (h PublisherHarness) Judge(name string) error {
	for _, c := range publishChecks() {
		if c.name == name {
			return h.run(c)
		}
	}
	return fmt.Errorf("there is no case %q", name)
}

// Validate refuses a provider that edits no campaigns, a skip of a case that is
// not there, has no reason or may not be skipped, and samples of what is not
// declared.
func (h PublisherHarness) Validate() error {
	p := h.Definition.Publishing
	if p == nil {
		return fmt.Errorf("%s edits no campaigns", h.Definition.Name)
	}
	rules := map[string]rule{}
	for _, c := range publishChecks() {
		rules[c.name] = c.skip
	}
	for _, name := range slices.Sorted(maps.Keys(h.Skip)) {
		may, ok := rules[name]
		switch {
		case !ok:
			return fmt.Errorf("skipped case %q is not a case", name)
		case h.Skip[name] == "":
			return fmt.Errorf("case %q is skipped without a reason", name)
		case !may(HTTP):
			return fmt.Errorf("case %q may not be skipped", name)
		}
	}
	known := map[string]bool{}
	for _, t := range p.Objects {
		for _, f := range t.Fields {
			known[t.Name+"."+f.Name] = true
		}
	}
	for name := range h.Fields {
		if !known[name] {
			return fmt.Errorf("there is no field %q", name)
		}
	}
	for name := range h.Sample {
		if _, ok := p.Object(name); !ok {
			return fmt.Errorf("there is no type %q", name)
		}
	}
	return nil
}

// publisherWorld is all that one case about campaigns has.
type publisherWorld struct {
	stage
	h       PublisherHarness
	p       *provider.Publishing
	net     PublisherNetwork
	pub     provider.Publisher
	all     []provider.Publisher
	base    map[string]activation.ObjectRef
	entries activation.EntryID
}

// run plays one case in a fresh world.
func (h PublisherHarness) run(c publishCheck) error {
	return play(func(ctx context.Context) (*stage, error) {
		w := &publisherWorld{h: h, p: h.Definition.Publishing, base: map[string]activation.ObjectRef{}, stage: stage{ctx: ctx, def: h.Definition}}
		var err error
		if w.net, err = h.Open(); err != nil {
			return nil, fmt.Errorf("open the network: %w", err)
		}
		w.far = w.net
		if w.pub, err = w.publisher(callTime); err != nil {
			return &w.stage, fmt.Errorf("make the publisher: %w", err)
		}
		err = c.run(w)
		for _, pub := range w.all { // a printed publisher must not show more than a log line may
			w.said.hear(fmt.Errorf("%v %+v", pub, pub))
		}
		return &w.stage, err
	})
}

// publisher makes one whose calls have this time limit.
func (w *publisherWorld) publisher(limit time.Duration) (provider.Publisher, error) {
	d := w.net.Deps()
	d.Log = slog.New(slog.NewTextHandler(&w.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d.Now = time.Now
	out := outbound.Config{Timeout: limit, AllowedHosts: w.net.Hosts(), Log: d.Log, Now: d.Now}
	d.HTTP, d.Dial = outbound.New(out), outbound.Dialer(out)
	w.clients = append(w.clients, d.HTTP)
	pub, err := w.p.New(d)
	if err == nil {
		w.all = append(w.all, pub)
	}
	return pub, err
}
