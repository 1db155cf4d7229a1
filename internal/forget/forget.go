// Package forget erases people: out of the data plane, out of every network that
// holds them and out of every file, and keeps a receipt that names nobody.
//
// It owns the stages of a forget (erase, remove, compact, done) and the nightly
// compaction. What each stage does to data it leaves to the warehouse and the
// inbox, and the telling of networks to delivery, whose runs it opens. It must
// not hold a value of a person beyond the call that asks for them to be
// forgotten, nor write one anywhere but to the warehouse.
//
// It is built for these failures: a crash between any two steps (each may be done
// again, and nobody is recorded who is not kept away already), a network that is
// away for weeks, a remote audience that is gone, and people who are sent in again
// while they are being forgotten.
package forget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// Store is what forgetting needs of the control store.
type Store interface {
	AddForget(ctx context.Context, f activation.Forget) (activation.Forget, error)
	Forget(ctx context.Context, id activation.ForgetID) (activation.Forget, error)
	Forgets(ctx context.Context, limit int) ([]activation.Forget, error)
	PendingForgets(ctx context.Context) ([]activation.Forget, error)
	SaveForget(ctx context.Context, f activation.Forget) (activation.Forget, error)
	// ForgetRun returns the newest run of a target that forgets, or ErrNotFound.
	ForgetRun(ctx context.Context, target activation.TargetID) (activation.Run, error)
	OpenRun(ctx context.Context, r activation.Run) (activation.Run, error)
	Run(ctx context.Context, id activation.RunID) (activation.Run, error)
	Items(ctx context.Context, run activation.RunID) ([]activation.Item, error)
	Target(ctx context.Context, id activation.TargetID) (activation.Target, error)
	Destination(ctx context.Context, id activation.DestinationID) (activation.Destination, error)
	Audience(ctx context.Context, id activation.AudienceID) (activation.Audience, error)
	AddAudit(ctx context.Context, e activation.AuditEntry) error
}

// Inbox is what is accepted and not merged, and what of it was refused.
type Inbox interface {
	OldestWaiting(ctx context.Context) (time.Time, error)
	FailedLoads(ctx context.Context) ([]inbox.Load, error)
	BlankRows(ctx context.Context, l inbox.Load, which func(line int64, values []string) bool) (int64, error)
	Discard(ctx context.Context, id string) error
	RewriteRejected(ctx context.Context, keep func(inbox.RejectedRow) bool) error
	Compact(ctx context.Context) error
}

// Site is what web sites read, of which a run takes people out like any other.
type Site interface {
	Compact(ctx context.Context) error
}

// Config is what a Forgetter is made of.
type Config struct {
	Store     Store
	Warehouse warehouse.Forgets
	Inbox     Inbox
	Site      Site
	// Changed is called when people have left audiences; it may be nil.
	Changed func(ctx context.Context)
	// CompactAt is the time of day (UTC, since midnight) at which files are
	// rewritten without what was deleted. Default 2 h, 24 h = midnight, below 0 =
	// only where a forget waits for it.
	CompactAt time.Duration
	Log       *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Forgetter forgets people. Make it with New and let Run run; its methods may be
// called by any goroutine.
type Forgetter struct {
	cfg  Config
	wake chan struct{} // holds one

	compacting sync.Mutex
	mu         sync.Mutex
	compacted  time.Time // when the last compaction ended

	// Only Run's goroutine touches these.
	nightly  time.Time // when the next compaction is due by itself
	troubles map[string]*trouble
}

// trouble is how often something has failed in a row.
type trouble struct {
	times int
	next  time.Time
}

const (
	// lookEvery is how often it is looked whether networks have answered.
	lookEvery = 2 * time.Second
	// compactEvery is how long forgets wait for one another, so that files are not
	// rewritten for each of them.
	compactEvery = time.Hour
	// firstPause is the pause after the first failure; it doubles up to longestPause.
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
)

// New returns a Forgetter. It starts nothing.
func New(cfg Config) *Forgetter {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func(context.Context) {}
	}
	if cfg.CompactAt == 0 {
		cfg.CompactAt = 2 * time.Hour
	}
	return &Forgetter{cfg: cfg, wake: make(chan struct{}, 1), troubles: map[string]*trouble{}}
}

// Ask has somebody forgotten who has this value in an identifier field. They are
// kept away from now on, and erased within moments, whether anybody has the value
// or not: the answer does not say which.
func (f *Forgetter) Ask(ctx context.Context, field, value, user string) (activation.Forget, error) {
	if strings.TrimSpace(field) == "" {
		return activation.Forget{}, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "field", Message: "name the identifier field that the person is found by"}
	}
	id := activation.NewID[activation.ForgetID]()
	if err := f.cfg.Warehouse.Suppress(ctx, id, field, value); err != nil {
		return activation.Forget{}, fmt.Errorf("forget: %w", err)
	}
	added, err := f.cfg.Store.AddForget(ctx, activation.Forget{ID: id, Field: field, AskedBy: user})
	if err != nil {
		return activation.Forget{}, fmt.Errorf("forget: %w", err)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return added, nil
}

// Forget returns one forget with its receipt, or ErrNotFound.
func (f *Forgetter) Forget(ctx context.Context, id activation.ForgetID) (activation.Forget, error) {
	return f.cfg.Store.Forget(ctx, id)
}

// Forgets lists up to limit forgets, newest first.
func (f *Forgetter) Forgets(ctx context.Context, limit int) ([]activation.Forget, error) {
	return f.cfg.Store.Forgets(ctx, limit)
}

// Run forgets until ctx ends, and returns nil then. Only one may be under way.
func (f *Forgetter) Run(ctx context.Context) error {
	f.nightly = f.nextNight(f.cfg.Now())
	for ctx.Err() == nil {
		pending, err := f.step(ctx)
		if err != nil && ctx.Err() == nil {
			f.cfg.Log.ErrorContext(ctx, "forgetting", "error", err)
		}
		wait := time.Minute
		if pending || err != nil {
			wait = lookEvery
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-f.wake:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// step does what can be done now, and reports whether anything is left to do.
func (f *Forgetter) step(ctx context.Context) (pending bool, err error) {
	all, err := f.cfg.Store.PendingForgets(ctx)
	if err != nil {
		return false, err
	}
	for _, one := range all {
		f.attempt(ctx, string(one.ID), func() error { return f.advance(ctx, one) }, func(err error) { f.tell(ctx, one, err) })
	}
	due := f.cfg.CompactAt >= 0 && !f.cfg.Now().Before(f.nightly)
	ready, err := f.readyToCompact(ctx)
	if err != nil {
		return true, err
	}
	if due || len(ready) > 0 && f.mayCompact() {
		f.attempt(ctx, "compact", func() error {
			if err := f.compact(ctx, ready); err != nil {
				return err
			}
			f.nightly = f.nextNight(f.cfg.Now())
			return nil
		}, func(err error) {
			for _, one := range ready {
				f.tell(ctx, one, err)
			}
		})
	}
	all, err = f.cfg.Store.PendingForgets(ctx)
	return len(all) > 0, err
}

// mayCompact reports whether the last compaction was long enough ago for another.
func (f *Forgetter) mayCompact() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.compacted.IsZero() || f.cfg.Now().Sub(f.compacted) >= compactEvery
}

// attempt does something unless it has failed a short while ago.
func (f *Forgetter) attempt(ctx context.Context, what string, do func() error, failed func(error)) {
	t := f.troubles[what]
	if t != nil && f.cfg.Now().Before(t.next) {
		return
	}
	err := do()
	if err == nil {
		delete(f.troubles, what)
		return
	}
	if ctx.Err() != nil {
		return
	}
	if t == nil {
		t = &trouble{}
		f.troubles[what] = t
	}
	t.next = f.cfg.Now().Add(min(firstPause<<min(t.times, 10), longestPause))
	t.times++
	f.cfg.Log.WarnContext(ctx, "forgetting will be tried again", "what", what, "error", err)
	failed(err)
}

// tell writes down what a forget is held up by.
func (f *Forgetter) tell(ctx context.Context, one activation.Forget, err error) {
	now, rerr := f.cfg.Store.Forget(ctx, one.ID)
	if rerr == nil {
		now.ErrorCode, now.ErrorText = activation.CodeOf(err), activation.SafeMessage(err)
		if errors.Is(err, warehouse.ErrBusy) {
			now.ErrorCode, now.ErrorText = "", "waiting for something under way to end"
		}
		_, rerr = f.cfg.Store.SaveForget(ctx, now)
	}
	if rerr != nil {
		f.cfg.Log.WarnContext(ctx, "noting what a forget is held up by", "forget_id", string(one.ID), "error", rerr)
	}
}

// nextNight is the next time of the nightly compaction.
func (f *Forgetter) nextNight(after time.Time) time.Time {
	next := after.UTC().Truncate(24 * time.Hour).Add(f.cfg.CompactAt % (24 * time.Hour))
	if !next.After(after) {
		next = next.Add(24 * time.Hour)
	}
	return next
}
