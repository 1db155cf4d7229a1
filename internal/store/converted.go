package store

import (
	"context"
	"fmt"
	"time"

	"usher/internal/activation"
)

// ConversionTarget finds or makes the conversion audience a, by its slug, and
// its target at the destination of another one, which belongs to the same job
// and is kept by the workflow. A target that another living job has is left to
// it, for the people are the same. created is true where the audience is new, so
// that the data plane is to be told of it. ErrConflict where the slug is that of
// another kind of audience, or the job is over.
func (s *Store) ConversionTarget(ctx context.Context, of activation.Target, a activation.Audience, workflow string) (activation.Target, bool, error) {
	var target activation.Target
	var created bool
	given := a
	err := s.do(ctx, func(t *tx) error {
		job, err := t.job(of.Job)
		if err != nil {
			return err
		}
		if job.Deleted || job.State == activation.JobKilled || job.State == activation.JobCompleted {
			return conflict("the job %q is over", job.Name)
		}
		job.Destination, job.Workflow = of.Destination, workflow
		a, created = given, false
		if a, created, err = t.conversionAudience(a); err != nil {
			return err
		}
		have, err := collectOne(t, scanTarget, `SELECT `+targetColumns+` FROM targets t WHERE t.destination_id = $1 AND t.audience_id = $2`+t.d.ForUpdate, of.Destination, a.ID)
		if err != nil {
			return err
		}
		id, begins, err := t.keepConverted(job, a.ID, have)
		if err != nil {
			return err
		}
		if begins {
			if err := t.sent(of.Destination, []activation.AudienceID{a.ID}); err != nil {
				return err
			}
			t.Enqueue(WakeTarget, string(id))
		}
		target, err = t.target(id)
		return err
	})
	if err != nil {
		return activation.Target{}, false, fmt.Errorf("keep a conversion audience: %w", err)
	}
	return target, created, nil
}

// conversionAudience finds an audience by its slug, or makes it.
func (t *tx) conversionAudience(a activation.Audience) (_ activation.Audience, created bool, err error) {
	have, err := collectOne(t, scanAudience, `SELECT `+audienceColumns+` FROM audiences a WHERE a.slug = $1`, a.Slug)
	switch {
	case err != nil:
		return a, false, err
	case have != nil && have.Kind != activation.KindConversion:
		return a, false, conflict("the audience %q is not one of conversions; its slug %q is in the way", have.Name, have.Slug)
	case have != nil:
		return *have, false, nil
	}
	a.Kind, a.Rule = activation.KindConversion, ""
	return a, true, t.createAudience(&a, systemUser)
}

// keepConverted makes, adopts or finds the target of a conversion audience, and
// reports whether it has only now come to the job.
func (t *tx) keepConverted(job activation.Job, audience activation.AudienceID, have *activation.Target) (id activation.TargetID, begins bool, err error) {
	if have == nil {
		id, err = t.insertTarget(job, audience)
		return id, true, orErr(err, t.beginConverted(id, job))
	}
	if have.Job == job.ID {
		if job.Once() && have.State == activation.TargetCompleted {
			return have.ID, true, t.beginConverted(have.ID, job) // its job is not over yet, and somebody comes in
		}
		return have.ID, false, nil
	}
	state, gone, err := t.jobState(have.Job)
	if err != nil || !gone && state != activation.JobKilled && state != activation.JobCompleted {
		return have.ID, false, err
	}
	if err := t.adopt(*have, job); err != nil {
		return "", false, err
	}
	return have.ID, true, t.beginConverted(have.ID, job)
}

// beginConverted has a target wait for somebody to come in: it runs for them or
// at its time, and for a job that runs once as soon as they are there.
func (t *tx) beginConverted(id activation.TargetID, job activation.Job) error {
	target, err := t.target(id)
	if err != nil {
		return err
	}
	to := next(job, t.now)
	if err := t.setRest(target, activation.NewRest(t.now, to)); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE targets SET due_at = NULL, due_cause = NULL, next_at = $1 WHERE id = $2`, at(to), id); err != nil {
		return err
	}
	if job.RealTime() || !to.IsZero() {
		return nil
	}
	return t.setDue(id, t.now.Add(time.Minute).UnixMicro(), byTarget)
}
