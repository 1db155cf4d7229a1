package google

import (
	"crypto/rsa"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"usher/sandbox/fault"
)

// What a fresh network takes.
const (
	DefaultToken        = "ya29.sandbox-token"
	DefaultRefreshToken = "1//sandbox-refresh"
	DefaultClientID     = "sandbox.apps.googleusercontent.com"
	DefaultClientSecret = "GOCSPX-sandbox"
	// Scope is that of the Data Manager API.
	Scope = "https://www.googleapis.com/auth/datamanager"
)

// Token is an access token the network knows.
type Token struct {
	Value string `json:"value"`
	// ExpiresAt ends it; the zero time means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Accounts are those it reaches; none means all.
	Accounts []string `json:"accounts,omitempty"`
	// Scope is what was consented to; "" means both.
	Scope string `json:"scope,omitempty"`
}

// ServiceAccount is one whose signed assertions are exchanged for tokens.
type ServiceAccount struct {
	Email string
	Key   *rsa.PublicKey
	// Accounts are those its tokens reach; none means all.
	Accounts []string
}

// Options set up a network. The zero value of every field is usable.
type Options struct {
	// Tokens are the valid access tokens; none means DefaultToken alone.
	Tokens []Token
	// RefreshTokens are the valid ones; none means DefaultRefreshToken alone.
	RefreshTokens []string
	// ClientID and ClientSecret are those of the app; "" means the defaults.
	ClientID, ClientSecret string
	ServiceAccounts        []ServiceAccount
	// TokenLife is how long a minted token lives; 0 means an hour.
	TokenLife time.Duration
	// Accounts are the accounts that exist; none means every number is one.
	Accounts []string
	// ConversionActions are those that exist; none means every number is one.
	ConversionActions []string
	// Processing is how long a request takes until it is SUCCESS or not.
	Processing time.Duration
	// Lag is how much later than that its members are in the list.
	Lag time.Duration
	// PerMinute bounds the calls of each bucket, PerDay those for uploads and
	// OthersPerDay those for lists; 0 means 300, 100,000 and 50,000
	// (developers.google.com/data-manager/api/devguides/limits, read 2026-11-22).
	PerMinute, PerDay, OthersPerDay int
	// OldestEvent is the age from which an event is refused; 0 means 90 days.
	OldestEvent time.Duration
	// SmallestShown is the size below which a list is shown as empty; 0 means
	// 100. The network's own is not published.
	SmallestShown int
	// MatchRate is that of every upload; "" means MATCH_RATE_RANGE_51_TO_60.
	MatchRate string
	// Customers are accounts of the Google Ads API that are other than usual, by id.
	Customers map[string]AdsCustomer
	// AdsPerDay bounds the operations of an account of that API a day; 0 = no bound.
	AdsPerDay int
}

func (o Options) withDefaults() Options {
	if len(o.Tokens) == 0 {
		o.Tokens = []Token{{Value: DefaultToken}}
	}
	if len(o.RefreshTokens) == 0 {
		o.RefreshTokens = []string{DefaultRefreshToken}
	}
	orText(&o.ClientID, DefaultClientID)
	orText(&o.ClientSecret, DefaultClientSecret)
	orText(&o.MatchRate, "MATCH_RATE_RANGE_51_TO_60")
	orNumber(&o.TokenLife, time.Hour)
	orNumber(&o.OldestEvent, 90*24*time.Hour)
	orNumber(&o.PerMinute, 300)
	orNumber(&o.PerDay, 100_000)
	orNumber(&o.OthersPerDay, 50_000)
	orNumber(&o.SmallestShown, 100)
	return o
}

func orText(v *string, fallback string) {
	if *v == "" {
		*v = fallback
	}
}

func orNumber[T int | time.Duration](v *T, fallback T) {
	if *v == 0 {
		*v = fallback
	}
}

// Deps are what a network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// Network is one stand-in of the API. It is an http.Handler for the paths below
// its prefix. Its methods may be called in parallel.
type Network struct {
	opts    Options
	deps    Deps
	closing chan struct{}
	once    sync.Once

	mu       sync.Mutex
	rand     *rand.Rand
	tokens   map[string]Token
	lists    map[string]*list
	lastList int64
	requests []*request
	byID     map[string]*request
	events   []Event
	seen     map[transaction]bool // transactions that took effect
	usage    map[string]*usage
	ads      map[string]*adsAccount
	log      callLog
}

// New makes a network. Close ends it.
func New(o Options, d Deps) (*Network, error) {
	if _, err := definitions(); err != nil {
		return nil, fmt.Errorf("google's definitions: %w", err)
	}
	if _, err := adsDefinitions(); err != nil {
		return nil, fmt.Errorf("google's definitions: %w", err)
	}
	o = o.withDefaults()
	n := &Network{
		opts: o, deps: d, closing: make(chan struct{}), rand: rand.New(rand.NewPCG(d.Seed, 0x60061e)),
		tokens: map[string]Token{}, lists: map[string]*list{}, lastList: 8_100_000_000,
		ads: map[string]*adsAccount{}, byID: map[string]*request{}, seen: map[transaction]bool{}, usage: map[string]*usage{},
	}
	for _, t := range o.Tokens {
		n.tokens[t.Value] = t
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

// random makes an id such as those in Google's answers. The caller holds the lock.
func (n *Network) random(size int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	id := make([]byte, size)
	for i := range id {
		id[i] = letters[n.rand.IntN(len(letters))]
	}
	return string(id)
}
