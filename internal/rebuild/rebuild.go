// Package rebuild replays all messages in the background when somebody asks, and
// once a day deletes the messages whose time is over.
//
// It owns the record of a rebuild: that only one is under way, how far it is, and
// how it ended. It must not know how messages become profiles. It is built for the
// server that stops in between: the warehouse keeps nothing of a rebuild that did
// not end, the record says that one is owed, and the next start begins it again.
package rebuild

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Store is what is needed of the control store.
type Store interface {
	CreateRebuild(ctx context.Context, reason, user string) (activation.Rebuild, error)
	TakeRebuild(ctx context.Context) (*activation.Rebuild, error)
	SaveRebuild(ctx context.Context, id activation.RebuildID, attempt int, done, total int64) (activation.Rebuild, error)
	EndRebuild(ctx context.Context, r activation.Rebuild) (activation.Rebuild, error)
	CancelRebuild(ctx context.Context, id activation.RebuildID, user string) (activation.Rebuild, error)
	Rebuild(ctx context.Context, id activation.RebuildID) (activation.Rebuild, error)
	Rebuilds(ctx context.Context, limit int) ([]activation.Rebuild, error)
}

// Warehouse is what is needed of the data plane.
type Warehouse interface {
	Rebuild(ctx context.Context, progress func(done, total int64)) (warehouse.RebuildResult, error)
	Cost(ctx context.Context) (warehouse.RebuildCost, error)
	// Expire deletes the messages that a stream keeps no longer.
	Expire(ctx context.Context, now time.Time) (int64, error)
}

// Config is what Rebuilder is made of.
type Config struct {
	Store     Store
	Warehouse Warehouse
	// Log may be nil.
	Log *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// Changed is called after profiles were made anew; may be nil.
	Changed func(ctx context.Context)
}

// Rebuilder starts, follows and cancels rebuilds. Its methods may be called by any
// goroutine.
type Rebuilder struct {
	Config
	wake chan struct{}

	mu      sync.Mutex
	present attempt
}

// attempt is the rebuild that this process replays.
type attempt struct {
	id          activation.RebuildID
	begun       time.Time
	done, total int64
	cancel      context.CancelFunc
}

const (
	// saveEvery is how often progress is stored, and the record asked whether it is
	// to be cancelled.
	saveEvery = 2 * time.Second
	// expireEvery is how often messages are deleted whose time is over.
	expireEvery = 24 * time.Hour
	// retryAfter is how long a control store that does not answer is left alone.
	retryAfter = 10 * time.Second
	// defaultPace is how many messages are replayed a second, while no rebuild has
	// shown it.
	defaultPace = 50_000
	// looked is how many earlier rebuilds are asked for their pace.
	looked = 20
)

// New returns a Rebuilder; Run makes it work.
func New(cfg Config) *Rebuilder {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func(context.Context) {}
	}
	return &Rebuilder{Config: cfg, wake: make(chan struct{}, 1)}
}

// Start asks for a rebuild and returns at once. While one is under way it returns
// ErrConflict, which names it.
func (b *Rebuilder) Start(ctx context.Context, reason, user string) (activation.Rebuild, error) {
	r, err := b.Store.CreateRebuild(ctx, reason, user)
	if err == nil {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return r, err
}

// Rebuild returns one rebuild with its progress.
func (b *Rebuilder) Rebuild(ctx context.Context, id activation.RebuildID) (activation.Rebuild, error) {
	r, err := b.Store.Rebuild(ctx, id)
	return b.timed(r), err
}

// Rebuilds lists up to limit rebuilds, newest first.
func (b *Rebuilder) Rebuilds(ctx context.Context, limit int) ([]activation.Rebuild, error) {
	all, err := b.Store.Rebuilds(ctx, limit)
	for i := range all {
		all[i] = b.timed(all[i])
	}
	return all, err
}

// Cancel asks that a rebuild stop; it does within seconds.
func (b *Rebuilder) Cancel(ctx context.Context, id activation.RebuildID, user string) (activation.Rebuild, error) {
	r, err := b.Store.CancelRebuild(ctx, id, user)
	if err != nil {
		return r, err
	}
	b.mu.Lock()
	if b.present.id == id {
		b.present.cancel()
	}
	b.mu.Unlock()
	return b.timed(r), nil
}

// timed adds what this process knows: the latest progress, and the time left by
// the pace so far.
func (b *Rebuilder) timed(r activation.Rebuild) activation.Rebuild {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.present
	if r.Status != activation.RebuildRunning || p.id != r.ID {
		return r
	}
	r.Done, r.Total = p.done, p.total
	if p.done > 0 {
		r.Left = time.Duration(float64(b.Now().Sub(p.begun)) / float64(p.done) * float64(p.total-p.done))
	}
	return r
}

// Cost is what a rebuild would have to do, and about how long that takes.
type Cost struct {
	warehouse.RebuildCost
	Seconds float64 `json:"seconds"`
}

// Cost estimates by the pace of the last rebuild that was completed, or else by
// 50,000 messages a second. It counts the messages that are kept: those whose time
// was over are in no rebuild.
func (b *Rebuilder) Cost(ctx context.Context) (Cost, error) {
	c, err := b.Warehouse.Cost(ctx)
	if err != nil {
		return Cost{}, err
	}
	earlier, err := b.Store.Rebuilds(ctx, looked)
	if err != nil {
		return Cost{}, err
	}
	pace := float64(defaultPace)
	for _, r := range earlier {
		if took := r.EndedAt.Sub(r.StartedAt).Seconds(); r.Status == activation.RebuildCompleted && r.Attempt == 1 && r.Total > 0 && took > 0 {
			pace = float64(r.Total) / took
			break
		}
	}
	return Cost{RebuildCost: c, Seconds: float64(c.Messages) / pace}, nil
}

// Run replays what is asked for until ctx ends; what is under way then is begun
// again by the next Run.
func (b *Rebuilder) Run(ctx context.Context) error {
	expire := time.NewTimer(0)
	defer expire.Stop()
	for {
		wait, err := b.next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			b.Log.WarnContext(ctx, "rebuilds wait", "error", err)
		}
		var again <-chan time.Time
		if wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		case <-again:
		case <-expire.C:
			b.expire(ctx)
			expire.Reset(expireEvery)
		}
	}
}

// next replays the rebuild that is asked for, if one is. It returns how long to
// wait before asking again; 0 = until woken.
func (b *Rebuilder) next(ctx context.Context) (time.Duration, error) {
	r, err := b.Store.TakeRebuild(ctx)
	if err != nil {
		return retryAfter, err
	}
	if r == nil {
		return 0, nil
	}
	if err := b.replay(ctx, *r); err != nil {
		return retryAfter, err
	}
	return 0, nil
}

// replay makes one attempt and stores how it ended. When ctx ends nothing is
// stored: the attempt is owed.
func (b *Rebuilder) replay(ctx context.Context, r activation.Rebuild) error {
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	b.mu.Lock()
	b.present = attempt{id: r.ID, begun: b.Now(), total: r.Total, cancel: cancel}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.present = attempt{}
		b.mu.Unlock()
	}()
	if r.CancelledBy != "" {
		cancel()
	}
	var saving sync.WaitGroup
	saving.Go(func() { b.save(working, r, cancel) })
	result, err := b.Warehouse.Rebuild(working, b.progress)
	stopped := working.Err() != nil
	cancel()
	saving.Wait()
	if ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	b.mu.Lock()
	r.Done, r.Total = b.present.done, b.present.total
	b.mu.Unlock()
	switch {
	case err == nil:
		r.Status, r.Done = activation.RebuildCompleted, r.Total
		r.Counts = map[string]int64{
			"profiles": result.Profiles, "changed_profiles": result.Changed, "new_profiles": result.New,
			"gone_profiles": result.Gone, "moved_messages": result.Moved,
		}
	case stopped && errors.Is(err, context.Canceled):
		r.Status = activation.RebuildCancelled
	default:
		r.Status, r.ErrorCode, r.ErrorText = activation.RebuildFailed, activation.CodeOf(err), err.Error()
	}
	return b.end(context.WithoutCancel(ctx), r)
}

// end stores the end; the server may be stopping.
func (b *Rebuilder) end(ctx context.Context, r activation.Rebuild) error {
	if r.Status == activation.RebuildCompleted {
		b.Changed(ctx)
	}
	_, err := b.Store.EndRebuild(ctx, r)
	if errors.Is(err, activation.ErrConflict) {
		return nil // somebody else took it up: it is theirs to end
	}
	return err
}

func (b *Rebuilder) progress(done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.present.done, b.present.total = done, total
}

// save stores the progress until ctx ends, and cancels what somebody wants
// cancelled or another server took up.
func (b *Rebuilder) save(ctx context.Context, r activation.Rebuild, cancel context.CancelFunc) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.mu.Lock()
		done, total := b.present.done, b.present.total
		b.mu.Unlock()
		stored, err := b.Store.SaveRebuild(ctx, r.ID, r.Attempt, done, total)
		switch {
		case errors.Is(err, activation.ErrConflict), err == nil && stored.CancelledBy != "":
			cancel()
			return
		case err != nil && ctx.Err() == nil:
			b.Log.WarnContext(ctx, "progress of a rebuild is not stored", "error", err)
		}
	}
}

func (b *Rebuilder) expire(ctx context.Context) {
	n, err := b.Warehouse.Expire(ctx, b.Now())
	switch {
	case err != nil && ctx.Err() == nil:
		b.Log.WarnContext(ctx, "messages whose time is over are deleted tomorrow", "error", err)
	case n > 0:
		b.Log.InfoContext(ctx, "messages deleted whose time was over", "messages", n)
	}
}
