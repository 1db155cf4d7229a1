package catalog

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/usher"
	"usher/internal/schedule"
)

// JobSpec is what people declare of a job: everything but what becomes of it.
type JobSpec struct {
	// Workflow in kebab or snake case; it can't change later.
	Workflow    string
	Name        string
	Description string
	// Destination and Audiences (ids or slugs) are an export's.
	Destination activation.DestinationID
	Audiences   []string
	// Exclude are audiences (ids or slugs) whose members an export leaves out.
	Exclude []string
	// Level of the next-best-action hierarchy is sent instead of Audiences: those
	// of its actions, as they come and go.
	Level activation.Level
	// Stream feeds an export of raw events, which has no audiences.
	Stream string
	// Authorizations are those of a job without a destination. An export may
	// name its destination's.
	Authorizations []activation.AuthorizationID
	// Config holds the workflow's declared settings. A secret one that holds
	// Redacted keeps what is stored.
	Config map[string]string
	activation.Schedule
	activation.Reach
	// FailAfter and StallAfter are at least a minute; 0 = the default.
	FailAfter, StallAfter  time.Duration
	OnEnd                  activation.OnEnd
	Tag                    string
	Hidden, VerboseLogging bool
}

// Redacted stands for a stored secret, wherever settings are shown.
const Redacted = "redacted"

// Once is the Idempotency-Key of a creation: the same person, key and digest of
// the request within a day creates nothing a second time.
type Once = activation.Once

// SpecOf returns a job as it is declared.
func SpecOf(j activation.Job) JobSpec {
	audiences := j.Audiences
	if j.Level != "" {
		audiences = nil // they follow from the level
	}
	return JobSpec{
		Workflow: j.Workflow, Name: j.Name, Description: j.Description, Destination: j.Destination, Audiences: texts(audiences), Exclude: texts(j.Exclude), Level: j.Level, Stream: j.Stream,
		Authorizations: j.Authorizations, Config: j.Config, Schedule: j.Schedule, Reach: j.Reach, FailAfter: j.FailAfter, StallAfter: j.StallAfter,
		OnEnd: j.OnEnd, Tag: j.Tag, Hidden: j.Hidden, VerboseLogging: j.VerboseLogging,
	}
}

func texts(ids []activation.AudienceID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

// CreateJob checks and stores a job; it is due at once, or at its time of day.
// The error names every wrong field.
func (c *Catalog) CreateJob(ctx context.Context, spec JobSpec, user string) (activation.Job, error) {
	return c.CreateJobOnce(ctx, spec, user, Once{})
}

// CreateJobOnce is CreateJob with an Idempotency-Key: a repetition returns the
// job that the first request made. The key for another request is Invalid.
func (c *Catalog) CreateJobOnce(ctx context.Context, spec JobSpec, user string, once Once) (activation.Job, error) {
	spec, made, err := c.sealSettings(ctx, spec, user)
	if err != nil {
		return activation.Job{}, err
	}
	j, err := c.checkJob(ctx, spec, nil, user)
	if err != nil {
		return c.unlessUsed(ctx, made, activation.Job{}, user, err)
	}
	j.CreatedBy = user
	j, err = c.Store.CreateJobOnce(ctx, j, once)
	return c.unlessUsed(ctx, made, j, user, err)
}

// CheckJob says everything that is wrong with a declaration of a new job, and
// returns the job it would be. Nothing is stored.
func (c *Catalog) CheckJob(ctx context.Context, spec JobSpec) (activation.Job, error) {
	return c.checkJob(ctx, spec, nil, "")
}

// UpdateJob replaces the declaration of a job. Its workflow and destination stay;
// settings take effect at the next run.
func (c *Catalog) UpdateJob(ctx context.Context, id activation.JobID, spec JobSpec, user string) (activation.Job, error) {
	before, err := c.Store.Job(ctx, id)
	if err != nil {
		return activation.Job{}, err
	}
	j, err := c.checkJob(ctx, spec, &before, user)
	if err != nil {
		return activation.Job{}, err
	}
	j.ID = id
	if err := c.Store.UpdateJob(ctx, j, user); err != nil {
		return activation.Job{}, err
	}
	return c.Store.Job(ctx, id)
}

// DeleteJob ends a job for good and hides it; its name is free again. How far it
// has read, and whom it has asked about, is forgotten.
func (c *Catalog) DeleteJob(ctx context.Context, id activation.JobID, user string) error {
	if err := c.Store.DeleteJob(ctx, id, user); err != nil || c.Forget == nil {
		return err
	}
	if err := c.Forget(ctx, id); err != nil {
		c.Log.WarnContext(ctx, "what a deleted job has read is forgotten when the job is purged", "job_id", id, "error", err)
	}
	return nil
}

// checkJob makes a job of a declaration; before is what it changes, nil for a
// new one.
func (c *Catalog) checkJob(ctx context.Context, spec JobSpec, before *activation.Job, user string) (activation.Job, error) {
	workflow, def, err := c.Workflow(spec.Workflow)
	if err != nil {
		return activation.Job{}, err
	}
	var p problems
	p.name("name", spec.Name)
	if len(spec.Description) > 2000 {
		p.add("description", "is longer than 2,000 bytes")
	}
	if len(spec.Tag) > 200 {
		p.add("tag", "is longer than 200 bytes")
	}
	if before != nil {
		if before.Workflow != workflow.Name {
			p.add("workflow", "can't be changed; create another job")
		}
		if spec.Destination != before.Destination {
			p.add("destination_id", "can't be changed; create another job")
		}
		if spec.Stream != before.Stream {
			p.add("stream", "can't be changed: how far its events are sent belongs to the job; create another one")
		}
		spec.Config = keepSecrets(workflow.Fields, spec.Config, before.Config)
	}
	if workflow.Direction == provider.Editing {
		spec.Config = nil // the account's, see ofPublisher
	}
	j := activation.Job{
		Name: strings.TrimSpace(spec.Name), Description: spec.Description, Workflow: workflow.Name, Provider: def.Name, Type: string(workflow.Direction),
		Destination: spec.Destination, Config: p.check("config.", workflow.Fields, spec.Config), Reach: spec.Reach,
		FailAfter: spec.FailAfter, StallAfter: spec.StallAfter, OnEnd: spec.OnEnd, Tag: spec.Tag, Hidden: spec.Hidden, VerboseLogging: spec.VerboseLogging,
	}
	j.Schedule = p.schedule(spec.Schedule, workflow, c.Now(), before)
	p.times(spec)
	p.reach(spec, workflow)
	var agreed map[string]string
	if before != nil {
		agreed = before.Config
	}
	agree(workflow.Fields, j.Config, spec.Config, agreed, user, c.Now())
	switch workflow.Direction {
	case provider.Export:
		err = c.checkExport(ctx, &p, &j, spec, workflow, def)
	case provider.Editing:
		p.ofPublisher(&j, before)
	default:
		err = c.checkStandalone(ctx, &p, &j, spec, workflow, def)
	}
	if err == nil {
		err = p.err("JOB-BADREQ-002")
	}
	if err != nil {
		return activation.Job{}, err
	}
	return j, nil
}

// keepSecrets puts the stored secrets where a declaration says Redacted.
func keepSecrets(fields []provider.Field, given, stored map[string]string) map[string]string {
	out := make(map[string]string, len(given))
	for k, v := range given {
		out[k] = v
	}
	for _, f := range fields {
		if f.Secret && out[f.Name] == Redacted {
			out[f.Name] = stored[f.Name]
		}
	}
	return out
}

// schedule checks when a job runs.
func (p *problems) schedule(s activation.Schedule, w provider.Workflow, now time.Time, before *activation.Job) activation.Schedule {
	if s.Frequency == "" {
		s.Frequency = activation.Realtime
		if !w.RealTime {
			s.Frequency = "daily"
		}
	}
	switch {
	case s.DropQuiet && w.Kind != provider.Event:
		p.add("drop_events_during_quiet_window", "goes with event workflows only; an audience is brought in step after the window")
	case s.DropQuiet && s.QuietTimeOfDay == "":
		p.add("drop_events_during_quiet_window", "goes with a quiet window; give quiet_time_of_day and quiet_period")
	}
	s, wrong := schedule.Normalize(s)
	for _, one := range wrong {
		p.add(one.Field, "%s", one.Message)
	}
	if len(wrong) > 0 {
		return s
	}
	switch {
	case s.RealTime() && !w.RealTime:
		p.add("run_frequency", "this workflow has no real time; give a schedule such as daily")
	case s.Continuous && !s.RealTime() && !w.Scheduled:
		p.add("run_frequency", "this workflow runs in real time only")
	case !s.Continuous && !w.Once:
		p.add("continuous_update", "this workflow has no end; it must be true")
	}
	if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now) && (before == nil || !before.ExpiresAt.Equal(s.ExpiresAt)) {
		p.add("expires_at", "is over already")
	}
	return s
}

// times checks how long a job tries.
func (p *problems) times(s JobSpec) {
	for field, d := range map[string]time.Duration{"fail_after": s.FailAfter, "stall_after": s.StallAfter} {
		if d != 0 && (d < time.Minute || d > 30*24*time.Hour) {
			p.add(field, "must be between 1m and 720h")
		}
	}
	if s.OnEnd != "" && !slices.Contains(activation.OnEnds, s.OnEnd) {
		p.add("on_end", "must be keep, empty or delete")
	}
}

// limitFrequencies are the periods of a user_limit; "" is each run.
var limitFrequencies = []string{"", "hourly", "daily", "weekly", "monthly"}

// reach checks whom an export sends.
func (p *problems) reach(s JobSpec, w provider.Workflow) {
	if w.Direction != provider.Export && s.Reach != (activation.Reach{}) {
		p.add("withbackfill", "only exports have withbackfill, backfill_only, user_limit and holdout_percent")
		return
	}
	switch h := s.HoldoutPercent; {
	case h == 0:
	case w.Kind == provider.Event:
		p.add("holdout_percent", "goes with audiences; this workflow sends events")
	case !(h > 0 && h < 100) || math.Round(h*100) != h*100:
		p.add("holdout_percent", "must be from 0 to below 100, with at most two decimals")
	}
	if s.SkipBackfill && s.BackfillOnly {
		p.add("backfill_only", "can't go with withbackfill false: nobody would be sent")
	}
	if s.UserLimit < 0 {
		p.add("user_limit", "must be 0 (no limit) or more")
	}
	switch {
	case !slices.Contains(limitFrequencies, s.UserLimitFrequency):
		p.add("user_limit_frequency", "must be hourly, daily, weekly or monthly, or left out for each run")
	case s.UserLimitFrequency != "" && s.UserLimit == 0:
		p.add("user_limit_frequency", "goes with a user_limit")
	}
}

// checkExport checks what a job sends, and where.
func (c *Catalog) checkExport(ctx context.Context, p *problems, j *activation.Job, spec JobSpec, workflow provider.Workflow, def provider.Definition) error {
	d, err := c.Store.Destination(ctx, spec.Destination)
	switch {
	case errors.Is(err, activation.ErrNotFound):
		p.add("destination_id", "no such destination")
	case err != nil:
		return err
	case d.Provider != def.Name:
		p.add("destination_id", "is a destination of %s, and this workflow needs one of %s", d.Provider, def.Name)
	case len(spec.Authorizations) > 0 && !slices.Equal(spec.Authorizations, []activation.AuthorizationID{d.Authorization}):
		p.add("auth_ids", "an export uses its destination's authorization; leave it out")
	}
	if workflow.Fits != nil && err == nil {
		p.unfit(workflow.Fits(j.Config, d.Mapping))
	}
	if spec.OnEnd == activation.EndDelete && !def.Deletes {
		p.add("on_end", "%s offers no deletion of audiences; choose keep or empty", def.Title)
	}
	if workflow.Kind == provider.Event {
		if spec.OnEnd != "" && spec.OnEnd != activation.EndKeep {
			p.add("on_end", "what was sent as an event stays sent; choose keep")
		}
		if err := c.checkEvents(ctx, p, j, spec, workflow); err != nil {
			return err
		}
	} else if spec.Stream != "" {
		p.add("stream", "this workflow sends audiences; leave it out")
	}
	if workflow.Feed == provider.FeedStream {
		if len(spec.Exclude) > 0 || spec.Level != "" {
			p.add("exclude", "goes with audiences; this workflow sends the events of a stream")
		}
		return nil
	}
	if workflow.Kind == provider.Event && len(spec.Exclude) > 0 {
		p.add("exclude", "goes with workflows that keep audiences; this one sends people entering and leaving")
	}
	if j.Exclude, err = c.excluded(ctx, p, spec); err != nil {
		return err
	}
	if spec.Level != "" {
		return c.levelAudiences(ctx, p, j, spec, workflow, def)
	}
	if len(spec.Audiences) == 0 {
		p.add("segment_ids", "at least one audience is needed, or a level of the next-best-action hierarchy")
	}
	j.Audiences, err = c.named(ctx, p, "segment_ids", spec.Audiences, func(i int, a activation.Audience) {
		p.publicAudience(def, i, a)
		if slices.Contains(j.Exclude, a.ID) {
			p.add("exclude", "the audience %q is sent by the job itself", a.Slug)
		}
	})
	return err
}

// excluded finds the audiences that a job leaves out.
func (c *Catalog) excluded(ctx context.Context, p *problems, spec JobSpec) ([]activation.AudienceID, error) {
	return c.named(ctx, p, "exclude", spec.Exclude, func(int, activation.Audience) {})
}

// named finds the audiences of a list, each once; check sees those that are
// there.
func (c *Catalog) named(ctx context.Context, p *problems, field string, list []string, check func(int, activation.Audience)) (out []activation.AudienceID, err error) {
	for i, s := range list {
		a, err := c.Audience(ctx, s)
		switch {
		case errors.Is(err, activation.ErrNotFound), err == nil && a.Kind == activation.KindRetired:
			p.add(field, "number %d of the list is no audience", i+1)
		case err != nil:
			return nil, err
		case slices.Contains(out, a.ID):
			p.add(field, "number %d of the list is there twice", i+1)
		default:
			check(i, a)
			out = append(out, a.ID)
		}
	}
	return out, nil
}

// unfit adds what a workflow says of its settings, once: a setting that is wrong
// already is not named again.
func (p *problems) unfit(err error) {
	var e *activation.Error
	if !errors.As(err, &e) {
		return
	}
	field := "config." + e.Field
	if strings.HasPrefix(e.Field, "mapping") { // which is the destination's
		field = "destination_id"
	}
	if !slices.ContainsFunc(*p, func(one problem) bool { return one.field == field }) {
		p.add(field, "%s", e.Message)
	}
}

// ofPublisher checks a job of a publisher account, which comes and goes with it: what
// it does, with what and when is the account's.
func (p *problems) ofPublisher(j, before *activation.Job) {
	if before == nil {
		p.add("workflow", "comes with a publisher account; link one instead")
		return
	}
	j.Config, j.Authorizations, j.Schedule = before.Config, before.Authorizations, before.Schedule
}

// checkStandalone checks a job that has no destination.
func (c *Catalog) checkStandalone(ctx context.Context, p *problems, j *activation.Job, spec JobSpec, workflow provider.Workflow, def provider.Definition) error {
	if spec.Destination != "" {
		p.add("destination_id", "only exports have a destination")
	}
	if len(spec.Audiences) > 0 {
		p.add("segment_ids", "only exports have audiences")
	}
	if len(spec.Exclude) > 0 {
		p.add("exclude", "only exports leave audiences out")
	}
	if spec.Level != "" {
		p.add("level", "only exports have one beside their settings; the level of a decision is config.level")
	}
	if spec.OnEnd != "" && spec.OnEnd != activation.EndKeep {
		p.add("on_end", "only exports leave something at their end")
	}
	if len(spec.Authorizations) == 0 && !def.NoAuth() {
		p.add("auth_ids", "an authorization of %s is needed", def.Name)
	}
	for i, id := range spec.Authorizations {
		a, err := c.Store.Authorization(ctx, id)
		switch {
		case errors.Is(err, activation.ErrNotFound):
			p.add("auth_ids", "number %d of the list is no authorization", i+1)
		case err != nil:
			return err
		case a.Provider != def.Name:
			p.add("auth_ids", "number %d of the list belongs to %s, not %s", i+1, a.Provider, def.Name)
		}
	}
	if workflow.Name == usher.Workflow && j.Config[usher.LevelField] != "" {
		h, err := c.Store.Hierarchy(ctx)
		if err != nil {
			return err
		}
		p.level("config."+usher.LevelField, h, activation.Level(j.Config[usher.LevelField]))
	}
	if j.Type == string(provider.Alerting) {
		p.alertRule(j.Config)
	}
	j.Authorizations = spec.Authorizations
	return nil
}

// Command tells a job to pause (for a while where d > 0), resume, bounce or end,
// and returns it as it is then.
func (c *Catalog) Command(ctx context.Context, id activation.JobID, command activation.JobCommand, d time.Duration, user string) (activation.Job, error) {
	var err error
	switch command {
	case activation.CommandPause:
		err = c.Store.Pause(ctx, id, d, user)
	case activation.CommandResume:
		err = c.Store.Resume(ctx, id, user)
	case activation.CommandBounce:
		err = c.Store.Bounce(ctx, id, user)
	case activation.CommandKill:
		err = c.Store.Kill(ctx, id, user)
	case activation.CommandRun:
		err = c.Store.RunNow(ctx, id, user)
	}
	if err != nil {
		return activation.Job{}, err
	}
	return c.Store.Job(ctx, id)
}
