// Package engine decides when work is done and by which node: it sweeps for
// what is due, holds one lease per account for the time of the work, runs each
// lease's works in turn and stops in time.
//
// It owns no truth. What is due is asked of the workers, who read it from the
// database; a wake-up only asks earlier, so losing or doubling one is harmless.
// It must not know audiences, runs or networks.
//
// It is built for these failures: a node that dies (its leases end, another
// node's sweep finds the work), a node that is cut off from the database (it
// cancels its own work before its lease can be over), an account that hangs (it
// has slots of its own and can take nobody else's) and a stop in mid-work.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"usher/internal/activation"
)

// Work is one thing that is due.
type Work = activation.Work

// Worker knows one kind of work.
type Worker interface {
	// Kind names the kind; it is what Wake is called with.
	Kind() string
	// Due lists up to limit works that are due now, fairest first: leases take
	// turns in it, so that a full list leaves nobody out. It may list the same
	// work again and again, also while it is being done.
	Due(ctx context.Context, limit int) ([]Work, error)
	// Do does one work. It returns within StopWithin after ctx is done, whose
	// cause is then ErrStopping or ErrLeaseLost. It must be safe to do a work
	// that is no longer due.
	Do(ctx context.Context, w Work) error
}

// Causes of a work's context being done.
var (
	// ErrStopping: the node stops. What is in hand may still be written down.
	ErrStopping = errors.New("the node is stopping")
	// ErrLeaseLost: the lease may soon be another node's.
	ErrLeaseLost = errors.New("the lease is lost")
)

// Config is how an engine runs. Zero values take the defaults.
type Config struct {
	// Node is this node's name, another one for each start of each process.
	Node   string
	Leases Leases
	Log    *slog.Logger
	// Now is the clock that leases are counted by; nil = time.Now.
	Now func() time.Time
	// Sweep is how often everything due is looked for. Default 5 s.
	Sweep time.Duration
	// LeaseTTL is how long a lease lasts without renewal. Default 45 s.
	LeaseTTL time.Duration
	// Renew is how often leases are renewed. Default 10 s.
	Renew time.Duration
	// StopWithin is how long works may take to return once cancelled; so long
	// before the end of its lease a work is cancelled. Default 9 s.
	StopWithin time.Duration
	// Concurrency is the most works of one lease at the same time. Default 16.
	Concurrency int
	// Limit is the most works asked for in one sweep. Default 1,000.
	Limit int
}

func (c Config) withDefaults() Config {
	or := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	or(&c.Sweep, 5*time.Second)
	or(&c.LeaseTTL, 45*time.Second)
	or(&c.Renew, 10*time.Second)
	or(&c.StopWithin, 9*time.Second)
	if c.Concurrency <= 0 {
		c.Concurrency = 16
	}
	if c.Limit <= 0 {
		c.Limit = 1000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Engine runs workers. Make it with New.
type Engine struct {
	cfg     Config
	workers []Worker
	wakes   map[string]chan struct{} // by kind; one waiting wake-up is as good as many

	mu    sync.Mutex
	lanes map[string]*lane // by lease
	open  sync.WaitGroup   // lanes being served
}

// New returns an engine for these workers. Nothing happens before Run.
func New(cfg Config, workers ...Worker) *Engine {
	e := &Engine{cfg: cfg.withDefaults(), workers: workers, wakes: map[string]chan struct{}{}, lanes: map[string]*lane{}}
	for _, w := range workers {
		e.wakes[w.Kind()] = make(chan struct{}, 1)
	}
	return e
}

// Wake asks for a sweep of a kind now. It never blocks, may be called before
// Run and by any goroutine, and may be lost or doubled without harm. The id is
// for whoever reads the queue; what is due is always asked of the worker.
func (e *Engine) Wake(kind, _ string) {
	select {
	case e.wakes[kind] <- struct{}{}:
	default: // unknown kind, or a wake-up is waiting already
	}
}

// Run sweeps and works until ctx is done, then cancels all work, waits for it
// up to StopWithin, gives the leases back and returns. It returns an error only
// when work did not return in time. Call it once.
func (e *Engine) Run(ctx context.Context) error {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var watchers sync.WaitGroup
	for _, w := range e.workers {
		watchers.Go(func() { e.watch(ctx, work, w) })
	}
	<-ctx.Done()
	watchers.Wait()
	cancel(ErrStopping)

	stopped := make(chan struct{})
	go func() {
		e.open.Wait()
		close(stopped)
	}()
	late := time.NewTimer(e.cfg.StopWithin)
	defer late.Stop()
	select {
	case <-stopped:
		return nil
	case <-late.C:
		return fmt.Errorf("stop: work of %d leases did not return within %s", e.serving(), e.cfg.StopWithin)
	}
}

// watch looks for due works of one kind, at every sweep and every wake-up.
func (e *Engine) watch(ctx, work context.Context, w Worker) {
	for ctx.Err() == nil {
		began := e.cfg.Now()
		due, err := w.Due(ctx, e.cfg.Limit)
		if err != nil && ctx.Err() == nil {
			e.cfg.Log.ErrorContext(ctx, "looking for due work", "kind", w.Kind(), "error", err)
		}
		for _, d := range due {
			e.dispatch(work, w, d)
		}
		e.rest(ctx, w.Kind(), e.cfg.Now().Sub(began), len(due) >= e.cfg.Limit)
	}
}

const (
	// lookingShare is how many times as long as looking took it is left alone
	// after: looking takes a fifth of a core at most, whatever the wake-ups.
	lookingShare = 4
	// fullRest is how long is waited before the next page where one was full.
	fullRest = 100 * time.Millisecond
)

// rest waits for the next sweep or wake-up, or a moment when there was more due
// than could be listed.
func (e *Engine) rest(ctx context.Context, kind string, took time.Duration, full bool) {
	soonest := time.NewTimer(min(lookingShare*max(took, 0), e.cfg.Sweep))
	defer soonest.Stop()
	sweep := e.cfg.Sweep
	if full {
		sweep = min(sweep, fullRest)
	}
	latest := time.NewTimer(sweep)
	defer latest.Stop()
	select {
	case <-ctx.Done():
	case <-latest.C:
	case <-e.wakes[kind]:
	}
	select {
	case <-ctx.Done():
	case <-soonest.C:
	}
}

// do does one work; a panic of one work is that work's error alone.
func (e *Engine) do(ctx context.Context, t task) {
	defer func() {
		if p := recover(); p != nil {
			e.cfg.Log.ErrorContext(ctx, "work panicked", "kind", t.work.Kind, "id", t.work.ID, "stack", string(debug.Stack()))
		}
	}()
	err := t.worker.Do(ctx, t.work)
	switch {
	case err == nil:
	case errors.Is(err, activation.ErrConflict), errors.Is(err, activation.ErrFenced), context.Cause(ctx) != nil:
		e.cfg.Log.DebugContext(ctx, "work left to another", "kind", t.work.Kind, "id", t.work.ID, "error", err)
	default:
		e.cfg.Log.ErrorContext(ctx, "work ended with an error", "kind", t.work.Kind, "id", t.work.ID, "error", err)
	}
}
