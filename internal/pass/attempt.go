package pass

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"usher/internal/activation"
)

// Causes of a pass's context being done, beside those of the engine.
var (
	errPaused = errors.New("the job may not run now")
	errFenced = errors.New("the lease of the pass is lost")
)

// An attempt is one attempt at a pass, and the progress its runner makes.
type attempt struct {
	w   *Worker
	job activation.Job
	log *slog.Logger

	mu    sync.Mutex
	pass  activation.Pass
	moved bool // since the last save
}

// Pass is the pass in hand.
func (a *attempt) Pass() activation.Pass { return a.snapshot() }

func (a *attempt) snapshot() activation.Pass {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pass
	p.Counts = maps.Clone(p.Counts)
	return p
}

// Count adds to one of the counts.
func (a *attempt) Count(name string, n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pass.Counts == nil {
		a.pass.Counts = map[string]int64{}
	}
	a.pass.Counts[name] += n
	a.moved = true
}

// Moved notes progress.
func (a *attempt) Moved() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moved = true
}

// Note writes a line of the job's log while the pass is this attempt's.
func (a *attempt) Note(ctx context.Context, level, code, message string) error {
	p := a.snapshot()
	if err := a.w.cfg.Store.CheckPass(ctx, p); err != nil {
		return err
	}
	a.Moved()
	return a.w.cfg.Store.AddLog(ctx, activation.LogEntry{
		Job: a.job.ID, Event: activation.LogSynced, Level: level, Code: code, Message: message, Context: activation.LogContext{Run: p.Number},
	})
}

// Save stores the counts now.
func (a *attempt) Save(ctx context.Context) error {
	a.mu.Lock()
	a.moved = false
	a.mu.Unlock()
	err := a.w.cfg.Store.SavePass(ctx, a.snapshot())
	if err != nil {
		a.Moved()
	}
	return err
}

// keep renews the lease of the pass, stores its progress and looks whether it
// may go on, until done is called. The context it returns is done, with the
// cause, when the runner must stop: StopWithin before the lease can be over,
// counted on this node's monotonic clock from before the last renewal.
func (a *attempt) keep(ctx context.Context, asked time.Time) (_ context.Context, done func()) {
	held, stop := context.WithCancelCause(ctx)
	fence := time.AfterFunc(a.safeFor(asked), func() { stop(errFenced) })
	lost := func(err error) bool {
		if errors.Is(err, activation.ErrPaused) {
			stop(errPaused)
		} else if errors.Is(err, activation.ErrFenced) {
			stop(errFenced)
		}
		return held.Err() != nil
	}
	p := a.snapshot() // of it only what never changes is used
	var keeper sync.WaitGroup
	keeper.Go(func() {
		every(held, a.w.cfg.Renew, func() {
			asked := a.w.cfg.Now()
			switch err := a.w.cfg.Store.RenewPass(held, p, a.w.cfg.Lease); {
			case err == nil:
				fence.Reset(a.safeFor(asked))
			case !lost(err):
				a.log.WarnContext(held, "renewing the lease of a pass", "error", err)
			}
		})
	})
	keeper.Go(func() {
		every(held, a.w.cfg.Watch, func() {
			if err := a.w.cfg.Store.CheckPass(held, p); err != nil && !lost(err) {
				a.log.WarnContext(held, "looking whether a pass may go on", "error", err)
			}
		})
	})
	keeper.Go(func() {
		every(held, a.w.cfg.SaveEvery, func() {
			if !a.unsaved() {
				return
			}
			if err := a.Save(held); err != nil && !lost(err) {
				a.log.WarnContext(held, "storing the progress of a pass", "error", err)
			}
		})
	})
	return held, func() {
		fence.Stop()
		stop(context.Canceled)
		keeper.Wait()
	}
}

func (a *attempt) unsaved() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.moved
}

func (a *attempt) safeFor(asked time.Time) time.Duration {
	return a.w.cfg.Lease - a.w.cfg.StopWithin - a.w.cfg.Now().Sub(asked)
}

// every calls fn at each tick until ctx is done.
func every(ctx context.Context, d time.Duration, fn func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fn()
		}
	}
}
