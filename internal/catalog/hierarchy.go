package catalog

import (
	"context"
	"errors"
	"slices"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
)

// levelAudiences gives a job the audiences of the actions at its level.
func (c *Catalog) levelAudiences(ctx context.Context, p *problems, j *activation.Job, spec JobSpec, workflow provider.Workflow, def provider.Definition) error {
	if len(spec.Audiences) > 0 {
		p.add("segment_ids", "a job sends audiences by name or those of a level; leave one out")
		return nil
	}
	if workflow.Kind == provider.Event {
		p.add("level", "goes with workflows that keep audiences; this one sends people entering and leaving")
		return nil
	}
	h, err := c.Store.Hierarchy(ctx)
	if err != nil {
		return err
	}
	if !p.level("level", h, spec.Level) {
		return nil
	}
	j.Level = spec.Level
	j.Audiences = audiencesAt(h, spec.Level)
	if len(j.Audiences) == 0 {
		p.add("level", "has no action yet; add one first")
	}
	for i, id := range j.Audiences {
		a, err := c.Store.Audience(ctx, id)
		if err != nil {
			return err
		}
		p.publicAudience(def, i, a)
		if slices.Contains(j.Exclude, id) {
			p.add("exclude", "the audience %q is sent by the job itself", a.Slug)
		}
	}
	return nil
}

// level reports whether there is a level.
func (p *problems) level(field string, h activation.Hierarchy, l activation.Level) bool {
	if !h.Exists(l) {
		p.add(field, "no such level; give all, an issue, or an issue and one of its groups such as Sales/Retention offers")
		return false
	}
	return true
}

// audiencesAt lists the audiences of a level's actions, each with its negative
// one.
func audiencesAt(h activation.Hierarchy, l activation.Level) []activation.AudienceID {
	var out []activation.AudienceID
	for _, a := range h.At(l) {
		out = append(out, a.Audience, a.Negative)
	}
	return out
}

// FollowHierarchy gives every job that sends a level the audiences that are there
// now. A job whose level has no action left keeps none, one whose level is not
// there stays as it is, and one that can't follow keeps no other from it.
func (c *Catalog) FollowHierarchy(ctx context.Context, user string) error {
	h, err := c.Store.Hierarchy(ctx)
	if err != nil {
		return err
	}
	jobs, err := c.Store.Jobs(ctx, store.JobFilter{Type: string(provider.Export), Hidden: true, Limit: allJobs})
	if err != nil {
		return err
	}
	var errs []error
	for _, j := range jobs {
		if j.Level == "" || !h.Exists(j.Level) || j.State == activation.JobKilled || j.State == activation.JobCompleted {
			continue
		}
		now := audiencesAt(h, j.Level)
		if slices.Equal(now, j.Audiences) {
			continue
		}
		j.Audiences = now
		errs = append(errs, c.Store.UpdateJob(ctx, j, user))
	}
	return errors.Join(errs...)
}

// allJobs is more jobs than one server has.
const allJobs = 1_000_000
