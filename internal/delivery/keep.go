package delivery

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
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
	h := &hold{
		run:   activation.Run{ID: x.run.ID, Number: x.run.Number, Attempt: x.run.Attempt, Job: x.run.Job},
		fence: time.AfterFunc(x.d.safeFor(x.d.now()), func() { stop(errRunFenced) }),
		line:  &x.line, stop: stop, hushed: &x.hushed,
		// A run that ends already, or that goes on whatever happens, needs no watch.
		watched: x.halt != haltEnded && x.run.Mode != activation.ModeForget && x.run.Release == "",
		quiets:  x.run.Status != activation.RunAwaiting,
	}
	leave := x.d.keeper.join(context.WithoutCancel(ctx), x.d, h)
	var released sync.WaitGroup
	if x.run.Release != "" && x.halt != haltEnded && x.run.Mode != activation.ModeForget {
		released.Go(func() { x.watchRelease(held, x.target.ID, stop) })
	}
	return held, func() {
		h.fence.Stop()
		stop(context.Canceled)
		leave()
		released.Wait()
	}
}

func (d *Delivery) safeFor(asked time.Time) time.Duration {
	return d.set.Lease - d.set.StopWithin - d.now().Sub(asked)
}

// hold is a run in this node's hands, as its keeper sees it.
type hold struct {
	run     activation.Run
	fence   *time.Timer
	line    *line
	stop    context.CancelCauseFunc
	hushed  *atomic.Bool
	watched bool // its job may stop it
	quiets  bool // its job's quiet window as well
}

// keeper renews and watches all runs in this node's hands together: a thousand
// of them cost a write every ten seconds, not a hundred a second. It runs while
// there are any.
type keeper struct {
	mu    sync.Mutex
	holds map[activation.RunID]*hold
	end   func() // ends the rounds and waits for that
}

// join has a run kept until leave is called.
func (k *keeper) join(ctx context.Context, d *Delivery, h *hold) (leave func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.holds) == 0 {
		ctx, cancel := context.WithCancel(ctx)
		var rounds sync.WaitGroup
		rounds.Go(func() { every(ctx, d.set.Renew, func() { d.renew(ctx) }) })
		rounds.Go(func() { every(ctx, d.set.Watch, func() { d.watch(ctx) }) })
		k.holds = map[activation.RunID]*hold{}
		k.end = func() { cancel(); rounds.Wait() }
	}
	k.holds[h.run.ID] = h
	return func() { k.leave(h) }
}

func (k *keeper) leave(h *hold) {
	k.mu.Lock()
	end := func() {}
	if k.holds[h.run.ID] == h { // else a later attempt has taken its place
		delete(k.holds, h.run.ID)
		if len(k.holds) == 0 {
			end = k.end
		}
	}
	k.mu.Unlock()
	end()
}

// all lists the runs that are kept now, oldest first, which is the order in
// which every transaction takes them.
func (k *keeper) all() []*hold {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]*hold, 0, len(k.holds))
	for _, h := range k.holds {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *hold) int { return cmp.Compare(a.run.Number, b.run.Number) })
	return out
}

// renewed is how many leases are renewed in one transaction, so that others may
// write in between.
const renewed = 50

// renew extends the leases of all runs in hand, and notes which of them do
// nothing but wait their turn. One attempt that was left behind is not among
// them: its lease ends by itself.
func (d *Delivery) renew(ctx context.Context) {
	for holds := d.keeper.all(); len(holds) > 0 && ctx.Err() == nil; {
		some := holds[:min(renewed, len(holds))]
		holds = holds[len(some):]
		d.renewSome(ctx, some)
	}
}

func (d *Delivery) renewSome(ctx context.Context, holds []*hold) {
	runs := make([]activation.HeldRun, len(holds))
	for i, h := range holds {
		runs[i] = activation.HeldRun{ID: h.run.ID, Attempt: h.run.Attempt, InLine: h.line.idle()}
	}
	asked := d.now()
	fenced, err := d.store.RenewRuns(ctx, runs, d.set.Lease)
	if err != nil {
		if ctx.Err() == nil {
			d.log.WarnContext(ctx, "renewing the leases of runs", "runs", len(runs), "error", err)
		}
		return
	}
	lost := make(map[activation.RunID]bool, len(fenced))
	for _, id := range fenced {
		lost[id] = true
	}
	for _, h := range holds {
		if lost[h.run.ID] {
			h.stop(errRunFenced)
		} else {
			h.fence.Reset(d.safeFor(asked))
		}
	}
}

// watch looks whether the jobs of the runs in hand still let them go on. Which
// jobs are worth a look the store finds in one query.
func (d *Delivery) watch(ctx context.Context) {
	jobs := map[activation.JobID][]*hold{}
	for _, h := range d.keeper.all() {
		if h.watched {
			jobs[h.run.Job] = append(jobs[h.run.Job], h)
		}
	}
	if len(jobs) == 0 {
		return
	}
	restless, err := d.store.RestlessJobs(ctx, d.node)
	if err != nil {
		d.log.DebugContext(ctx, "looking for jobs that stop their runs", "error", err)
		return // looked again soon
	}
	for _, id := range restless {
		if len(jobs[id]) > 0 {
			d.look(ctx, id, jobs[id])
		}
	}
}

func (d *Delivery) look(ctx context.Context, id activation.JobID, holds []*hold) {
	job, err := d.store.Job(ctx, id)
	for _, h := range holds {
		switch {
		case errors.Is(err, activation.ErrNotFound), err == nil && over(job, d.now()):
			h.stop(errEnded)
		case err == nil && job.State == activation.JobPaused:
			h.stop(errPaused)
		case err == nil && h.quiets && job.QuietAt(d.now()):
			h.hushed.Store(true) // what is under way may end; nothing more begins
		}
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
