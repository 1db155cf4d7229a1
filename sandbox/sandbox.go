// Package sandbox runs stand-ins of the advertising networks: the same paths,
// rules, limits and errors as the real ones, with read-back and faults on
// demand, for demos, dry runs and tests.
//
// It owns what the networks hold and imports nothing of the product, because an
// oracle shares no code with what it judges. It must not be reachable from
// other machines: read-back shows members and is for loopback only. It is built
// for the failure of believing a delivery because the sender says so.
//
// Each network lives below its own path, such as /meta, which makes the base
// address of that network; everything about the sandbox itself lives below
// /_sandbox/:
//
//	GET    /_sandbox/                              what is there
//	GET    /_sandbox/faults                        fault scripts and what they met
//	POST   /_sandbox/faults                        add one script or a list of them
//	DELETE /_sandbox/faults                        remove all scripts
//	GET    /_sandbox/meta/audiences                audiences with their books
//	GET    /_sandbox/meta/audiences/{id}           one audience
//	GET    /_sandbox/meta/audiences/{id}/members   its members with all values
//	DELETE /_sandbox/meta/audiences/{id}           take it away behind the caller's back
//	POST   /_sandbox/meta/audiences/{id}/flag      {"flagged": true}: hold it back (471)
//	GET    /_sandbox/meta/calls                    the latest calls
//	DELETE /_sandbox/meta/calls                    forget them and their counters
//	GET    /_sandbox/meta/counters                 sums over all calls
//	POST   /_sandbox/meta/tokens                   make a token known or change it
package sandbox

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// Options set up a sandbox. The zero value is usable.
type Options struct {
	// Seed decides everything left to chance: ids, trace ids, faults.
	Seed uint64
	// Log takes what happens; nil means nowhere.
	Log *slog.Logger
	// Now is the clock; nil means the system's.
	Now func() time.Time
	// Meta sets up the network of that name.
	Meta meta.Options
	// StateFile, when set, keeps Meta's audiences over a restart. It is
	// readable by its owner only.
	StateFile string
}

// Sandbox is a set of networks. Its methods may be called in parallel.
type Sandbox struct {
	log    *slog.Logger
	faults *fault.Plan
	meta   *meta.Network
}

// New makes a sandbox that keeps its state in memory. It ignores StateFile; use
// Open for that.
func New(o Options) *Sandbox {
	o.StateFile = ""
	s, err := Open(o)
	if err != nil {
		panic(err) // only a state file can fail
	}
	return s
}

// Open makes a sandbox and reads its StateFile. Close ends it.
func Open(o Options) (*Sandbox, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Sandbox{log: o.Log, faults: fault.NewPlan(o.Seed)}
	network, err := meta.New(o.Meta, meta.Deps{
		Seed: o.Seed, Log: o.Log, Now: o.Now, Faults: s.faults, StateFile: o.StateFile,
	})
	if err != nil {
		return nil, fmt.Errorf("meta: %w", err)
	}
	s.meta = network
	return s, nil
}

// Close lets held calls go and closes the state. It may be called twice.
func (s *Sandbox) Close() error { return s.meta.Close() }

// Meta returns the stand-in of Meta's Graph API.
func (s *Sandbox) Meta() *meta.Network { return s.meta }

// Fault adds a fault script and returns its id.
func (s *Sandbox) Fault(f fault.Fault) (int, error) { return s.faults.Add(f) }

// Faults returns all fault scripts and what they met.
func (s *Sandbox) Faults() []fault.Script { return s.faults.Scripts() }

// ResetFaults removes all fault scripts.
func (s *Sandbox) ResetFaults() { s.faults.Reset() }

// Handler serves all networks and the read-back.
func (s *Sandbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/meta/", http.StripPrefix("/meta", s.meta))
	mux.Handle("/_sandbox/", loopbackOnly(s.control()))
	return mux
}
