package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Leases are names that one node at a time may hold, by the database's clock.
type Leases interface {
	// Acquire takes the named lease for node until ttl from now, where it is
	// free, over, or node's already. It reports whether node holds it.
	Acquire(ctx context.Context, name, node string, ttl time.Duration) (bool, error)
	// Renew extends a lease that node still holds, also when it is over but
	// nobody took it. It reports whether node holds it.
	Renew(ctx context.Context, name, node string, ttl time.Duration) (bool, error)
	// Release gives a lease back that node holds; else it does nothing.
	Release(ctx context.Context, name, node string) error
}

// errHeld: another node holds the lease.
var errHeld = errors.New("another node holds the lease")

// hold acquires a lease and keeps it until release is called. The context it
// returns is done, with ErrLeaseLost as its cause, StopWithin before the lease
// can be over. The node counts on its own monotonic clock from before each
// call, so a slow answer, a stopped process or a database clock that jumps
// forward costs time here and never there.
func (e *Engine) hold(ctx context.Context, name string) (_ context.Context, release func(), _ error) {
	if name == "" {
		return ctx, func() {}, nil
	}
	asked := e.cfg.Now()
	ok, err := e.cfg.Leases.Acquire(ctx, name, e.cfg.Node, e.cfg.LeaseTTL)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("lease %q: %w", name, err)
	case !ok:
		return nil, nil, errHeld
	}
	held, lose := context.WithCancelCause(ctx)
	fence := time.AfterFunc(e.safeFor(asked), func() { lose(ErrLeaseLost) })
	var keeper sync.WaitGroup
	keeper.Go(func() { e.keep(held, name, fence, lose) })
	return held, func() {
		fence.Stop()
		lose(context.Canceled)
		keeper.Wait()
		e.giveBack(ctx, name)
	}, nil
}

// keep renews a lease until held is done.
func (e *Engine) keep(held context.Context, name string, fence *time.Timer, lose context.CancelCauseFunc) {
	tick := time.NewTicker(e.cfg.Renew)
	defer tick.Stop()
	for {
		select {
		case <-held.Done():
			return
		case <-tick.C:
		}
		asked := e.cfg.Now()
		ok, err := e.cfg.Leases.Renew(held, name, e.cfg.Node, e.cfg.LeaseTTL)
		switch {
		case err != nil && held.Err() == nil:
			e.cfg.Log.WarnContext(held, "renewing a lease", "lease", name, "error", err)
		case err == nil && !ok:
			lose(ErrLeaseLost)
		case err == nil:
			fence.Reset(e.safeFor(asked))
		}
	}
}

// safeFor is how long work may go on under a lease asked for at that time.
func (e *Engine) safeFor(asked time.Time) time.Duration {
	return e.cfg.LeaseTTL - e.cfg.StopWithin - e.cfg.Now().Sub(asked)
}

// giveBack releases a lease, also when the node is stopping.
func (e *Engine) giveBack(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := e.cfg.Leases.Release(ctx, name, e.cfg.Node); err != nil {
		e.cfg.Log.WarnContext(ctx, "releasing a lease", "lease", name, "error", err)
	}
}
