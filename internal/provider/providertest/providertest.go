// Package providertest is the suite that every provider's destination passes,
// run against a stand-in of its network.
//
// It owns the cases and asks the far side, not the provider, what happened. A
// provider brings a Harness: how to start its network, how to make it fail, how
// to look into it. What a network cannot do is declared in Skip with a reason;
// the cases that no network may skip fail if they are declared. It is built for
// the failure of a provider that reports what it hoped for.
package providertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"usher/internal/matchkey"
	"usher/internal/provider"
)

// FaultKind is a way in which a network fails a call that changes members.
type FaultKind string

const (
	// NoAnswer: the call takes effect and is never answered.
	NoAnswer FaultKind = "no_answer"
	// Cut: the call takes effect and the connection ends within the answer.
	Cut FaultKind = "cut"
	// BadToken: the token is refused, for calls of every sort, until Heal.
	BadToken FaultKind = "bad_token"
	// Throttle: the call is refused for now; Fault.Wait says for how long, 0 =
	// the network does not say.
	Throttle FaultKind = "throttle"
	// Broken: the call takes effect and is answered with an internal error.
	Broken FaultKind = "broken"
	// Page: the call is answered with a web page.
	Page FaultKind = "page"
	// RefuseWhole: the call is refused without a position.
	RefuseWhole FaultKind = "refuse_whole"
	// BadRow: row Fault.Row of the call is refused, or counted as invalid
	// where the network tells no positions.
	BadRow FaultKind = "bad_row"
	// Late: the call is answered later. Only for asynchronous networks.
	Late FaultKind = "late"
	// Lost: the connection ends before the call takes effect. For publishers.
	Lost FaultKind = "lost"
	// RefuseEdit: edit Fault.Row of the call is refused. LaterEdit: it is not carried
	// out for now. UnknownEdit: nobody can say whether it was, Fault.Applied decides.
	// For publishers.
	RefuseEdit  FaultKind = "refuse_edit"
	LaterEdit   FaultKind = "later_edit"
	UnknownEdit FaultKind = "unknown_edit"
)

// Fault is what goes wrong with the next call that changes members, or campaigns.
type Fault struct {
	Kind FaultKind
	Wait time.Duration
	Row  int
	// Applied: what is unknown took effect.
	Applied bool
}

// Network is the far side of one case: a fresh stand-in with one empty account.
// Its methods may be called in parallel.
type Network interface {
	// Deps are credentials, account and config of a destination. The suite adds
	// the client, the log and the clock.
	Deps() provider.Deps
	// Hosts are the host:port pairs that the client may reach.
	Hosts() []string
	// Fail arranges a fault. An error means that the network cannot fail so.
	Fail(f Fault) error
	// Heal ends all faults and finishes what is late.
	Heal()
	// Holds reports whether somebody is in the audience by this value of the
	// key, as Batch.Values has it.
	Holds(id provider.RemoteID, key matchkey.Key, value []byte) bool
	// Size is how many people are in the audience; a network that does not know
	// which values are one person's is Counted instead.
	Size(id provider.RemoteID) int
	// Audiences is how many audiences the account has.
	Audiences() int
	// Delete takes the audience away behind the provider's back.
	Delete(id provider.RemoteID)
	// Writes is how many calls that change anything have arrived.
	Writes() int
	// Calls is how many calls of any sort have arrived.
	Calls() int
	// Close ends the network; nothing of it runs on.
	Close()
}

// Counted is a Network that knows values, and not whose they are.
type Counted interface {
	// Values is how many values are in the audience.
	Values(id provider.RemoteID) int
}

// Harness connects the suite to one provider.
type Harness struct {
	// Definition is the provider under test, Workflow the name of the one to
	// judge: "" = its first. The suite judges what Definition.For makes of it.
	Definition provider.Definition
	Workflow   string
	// Settings are the settings of the job.
	Settings map[string]string
	// Transport is how calls reach the network.
	Transport Transport
	// Open starts a network for one case.
	Open func() (Network, error)
	// Person gives the raw values of person i by key name, another for each i.
	// The first call decides which keys are mapped.
	Person func(i int) map[string]string
	// Shared is an identifying key that two people may have in common; "" where
	// people have one such key only.
	Shared string
	// Needed is a key without which the network takes nobody in an audience of
	// these settings, "" where there is none.
	Needed string
	// Unmade: an audience is a name. The first person makes it, and what was taken
	// away is made again by the next one; so none is ever gone.
	Unmade bool
	// Shown is the least number of people of whom the network tells how many they
	// are. Only for a Sizer.
	Shown int
	// Irreplaceable is why the network does not replace the members of an audience
	// of these settings, although the definition says it does; "" = it does.
	Irreplaceable string
	// Skip names cases that do not fit the network, with the reason. The transport
	// decides which may be named.
	Skip map[string]string
}

// check is one case. It returns what is wrong.
type check struct {
	name string
	// skip says who may skip it.
	skip rule
	run  func(*world) error
}

// checks are all cases, in the order they run.
func checks() []check {
	return slices.Concat(receiptChecks(), faultChecks(), audienceChecks(), limitChecks(), pollChecks(), readChecks(), replaceChecks())
}

// Cases are the names of all cases.
func Cases() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// Run runs all cases, each as a subtest below one that is named like the
// workflow, which is how the matrix finds them.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Run(h.workflow(), func(t *testing.T) {
		t.Logf("%s%s", TransportLine, h.Transport)
		for _, c := range checks() {
			t.Run(c.name, func(t *testing.T) { judge(t, h.Skip[c.name], func() error { return h.run(c) }) })
		}
	})
}

// TransportLine begins the line in which Run tells the matrix of the transport.
const TransportLine = "conformance transport: "

// mayNotFit are cases that a definition may make senseless.
var mayNotFit = []string{
	caseReplay, caseSharedKey, caseDeleted, caseNotDeleted, caseOpens, caseWithoutRequired,
	caseListed, caseListedEmpty, caseListedGone, caseListedStops, caseListedMany, caseSized, caseSizedGone,
	caseReplaced, caseReplacedAgain, caseReplacedLost, caseReplacedCut, caseReplacedWhole,
}

// MustRun are the cases of a kind that no network of the transport may skip.
func MustRun(kind provider.Kind, t Transport) []string {
	var names []string
	add := func(name string, skip rule) {
		if !skip(t) && !slices.Contains(mayNotFit, name) {
			names = append(names, name)
		}
	}
	if kind == provider.Event {
		for _, c := range eventChecks() {
			add(c.name, c.skip)
		}
		return names
	}
	for _, c := range checks() {
		add(c.name, c.skip)
	}
	return names
}

// judge runs one case as a test.
func judge(t *testing.T, skip string, run func() error) {
	t.Helper()
	if skip != "" {
		t.Skip(skip)
	}
	var u unfit
	switch err := run(); {
	case err == nil:
	case errors.As(err, &u):
		t.Skip(u)
	default:
		t.Error(err)
	}
}

// Judge runs one case and returns what is wrong.
func (h Harness) Judge(name string) error {
	for _, c := range checks() {
		if c.name == name {
			return h.run(c)
		}
	}
	return fmt.Errorf("there is no case %q", name)
}

// workflow is the name of the one that is judged.
func (h Harness) workflow() string {
	if h.Workflow == "" {
		return h.Definition.Workflows[0].Name
	}
	return h.Workflow
}

// Validate refuses a skip of a case that is not there, has no reason, or that a
// network of this transport may not skip, and a network that says nothing about
// bad rows at all.
func (h Harness) Validate() error {
	rules := map[string]rule{}
	for _, c := range checks() {
		rules[c.name] = c.skip
	}
	if err := validate(h.Definition, h.workflow(), provider.State, h.Transport, rules, h.Skip); err != nil {
		return err
	}
	_, noPosition := h.Skip[caseBadRowPlaced]
	_, noCount := h.Skip[caseBadRowCounted]
	_, noLate := h.Skip[caseLatePoll]
	_, noNever := h.Skip[caseNoPoll]
	async := h.Definition.For(h.workflow()).Async
	switch {
	case h.Transport == HTTP && noPosition && noCount:
		return fmt.Errorf("one of %q and %q must run", caseBadRowPlaced, caseBadRowCounted)
	case noLate == async:
		return fmt.Errorf("case %q is skipped if and only if the network answers at once", caseLatePoll)
	case noNever && !async:
		return fmt.Errorf("case %q is skipped only if the network answers later", caseNoPoll)
	}
	return nil
}

// validate holds for both kinds of harness.
func validate(d provider.Definition, workflow string, kind provider.Kind, transport Transport, rules map[string]rule, skip map[string]string) error {
	if w, ok := d.Workflow(workflow); !ok || w.Kind != kind {
		return fmt.Errorf("%s has no workflow %q of kind %s", d.Name, workflow, kind)
	}
	for _, name := range slices.Sorted(maps.Keys(skip)) {
		may, ok := rules[name]
		switch {
		case !ok:
			return fmt.Errorf("skipped case %q is not a case", name)
		case skip[name] == "":
			return fmt.Errorf("case %q is skipped without a reason", name)
		case !may(transport):
			return fmt.Errorf("case %q may not be skipped", name)
		}
	}
	return nil
}
