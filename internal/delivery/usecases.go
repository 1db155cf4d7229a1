package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// RunJob opens a run for each target of a job now. A job that does not take the
// command says in which state it is. Targets that have an open run are left
// alone; when all have, the answer is ErrConflict naming them.
func (d *Delivery) RunJob(ctx context.Context, id activation.JobID) ([]activation.Run, error) {
	job, err := d.store.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := activation.CommandRun.Check(job.State); err != nil {
		return nil, err
	}
	return d.runNow(ctx, id, "")
}

// RunAudience opens a run for each target of an audience now, as RunJob does.
func (d *Delivery) RunAudience(ctx context.Context, id activation.AudienceID) ([]activation.Run, error) {
	if _, err := d.store.Audience(ctx, id); err != nil {
		return nil, err
	}
	return d.runNow(ctx, "", id)
}

func (d *Delivery) runNow(ctx context.Context, job activation.JobID, audience activation.AudienceID) ([]activation.Run, error) {
	targets, err := d.store.TargetsOf(ctx, job, audience)
	if err != nil {
		return nil, err
	}
	var runs []activation.Run
	var busy []error
	for _, t := range targets {
		r, err := d.openRun(ctx, t, activation.CauseManual)
		switch {
		case err == nil:
			runs = append(runs, r)
		case errors.Is(err, activation.ErrConflict), activation.KindOf(err) == activation.Invalid:
			busy = append(busy, err)
		default:
			return runs, err
		}
	}
	if len(runs) == 0 {
		return nil, errors.Join(busy...)
	}
	return runs, nil
}

// RunTarget opens a run for one target now; ErrConflict names the open one.
func (d *Delivery) RunTarget(ctx context.Context, id activation.TargetID) (activation.Run, error) {
	t, err := d.store.Target(ctx, id)
	if err != nil {
		return activation.Run{}, err
	}
	return d.openRun(ctx, t, activation.CauseManual)
}

// Approve lets a run go on that waits for approval. It is planned again; people
// who have come to be removed since are covered up to one per cent.
func (d *Delivery) Approve(ctx context.Context, id activation.RunID, user string) (activation.Run, error) {
	return d.decide(ctx, id, user, d.store.Approve)
}

// Decline lets a run that waits for approval go on without its plain removals.
func (d *Delivery) Decline(ctx context.Context, id activation.RunID, user string) (activation.Run, error) {
	return d.decide(ctx, id, user, d.store.Decline)
}

// Withdraw ends a Pending run nothing of which was sent.
func (d *Delivery) Withdraw(ctx context.Context, id activation.RunID, user string) (activation.Run, error) {
	return d.decide(ctx, id, user, d.store.Withdraw)
}

// Retry sends the failed items of a failed run again; ErrConflict tells why it
// is withheld.
func (d *Delivery) Retry(ctx context.Context, id activation.RunID, user string) (activation.Run, error) {
	return d.decide(ctx, id, user, d.store.Retry)
}

func (d *Delivery) decide(ctx context.Context, id activation.RunID, user string, command func(context.Context, activation.RunID, string) error) (activation.Run, error) {
	if err := command(ctx, id, user); err != nil {
		return activation.Run{}, err
	}
	d.wake(KindRun, string(id))
	return d.store.Run(ctx, id)
}

// A Preview is what a run of a target would do now.
type Preview struct {
	Target activation.TargetID `json:"target_id"`
	Counts activation.Counts   `json:"counts"`
	// Holding is how many people the network holds by our ledger.
	Holding int64 `json:"holding"`
	// Calls is how many queue items, hence requests, it takes; Duration is an
	// estimate from the length of a call and how many go at once.
	Calls    int           `json:"calls"`
	Duration time.Duration `json:"duration"`
	// Guard is what the removal guard would say: pass, ask or withhold.
	Guard string `json:"guard"`
	// Removals are what it rests on; nil for what takes events.
	Removals *Removals `json:"removals,omitempty"`
	// Withheld is how many removals would be kept back.
	Withheld int64 `json:"withheld"`
	// Sample shows a few people of each operation, masked.
	Sample []warehouse.StagedRow `json:"sample"`
}

// Removals are the numbers that the removal guard looks at.
type Removals struct {
	// Reason is its answer in a sentence.
	Reason string `json:"reason"`
	// Removed is how many people left within the last 24 h, Planned how many more
	// would leave, Percent how many that is of those held at the beginning.
	Removed int64   `json:"removed_24h"`
	Planned int64   `json:"planned"`
	Percent float64 `json:"percent"`
	// Limit is the share that may leave without asking, Minimum how many people a
	// target must hold to be guarded.
	Limit   int64 `json:"limit_percent"`
	Minimum int64 `json:"minimum_holding"`
}

// callTime is what a call of a full batch is reckoned at for the estimate.
const callTime = 2 * time.Second

// PlanJob previews a run of each target of a job. Nothing is written.
func (d *Delivery) PlanJob(ctx context.Context, id activation.JobID) ([]Preview, error) {
	if _, err := d.store.Job(ctx, id); err != nil {
		return nil, err
	}
	targets, err := d.store.TargetsOf(ctx, id, "")
	if err != nil {
		return nil, err
	}
	previews := make([]Preview, 0, len(targets))
	for _, t := range targets {
		p, err := d.preview(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("plan target %q: %w", t.ID, err)
		}
		previews = append(previews, p)
	}
	return previews, nil
}

// PlanTarget previews a run of one target. Nothing is written.
func (d *Delivery) PlanTarget(ctx context.Context, id activation.TargetID) (Preview, error) {
	t, err := d.store.Target(ctx, id)
	if err != nil {
		return Preview{}, err
	}
	return d.preview(ctx, t)
}

func (d *Delivery) preview(ctx context.Context, t activation.Target) (Preview, error) {
	return d.previewWith(ctx, t, func(*warehouse.Plan) {})
}

// previewWith previews a run whose plan is changed by what is not planned yet.
func (d *Delivery) previewWith(ctx context.Context, t activation.Target, change func(*warehouse.Plan)) (Preview, error) {
	dest, err := d.store.Destination(ctx, t.Destination)
	if err != nil {
		return Preview{}, err
	}
	_, def, err := d.providers(ctx, dest, t.Workflow)
	if err != nil {
		return Preview{}, err
	}
	if takesEvents(def, t) {
		return d.previewEvents(ctx, t, dest, def)
	}
	keys, err := keySet(def, dest)
	if err != nil {
		return Preview{}, err
	}
	r := activation.Run{ID: activation.NewID[activation.RunID](), Target: t.ID, SyncType: activation.SyncSegment, Release: t.Release}
	req, err := d.planRequest(ctx, r, t, def, keys)
	if err != nil {
		return Preview{}, err
	}
	plan, err := d.ledger.DryRun(ctx, req)
	if err != nil {
		return Preview{}, err
	}
	change(&plan)
	facts, err := d.guard(ctx, r, plan)
	if err != nil {
		return Preview{}, err
	}
	p := summary(t.ID, plan, facts.answer(), def.Concurrency, rowsPerItem(def, keys.Keys, d.set.ItemRows))
	p.Removals = facts.removals()
	return p, nil
}

func summary(t activation.TargetID, plan warehouse.Plan, a answer, parallel int, rows int64) Preview {
	items, withheld := cut("", plan.Segments, rows, a == guardWithhold)
	rounds := (len(items) + max(1, parallel) - 1) / max(1, parallel)
	plan.Counts.Withheld = withheld
	return Preview{
		Target: t, Counts: plan.Counts, Holding: plan.Holding, Calls: len(items),
		Duration: time.Duration(rounds) * callTime, Guard: string(a), Withheld: withheld, Sample: plan.Sample,
	}
}

// keySet binds the destination's mapping to the network's rules.
func keySet(def provider.Definition, dest activation.Destination) (matchkey.Set, error) {
	keys, err := matchkey.NewSet(def.Rules(dest.Config, dest.Mapping), dest.Mapping, dest.Config[provider.CountryField])
	if err != nil {
		return keys, &activation.Error{Kind: activation.Invalid, Code: "MAPPING", Field: "mapping", Message: "the mapping of the destination does not fit its network", Err: err}
	}
	return keys, nil
}
