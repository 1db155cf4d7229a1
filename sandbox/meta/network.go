package meta

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"usher/sandbox/fault"
)

// DefaultToken is the access token that is valid when Options names none.
const DefaultToken = "sandbox-token"

// Token is an access token the network knows.
type Token struct {
	Value string `json:"value"`
	// ExpiresAt ends it; the zero time means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Subcode, when set, has it refused with 190 and this subcode.
	Subcode int `json:"subcode,omitempty"`
	// ReadOnly takes the ads_management permission from it.
	ReadOnly bool `json:"read_only,omitempty"`
	// Accounts are the ad accounts it reaches, without "act_"; none means all.
	Accounts []string `json:"accounts,omitempty"`
}

// Options set up a network. The zero value of every field is usable.
type Options struct {
	// Tokens are the valid tokens; none means DefaultToken alone.
	Tokens []Token
	// AppSecret, when set, makes appsecret_proof mandatory.
	AppSecret string
	// Accounts are the ad accounts that exist, without "act_"; none means
	// every number is one.
	Accounts []string
	// TermsPending are accounts that have not accepted the audience terms.
	TermsPending []string
	// MaxRows is the most rows per call; 0 means 10,000 (developers.facebook.com,
	// marketing-api/reference/custom-audience/users, read 2026-11-21).
	MaxRows int
	// MaxBytes is the most bytes per request body; 0 means 1 MiB, what a public
	// connector sends at most. The network's own limit is not published.
	MaxBytes int64
	// SessionWindow is how long an upload session takes batches; 0 means 90
	// minutes. The network's own is not published.
	SessionWindow time.Duration
	// HourlyCalls is how many calls one account may make in an hour; 0 means
	// 190,000 (developers.facebook.com, marketing-api/overview/rate-limiting,
	// read 2026-11-21). Beyond it calls are throttled.
	HourlyCalls int
	// Datasets are the data sets that take conversions; none means DefaultDataset
	// alone. What they took is kept in memory only.
	Datasets []string
	// StoreWindow is how old a conversion in a shop may be; 0 means 62 days
	// (developers.facebook.com, conversions-api/offline-events, read 2026-11-21).
	StoreWindow time.Duration
	// SharedAudiences are ids of audiences that every account may use in targeting,
	// beside its own.
	SharedAudiences []string
	// Currency (ISO 4217; "" means USD) and Timezone (IANA; "" means
	// America/Los_Angeles) are those of all accounts.
	Currency, Timezone string
	// Lag is how long an accepted row takes to be matched.
	Lag time.Duration
}

func (o Options) withDefaults() Options {
	if len(o.Tokens) == 0 {
		o.Tokens = []Token{{Value: DefaultToken}}
	}
	if o.MaxRows == 0 {
		o.MaxRows = 10_000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 20
	}
	if len(o.Datasets) == 0 {
		o.Datasets = []string{DefaultDataset}
	}
	if o.StoreWindow == 0 {
		o.StoreWindow = 62 * 24 * time.Hour
	}
	if o.SessionWindow == 0 {
		o.SessionWindow = 90 * time.Minute
	}
	if o.Currency == "" {
		o.Currency = "USD"
	}
	if o.Timezone == "" {
		o.Timezone = "America/Los_Angeles"
	}
	if o.HourlyCalls == 0 {
		o.HourlyCalls = 190_000
	}
	return o
}

// Deps are what a network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
	// StateFile, when set, holds the journal that survives a restart.
	StateFile string
}

// Network is one stand-in of the Graph API. It is an http.Handler for the
// paths below its prefix. Its methods may be called in parallel.
type Network struct {
	opts    Options
	deps    Deps
	closing chan struct{}
	once    sync.Once

	mu        sync.Mutex
	rand      *rand.Rand
	tokens    map[string]Token
	accounts  map[string]*account
	audiences map[string]*audience
	lastID    uint64
	journal   *journal // nil without a state file
	closed    bool
	log       callLog

	conversions []Conversion

	zone *time.Location
	tree tree
}

// New makes a network, reading StateFile if it exists. Close ends it.
func New(o Options, d Deps) (*Network, error) {
	o = o.withDefaults()
	zone, err := time.LoadLocation(o.Timezone)
	if err != nil {
		return nil, fmt.Errorf("time zone of the sandbox: %w", err)
	}
	n := &Network{
		zone: zone, tree: newTree(),
		opts: o, deps: d, closing: make(chan struct{}),
		rand:      rand.New(rand.NewPCG(d.Seed, 0x3e7a)),
		tokens:    map[string]Token{},
		accounts:  map[string]*account{},
		audiences: map[string]*audience{},
		lastID:    23_850_000_000_000_000,
	}
	for _, t := range o.Tokens {
		n.tokens[t.Value] = t
	}
	for _, id := range o.TermsPending {
		n.account(id).termsPending = true
	}
	if d.StateFile == "" {
		return n, nil
	}
	j, err := openJournal(d.StateFile, n.apply)
	if err != nil {
		return nil, fmt.Errorf("open sandbox state: %w", err)
	}
	n.journal = j
	return n, nil
}

// Release lets the calls go that a fault holds, and holds none any more. It may
// be called twice.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close releases held calls and closes the state file. It may be called twice.
// Calls that come later change nothing and are refused as a passing failure.
func (n *Network) Close() error {
	n.Release()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.journal == nil {
		n.closed = true
		return nil
	}
	n.closed = true
	return n.journal.close()
}

// account returns the books of an ad account, made when first needed. The
// caller holds the lock.
func (n *Network) account(id string) *account {
	a, ok := n.accounts[id]
	if !ok {
		a = &account{id: id, sessions: map[int64]*session{}}
		n.accounts[id] = a
	}
	return a
}

// commit makes an event durable and then lets it happen. The caller holds the lock.
func (n *Network) commit(e event) *apiError {
	if n.closed {
		return unknownError(0)
	}
	if n.journal != nil {
		if err := n.journal.write(e); err != nil {
			n.deps.Log.Error("sandbox state not written", "error", err)
			return unknownError(0)
		}
	}
	n.apply(e)
	return nil
}

// traceID makes an identifier such as those in Meta's answers.
func (n *Network) traceID() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], n.rand.Uint64())
	binary.BigEndian.PutUint64(raw[8:], n.rand.Uint64())
	return "A" + base64.RawURLEncoding.EncodeToString(raw[:])
}
