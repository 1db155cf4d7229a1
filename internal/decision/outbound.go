package decision

import (
	"context"
	"fmt"

	"usher/internal/activation"
	"usher/internal/pass"
	"usher/internal/provider/usher"
	"usher/internal/warehouse"
)

// Preview is what a decision for everybody at a level would do now.
type Preview struct {
	Level activation.Level `json:"level"`
	// Considered is how many people there are, Nothing how many are eligible for no
	// action; Entered and Left how many would enter an audience and leave one.
	Considered int64           `json:"considered"`
	Nothing    int64           `json:"nothing"`
	Entered    int64           `json:"entered"`
	Left       int64           `json:"left"`
	Actions    []PreviewAction `json:"actions"`
}

// PreviewAction is one action at the level, those that win first.
type PreviewAction struct {
	activation.Action
	// Path is Issue/Group/Action.
	Path string `json:"path"`
	// Chosen is how many people would be decided for it, Members how many are now.
	Chosen  int64 `json:"chosen"`
	Members int64 `json:"members"`
}

// Preview decides for everybody at a level and moves nobody.
func (d *Decisions) Preview(ctx context.Context, l activation.Level) (Preview, error) {
	out := Preview{Level: l, Actions: []PreviewAction{}}
	err := d.beside(ctx, func() error {
		h, q, err := d.askAll(ctx, l)
		if err != nil {
			return err
		}
		q.Dry = true
		done, err := d.decideAll(ctx, q)
		if err != nil {
			return err
		}
		out.Considered, out.Nothing, out.Entered, out.Left = done.Considered, done.Nothing, done.Entered, done.Left
		for _, a := range h.At(l) {
			n, err := d.Warehouse.Size(ctx, a.Audience)
			if err != nil {
				return err
			}
			out.Actions = append(out.Actions, PreviewAction{Action: a, Path: pathOf(h, a), Chosen: done.Chosen[a.Audience], Members: n})
		}
		return nil
	})
	if err != nil {
		return Preview{}, err
	}
	return out, nil
}

// DecideLevel decides for everybody at a level, and makes the targets of the
// level's audiences due. Doing it again moves nobody a second time.
func (d *Decisions) DecideLevel(ctx context.Context, l activation.Level) (done warehouse.Decided, err error) {
	err = d.beside(ctx, func() error {
		h, q, err := d.askAll(ctx, l)
		if err != nil {
			return err
		}
		if done, err = d.decideAll(ctx, q); err != nil {
			return err
		}
		if done.Entered+done.Left > 0 {
			d.Moved(ctx)
		}
		return d.makeDue(ctx, h, l)
	})
	return done, err
}

func (d *Decisions) askAll(ctx context.Context, l activation.Level) (activation.Hierarchy, warehouse.DecideRequest, error) {
	h, err := d.Store.Hierarchy(ctx)
	if err != nil {
		return h, warehouse.DecideRequest{}, err
	}
	if err := checkLevel(h, l); err != nil {
		return h, warehouse.DecideRequest{}, err
	}
	return h, d.ask(h, l), nil
}

func (d *Decisions) decideAll(ctx context.Context, q warehouse.DecideRequest) (warehouse.Decided, error) {
	if len(q.Level) == 0 { // a level without actions yet
		return warehouse.Decided{}, nil
	}
	done, err := d.Warehouse.Decide(ctx, q, nil)
	if err != nil {
		return done, fmt.Errorf("decide: %w", err)
	}
	return done, nil
}

// makeDue makes the targets due that a job sends an audience of the level to,
// positive and negative.
func (d *Decisions) makeDue(ctx context.Context, h activation.Hierarchy, l activation.Level) error {
	var audiences []activation.AudienceID
	for _, a := range h.At(l) {
		audiences = append(audiences, a.Audience, a.Negative)
	}
	targets, err := d.targetsOf(ctx, audiences)
	if err != nil {
		return err
	}
	var due []activation.TargetID
	for _, t := range targets {
		if t.Job != "" && t.Release == "" {
			due = append(due, t.ID)
		}
	}
	if len(due) == 0 {
		return nil
	}
	if err := d.Store.MakeDue(ctx, due, activation.CauseOutbound); err != nil {
		return fmt.Errorf("make targets due: %w", err)
	}
	return nil
}

// Runner does the passes of the outbound schedule.
type Runner struct{ d *Decisions }

// Runner returns what does the passes.
func (d *Decisions) Runner() *Runner { return &Runner{d} }

// Workflows names the one workflow it does.
func (*Runner) Workflows() []string { return []string{usher.Workflow} }

// Due is never true: the workflow has no real time.
func (*Runner) Due(context.Context, activation.Job) (bool, error) { return false, nil }

// The counts of a pass.
const (
	countConsidered = "considered"
	countChosen     = "chosen"
	countNothing    = "nothing"
	countEntered    = "entered"
	countLeft       = "left"
)

// Pass decides for everybody at the job's level; one that is no more is named.
func (r *Runner) Pass(ctx context.Context, job activation.Job, p pass.Progress) error {
	level := activation.Level(job.Config[usher.LevelField])
	if err := r.d.CheckLevel(ctx, level); activation.KindOf(err) == activation.Invalid {
		return &activation.Error{
			Kind: activation.Invalid, Code: codeBad, Field: "config." + usher.LevelField,
			Message: fmt.Sprintf("the level %s is not there any more; give the job another one", quoted(string(level))), Err: err,
		}
	}
	done, err := r.d.DecideLevel(ctx, level)
	if err != nil {
		return err
	}
	// A pass that is done again after a crash looks at everybody again, and moves
	// only whom the first attempt did not.
	before := p.Pass().Counts
	for name, n := range map[string]int64{countConsidered: done.Considered, countChosen: done.Considered - done.Nothing, countNothing: done.Nothing} {
		p.Count(name, n-before[name])
	}
	p.Count(countEntered, done.Entered)
	p.Count(countLeft, done.Left)
	return nil
}
