// Package oauth stands in for the place where people consent: a page that
// approves or refuses, and an address that gives tokens, as strict as RFC 6749
// and RFC 7636 allow: codes good once, refresh tokens that change with every use
// and end all of a consent when an old one comes back, tokens that expire.
//
// It owns consents and tokens and imports nothing of the product. It must not
// take what it did not give. It is built for the failure of a client that works
// only where nobody looks: another redirect address, a state that is not sent, a
// challenge that is not answered, a code used twice.
package oauth

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"usher/sandbox/fault"
)

// The app that is known when Options names none.
const (
	DefaultClientID     = "sandbox-app"
	DefaultClientSecret = "sandbox-app-secret"
)

// codeLife is how long a code may be exchanged (RFC 6749, section 4.1.2: at
// most 10 minutes).
const codeLife = 10 * time.Minute

// Client is an app that may ask people for consent.
type Client struct {
	ID     string `json:"client_id"`
	Secret string `json:"-"`
	// RedirectURIs are where answers may be sent, each compared as a whole; none
	// means anywhere.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
}

// Options set up a network. The zero value is usable.
type Options struct {
	// Clients are the apps; none means the default one.
	Clients []Client
	// AccessLife is how long an access token is good; 0 means an hour.
	AccessLife time.Duration
	// RefreshLife is how long a consent lasts, however often it is used; 0 means
	// until it is revoked.
	RefreshLife time.Duration
	// Rotate gives another refresh token with each access token, and takes the one
	// before for stolen when it comes back.
	Rotate bool
	// NoRefresh gives access tokens only.
	NoRefresh bool
	// PKCE makes a code challenge mandatory.
	PKCE bool
}

// Deps are what a network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// Network is one stand-in. It is an http.Handler for the paths below its
// prefix. Its methods may be called in parallel.
type Network struct {
	opts    Options
	deps    Deps
	mux     *http.ServeMux
	closing chan struct{}
	once    sync.Once

	mu       sync.Mutex
	rand     *rand.Rand
	clients  map[string]Client
	codes    map[string]*code
	refresh  map[string]*consent
	access   map[string]*access
	counters Counters
}

// code is one that was given and may be exchanged once.
type code struct {
	client, redirect, challenge, scope string
	until                              time.Time
	used                               *consent
}

// consent is what a person agreed to.
type consent struct {
	client, scope, current string
	ends                   time.Time // zero = never
	revoked                bool
}

type access struct {
	of    *consent
	until time.Time
}

// Counters sum up what happened.
type Counters struct {
	Asked    int            `json:"asked"`
	Approved int            `json:"approved"`
	Refused  int            `json:"refused"`
	Tokens   int            `json:"token_calls"`
	Given    int            `json:"tokens_given"`
	Errors   map[string]int `json:"errors"`
}

// New makes a network. Close ends it.
func New(o Options, d Deps) (*Network, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Faults == nil {
		d.Faults = fault.NewPlan(d.Seed)
	}
	if len(o.Clients) == 0 {
		o.Clients = []Client{{ID: DefaultClientID, Secret: DefaultClientSecret}}
	}
	if o.AccessLife == 0 {
		o.AccessLife = time.Hour
	}
	n := &Network{
		opts: o, deps: d, mux: http.NewServeMux(), closing: make(chan struct{}), rand: rand.New(rand.NewPCG(d.Seed, 0x0a07)),
		clients: map[string]Client{}, codes: map[string]*code{}, refresh: map[string]*consent{}, access: map[string]*access{}, counters: Counters{Errors: map[string]int{}},
	}
	for _, c := range o.Clients {
		if c.ID == "" {
			return nil, errors.New("an app has no client id")
		}
		n.clients[c.ID] = c
	}
	n.mux.HandleFunc("GET /authorize", n.ask)
	n.mux.HandleFunc("POST /authorize", n.decide)
	n.mux.HandleFunc("POST /token", n.token)
	return n, nil
}

// Release lets held calls go.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close lets held calls go. It may be called twice.
func (n *Network) Close() error {
	n.Release()
	return nil
}

// Counters returns what happened so far.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.counters
	out.Errors = maps.Clone(out.Errors)
	return out
}

// Valid reports whether an access token is good now.
func (n *Network) Valid(token string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.access[token]
	return ok && n.deps.Now().Before(a.until) && !n.over(a.of)
}

// Grant has a person consent without the page, and returns the refresh token.
func (n *Network) Grant(clientID, scope string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.newConsent(clientID, scope)
	return c.current
}

// Holds reports whether a refresh token is one that the network would take.
func (n *Network) Holds(refresh string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, ok := n.refresh[refresh]
	return ok && c.current == refresh && !n.over(c)
}

// Revoke takes all consents back, as a person can at the network.
func (n *Network) Revoke() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.refresh {
		c.revoked = true
	}
}

// The caller of these holds the lock.

func (n *Network) over(c *consent) bool {
	return c.revoked || !c.ends.IsZero() && !n.deps.Now().Before(c.ends)
}

func (n *Network) newConsent(clientID, scope string) *consent {
	c := &consent{client: clientID, scope: scope, current: n.name("rt")}
	if n.opts.RefreshLife > 0 {
		c.ends = n.deps.Now().Add(n.opts.RefreshLife)
	}
	n.refresh[c.current] = c
	return c
}

// name makes a secret that nobody else has.
func (n *Network) name(kind string) string {
	var raw [24]byte
	for i := range 3 {
		binary.BigEndian.PutUint64(raw[8*i:], n.rand.Uint64())
	}
	return kind + "-" + hex.EncodeToString(raw[:])
}

// knows reports whether an app may be answered at an address.
func (c Client) knows(redirect string) bool {
	return len(c.RedirectURIs) == 0 || slices.Contains(c.RedirectURIs, redirect)
}
