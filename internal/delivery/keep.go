package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"usher/internal/activation"
)

// Causes of an attempt's context being done, beside those of the engine.
var (
	errPaused    = errors.New("the job was paused")
	errEnded     = errors.New("the job was ended")
	errRunFenced = errors.New("the lease of the run is lost")
)

// keep renews the run's lease and looks whether its job was paused or ended, or
// its quiet window has begun, until done is called. The context it returns is
// cancelled, with the cause, when the attempt must stop: StopWithin before the
// lease can be over, counted on this node's monotonic clock from before the last
// renewal.
func (x *execution) keep(ctx context.Context) (_ context.Context, done func()) {
	held, stop := context.WithCancelCause(ctx)
	fence := time.AfterFunc(x.safeFor(x.d.now()), func() { stop(errRunFenced) })
	r := activation.Run{ID: x.run.ID, Attempt: x.run.Attempt, Job: x.run.Job}
	// A run that ends already, or that goes on whatever happens, needs no watch.
	watched := x.halt != haltEnded && x.run.SyncType != activation.SyncPIIUpdate
	quiets := x.run.Status != activation.RunAwaiting && x.run.Release == ""
	var keeper sync.WaitGroup
	keeper.Go(func() { x.renew(held, r, fence, stop) })
	if watched {
		keeper.Go(func() { x.watch(held, r.Job, quiets, stop) })
	}
	return held, func() {
		fence.Stop()
		stop(context.Canceled)
		keeper.Wait()
	}
}

func (x *execution) safeFor(asked time.Time) time.Duration {
	return x.d.set.Lease - x.d.set.StopWithin - x.d.now().Sub(asked)
}

func (x *execution) renew(ctx context.Context, r activation.Run, fence *time.Timer, stop context.CancelCauseFunc) {
	every(ctx, x.d.set.Renew, func() {
		asked := x.d.now()
		err := x.d.store.RenewRun(ctx, r, x.d.set.Lease)
		switch {
		case errors.Is(err, activation.ErrFenced):
			stop(errRunFenced)
		case err == nil:
			fence.Reset(x.safeFor(asked))
			x.noteLine(ctx, r)
		case ctx.Err() == nil:
			x.log.WarnContext(ctx, "renewing the lease of a run", "error", err)
		}
	})
}

func (x *execution) watch(ctx context.Context, id activation.JobID, quiets bool, stop context.CancelCauseFunc) {
	if x.run.Release != "" {
		x.watchRelease(ctx, x.target.ID, stop)
		return
	}
	every(ctx, x.d.set.Watch, func() {
		job, err := x.d.store.Job(ctx, id)
		switch {
		case errors.Is(err, activation.ErrNotFound), err == nil && over(job, x.d.now()):
			stop(errEnded)
		case err == nil && job.State == activation.JobPaused:
			stop(errPaused)
		case err == nil && quiets && job.QuietAt(x.d.now()):
			x.hushed.Store(true) // what is under way may end; nothing more begins
		}
	})
}

// noteLine tells the store that a run that does not move only waits its turn.
func (x *execution) noteLine(ctx context.Context, r activation.Run) {
	if !x.line.idle() {
		return
	}
	if err := x.d.store.InLine(ctx, r); err != nil && ctx.Err() == nil {
		x.log.WarnContext(ctx, "noting that a run waits its turn", "error", err)
	}
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
