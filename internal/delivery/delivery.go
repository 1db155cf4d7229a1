// Package delivery takes audiences to networks: it opens runs, plans what must
// change, stages it, cuts it into queue items, sends them, stores a receipt for
// each, folds the receipts into the ledger and ends the run with counts that
// add up.
//
// It owns the protocol (docs/delivery.md): the order of its commits over two
// databases, the decisions in between as pure functions (progress, judge,
// guard, patience, tally), and the names of the points at which a crash may
// come. It must not hold personal data longer than a call, never decides by
// the text of an error, and knows no network.
//
// It is built for these failures: a crash or a lost node between any two
// commits (whoever takes the run goes on from what is stored; what was in
// flight is unknown, never queued), a call whose outcome nobody knows, a
// network that is slow, wrong or gone, and a person who changes meanwhile.
package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// Ledger is what delivery needs of the ledger. warehouse.Warehouse has it.
type Ledger interface {
	Stage(ctx context.Context, r warehouse.PlanRequest, stage func(activation.Stage)) (warehouse.Plan, error)
	DryRun(ctx context.Context, r warehouse.PlanRequest) (warehouse.Plan, error)
	Rows(ctx context.Context, r warehouse.Range, recheck bool, fn func(warehouse.KeyRow) error) error
	Fold(ctx context.Context, items []warehouse.FoldItem) ([]warehouse.FoldResult, error)
	InRows(ctx context.Context, run activation.RunID, t activation.TargetID, generation int) (int64, error)
	Holdings(ctx context.Context, t activation.TargetID, generation int) (warehouse.Holdings, error)
	Reset(ctx context.Context, t activation.TargetID, generation int) error
	Forget(ctx context.Context, t activation.TargetID, generation int, begun string) error
	Unstage(ctx context.Context, runs []activation.RunID) error
	Replaced(ctx context.Context, run activation.RunID, t activation.TargetID, generation int) (left int64, err error)
	Doubt(ctx context.Context, t activation.TargetID, generation int) error
}

// Audiences is what delivery needs of audiences. warehouse.Warehouse has it.
type Audiences interface {
	Evaluate(ctx context.Context, id activation.AudienceID, now time.Time) error
	TimeDependent(ctx context.Context, id activation.AudienceID) (bool, error)
	Seq(ctx context.Context) (map[activation.AudienceID]int64, error)
	KeySeq(ctx context.Context) (map[activation.AudienceID]int64, error)
	Accept(ctx context.Context, audience activation.AudienceID, items []warehouse.FoldItem) (entered int64, err error)
	Waits(ctx context.Context, audiences []activation.AudienceID, above int64) (warehouse.Waiting, error)
}

// Providers builds the client of a destination for one of its provider's
// workflows, and tells the definition as it is for that.
type Providers func(ctx context.Context, d activation.Destination, workflow string) (provider.Destination, provider.Definition, error)

// Settings are the numbers an operator may change. Zero values take the defaults.
type Settings struct {
	// GuardPercent is the share of a target's people that may be removed within
	// 24 h without asking. Default 20.
	GuardPercent int64
	// GuardMinimum is how many people a target must hold to be guarded. Default 100.
	GuardMinimum int64
	// ItemRows is the most rows of an item, below what a provider takes. 0 = no limit.
	ItemRows int
	// Lease is how long a run stays its node's without renewal. Default 45 s.
	Lease time.Duration
	// Renew is how often it is renewed. Default 10 s.
	Renew time.Duration
	// Watch is how often a run under way looks whether its job was paused or
	// ended. Default 2 s.
	Watch time.Duration
	// StopWithin is how long calls may take to return once cancelled; so long
	// before its lease ends a run stops. Default 9 s.
	StopWithin time.Duration
	// Recheck is the age from which staged rows are checked again before they
	// are sent. Default 10 min.
	Recheck time.Duration
	// AnswerWithin is how long a network may owe an answer. Default 48 h.
	AnswerWithin time.Duration
	// Reevaluate is how often audiences whose rule uses date math are brought in
	// step for real-time targets. Default 1 h.
	Reevaluate time.Duration
	// KeepRows is how long the staged rows of a run are kept after its end, for
	// whoever looks at its items. Default 24 h.
	KeepRows time.Duration
	// Plans is how many runs are planned and staged at the same time. Default 2.
	Plans int
	// FoldItems is how many final items are folded in one transaction. Default 64.
	FoldItems int
	// ReconcileAt is the time of day (UTC, since midnight) from which all targets are
	// compared with what their networks tell. Default 3 h, 24 h = midnight, below 0 =
	// never.
	ReconcileAt time.Duration
}

func (s Settings) withDefaults() Settings {
	or(&s.GuardPercent, 20)
	or(&s.GuardMinimum, 100)
	or(&s.Lease, 45*time.Second)
	or(&s.Renew, 10*time.Second)
	or(&s.Watch, 2*time.Second)
	or(&s.StopWithin, 9*time.Second)
	or(&s.Recheck, 10*time.Minute)
	or(&s.AnswerWithin, 48*time.Hour)
	or(&s.Reevaluate, time.Hour)
	or(&s.FoldItems, 64)
	or(&s.Plans, 2)
	or(&s.KeepRows, 24*time.Hour)
	if s.ReconcileAt == 0 {
		s.ReconcileAt = 3 * time.Hour
	}
	return s
}

func or[T int | int64 | time.Duration](v *T, fallback T) {
	if *v <= 0 {
		*v = fallback
	}
}

// Config is what a Delivery is made of.
type Config struct {
	// Node is this node's name, another one for each start of each process.
	Node      string
	Store     Store
	Ledger    Ledger
	Audiences Audiences
	// Events stages what takes events; nil = nothing does.
	Events Events
	// Drifts compares ledgers with what networks name; nil = only sizes are compared.
	Drifts    warehouse.Drifts
	Providers Providers
	// Declare tells the data plane of audiences that were made a moment ago; nil =
	// it knows by itself.
	Declare func(ctx context.Context) error
	Log     *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// Wake tells the engine that something may be due; nil = the sweep finds it.
	Wake func(kind, id string)
	// Room returns an error while there is no room to begin anything new; nil =
	// always.
	Room func(ctx context.Context) error
	// Faults is asked at each crash point; nil = no faults.
	Faults   Faults
	Settings Settings
}

// Delivery runs the protocol. Make it with New; its methods may be called by
// any goroutine.
type Delivery struct {
	node      string
	store     Store
	ledger    Ledger
	audiences Audiences
	events    Events
	providers Providers
	log       *slog.Logger
	now       func() time.Time
	wake      func(kind, id string)
	room      func(ctx context.Context) error
	set       Settings

	drifts   warehouse.Drifts
	announce func(ctx context.Context) error

	faults Faults

	plans  chan struct{} // one per run being planned
	keeper keeper

	mu        sync.Mutex
	reached   map[CrashPoint]int
	slots     map[string]chan struct{} // by lease
	evaluated map[activation.AudienceID]time.Time
	declared  map[activation.AudienceID]bool // conversion audiences the data plane was told of
	readied   time.Time                      // when events that wait were last looked at
	stumbles  map[activation.RunID]int       // attempts in a row that a fault of ours ended

	reconciled time.Time // when targets to compare were last looked for
	tried      map[activation.TargetID]time.Time
	comparing  map[activation.TargetID]bool
}

// New returns a Delivery. It starts nothing; the engine runs its Workers.
func New(cfg Config) *Delivery {
	d := &Delivery{
		node: cfg.Node, store: cfg.Store, ledger: cfg.Ledger, audiences: cfg.Audiences, events: cfg.Events, providers: cfg.Providers,
		log: cfg.Log, now: cfg.Now, wake: cfg.Wake, room: cfg.Room, faults: cfg.Faults, set: cfg.Settings.withDefaults(),
		reached: map[CrashPoint]int{}, stumbles: map[activation.RunID]int{}, slots: map[string]chan struct{}{}, evaluated: map[activation.AudienceID]time.Time{},
		drifts: cfg.Drifts, announce: cfg.Declare, declared: map[activation.AudienceID]bool{},
		tried: map[activation.TargetID]time.Time{}, comparing: map[activation.TargetID]bool{},
	}
	if d.announce == nil {
		d.announce = func(context.Context) error { return nil }
	}
	d.plans = make(chan struct{}, d.set.Plans)
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.room == nil {
		d.room = func(context.Context) error { return nil }
	}
	if d.wake == nil {
		d.wake = func(string, string) {}
	}
	return d
}

// slot takes one of the requests that the authorization of a destination may
// have under way. Its runs wait in one line, so that each has its turn.
func (d *Delivery) slot(ctx context.Context, dest activation.Destination, most int) (func(), error) {
	lease := leaseOf(dest)
	d.mu.Lock()
	slots := d.slots[lease]
	if slots == nil {
		slots = make(chan struct{}, max(1, most))
		d.slots[lease] = slots
	}
	d.mu.Unlock()
	return enter(ctx, slots)
}

// enter takes a place, in the order of asking, and returns the function that
// gives it back.
func enter(ctx context.Context, places chan struct{}) (leave func(), _ error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
