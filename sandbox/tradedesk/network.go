package tradedesk

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"usher/sandbox/fault"
)

// What a fresh network takes.
const (
	DefaultAdvertiser = "sandboxadv"
	DefaultSecret     = "sandbox-advertiser-secret"
)

const (
	// maxBytes is the most bytes of a request, as public connectors have it.
	maxBytes = 2_500_000
	// maxTTL is the longest lifetime, 180 days, as public connectors have it.
	maxTTL = 180 * 24 * 60
	// maxCalls is how many of the latest calls are kept.
	maxCalls = 10_000
)

// Options set up a network. The zero value is usable.
type Options struct {
	// Advertisers are the advertisers that exist, with the secrets of their
	// signatures; none means the default ones.
	Advertisers map[string]string
	// Providers are data providers with the secrets of their signatures.
	Providers map[string]string
	// Tokens are the values of TTD-Auth that stand in for an advertiser's
	// signature, with the advertiser they are good for.
	Tokens map[string]string
	// Misconfigured are advertisers that may not send data.
	Misconfigured []string
	// MaxElements is how many data elements an advertiser may have; 0 = any number.
	MaxElements int
}

// Deps are what a network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// Network is one stand-in. It is an http.Handler for the paths below its prefix.
// Its methods may be called in parallel.
type Network struct {
	opts    Options
	deps    Deps
	closing chan struct{}
	once    sync.Once

	mu sync.Mutex
	// elements hold, by advertiser and name, until when an id is in.
	elements map[string]map[string]map[ID]time.Time
	calls    []Call
	count    int
}

// ID is what a person is known by: its kind and its value.
type ID struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Call is one request as the log keeps it: no id and no signature.
type Call struct {
	Number  int       `json:"number"`
	At      time.Time `json:"at"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	Items   int       `json:"items"`
	Failed  int       `json:"failed,omitempty"`
	Bytes   int       `json:"bytes"`
	Status  int       `json:"status"` // 0 = the connection ended without an answer
	Applied bool      `json:"applied,omitempty"`
	Fault   string    `json:"fault,omitempty"`
}

// Member is an id in an element.
type Member struct {
	ID
	Until time.Time `json:"until"`
}

// New makes a network. Close ends it.
func New(o Options, d Deps) (*Network, error) {
	if len(o.Advertisers) == 0 {
		o.Advertisers = map[string]string{DefaultAdvertiser: DefaultSecret}
	}
	return &Network{opts: o, deps: d, closing: make(chan struct{}), elements: map[string]map[string]map[ID]time.Time{}}, nil
}

// Release lets the calls go that a fault holds, and holds none any more. It may
// be called twice.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close releases held calls. It may be called twice.
func (n *Network) Close() error {
	n.Release()
	return nil
}

// Elements are the names of an advertiser's data elements.
func (n *Network) Elements(advertiser string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.elements[advertiser]))
}

// Members are the ids that are in an element now.
func (n *Network) Members(advertiser, element string) []Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := []Member{}
	for id, until := range n.elements[advertiser][element] {
		if until.After(n.deps.Now()) {
			list = append(list, Member{id, until})
		}
	}
	slices.SortFunc(list, func(a, b Member) int {
		if a.Kind != b.Kind {
			return compare(a.Kind, b.Kind)
		}
		return compare(a.Value, b.Value)
	})
	return list
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Drop takes an element away behind the sender's back.
func (n *Network) Drop(advertiser, element string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.elements[advertiser], element)
}

// Calls are the latest calls, oldest first.
func (n *Network) Calls() []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls)
}

// note writes a call into the log.
func (n *Network) note(c Call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count++
	c.Number = n.count
	if len(n.calls) >= maxCalls {
		n.calls = slices.Delete(n.calls, 0, maxCalls/10)
	}
	n.calls = append(n.calls, c)
}

// change is what an item does to an element.
type change struct {
	element string
	id      ID
	minutes int
}

// apply lets changes happen; it reports whether the advertiser may have their
// elements.
func (n *Network) apply(advertiser string, changes []change) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	own := n.elements[advertiser]
	if n.opts.MaxElements > 0 {
		names := map[string]bool{}
		for name := range own {
			names[name] = true
		}
		for _, c := range changes {
			names[c.element] = true
		}
		if len(names) > n.opts.MaxElements {
			return false
		}
	}
	if own == nil {
		own = map[string]map[ID]time.Time{}
		n.elements[advertiser] = own
	}
	for _, c := range changes {
		if own[c.element] == nil {
			own[c.element] = map[ID]time.Time{}
		}
		if c.minutes == 0 {
			delete(own[c.element], c.id)
			continue
		}
		own[c.element][c.id] = n.deps.Now().Add(time.Duration(c.minutes) * time.Minute)
	}
	return true
}
