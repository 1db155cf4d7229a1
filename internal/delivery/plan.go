package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// plan is steps 2 to 4: it plans, stages, asks the removal guard and queues. A
// crash before the items are stored has it done again from the start; so has an
// approval, because what was planned before it may be days old.
func (x *execution) plan(ctx context.Context) error {
	leave, err := x.line.enter(func() (func(), error) { return enter(ctx, x.d.plans) })
	if err != nil {
		return err
	}
	p, err := x.prepare(ctx)
	leave()
	if err != nil {
		return x.fail(ctx, err)
	}
	a := guardPass
	if !x.ofEvents && p.Counts.Remove > 0 {
		facts, err := x.d.guard(ctx, x.run, p)
		if err != nil {
			return x.fail(ctx, err)
		}
		a = facts.answer()
	}
	if x.replaces() {
		if err := x.mayBegin(ctx, p, a); err != nil || x.halt == haltCalledOff {
			return err
		}
	}
	if a == guardAsk {
		return x.askApproval(ctx)
	}
	err = x.queue(ctx, p, a == guardWithhold)
	return x.fail(ctx, err)
}

// prepare is steps 2 and 3.
func (x *execution) prepare(ctx context.Context) (warehouse.Plan, error) {
	if err := x.begin(ctx); err != nil {
		return warehouse.Plan{}, err
	}
	return x.stage(ctx)
}

// begin fixes the run's now and key set and stores them.
func (x *execution) begin(ctx context.Context) error {
	now := x.d.now()
	if x.run.Release == "" && x.run.Audience != "" {
		if err := x.d.freshen(ctx, []activation.AudienceID{x.run.Audience}, now); err != nil {
			return err
		}
	}
	x.run.Now, x.run.KeySet, x.run.Timings = now, x.keys.ID, nil
	x.enter(activation.StagePayload)
	return x.d.around(ctx, BeforePlan, AfterPlan, func() error { return x.d.store.SaveRun(ctx, x.run) })
}

// freshen brings those audiences in step whose rules use date math.
func (d *Delivery) freshen(ctx context.Context, audiences []activation.AudienceID, now time.Time) error {
	for _, id := range audiences {
		timed, err := d.audiences.TimeDependent(ctx, id)
		if err == nil && timed {
			err = d.audiences.Evaluate(ctx, id, now)
		}
		if err != nil {
			return fmt.Errorf("evaluate audience %q: %w", id, err)
		}
	}
	return nil
}

// stage plans and stages in the data plane. What the network still owes is read
// before the ledger: an answer that comes in between is then in one of them.
func (x *execution) stage(ctx context.Context) (warehouse.Plan, error) {
	if x.ofEvents {
		return x.stageEvents(ctx)
	}
	req, err := x.d.planRequest(ctx, x.run, x.target, x.def, x.keys)
	if err != nil {
		return warehouse.Plan{}, err
	}
	if err := x.d.freshen(ctx, slices.Concat(req.Exclude, req.Above), x.run.Now); err != nil {
		return warehouse.Plan{}, err
	}
	if x.run.Generation > 1 {
		if err := x.d.ledger.Reset(ctx, x.run.Target, x.run.Generation); err != nil {
			return warehouse.Plan{}, fmt.Errorf("forget older generations: %w", err)
		}
	}
	var p warehouse.Plan
	for tries := 1; ; tries++ {
		err = x.d.around(ctx, BeforeStage, AfterStage, func() (err error) {
			p, err = x.d.ledger.Stage(ctx, req, x.staging(ctx))
			return err
		})
		if err != nil {
			return p, fmt.Errorf("stage: %w", err)
		}
		if !overtaken(req, p) || tries == mostPlans {
			break
		}
	}
	resent := x.run.Counts.Resent
	x.run.Counts, x.run.Seq, x.run.StagedAt = p.Counts, p.Seq, x.d.now()
	x.run.Counts.Resent = resent
	return p, planLaws(p)
}

// mostPlans is how often a plan is made anew because it was overtaken.
const mostPlans = 3

// overtaken reports whether much of the audience came while the plan was made
// and was left to the next run, which in real time is a minute away: somebody
// has just loaded the people this run is for. A run that moves keys leaves to the
// next one whoever has none to move, and one that forgets everybody else.
func overtaken(req warehouse.PlanRequest, p warehouse.Plan) bool {
	return len(req.Awaiting) == 0 && !req.KeysOnly && !req.Forget && p.Counts.Deferred*10 > p.Counts.Eligible
}

// staging returns the callback that stores each stage as it begins; a store
// that fails here is found out by the next write.
func (x *execution) staging(ctx context.Context) func(activation.Stage) {
	return func(s activation.Stage) {
		if s == x.run.Stage {
			return
		}
		x.enter(s)
		if err := x.d.store.SaveRun(ctx, x.run); err != nil {
			x.log.WarnContext(ctx, "storing the stage", "stage", string(s), "error", err)
		}
	}
}

// planLaws checks the laws that hold from the plan on: of the people, and that
// the segments are the staged rows.
func planLaws(p warehouse.Plan) error {
	var rows int64
	for _, s := range p.Segments {
		rows += s.Last - s.First + 1
	}
	c := p.Counts
	c.Unsent = rows
	c.InAfter = c.InBefore
	return c.CheckLaws()
}

// queue is step 4.
func (x *execution) queue(ctx context.Context, p warehouse.Plan, withhold bool) error {
	rows := rowsPerItem(x.def, x.keys.Keys, x.d.set.ItemRows)
	items, withheld := cut(x.run.ID, p.Segments, rows, withhold)
	x.run.Counts.Withheld = withheld
	stage, timings := x.run.Stage, x.run.Timings
	x.enter(activation.StageQueue)
	err := x.d.around(ctx, BeforeQueue, AfterQueue, func() error { return x.d.store.QueueItems(ctx, x.run, items) })
	if err != nil {
		x.run.Stage, x.run.Timings = stage, timings // not queued: the run is still in the stage before
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// enter begins a stage, which ends the one before it.
func (x *execution) enter(s activation.Stage) {
	now := x.d.now()
	timings := make([]activation.Timing, 0, len(x.run.Timings)+1)
	timings = append(timings, x.run.Timings...)
	if n := len(timings); n > 0 && timings[n-1].EndedAt.IsZero() {
		timings[n-1].EndedAt = now
	}
	x.run.Stage = s
	x.run.Timings = append(timings, activation.Timing{Stage: s, StartedAt: now})
}

// endTimings ends the stage under way.
func (x *execution) endTimings() {
	if n := len(x.run.Timings); n > 0 && x.run.Timings[n-1].EndedAt.IsZero() {
		timings := append([]activation.Timing(nil), x.run.Timings...)
		timings[n-1].EndedAt = x.d.now()
		x.run.Timings = timings
	}
}

// askApproval makes the run wait for a person and gives the target back.
func (x *execution) askApproval(ctx context.Context) error {
	x.endTimings()
	c := &x.run.Counts
	c.Unsent, c.InAfter = c.Staged, c.InBefore // so it stays, unless somebody approves
	x.log.InfoContext(ctx, "the removal guard waits for approval", "removals", x.run.Counts.Remove)
	if err := x.d.around(ctx, BeforeGuard, AfterGuard, func() error { return x.d.store.AwaitApproval(ctx, x.run) }); err != nil {
		return err
	}
	return errHandedOver
}

// errHandedOver: the run is no longer this attempt's and is where it should be.
var errHandedOver = errors.New("the run is handed over")

// planRequest is what a run's plan is made from.
func (d *Delivery) planRequest(ctx context.Context, r activation.Run, t activation.Target, def provider.Definition, keys matchkey.Set) (warehouse.PlanRequest, error) {
	awaiting, err := d.store.AwaitingItems(ctx, t.ID, t.Generation)
	if err != nil {
		return warehouse.PlanRequest{}, fmt.Errorf("list awaiting items: %w", err)
	}
	req := warehouse.PlanRequest{Run: r.ID, Target: t.ID, Generation: t.Generation, Audience: t.Audience, Keys: keys}
	for _, it := range awaiting {
		req.Awaiting = append(req.Awaiting, warehouse.Range{Run: it.Run, First: it.First, Last: it.Last})
	}
	if def.Refresh > 0 {
		req.RefreshBefore = d.now().Add(-def.Refresh)
	}
	return d.reach(ctx, r, t, req)
}

// guard gathers the facts for the removal guard. Whoever is forgotten goes
// whatever it says, and a run that only moves keys takes nobody away.
func (d *Delivery) guard(ctx context.Context, r activation.Run, p warehouse.Plan) (guardFacts, error) {
	if r.Mode == activation.ModeForget || r.Mode == activation.ModeKeys {
		return guardFacts{}, nil
	}
	now := d.now()
	f := guardFacts{Holding: p.Holding, Planned: p.Counts.Remove, Now: now, Percent: d.set.GuardPercent, MinHolding: d.set.GuardMinimum}
	var err error
	if f.Removed, err = d.store.RemovedWithin(ctx, r.Target, now.Add(-guardWindow)); err != nil {
		return f, fmt.Errorf("sum removals: %w", err)
	}
	if f.Verdict, err = d.store.LastVerdict(ctx, r.Target); err != nil {
		return f, fmt.Errorf("read the last verdict: %w", err)
	}
	f.Verdict = ownVerdict(r, f.Verdict)
	if f.RemovedSince, err = d.store.RemovedWithin(ctx, r.Target, f.Verdict.At); err != nil {
		return f, fmt.Errorf("sum removals: %w", err)
	}
	return f, nil
}
