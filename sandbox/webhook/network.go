package webhook

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"usher/sandbox/fault"
)

// Deps are what the network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// Network is one receiver. Its methods may be called in parallel.
type Network struct {
	Options
	deps Deps
	keys [][]byte

	closing chan struct{}
	once    sync.Once

	mu       sync.Mutex
	events   []*Event
	known    map[string]*Event
	tokens   map[string]time.Time
	counters Counters
}

// New makes a receiver.
func New(o Options, d Deps) (*Network, error) {
	if len(o.Secrets) == 0 && !o.Unsigned {
		o.Secrets = []string{DefaultSecret}
	}
	n := &Network{Options: o, deps: d, closing: make(chan struct{}), known: map[string]*Event{}, tokens: map[string]time.Time{}}
	for _, secret := range o.Secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < 24 || len(key) > 64 {
			return nil, errors.New("a signing secret is whsec_ and 24 to 64 bytes in base64")
		}
		n.keys = append(n.keys, key)
	}
	return n, nil
}

// Release lets held calls go, and holds none any more.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close releases held calls.
func (n *Network) Close() error { n.Release(); return nil }

// Events returns what took effect, in order.
func (n *Network) Events() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]Event, len(n.events))
	for i, e := range n.events {
		out[i] = *e
	}
	return out
}

// Counters returns the sums.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counters
}

// Forget forgets what took effect.
func (n *Network) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events, n.known = nil, map[string]*Event{}
}

// ExpireTokens makes every access token useless.
func (n *Network) ExpireTokens() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.tokens)
}

// Overview is what the sandbox's front page says of the network.
func (n *Network) Overview() map[string]any {
	return map[string]any{"events": n.Counters().Events}
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	code   string
}

func (r refusal) Error() string { return r.code }

// ServeHTTP takes one call.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		n.answer(w, refusal{http.StatusRequestEntityTooLarge, "too_large"})
		return
	}
	op := "event"
	if r.URL.Path == "/oauth/token" {
		op = "token"
	}
	if asks(r) {
		op = "enrich"
	}
	n.mu.Lock()
	n.counters.Calls++
	if op == "event" && r.Method != http.MethodGet && r.Method != http.MethodHead {
		n.counters.Writes++
	}
	n.mu.Unlock()
	f, met := n.deps.Faults.Take(fault.Call{Network: "webhook", Method: r.Method, Path: r.URL.Path, Op: op})
	if met && f.Kind == fault.Slow {
		fault.Hold(r.Context(), n.closing, time.Duration(f.Delay))
		met = false
	}
	if met {
		n.misbehave(w, r, raw, op, f)
		return
	}
	if op == "token" {
		n.token(w, r, raw)
		return
	}
	if op == "enrich" {
		n.enrich(w, r, raw)
		return
	}
	n.answer(w, n.take(r, raw))
}

// misbehave answers a call that met a fault. A receiver says no more than a
// status.
func (n *Network) misbehave(w http.ResponseWriter, r *http.Request, raw []byte, op string, f fault.Fault) {
	if f.Applied && op == "event" {
		_ = n.take(r, raw) // whatever it says is not heard
	}
	status := http.StatusServiceUnavailable
	switch f.Kind {
	case fault.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(cmp.Or(f.Status, http.StatusBadGateway))
		fmt.Fprint(w, "<!DOCTYPE html><title>Error</title><h1>Sorry, something went wrong.</h1>\n")
		return
	case fault.Timeout:
		fault.Hold(r.Context(), n.closing, time.Duration(f.Delay))
		panic(http.ErrAbortHandler)
	case fault.Cut:
		if f.Applied {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	case fault.Throttle:
		status = http.StatusTooManyRequests
		if f.Minutes > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(f.Minutes*60))
		}
	case fault.Token:
		status = http.StatusUnauthorized
	case fault.Gone:
		status = http.StatusGone
	case fault.Invalid:
		status = http.StatusUnprocessableEntity
	}
	n.answer(w, refusal{cmp.Or(f.Status, status), "scripted"})
}

func (n *Network) answer(w http.ResponseWriter, err error) {
	var r refusal
	if !errors.As(err, &r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	n.mu.Lock()
	n.counters.Refused++
	n.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	fmt.Fprintf(w, "{\"error\":%q}\n", r.code)
}

// keep notes events that came, and drops what was had before.
func (n *Network) keep(list []Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range list {
		if had := n.known[e.ID]; had != nil {
			had.Repeated++
			n.counters.Repeated++
			continue
		}
		n.known[e.ID] = &e
		n.events = append(n.events, &e)
		n.counters.Events++
	}
}

var methods = []string{http.MethodPost, http.MethodPut, http.MethodPatch}

func known(method string) bool { return slices.Contains(methods, method) }
