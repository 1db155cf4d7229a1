// Package pass works on jobs that have no targets: imports, enrichments and
// alerts. One execution of such a job is a pass; what it does is its runner's.
//
// It owns when a pass begins, who holds it and how it ends: leases, takeover,
// the watch that ends it when its job is paused, killed or stalled, and the
// counts. The store keeps sleep and errors. It must not know what a runner does
// and decides by the kind of an error, never by its text.
//
// It is built for these failures: a node that dies in a pass (its lease ends
// and another goes on with the same pass), a node that was thought dead and
// comes back (what it writes is refused), and a runner that hangs (its pass is
// ended and it is left behind, so that the job and its neighbours go on).
package pass

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// Kind is the kind of work; it is what the engine's Wake is called with.
const Kind = store.WakePass

// Runner does the passes of some workflows.
type Runner interface {
	// Workflows names the workflows it does.
	Workflows() []string
	// Due reports whether a job in real time has something to do now, such as
	// an alert with waiting events. It is asked often and should be cheap.
	Due(ctx context.Context, job activation.Job) (bool, error)
	// Pass does one pass of a job. It returns soon after ctx is done; nil is a
	// success, and what else an error means is in its kind. After a crash or a
	// pause the same pass is done again, so it goes on from what it has kept
	// itself, and its effects bear repetition.
	Pass(ctx context.Context, job activation.Job, p Progress) error
}

// Leaser is a Runner whose jobs have a lease of their own kind. Jobs with the same one
// never have passes at the same time.
type Leaser interface {
	// Lease names it, such as "account:" and an id.
	Lease(job activation.Job) string
}

// Progress is how a runner tells what it has done. Its methods may be called by
// any goroutine.
type Progress interface {
	// Pass is the pass in hand, with the counts of its earlier attempts.
	Pass() activation.Pass
	// Count adds n to one of the pass's counts, and is progress.
	Count(name string, n int64)
	// Moved notes progress, without which a pass is ended as stalled.
	Moved()
	// Note writes a line of the job's log, of level info, warn or error. It names
	// files and counts, never values. ErrFenced means that the pass is another's.
	Note(ctx context.Context, level, code, message string) error
	// Save stores the counts now instead of within SaveEvery. ErrFenced means
	// that the pass is another's: stop.
	Save(ctx context.Context) error
}

// Store is what passes need of the control plane. store.Store has it.
type Store interface {
	Job(ctx context.Context, id activation.JobID) (activation.Job, error)
	DuePasses(ctx context.Context, workflows []string, after activation.JobID, limit int) ([]store.DuePass, error)
	TakePass(ctx context.Context, id activation.JobID, node string, lease time.Duration) (activation.Pass, error)
	RenewPass(ctx context.Context, p activation.Pass, lease time.Duration) error
	CheckPass(ctx context.Context, p activation.Pass) error
	SavePass(ctx context.Context, p activation.Pass) error
	AddLog(ctx context.Context, e activation.LogEntry) error
	ReleasePass(ctx context.Context, p activation.Pass, until time.Time) error
	FinishPass(ctx context.Context, p activation.Pass) error
}

// Config is what a Worker is made of. Zero durations take the defaults.
type Config struct {
	// Node is this node's name, another one for each start of each process.
	Node    string
	Store   Store
	Runners []Runner
	Log     *slog.Logger
	// Now is the clock that leases are counted by; nil = time.Now.
	Now func() time.Time
	// Lease is how long a pass stays its node's without renewal. Default 45 s.
	Lease time.Duration
	// Renew is how often it is renewed. Default 10 s.
	Renew time.Duration
	// Watch is how often a pass in hand looks whether it may go on. Default 2 s.
	Watch time.Duration
	// SaveEvery is how often counts that changed are stored. Default 5 s.
	SaveEvery time.Duration
	// StopWithin is how long a runner may take to return once its context is
	// done; then it is left behind. Default 7 s.
	StopWithin time.Duration
}

// Worker is the kind of work for the engine.
type Worker struct {
	cfg       Config
	runners   map[string]Runner
	workflows []string

	mu   sync.Mutex
	last activation.JobID // in real time that was asked about last; "" = all of them were
}

// New returns a worker for these runners. A workflow has one runner.
func New(cfg Config) (*Worker, error) {
	or := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	or(&cfg.Lease, 45*time.Second)
	or(&cfg.Renew, 10*time.Second)
	or(&cfg.Watch, 2*time.Second)
	or(&cfg.SaveEvery, 5*time.Second)
	or(&cfg.StopWithin, 7*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Worker{cfg: cfg, runners: map[string]Runner{}}
	for _, r := range cfg.Runners {
		for _, name := range r.Workflows() {
			if w.runners[name] != nil {
				return nil, fmt.Errorf("the workflow %q has two runners", name)
			}
			w.runners[name] = r
			w.workflows = append(w.workflows, name)
		}
	}
	return w, nil
}

// Kind names the kind of work.
func (w *Worker) Kind() string { return Kind }

// Due lists the jobs to be given a pass now, each under the lease that its runner
// names, or else that of its authorization, or its own where it has none. A runner that cannot tell
// whether one of its jobs has something to do does not hold up the others.
func (w *Worker) Due(ctx context.Context, limit int) ([]activation.Work, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	due, err := w.cfg.Store.DuePasses(ctx, w.workflows, w.last, limit)
	if err != nil {
		return nil, fmt.Errorf("list due passes: %w", err)
	}
	w.last = ""
	if n := len(due); n > 0 && n == limit && !due[n-1].Wanted {
		w.last = due[n-1].Job.ID // the next look begins behind it
	}
	var works []activation.Work
	for _, d := range due {
		if !d.Wanted && !w.wants(ctx, d.Job) {
			continue
		}
		works = append(works, activation.Work{Kind: Kind, ID: string(d.Job.ID), Lease: w.leaseOf(d.Job), Alone: w.alone(d.Job)})
	}
	return works, nil
}

// wants reports whether the runner of a job has something to do for it.
func (w *Worker) wants(ctx context.Context, j activation.Job) bool {
	wanted, err := w.runners[j.Workflow].Due(ctx, j)
	if err != nil {
		w.cfg.Log.ErrorContext(ctx, "asking whether a job is due", "job_id", j.ID, "error", err)
		return false
	}
	return wanted
}

// alone reports whether a job's passes and those of others with its lease exclude
// each other.
func (w *Worker) alone(j activation.Job) bool {
	_, ok := w.runners[j.Workflow].(Leaser)
	return ok
}

func (w *Worker) leaseOf(j activation.Job) string {
	if r, ok := w.runners[j.Workflow].(Leaser); ok {
		return r.Lease(j)
	}
	if len(j.Authorizations) > 0 {
		return "auth:" + string(j.Authorizations[0])
	}
	return "job:" + string(j.ID)
}

// Do gives a job one pass, or goes on with the open one.
func (w *Worker) Do(ctx context.Context, x activation.Work) error {
	asked := w.cfg.Now()
	p, err := w.cfg.Store.TakePass(ctx, activation.JobID(x.ID), w.cfg.Node, w.cfg.Lease)
	if err != nil {
		return err
	}
	job, err := w.cfg.Store.Job(ctx, p.Job)
	if err != nil {
		return err // it was deleted just now, and its pass withdrawn
	}
	a := &attempt{w: w, job: job, pass: p, log: w.cfg.Log.With("job_id", job.ID, "pass", p.Number, "attempt", p.Attempt)}
	held, done := a.keep(ctx, asked)
	err, back := a.run(held)
	cause := context.Cause(held)
	done()
	if !back {
		a.log.WarnContext(ctx, "a runner did not return and is left behind", "workflow", job.Workflow)
	}
	return a.leave(ctx, err, cause)
}

// run lets the runner work until it returns, or for StopWithin after ctx is
// done. It reports whether it came back; a panic is an error of this pass alone.
func (a *attempt) run(ctx context.Context) (_ error, back bool) {
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				a.log.ErrorContext(ctx, "a runner panicked", "stack", string(debug.Stack()))
				ended <- &activation.Error{Kind: activation.Internal, Message: "the runner broke down"}
			}
		}()
		ended <- a.w.runners[a.job.Workflow].Pass(ctx, a.job, a)
	}()
	select {
	case err := <-ended:
		return err, true
	case <-ctx.Done():
	}
	late := time.NewTimer(a.w.cfg.StopWithin)
	defer late.Stop()
	select {
	case err := <-ended:
		return err, true
	case <-late.C:
		return context.Cause(ctx), false
	}
}

// leave ends the attempt: the pass is finished, or given back to go on later,
// unless it is another's by now. Whatever a runner returns once it was told to
// stop means that it stopped, except that it had finished all the same.
func (a *attempt) leave(ctx context.Context, err, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	p := a.snapshot()
	var e *activation.Error
	switch {
	case errors.Is(cause, errFenced) || errors.Is(err, activation.ErrFenced):
		a.log.WarnContext(ctx, "another attempt owns the pass; what this one has is discarded")
		return nil
	case err == nil:
		p.Status = activation.RunCompleted
		return a.w.cfg.Store.FinishPass(ctx, p)
	case cause != nil:
		return a.w.cfg.Store.ReleasePass(ctx, p, time.Time{})
	case errors.As(err, &e) && e.Kind == activation.WaitUntil:
		p.ErrorCode = e.Code
		until := e.Until
		if until.IsZero() {
			until = a.w.cfg.Now().Add(activation.FirstSleep)
		}
		return a.w.cfg.Store.ReleasePass(ctx, p, until)
	}
	a.log.WarnContext(ctx, "the pass stops", "kind", string(activation.KindOf(err)), "code", activation.CodeOf(err), "error", err)
	p.Status, p.ErrorKind, p.ErrorCode, p.ErrorText = activation.RunFailed, activation.KindOf(err), activation.CodeOf(err), activation.SafeMessage(err)
	if errors.As(err, &e) && e.Field != "" {
		p.ErrorText += fmt.Sprintf(" (field %q)", e.Field)
	}
	return a.w.cfg.Store.FinishPass(ctx, p)
}
