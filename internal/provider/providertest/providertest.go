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
)

// Fault is what goes wrong with the next call that changes members.
type Fault struct {
	Kind FaultKind
	Wait time.Duration
	Row  int
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
	// Size is how many people are in the audience.
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

// Harness connects the suite to one provider.
type Harness struct {
	// Definition is the provider under test.
	Definition provider.Definition
	// Open starts a network for one case.
	Open func() (Network, error)
	// Person gives the raw values of person i by key name, another for each i.
	// The first call decides which keys are mapped.
	Person func(i int) map[string]string
	// Shared is an identifying key that two people may have in common.
	Shared string
	// Skip names cases that do not fit the network, with the reason.
	Skip map[string]string
}

// check is one case. It returns what is wrong.
type check struct {
	name string
	// mayskip is true for a case that depends on what the network can do.
	maySkip bool
	run     func(*world) error
}

// checks are all cases, in the order they run.
func checks() []check {
	return slices.Concat(receiptChecks(), faultChecks(), audienceChecks(), limitChecks(), pollChecks())
}

// Cases are the names of all cases.
func Cases() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// Run runs all cases, each as a subtest.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			if reason, skipped := h.Skip[c.name]; skipped {
				t.Skip(reason)
			}
			if err := h.run(c); err != nil {
				t.Error(err)
			}
		})
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

// Validate refuses a skip of a case that is not there, has no reason, or that
// no network may skip, and a network that says nothing about bad rows at all.
func (h Harness) Validate() error {
	all := checks()
	for _, name := range slices.Sorted(maps.Keys(h.Skip)) {
		i := slices.IndexFunc(all, func(c check) bool { return c.name == name })
		switch {
		case i < 0:
			return fmt.Errorf("skipped case %q is not a case", name)
		case h.Skip[name] == "":
			return fmt.Errorf("case %q is skipped without a reason", name)
		case !all[i].maySkip:
			return fmt.Errorf("case %q may not be skipped", name)
		}
	}
	_, noPosition := h.Skip[caseBadRowPlaced]
	_, noCount := h.Skip[caseBadRowCounted]
	_, noLate := h.Skip[caseLatePoll]
	switch {
	case noPosition && noCount:
		return fmt.Errorf("one of %q and %q must run", caseBadRowPlaced, caseBadRowCounted)
	case noLate == h.Definition.Async:
		return fmt.Errorf("case %q is skipped if and only if the network answers at once", caseLatePoll)
	}
	return nil
}
