package microsoft

import (
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"usher/sandbox/fault"
)

// What a fresh network takes.
const (
	DefaultToken          = "sandbox-token"
	DefaultDeveloperToken = "sandbox-developer-token"
	DefaultClientID       = "sandbox-client"
	DefaultClientSecret   = "sandbox-secret"
	DefaultRefreshToken   = "sandbox-refresh-token"
	DefaultCustomer       = "252231699"
	DefaultAccount        = "1234567"
)

// Options set up a network. The zero value of every field is usable.
type Options struct {
	// Account, Customer and Name are those of the one account; "" means the defaults.
	Account, Customer, Name string
	// Currency and TimeZone are the account's; "" means EUR and that of Paris.
	Currency, TimeZone string
	// Limits are the most rows of a call by resource, such as Keywords; none means
	// those of the operations' pages.
	Limits map[string]int
	// Polls is how often a report is pending before it is ready; 0 means once.
	Polls int
}

// Deps are what a network is built with.
type Deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// Network is one stand-in. It is an http.Handler for the paths below its prefix. Its
// methods may be called in parallel.
type Network struct {
	opts    Options
	deps    Deps
	closing chan struct{}
	once    sync.Once

	mu       sync.Mutex
	rand     *rand.Rand
	tokens   map[string]bool
	tree     tree
	costs    map[costKey]Cost
	reports  map[string]*report
	calls    int
	writes   int
	log      []Call
	lastID   int64
	reportNo int
}

// Call is one request as the log keeps it: never a token or a row.
type Call struct {
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Rows   int       `json:"rows,omitempty"`
	Status int       `json:"status"`
	Fault  string    `json:"fault,omitempty"`
}

// maxCalls is how many of the latest calls the log keeps.
const maxCalls = 10_000

// New makes a network. Close ends it.
func New(o Options, d Deps) (*Network, error) {
	if d.Log == nil || d.Now == nil || d.Faults == nil {
		return nil, errors.New("log, clock and faults are needed")
	}
	for to, fallback := range map[*string]string{
		&o.Account: DefaultAccount, &o.Customer: DefaultCustomer, &o.Name: "Sandbox account", &o.Currency: "EUR", &o.TimeZone: "BrusselsCopenhagenMadridParis",
	} {
		if *to == "" {
			*to = fallback
		}
	}
	limits := map[string]int{"Budgets": 100, "Campaigns": 100, "AdGroups": 1000, "Ads": 50, "Keywords": 1000, "CampaignCriterions": 100}
	maps.Copy(limits, o.Limits)
	o.Limits = limits
	if o.Polls == 0 {
		o.Polls = 1
	}
	return &Network{
		opts: o, deps: d, closing: make(chan struct{}), rand: rand.New(rand.NewPCG(d.Seed, 0x35ad)),
		tokens: map[string]bool{DefaultToken: true}, tree: newTree(), costs: map[costKey]Cost{}, reports: map[string]*report{}, lastID: 400_000_000,
	}, nil
}

// Release lets the calls go that a fault holds, and holds none any more. It may be
// called twice.
func (n *Network) Release() { n.once.Do(func() { close(n.closing) }) }

// Close releases held calls. It may be called twice.
func (n *Network) Close() error {
	n.Release()
	return nil
}

// nextID makes the id of something new. The caller holds the lock.
func (n *Network) nextID() string {
	n.lastID += 1 + n.rand.Int64N(9)
	return strconv.FormatInt(n.lastID, 10)
}

// Calls and Writes are how many calls have arrived, and how many that change the tree.
func (n *Network) Calls() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls
}

// Writes are those that change the tree.
func (n *Network) Writes() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.writes
}

// Log are the latest calls, oldest first.
func (n *Network) Log() []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.log)
}

// Overview is what the sandbox's front page shows.
func (n *Network) Overview() map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := map[string]int{}
	for _, o := range n.tree.objects {
		counts[o.Kind]++
	}
	return map[string]any{"objects": counts, "calls": n.calls}
}

// finish writes a call into the log.
func (n *Network) finish(c *call, status int) {
	n.mu.Lock()
	c.record.Status = status
	if len(n.log) >= maxCalls {
		n.log = slices.Delete(n.log, 0, maxCalls/10)
	}
	n.log = append(n.log, c.record)
	n.mu.Unlock()
	n.deps.Log.Debug("sandbox call", "network", "microsoft", "method", c.record.Method, "path", c.record.Path, "rows", c.record.Rows, "status", status, "fault", c.record.Fault)
}

var _ http.Handler = (*Network)(nil)
