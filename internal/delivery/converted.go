package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// convert brings the people whose events the network accepted into the audience
// of the job's conversions, which has a target of its own at the same
// destination. It comes before the run ends, so that a crash has it done again;
// neither the audience nor anybody in it is there twice.
func (x *execution) convert(ctx context.Context, p progress) error {
	c := x.converts()
	if c == nil || !x.run.Status.Final() || x.halt == haltEnded {
		return nil
	}
	rows, err := x.accepted(ctx, p)
	if err != nil || len(rows) == 0 {
		return err
	}
	err = x.bringIn(ctx, conversionAudience(c.Event(x.job.Config)), c.Workflow, rows)
	if activation.KindOf(err) == activation.Invalid || errors.Is(err, activation.ErrConflict) { // it will not be better the next time
		x.log.ErrorContext(ctx, "the conversion audience cannot be kept", "error", err)
		return nil
	}
	return err
}

// converts returns how the conversion audience of the run's job is kept; nil where
// the job wants none.
func (x *execution) converts() *provider.Converted {
	w, ok := x.def.Workflow(x.target.Workflow)
	if !ok || w.Converted == nil || !x.ofEvents || x.run.Release != "" || w.Converted.Event(x.job.Config) == "" {
		return nil
	}
	if _, wanted := w.Converted.Settings(x.job.Config); !wanted {
		return nil
	}
	return w.Converted
}

// accepted lists the items with rows that the network took, as the data plane is
// told of them.
func (x *execution) accepted(ctx context.Context, p progress) ([]warehouse.FoldItem, error) {
	receipts, err := x.d.store.Receipts(ctx, x.run.ID)
	if err != nil {
		return nil, err
	}
	var out []warehouse.FoldItem
	for _, it := range p.items {
		if rc := receiptOf(it, receipts[it.ID]); it.State == activation.ItemDelivered && rc.Accepted > 0 {
			out = append(out, foldOf(x.run, it, rc, x.d.now()))
		}
	}
	return out, nil
}

// bringIn finds or makes the audience and its target, and puts people into it.
// Whoever comes in makes the target due like any change of an audience.
func (x *execution) bringIn(ctx context.Context, a activation.Audience, workflow string, rows []warehouse.FoldItem) error {
	var t activation.Target
	err := x.d.around(ctx, BeforeConversion, AfterConversion, func() (err error) {
		t, _, err = x.d.store.ConversionTarget(ctx, x.target, a, workflow)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a conversion audience: %w", err)
	}
	if err := x.d.declare(ctx, t.Audience); err != nil {
		return err
	}
	var entered int64
	err = x.d.around(ctx, BeforeAccept, AfterAccept, func() (err error) {
		entered, err = x.d.audiences.Accept(ctx, t.Audience, rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("bring people into a conversion audience: %w", err)
	}
	if err := x.followUp(ctx, t); err != nil {
		return err
	}
	x.log.InfoContext(ctx, "people were brought into the conversion audience", "segment_id", t.Audience, "entered", entered)
	x.d.wake(KindTarget, string(t.ID))
	return nil
}

// followUp has the audience's own run follow at once where its job keeps to a
// schedule: at its next time the people would be late by a whole period.
func (x *execution) followUp(ctx context.Context, t activation.Target) error {
	if x.job.RealTime() {
		return nil
	}
	seq, err := x.d.audiences.Seq(ctx)
	if err != nil || seq[t.Audience] <= t.DoneSeq {
		return err
	}
	return x.d.store.MakeDue(ctx, []activation.TargetID{t.ID}, cmp.Or(x.run.Cause, activation.CauseSchedule))
}

// declare tells the data plane of an audience that may have been made a moment
// ago. Each process does so once for each, so that a crash in between is made good.
func (d *Delivery) declare(ctx context.Context, id activation.AudienceID) error {
	d.mu.Lock()
	done := d.declared[id]
	d.mu.Unlock()
	if done {
		return nil
	}
	if err := d.announce(ctx); err != nil {
		return fmt.Errorf("declare the audiences: %w", err)
	}
	d.mu.Lock()
	d.declared[id] = true
	d.mu.Unlock()
	return nil
}

// longestSlug is the most letters of the short name of an audience.
const longestSlug = 63

// conversionAudience is the audience of everybody whose event of that name a
// network accepted.
func conversionAudience(event string) activation.Audience {
	slug := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower("conversion-"+event))
	return activation.Audience{
		Slug: slug[:min(len(slug), longestSlug)], Name: "Conversion-" + event, Kind: activation.KindConversion,
		Description: "Everybody whose event " + event + " a network accepted. Usher keeps it.",
	}
}

// keepsConversions returns how a target keeps the conversion audience of its job;
// nil where it does something else.
func keepsConversions(def provider.Definition, job activation.Job, t activation.Target) *provider.Converted {
	w, ok := def.Workflow(job.Workflow)
	if !ok || w.Converted == nil || t.Audience == "" || t.Workflow == job.Workflow || t.Workflow != w.Converted.Workflow {
		return nil
	}
	return w.Converted
}

// settingsOf are the settings under which a target is kept: its job's, or what
// those say about the job's conversion audience.
func settingsOf(def provider.Definition, job activation.Job, t activation.Target) map[string]string {
	if c := keepsConversions(def, job, t); c != nil {
		settings, _ := c.Settings(job.Config)
		return settings
	}
	return job.Config
}
