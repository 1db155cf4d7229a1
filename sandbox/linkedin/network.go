package linkedin

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

// What a fresh network takes.
const (
	DefaultClientID     = "sandbox-client"
	DefaultClientSecret = "sandbox-secret"
	DefaultToken        = "sandbox-token"
	DefaultRefreshToken = "sandbox-refresh-token"
	DefaultPlatform     = "USHER"
	// DefaultRule is a conversion rule that every account has.
	DefaultRule = "104"
)

const (
	// accessLife and refreshLife are those of tokens; the second counts from the
	// consent and is never extended (shared/authentication/programmatic-refresh-tokens).
	accessLife  = 60 * 24 * time.Hour
	refreshLife = 365 * 24 * time.Hour
	// maxElements is the most elements of a batch.
	maxElements = 5000
	// maxBytes is the most bytes of a body; the network's own limit is not published.
	maxBytes = 8 << 20
)

// Token is an access token the network knows.
type Token struct {
	Value string `json:"value"`
	// ExpiresAt ends it; the zero time means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Revoked has it refused for good (65601).
	Revoked bool `json:"revoked,omitempty"`
	// ReadOnly is that of somebody who only views the account.
	ReadOnly bool `json:"read_only,omitempty"`
	// Accounts are the ad accounts it reaches; none means all.
	Accounts []string `json:"accounts,omitempty"`
}

// Grant is somebody's consent: a refresh token and when they gave it.
type Grant struct {
	RefreshToken string    `json:"refresh_token"`
	ConsentAt    time.Time `json:"consent_at,omitzero"` // zero = when the network was made
}

// Rule is a conversion rule.
type Rule struct {
	ID string `json:"id"`
	// Account owns it; "" means every account has it.
	Account  string `json:"account"`
	Name     string `json:"name"`
	Method   string `json:"conversion_method"`
	Type     string `json:"type"`
	Disabled bool   `json:"disabled"`
}

// Options set up a network. The zero value of every field is usable.
type Options struct {
	// ClientID and ClientSecret are those of the app; "" means the defaults.
	ClientID, ClientSecret string
	// Tokens are valid at once; none means DefaultToken alone.
	Tokens []Token
	// Grants can be refreshed; none means DefaultRefreshToken alone.
	Grants []Grant
	// Accounts are the ad accounts that exist; none means every number is one.
	Accounts []string
	// TestAccounts can have no segments.
	TestAccounts []string
	// Platforms are the source platforms the app may name; none means DefaultPlatform.
	Platforms []string
	// Versions are the versions served and when each ends; none means those that
	// LinkedIn listed on 2026-11-21 (marketing/versioning).
	Versions map[string]time.Time
	// Rules are the conversion rules; none means DefaultRule.
	Rules []Rule
	// Hidden is how long a new segment answers 404; 0 means a minute, less than 0
	// not at all. LinkedIn says that one to two minutes are normal.
	Hidden time.Duration
	// Settle is how long rows for a new segment are lost; 0 means 5 seconds
	// (matched-audiences/create-and-manage-segment-users), less than 0 not at all.
	Settle time.Duration
	// BuildTime is how long a segment is BUILDING; 0 means 24 hours.
	BuildTime time.Duration
	// MinMembers is how many members make a segment READY; 0 means 300.
	MinMembers int
	// CallsPerMinute and CallsPerDay are the quotas of one member; 0 means 600
	// and 500,000. The day ends at 00:00 UTC; its number is not published.
	CallsPerMinute, CallsPerDay int
	// Undated leaves the time of its making out of a segment.
	Undated bool
	// OldHeader names the id of what was made in x-linkedin-id instead of
	// x-restli-id.
	OldHeader bool
	// AppleIDs lets APPLE_IDFA be streamed, which no page confirms.
	AppleIDs bool
}

func (o Options) withDefaults(now time.Time) Options {
	if o.ClientID == "" {
		o.ClientID, o.ClientSecret = DefaultClientID, DefaultClientSecret
	}
	if len(o.Tokens) == 0 {
		o.Tokens = []Token{{Value: DefaultToken}}
	}
	if len(o.Grants) == 0 {
		o.Grants = []Grant{{RefreshToken: DefaultRefreshToken}}
	}
	if len(o.Platforms) == 0 {
		o.Platforms = []string{DefaultPlatform}
	}
	if o.Versions == nil {
		o.Versions = listedVersions()
	}
	if len(o.Rules) == 0 {
		o.Rules = []Rule{{ID: DefaultRule, Name: "Sandbox conversion", Method: methodAPI, Type: "PURCHASE"}}
	}
	o.Hidden = orDefault(o.Hidden, time.Minute)
	o.Settle = orDefault(o.Settle, 5*time.Second)
	o.BuildTime = orDefault(o.BuildTime, 24*time.Hour)
	if o.MinMembers == 0 {
		o.MinMembers = 300
	}
	if o.CallsPerMinute == 0 {
		o.CallsPerMinute = 600
	}
	if o.CallsPerDay == 0 {
		o.CallsPerDay = 500_000
	}
	for i := range o.Grants {
		if o.Grants[i].ConsentAt.IsZero() {
			o.Grants[i].ConsentAt = now
		}
	}
	return o
}

func orDefault(v, fallback time.Duration) time.Duration {
	if v == 0 {
		return fallback
	}
	return max(v, 0)
}

// listedVersions are the versions of the migrations page with their last day.
func listedVersions() map[string]time.Time {
	end := func(month time.Month, day int) time.Time { return time.Date(2027, month, day, 0, 0, 0, 0, time.UTC) }
	return map[string]time.Time{
		"202511": time.Date(2026, time.November, 16, 0, 0, 0, 0, time.UTC),
		"202601": end(time.January, 15), "202602": end(time.February, 15), "202603": end(time.March, 16),
		"202604": end(time.April, 15), "202605": end(time.May, 15), "202606": end(time.June, 15), "202607": end(time.July, 15),
	}
}

// Deps are what a network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// Network is one stand-in of the Marketing API and of the token service. It is
// an http.Handler for the paths below its prefix: /rest/ and /oauth/v2/. Its
// methods may be called in parallel.
type Network struct {
	opts    Options
	deps    Deps
	closing chan struct{}
	once    sync.Once

	mu       sync.Mutex
	rand     *rand.Rand
	tokens   map[string]Token
	grants   map[string]Grant
	codes    map[string]consent
	segments map[string]*segment
	rules    map[string]Rule
	events   []Event
	quota    map[string]*quota
	lastID   uint64
	log      callLog
}

// New makes a network. Close ends it.
func New(o Options, d Deps) (*Network, error) {
	if d.Log == nil || d.Now == nil || d.Faults == nil {
		return nil, fmt.Errorf("log, clock and faults are needed")
	}
	o.Grants = append([]Grant(nil), o.Grants...)
	o = o.withDefaults(d.Now())
	n := &Network{
		opts: o, deps: d, closing: make(chan struct{}), rand: rand.New(rand.NewPCG(d.Seed, 0x11ed)),
		tokens: map[string]Token{}, grants: map[string]Grant{}, codes: map[string]consent{},
		segments: map[string]*segment{}, rules: map[string]Rule{}, quota: map[string]*quota{}, lastID: 10_800_000,
	}
	for _, t := range o.Tokens {
		n.tokens[t.Value] = t
	}
	for _, g := range o.Grants {
		n.grants[g.RefreshToken] = g
	}
	for _, r := range o.Rules {
		n.rules[r.ID] = r
	}
	return n, nil
}

// Release lets the calls go that a fault holds, and holds none any more. It may
// be called twice.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close releases held calls. It may be called twice.
func (n *Network) Close() error {
	n.Release()
	return nil
}

// nextID makes the id of something new. The caller holds the lock.
func (n *Network) nextID() string {
	n.lastID += 1 + n.rand.Uint64N(9)
	return fmt.Sprint(n.lastID)
}

// opaque makes an identifier such as those in LinkedIn's headers.
func (n *Network) opaque() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.random()
}

func (n *Network) random() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], n.rand.Uint64())
	binary.BigEndian.PutUint64(raw[8:], n.rand.Uint64())
	return base64.URLEncoding.EncodeToString(raw[:])
}
