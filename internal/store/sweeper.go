package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"usher/internal/activation"
)

// KindSweep is the kind of work that a Sweeper does.
const KindSweep = "sweep"

// Sweeper does what only time makes due: it ends jobs whose time is over, turns
// quiet windows, resumes jobs that were paused for a while, declines approvals
// nobody has answered, fails what slept because of an authorization that was not
// mended, restarts runs and ends passes that make no progress, settles writings of
// entries that were left, and warns of authorizations that end. It is a worker of the engine.
type Sweeper struct {
	Store *Store

	mu     sync.Mutex
	looked time.Time // when it last looked
	since  time.Time // since when it has looked all the time
}

// lookGap is the longest time between two looks within which a run is watched.
// After a longer one, or a step of the clock, what nobody could see is no stall.
const lookGap = time.Minute

// watching notes a look, and returns since when runs are watched.
func (w *Sweeper) watching(now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := now.Sub(w.looked); d < 0 || d > lookGap {
		w.since = now
	}
	w.looked = now
	return w.since
}

// Kind names the kind of work.
func (w *Sweeper) Kind() string { return KindSweep }

// Due lists one work when anything is overdue.
func (w *Sweeper) Due(ctx context.Context, limit int) ([]activation.Work, error) {
	var n int64
	err := w.Store.view(ctx, func(t *tx) (err error) {
		n, err = t.count(`SELECT (SELECT count(*) FROM jobs WHERE state = 'paused' AND resume_at <= $1)
			+ (SELECT count(*) FROM targets t JOIN jobs j ON j.id = t.job_id AND j.state NOT IN ('paused', 'killed') WHERE t.sleep_reason = 'authorization' AND t.sleep_until <= $1)
			+ (SELECT count(*) FROM runs WHERE status = 'pending' AND reason_until <= $1)
			+ (SELECT count(*) `+expired+`) + (SELECT count(*) `+quietBegun+`) + (SELECT count(*) `+quietOver+`)
			+ (SELECT count(*) `+overduePass+`) + (SELECT count(*) `+stalledPass+`)
			+ (SELECT count(*) `+stalledRuns+`)
			+ (SELECT count(*) FROM entry_loads WHERE touched_at + `+leftAfter+` < $1)`, t.micros(), w.watching(t.now).UnixMicro())
		if err != nil || n > 0 {
			return err
		}
		n, err = t.count(`SELECT count(*) `+expiring, t.micros(), activation.ExpiryNotice.Microseconds())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for what is overdue: %w", err)
	}
	if n == 0 || limit < 1 {
		return nil, nil
	}
	return []activation.Work{{Kind: KindSweep, ID: "overdue", Lease: KindSweep}}, nil
}

// Do does all that is overdue; one thing that goes wrong does not stop the others.
func (w *Sweeper) Do(ctx context.Context, _ activation.Work) error {
	w.mu.Lock()
	since := w.since
	w.mu.Unlock()
	_, err := w.Store.RestartStalled(ctx, since)
	errs := []error{err, w.Store.SettleLoads(ctx, "")}
	for _, do := range []func(context.Context) (int, error){w.Store.Expire, w.Store.TurnQuiet, w.Store.ResumeDue, w.Store.DeclineOverdue, w.Store.FailOverdue, w.Store.FailOverduePasses, w.Store.StallPasses, w.Store.WarnExpiring} {
		_, err := do(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
