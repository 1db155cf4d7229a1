package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

// Merging brings a load into streams and profiles, exactly once.
// warehouse.Ingest is one.
type Merging interface {
	Merge(ctx context.Context, l warehouse.Load, progress func(rows int64)) (warehouse.LoadResult, error)
}

// MergerConfig is what a Merger needs.
type MergerConfig struct {
	Inbox     *inbox.Inbox
	Warehouse Merging
	// OnMerged is called after each merge, at least once per load: a crash right
	// after it means one more call. Loads that are Urgent came in real time: they
	// come from another goroutine than the rest, many times a second. It may be nil
	// and should be short.
	OnMerged func(ctx context.Context, l warehouse.Load, r warehouse.LoadResult)
	// FirstWait is the pause after the first failed attempt; it doubles up to
	// LongestWait. Defaults 1 s and 1 min.
	FirstWait   time.Duration
	LongestWait time.Duration
	// LivePause is the least time between two batches of a stream that came in
	// real time. Default 300 ms.
	LivePause time.Duration
	// GiveUpAfter is how long attempts may fail, if they fail in a way that may
	// mend itself, before the load is marked failed. Default 1 h.
	GiveUpAfter time.Duration
	// KeepHistory is how long merged loads stay in the history. Default 90 days.
	KeepHistory time.Duration
	// KeepRejected is how long rejected rows are kept. Default 30 days.
	KeepRejected time.Duration
	Log          *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Merger takes the loads of the inbox to the warehouse, one at a time in the
// order of acceptance, and beside them what came in real time. A load whose merge fails keeps only its own stream
// waiting, so that the order within a stream holds; one that fails for good is
// marked failed and waits for nobody.
type Merger struct {
	cfg MergerConfig

	mu       sync.Mutex
	present  Progress
	merging  bool
	stumbles stumbles // of uploads
}

// stumble is the state of a stream whose first pending load failed.
type stumble struct {
	load  string
	since time.Time
	next  time.Time
	wait  time.Duration
}

// NewMerger returns a Merger; Run makes it work.
func NewMerger(cfg MergerConfig) *Merger {
	orDuration(&cfg.FirstWait, time.Second)
	orDuration(&cfg.LongestWait, time.Minute)
	orDuration(&cfg.GiveUpAfter, time.Hour)
	orDuration(&cfg.KeepHistory, inbox.KeepHistory)
	orDuration(&cfg.KeepRejected, inbox.KeepRejected)
	orDuration(&cfg.LivePause, 300*time.Millisecond)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Merger{cfg: cfg, stumbles: stumbles{}}
}

func orDuration(d *time.Duration, fallback time.Duration) {
	if *d <= 0 {
		*d = fallback
	}
}

// purgeEvery is how often old history is dropped.
const purgeEvery = 24 * time.Hour

// Run merges until ctx ends, and returns nil then. Only one Run may be under
// way. Trouble with the inbox itself is logged and tried again.
func (m *Merger) Run(ctx context.Context) error {
	var live sync.WaitGroup
	live.Go(func() { newLiveLane(m).run(ctx) })
	defer live.Wait()
	var purged time.Time
	for ctx.Err() == nil {
		changed := m.cfg.Inbox.Changed()
		if now := m.cfg.Now(); now.Sub(purged) >= purgeEvery {
			purged = now
			if _, err := m.cfg.Inbox.Purge(ctx, now.Add(-m.cfg.KeepHistory)); err != nil {
				m.logStopless(ctx, "purge load history", err)
			}
			if _, err := m.cfg.Inbox.PurgeRejected(now.Add(-m.cfg.KeepRejected)); err != nil {
				m.logStopless(ctx, "purge rejected rows", err)
			}
		}
		worked, wait, err := m.step(ctx)
		if err != nil {
			m.logStopless(ctx, "merge loads", err)
			wait = m.cfg.FirstWait
		}
		if !worked {
			pause(ctx, changed, wait, err != nil)
		}
	}
	return nil
}

func (m *Merger) logStopless(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		m.cfg.Log.ErrorContext(ctx, "the inbox does not answer", "doing", doing, "err", err)
	}
}

// pause waits for a change of the inbox, for the next attempt or for the end.
func pause(ctx context.Context, changed <-chan struct{}, wait time.Duration, whole bool) {
	if whole {
		changed = nil
	}
	if wait <= 0 || wait > purgeEvery {
		wait = purgeEvery
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-t.C:
	}
}

// step merges the first load that may be merged now. If there is none, wait is
// the time until one may be, 0 = none is known.
func (m *Merger) step(ctx context.Context) (worked bool, wait time.Duration, err error) {
	now := m.cfg.Now()
	var waiting []string
	for stream, s := range m.stumbles {
		left := s.next.Sub(now)
		if left <= 0 {
			continue
		}
		waiting = append(waiting, stream)
		if wait == 0 || left < wait {
			wait = left
		}
	}
	l, ok, err := m.cfg.Inbox.Next(ctx, waiting)
	if err != nil || !ok {
		return false, wait, err
	}
	return true, 0, m.merge(ctx, l)
}

// merge brings one load into the warehouse and settles what became of it.
func (m *Merger) merge(ctx context.Context, l inbox.Load) error {
	m.begin(l)
	defer m.finish()
	result, err := m.offer(ctx, l)
	if ctx.Err() != nil {
		return context.Cause(ctx) // stopping is not a failed attempt
	}
	if err != nil {
		return m.stumbled(ctx, l, err)
	}
	if m.cfg.OnMerged != nil {
		m.cfg.OnMerged(ctx, l.Load, result)
	}
	if err := m.cfg.Inbox.Done(ctx, l.ID, result); err != nil {
		return err
	}
	delete(m.stumbles, l.Stream)
	m.cfg.Log.InfoContext(ctx, "merged load", "load_id", l.ID, "stream", l.Stream, "rows", result.Rows, "touched", result.Touched)
	return nil
}

func (m *Merger) offer(ctx context.Context, l inbox.Load) (warehouse.LoadResult, error) {
	if l.Path != "" {
		if _, err := os.Stat(l.Path); errors.Is(err, fs.ErrNotExist) {
			return warehouse.LoadResult{}, &activation.Error{Kind: activation.Invalid, Code: codeBad, Message: "the spool file of the load is gone: send the data again"}
		}
	}
	return m.cfg.Warehouse.Merge(ctx, l.Load, m.progressed)
}

// stumbled decides what a failed attempt means: wait and try again, or give up.
func (m *Merger) stumbled(ctx context.Context, l inbox.Load, cause error) error {
	log := m.cfg.Log.With("load_id", l.ID, "stream", l.Stream, "attempt", l.Attempts+1)
	wait, again := m.judge(m.stumbles, l.Stream, l.ID, cause)
	if !again {
		log.ErrorContext(ctx, "load failed", "error", cause)
		return m.cfg.Inbox.Fail(ctx, l.ID, cause)
	}
	log.WarnContext(ctx, "merge will be tried again", "error", cause, "wait", wait)
	return m.cfg.Inbox.Stumbled(ctx, l.ID, cause)
}

// Wait returns when a load is merged or failed, and what became of it. A failed
// load is an error with the kind Invalid and the load's own code and text.
func (m *Merger) Wait(ctx context.Context, id string) (inbox.Load, error) {
	for {
		changed := m.cfg.Inbox.Changed()
		l, err := m.cfg.Inbox.Load(ctx, id)
		if err != nil {
			return inbox.Load{}, fmt.Errorf("wait for load: %w", err)
		}
		switch l.Status {
		case inbox.Merged:
			return l, nil
		case inbox.Failed:
			return l, &activation.Error{Kind: activation.Invalid, Code: l.ErrorCode, Message: "the load was not merged: " + l.Error}
		case inbox.Pending:
		}
		select {
		case <-ctx.Done():
			return inbox.Load{}, fmt.Errorf("wait for load: %w", context.Cause(ctx))
		case <-changed:
		}
	}
}
