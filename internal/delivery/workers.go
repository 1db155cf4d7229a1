package delivery

import (
	"context"
	"fmt"

	"usher/internal/activation"
)

// The kinds of work. They are what the engine's Wake is called with.
const (
	// KindTarget: a target may want a run.
	KindTarget = "target"
	// KindRun: a run may be worked on.
	KindRun = "run"
	// KindEvaluate: an audience whose rule uses date math is to be brought in step.
	KindEvaluate = "evaluate"
	// KindReconcile: a target is to be compared with what its network tells.
	KindReconcile = "reconcile"
	// KindUnstage: a run's staged rows are needed no more.
	KindUnstage = "unstage"
)

// Worker is one kind of work for the engine.
type Worker struct {
	kind string
	due  func(ctx context.Context, limit int) ([]activation.Work, error)
	do   func(ctx context.Context, id string) error
}

// Kind names the kind of work.
func (w *Worker) Kind() string { return w.kind }

// Due lists what is due now.
func (w *Worker) Due(ctx context.Context, limit int) ([]activation.Work, error) {
	return w.due(ctx, limit)
}

// Do does one work.
func (w *Worker) Do(ctx context.Context, x activation.Work) error { return w.do(ctx, x.ID) }

// Workers returns the workers of delivery: targets that want a run are given
// one, runs are worked on, time-dependent audiences are kept in step, and staged
// rows that nobody needs are dropped.
func (d *Delivery) Workers() []*Worker {
	return []*Worker{
		{KindTarget, d.dueTargets, func(ctx context.Context, id string) error { return d.open(ctx, activation.TargetID(id)) }},
		{KindRun, d.dueRuns, func(ctx context.Context, id string) error { return d.execute(ctx, activation.RunID(id)) }},
		{KindEvaluate, d.dueAudiences, func(ctx context.Context, id string) error { return d.evaluate(ctx, activation.AudienceID(id)) }},
		{KindReconcile, d.dueReconciliations, func(ctx context.Context, id string) error { return d.reconcile(ctx, activation.TargetID(id)) }},
		{KindUnstage, d.dueUnstage, func(ctx context.Context, id string) error { return d.unstage(ctx, activation.RunID(id)) }},
	}
}

// dueTargets copies the highest change numbers from the data plane and lists
// the targets that want a run.
func (d *Delivery) dueTargets(ctx context.Context, limit int) ([]activation.Work, error) {
	if err := d.raiseAudiences(ctx); err != nil {
		return nil, err
	}
	if err := d.raiseStreams(ctx); err != nil {
		return nil, err
	}
	if err := d.raiseReady(ctx); err != nil {
		return nil, err
	}
	if d.room(ctx) != nil {
		return nil, nil //nolint:nilerr // what is due stays so; who is told is the room's affair
	}
	due, err := d.store.DueTargets(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("list due targets: %w", err)
	}
	works := make([]activation.Work, len(due))
	for i, t := range due {
		works[i] = activation.Work{Kind: KindTarget, ID: string(t.ID)}
	}
	return works, nil
}

// raiseAudiences copies the highest change numbers of audiences, and of the
// identifiers of their members.
func (d *Delivery) raiseAudiences(ctx context.Context) error {
	seq, err := d.audiences.Seq(ctx)
	if err != nil {
		return fmt.Errorf("read change numbers: %w", err)
	}
	if err := d.store.RaiseDirty(ctx, seq); err != nil {
		return fmt.Errorf("raise change numbers: %w", err)
	}
	keys, err := d.audiences.KeySeq(ctx)
	if err != nil {
		return fmt.Errorf("read change numbers of identifiers: %w", err)
	}
	if err := d.store.RaiseKeys(ctx, keys); err != nil {
		return fmt.Errorf("raise change numbers of identifiers: %w", err)
	}
	return nil
}

// open is step 1 for a target that is due.
func (d *Delivery) open(ctx context.Context, id activation.TargetID) error {
	t, err := d.store.Target(ctx, id)
	if err != nil {
		return err
	}
	early, err := d.tooEarly(ctx, t)
	if err != nil || early {
		return err
	}
	_, err = d.openRun(ctx, t, "")
	if activation.KindOf(err) == activation.Invalid { // its job was moved meanwhile
		return fmt.Errorf("%w: %w", activation.ErrConflict, err)
	}
	return err
}

// tooEarly reports whether the network wants more time between two runs of a
// target. A provider that cannot be built does not hold a run back: it fails
// there, visibly.
func (d *Delivery) tooEarly(ctx context.Context, t activation.Target) (bool, error) {
	dest, err := d.store.Destination(ctx, t.Destination)
	if err != nil {
		return false, err
	}
	_, def, err := d.providers(ctx, dest, t.Workflow)
	if err != nil || t.LastOpenedAt.IsZero() {
		return false, nil //nolint:nilerr // see above
	}
	return d.now().Before(t.LastOpenedAt.Add(def.MinInterval)), nil
}

// openRun opens a run of a target. cause says who asks for it; empty: the target
// is due by itself.
func (d *Delivery) openRun(ctx context.Context, t activation.Target, cause activation.Cause) (activation.Run, error) {
	p, err := d.purposeOf(ctx, t, cause)
	if err != nil {
		return activation.Run{}, err
	}
	return d.openFor(ctx, t, p)
}

// openFor opens a run of a target for a purpose.
func (d *Delivery) openFor(ctx context.Context, t activation.Target, p purpose) (r activation.Run, err error) {
	if err := d.room(ctx); err != nil {
		return activation.Run{}, err
	}
	err = d.around(ctx, BeforeOpen, AfterOpen, func() (err error) {
		r, err = d.store.OpenRun(ctx, activation.Run{Target: t.ID, SyncType: p.sync, TriggeredBy: p.by, Cause: p.cause, Mode: p.mode})
		return err
	})
	if err != nil {
		return activation.Run{}, fmt.Errorf("open a run: %w", err)
	}
	d.wake(KindRun, string(r.ID))
	return r, nil
}

// dueRuns lists the runs to be worked on, each under the lease of its
// destination's authorization.
func (d *Delivery) dueRuns(ctx context.Context, limit int) ([]activation.Work, error) {
	runs, err := d.store.OpenRuns(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("list open runs: %w", err)
	}
	works := make([]activation.Work, 0, len(runs))
	leases := map[activation.DestinationID]string{}
	for _, r := range runs {
		lease, ok := leases[r.Destination]
		if !ok {
			dest, err := d.store.Destination(ctx, r.Destination)
			if err != nil { // the others go on
				d.log.ErrorContext(ctx, "reading the destination of a run", "run_id", r.ID, "error", err)
				continue
			}
			lease = leaseOf(dest)
			leases[r.Destination] = lease
		}
		works = append(works, activation.Work{Kind: KindRun, ID: string(r.ID), Lease: lease})
	}
	return works, nil
}

// leaseOf names the account whose runs are worked on by one node at a time.
// Destinations without an authorization have nothing in common.
func leaseOf(d activation.Destination) string {
	if d.Authorization == "" {
		return "destination:" + string(d.ID)
	}
	return "auth:" + string(d.Authorization)
}

// dueAudiences lists the audiences that this node has not looked at for
// Settings.Reevaluate.
func (d *Delivery) dueAudiences(ctx context.Context, limit int) ([]activation.Work, error) {
	seq, err := d.audiences.Seq(ctx)
	if err != nil {
		return nil, fmt.Errorf("list audiences: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var works []activation.Work
	for id := range seq {
		if len(works) < limit && d.now().Sub(d.evaluated[id]) >= d.set.Reevaluate {
			works = append(works, activation.Work{Kind: KindEvaluate, ID: string(id), Lease: "warehouse:evaluate"})
		}
	}
	return works, nil
}

// evaluate brings a time-dependent audience in step; the changes it finds make
// its targets due like any others.
func (d *Delivery) evaluate(ctx context.Context, id activation.AudienceID) error {
	now := d.now()
	timed, err := d.audiences.TimeDependent(ctx, id)
	if err == nil && timed {
		err = d.audiences.Evaluate(ctx, id, now)
	}
	if err != nil {
		return fmt.Errorf("evaluate audience %q: %w", id, err)
	}
	d.mu.Lock()
	d.evaluated[id] = now
	d.mu.Unlock()
	if timed {
		d.wake(KindTarget, "")
	}
	return nil
}

// dueUnstage lists the runs whose staged rows may go.
func (d *Delivery) dueUnstage(ctx context.Context, limit int) ([]activation.Work, error) {
	runs, err := d.store.UnstageableRuns(ctx, d.now().Add(-d.set.KeepRows), min(limit, 100))
	if err != nil {
		return nil, fmt.Errorf("list runs to unstage: %w", err)
	}
	works := make([]activation.Work, len(runs))
	for i, id := range runs {
		works[i] = activation.Work{Kind: KindUnstage, ID: string(id), Lease: "warehouse:unstage"}
	}
	return works, nil
}

// unstage drops the staged rows of a run, then notes it: a crash in between
// drops nothing a second time.
func (d *Delivery) unstage(ctx context.Context, id activation.RunID) error {
	if err := d.forgetReleased(ctx, id); err != nil {
		return err
	}
	runs := []activation.RunID{id}
	if err := d.ledger.Unstage(ctx, runs); err != nil {
		return fmt.Errorf("drop the staged rows of run %q: %w", id, err)
	}
	return d.store.MarkUnstaged(ctx, runs)
}
