package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// Pushed is what of the past goes to one target.
type Pushed struct {
	Target activation.TargetID `json:"target_id"`
	// Run sends it; its id is empty in a dry run, and where Withheld says why none
	// was opened.
	Run activation.Run `json:"run"`
	// Counts are what the run would send, as DryRun counts it.
	Counts   activation.Counts `json:"counts"`
	Withheld string            `json:"withheld,omitempty"`
}

// nothingThen is why no run is opened where a period holds nothing to be sent.
const nothingThen = "nothing of the period is to be sent"

// Push sends the conversions of a period that came before the jobs began, to all
// targets of conversions at a destination. It counts first; dry, it does nothing
// else. What the network takes no more for its age is counted as omitted. No part
// of the past is sent twice: where an earlier push or an open run is in the way,
// the target says so, and where that goes for all of them the answer is
// ErrConflict.
func (d *Delivery) Push(ctx context.Context, id activation.DestinationID, period activation.Period, dry bool, user string) ([]Pushed, error) {
	if err := checkPeriod(period, d.now()); err != nil {
		return nil, err
	}
	dest, err := d.store.Destination(ctx, id)
	if err != nil {
		return nil, err
	}
	targets, err := d.conversionTargets(ctx, dest)
	if err != nil {
		return nil, err
	}
	var out []Pushed
	var busy []error
	for _, t := range targets {
		p, err := d.push(ctx, t, dest, period, dry, user)
		if errors.Is(err, activation.ErrConflict) {
			busy = append(busy, err)
			p.Withheld, err = activation.SafeMessage(err), nil
		}
		if err != nil {
			return out, fmt.Errorf("push to target %q: %w", t.ID, err)
		}
		out = append(out, p)
	}
	if len(busy) == len(targets) {
		return nil, errors.Join(busy...)
	}
	return out, nil
}

// checkPeriod names the field that is wrong.
func checkPeriod(p activation.Period, now time.Time) error {
	wrong := func(field, message string) error {
		return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: field + ": " + message}
	}
	switch {
	case p.From.IsZero():
		return wrong("from", "say when the period begins, such as 2026-01-31T00:00:00Z")
	case p.Until.IsZero():
		return wrong("to", "say when the period ends, such as 2026-02-28T00:00:00Z")
	case p.From.After(now):
		return wrong("from", "the period must not begin in the future")
	case !p.Until.After(p.From):
		return wrong("to", "the period must end after it begins")
	case p.Until.After(now):
		return wrong("to", "the period must not end in the future")
	}
	return nil
}

// conversionTargets lists the targets of a destination to which conversions are
// sent from a stream.
func (d *Delivery) conversionTargets(ctx context.Context, dest activation.Destination) ([]activation.Target, error) {
	all, err := d.store.TargetsOf(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	var out []activation.Target
	for _, t := range all {
		if t.Destination != dest.ID || t.Stream == "" || t.Job == "" || t.Release != "" {
			continue
		}
		_, def, err := d.providers(ctx, dest, t.Workflow)
		if err != nil {
			return nil, err
		}
		if w, ok := def.Workflow(t.Workflow); ok && w.Kind == provider.Event && w.SyncType == activation.SyncOfflineConversion {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		return nil, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "destination_id", Message: "destination_id: no job sends conversions to this destination; create one first"}
	}
	return out, nil
}

// push counts what a period holds for a target, and opens the run that sends it.
func (d *Delivery) push(ctx context.Context, t activation.Target, dest activation.Destination, period activation.Period, dry bool, user string) (Pushed, error) {
	p := Pushed{Target: t.ID}
	job, err := d.store.Job(ctx, t.Job)
	if err != nil {
		return p, err
	}
	if over(job, d.now()) || job.State == activation.JobCompleted {
		return p, conflict("the job of this target is %s", job.State)
	}
	_, def, err := d.providers(ctx, dest, t.Workflow)
	if err != nil {
		return p, err
	}
	r := activation.Run{ID: activation.NewID[activation.RunID](), Target: t.ID, Mode: activation.ModeHistory, Period: period}
	req, err := d.eventRequest(ctx, r, t, dest, job, def)
	if err != nil {
		return p, err
	}
	plan, err := d.events.DryRunEvents(ctx, req)
	if err != nil {
		return p, fmt.Errorf("count events: %w", err)
	}
	p.Counts = plan.Counts
	switch {
	case plan.Counts.Staged == 0:
		p.Withheld = nothingThen
		return p, nil
	case dry:
		return p, nil
	}
	if err := d.room(ctx); err != nil {
		return p, err
	}
	err = d.around(ctx, BeforeOpen, AfterOpen, func() (err error) {
		p.Run, err = d.store.OpenPush(ctx, t.ID, period, user)
		return err
	})
	if err != nil {
		return p, err
	}
	d.wake(KindRun, string(p.Run.ID))
	return p, nil
}

// ofPeriod makes a request for the events of a run one for those of its period.
// They are staged once and all of them: no later run would carry what this one
// leaves.
func ofPeriod(req warehouse.EventRequest, p activation.Period) warehouse.EventRequest {
	req.Period = p
	req.Limit, req.Allowance, req.Drop, req.Again, req.Wait = 0, nil, nil, nil, false
	return req
}
