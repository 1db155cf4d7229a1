package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
)

// An execution is one attempt at a run: from taking it to finishing it or
// giving it back. Only its own goroutine touches it; sends in parallel get what
// they need by value.
type execution struct {
	d      *Delivery
	log    *slog.Logger
	run    activation.Run
	target activation.Target
	dest   activation.Destination
	job    activation.Job
	client provider.Destination
	def    provider.Definition
	keys   matchkey.Set

	ofEvents bool              // the target takes events
	audience provider.Audience // what the remote audience was looked up as, its id included

	answered   bool        // the network took something in this attempt
	remote     bool        // the remote audience was looked up in this attempt
	gone       bool        // the remote audience that the run gives up is not there any more
	unfoldable bool        // the ledger refused the counts
	polled     bool        // what was due was asked for
	looked     bool        // how far the run is was read in this attempt
	resumed    bool        // something was sent before this attempt
	dueAgain   bool        // a run that was called off wants another one
	hushed     atomic.Bool // the job's quiet window has begun
	session    session     // of a full replace
	patience   patience
	line       line
	halt       halt
	failure    *activation.Error // why halt is haltFailed
}

// execute works on one run until it ends, waits, or ctx is done.
func (d *Delivery) execute(ctx context.Context, id activation.RunID) error {
	x, err := d.take(ctx, id)
	if err != nil || x == nil {
		return err
	}
	held, done := x.keep(ctx)
	log := x.log
	_, err = leaving(held, d.set.StopWithin*9/10, func() (struct{}, error) { return struct{}{}, x.steps(held) })
	cause := context.Cause(held)
	done()
	if errors.Is(err, errLeftBehind) { // the lease ends by itself; x is not ours any more
		log.ErrorContext(ctx, "an attempt was left behind", "error", err)
		return nil
	}
	return x.leave(ctx, err, cause)
}

// take makes the run this node's and reads all it needs. From here on items
// that were in flight are unknown. nil = it was given back again.
func (d *Delivery) take(ctx context.Context, id activation.RunID) (*execution, error) {
	r, lost, err := d.store.TakeRun(ctx, id, d.node, d.set.Lease)
	if err != nil {
		return nil, err
	}
	log := d.log.With("run_id", r.ID, "run", r.Number, "attempt", r.Attempt)
	if len(lost) > 0 {
		log.WarnContext(ctx, "took over a run; what was in flight is unknown", "items", len(lost))
	}
	if err := d.at(ctx, AfterTake); err != nil {
		return nil, err
	}
	x := &execution{d: d, log: log, run: r}
	if err := x.read(ctx); err != nil {
		return nil, x.leave(ctx, err, nil)
	}
	return x, nil
}

// read reads what the run is about and decides whether it may still send.
func (x *execution) read(ctx context.Context) (err error) {
	if x.target, err = x.d.store.Target(ctx, x.run.Target); err != nil {
		return err
	}
	if x.dest, err = x.d.store.Destination(ctx, x.run.Destination); err != nil {
		return err
	}
	client, def, unbuilt := x.d.providers(ctx, x.dest, x.target.Workflow)
	x.client, x.def, x.ofEvents = client, def, takesEvents(def, x.target)
	if x.run.ErrorCode == activation.CodeStalled && x.run.Status == activation.RunRunning { // given up: only to be accounted for
		x.halt, x.failure = haltFailed, &activation.Error{Kind: x.run.ErrorKind, Code: x.run.ErrorCode, Message: x.run.ErrorText}
		return nil
	}
	ended, err := x.ended(ctx)
	if err != nil {
		return err
	}
	if ended {
		x.halt = haltEnded
		return nil
	}
	if unbuilt != nil {
		return x.fail(ctx, fmt.Errorf("provider %q: %w", x.dest.Provider, unbuilt))
	}
	if x.ofEvents && x.run.Release != "" {
		return nil // whatever it was fed by
	}
	x.keys, _, err = columns(x.def, x.dest, x.target, x.job)
	return x.fail(ctx, err)
}

// ended reports whether the run's job is over or its destination switched off.
// Somebody is forgotten whatever the state of the job.
func (x *execution) ended(ctx context.Context) (bool, error) {
	if x.run.Mode == activation.ModeForget {
		job, err := x.d.store.Job(ctx, x.run.Job)
		if errors.Is(err, activation.ErrNotFound) {
			err = nil
		}
		x.job = job // nothing of it where it is deleted or purged
		return false, err
	}
	if x.run.Release != "" {
		return x.calledOff(ctx)
	}
	job, err := x.d.store.Job(ctx, x.run.Job)
	if errors.Is(err, activation.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	x.job = job
	return over(job, x.d.now()) || !x.dest.Enabled, nil
}

// over reports whether a job's runs are to be ended.
func over(j activation.Job, now time.Time) bool {
	return j.State == activation.JobKilled || j.State == activation.JobFailed || j.Expired(now)
}

// steps does one step after another until the run is finished or has to wait.
func (x *execution) steps(ctx context.Context) error {
	for {
		p, err := x.look(ctx)
		if err != nil {
			return err
		}
		s := p.next()
		x.log.DebugContext(ctx, "next step", "step", string(s))
		if s == stepFinish {
			return x.finish(ctx, p)
		}
		if x.hushed.Load() && s.sends() && !(p.replaces && p.begun()) {
			return activation.ErrQuiet
		}
		if err := x.do(ctx, s, p); err != nil {
			return err
		}
	}
}

// do does one step.
func (x *execution) do(ctx context.Context, s step, p progress) error {
	switch s {
	case stepPlan:
		return x.plan(ctx)
	case stepSupersede:
		return x.endItems(ctx, activation.ItemSuperseded)
	case stepGiveUp:
		return x.endItems(ctx, activation.ItemFailed)
	case stepWithdraw:
		return x.endItems(ctx, activation.ItemWithdrawn)
	case stepForsake:
		return x.forsake(ctx, p)
	case stepFold:
		return x.fold(ctx, p.unfolded())
	case stepReplay:
		return x.replay(ctx, p.items)
	case stepReopen:
		return x.reopen(ctx)
	case stepRemote:
		return x.ensureRemote(ctx)
	case stepDelete:
		return x.deleteRemote(ctx)
	case stepSend:
		return x.send(ctx, p.sendable())
	case stepPoll:
		return x.poll(ctx, p.items)
	case stepFinish:
	}
	return x.finish(ctx, p)
}

// look reads how far the run is.
func (x *execution) look(ctx context.Context) (progress, error) {
	if err := context.Cause(ctx); err != nil {
		return progress{}, err
	}
	items, err := x.d.store.Items(ctx, x.run.ID)
	if err != nil {
		return progress{}, err
	}
	p := progress{
		awaiting:   x.run.Status == activation.RunAwaiting,
		cut:        wasCut(x.run.Stage),
		rekeyed:    x.halt == haltNone && x.run.KeySet != x.keys.ID,
		remote:     x.remote,
		replays:    x.mayReplay() && !x.replaces(),
		replaces:   x.replaces(),
		unfoldable: x.unfoldable,
		events:     x.ofEvents,
		pollDue:    !x.polled,
		gone:       x.gone,
		deletes:    x.run.Release == activation.EndDelete && x.run.Counts.Withheld == 0 && !x.ofEvents,
		halt:       x.halt,
		items:      items,
	}
	if x.replaces() {
		if !x.looked {
			x.looked, x.resumed = true, p.begun()
		}
		p.resumed, x.session = x.resumed, sessionOf(x.run, items)
	}
	return p, nil
}

// wasCut reports whether a run in this stage has its items in the store: they
// are stored together with stageQueue.
func wasCut(s activation.Stage) bool {
	return s == activation.StageQueue || s == activation.StageRemote || s == activation.StageMembers
}

// mayReplay reports whether the network takes a repetition without harm. The
// window counts from the staging, before which nothing can have been sent.
func (x *execution) mayReplay() bool { return mayReplay(x.def, x.run, x.d.now()) }

func mayReplay(def provider.Definition, r activation.Run, now time.Time) bool {
	switch def.Replay {
	case provider.ReplayHarmless:
		return true
	case provider.ReplayDeduplicated:
		return now.Sub(r.StagedAt) < def.ReplayWindow
	case provider.ReplayNever:
		return false
	}
	return false
}

// fail halts the run with err as its failure, unless the error says that the
// run is not ours to fail: then it is returned.
func (x *execution) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if crashed(err) || errors.Is(err, activation.ErrFenced) || context.Cause(ctx) != nil {
		return err
	}
	e := x.failsAs(asError(err))
	if x.rests(e) {
		if ok, err := x.rest(ctx, e); ok || err != nil {
			return orHandedOver(err)
		}
	}
	x.halt, x.failure = haltFailed, e
	x.log.WarnContext(ctx, "the run stops", "kind", string(e.Kind), "code", activation.CodeOf(e), "error", err)
	return nil
}

// orHandedOver is err, or where there is none that the run was given back.
func orHandedOver(err error) error {
	if err == nil {
		return errHandedOver
	}
	return err
}

// A pause gives the run back until a time.
type pause struct{ until time.Time }

func (p *pause) Error() string { return "waits until " + p.until.UTC().Format(time.RFC3339) }

// leave ends the attempt: a run that is not finished is given back, unless it
// is somebody else's by now.
func (x *execution) leave(ctx context.Context, err, cause error) error {
	var wait *pause
	ours := false // the fault of neither the network nor whoever stopped us
	defer func() { x.d.stumbled(x.run.ID, ours) }()
	switch {
	case err == nil, errors.Is(err, errHandedOver):
		return nil
	case crashed(err):
		return err
	case errors.As(err, &wait):
		return x.release(ctx, wait.until)
	case errors.Is(err, activation.ErrPaused), errors.Is(cause, errPaused):
		x.log.InfoContext(ctx, "the run is paused")
		return x.release(ctx, time.Time{})
	case errors.Is(cause, errEnded):
		return x.release(ctx, time.Time{}) // whoever takes it next ends it
	case errors.Is(err, activation.ErrFenced):
		x.log.WarnContext(ctx, "another attempt owns the run; what this one has is discarded")
		return nil
	case cause != nil:
		return x.release(ctx, time.Time{})
	}
	ours = true
	return errors.Join(err, x.release(ctx, x.d.now().Add(x.d.stumble(x.run.ID))))
}

// stumble returns how long to leave a run alone after a fault of ours, a database
// that was not to be reached say: a second, and twice as long each time it
// happens again, up to longestTrouble.
func (d *Delivery) stumble(id activation.RunID) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return min(shortestPause<<min(d.stumbles[id], 10), longestTrouble)
}

// stumbled notes how an attempt of a run ended, by a fault of ours or otherwise.
func (d *Delivery) stumbled(id activation.RunID, ours bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ours {
		d.stumbles[id]++
		return
	}
	delete(d.stumbles, id)
}

// release gives the run back; nobody works on it before the given time.
func (x *execution) release(ctx context.Context, until time.Time) error {
	ctx, cancel := x.writing(ctx)
	defer cancel()
	err := x.d.around(ctx, BeforeRelease, AfterRelease, func() error { return x.d.store.ReleaseRun(ctx, x.run, until) })
	if errors.Is(err, activation.ErrFenced) {
		return nil
	}
	if err == nil && until.IsZero() {
		x.d.wake(KindRun, string(x.run.ID))
	}
	return err
}

// writing is the context under which what happened is written down, also when
// the work is being cancelled.
func (x *execution) writing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), x.d.set.StopWithin/2)
}

// sleep waits in place; it returns early, with the cause, when ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
