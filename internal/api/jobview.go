package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/schedule"
	"usher/internal/store"
)

// organisation is the account id of every answer: one organisation per server.
const organisation = "00000000000000000000000000000001"

// upcoming is how many of the next scheduled times an answer shows.
const upcoming = 5

// nameID is the id that older clients expect of something that is named in the
// code and not stored, such as a workflow.
func nameID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// jobView is a job as the API shows it.
func (a *API) jobView(j activation.Job, destinations map[activation.DestinationID]activation.Destination) client.Job {
	auths := j.Authorizations
	if d, ok := destinations[j.Destination]; ok && d.Authorization != "" {
		auths = []activation.AuthorizationID{d.Authorization}
	}
	if auths == nil {
		auths = []activation.AuthorizationID{}
	}
	audiences := j.Audiences
	if audiences == nil {
		audiences = []activation.AudienceID{}
	}
	exclude := j.Exclude
	if exclude == nil {
		exclude = []activation.AudienceID{}
	}
	return client.Job{
		ID: j.ID, AccountID: organisation, UserID: j.CreatedBy, Name: j.Name, Description: j.Description, Workflow: j.Workflow, WorkflowID: nameID(j.Workflow),
		Type: j.Type, Provider: j.Provider, Config: a.settingsOf(j), Authorizations: auths, Destination: j.Destination, Audiences: audiences, Exclude: exclude, Level: j.Level, Stream: j.Stream,
		Tag: j.Tag, Hidden: j.Hidden, Deleted: j.Deleted, VerboseLogging: j.VerboseLogging,
		Status: j.State, StatusSince: j.StateSince, SleepReason: j.SleepReason, SleepUntil: j.SleepUntil, ConsecutiveErrors: j.ConsecutiveErrors, FailingSince: j.FailingSince, StalledAt: j.StalledAt,
		Continuous: j.Continuous, Frequency: j.Frequency, TimeOfDay: j.TimeOfDay, DayOfWeek: j.DayOfWeek, Timezone: j.Timezone, Schedule: schedule.Words(j.Schedule),
		NextRun: j.NextRunAt, LastRun: j.LastRunAt, ExpiresAt: j.ExpiresAt, QuietTime: j.QuietTimeOfDay, QuietPeriod: j.QuietPeriod.Hours(), QuietTimezone: j.QuietTimezone,
		FailAfter: j.FailAfter.String(), StallAfter: j.StallAfter.String(),
		WithBackfill: !j.SkipBackfill, BackfillOnly: j.BackfillOnly, UserLimit: j.UserLimit, UserLimitFrequency: j.UserLimitFrequency, HoldoutPercent: j.HoldoutPercent, OnEnd: j.OnEnd,
		CreatedBy: j.CreatedBy, Created: j.CreatedAt, Updated: j.UpdatedAt,
	}
}

// settingsOf is the configuration of a job as JSON: the workflow's settings by
// their declared types, secrets redacted, and the shared keys.
func (a *API) settingsOf(j activation.Job) map[string]any {
	out := map[string]any{"continuous_update": j.Continuous, "run_frequency": j.Frequency}
	for key, value := range map[string]string{"time_of_day": j.TimeOfDay, "day_of_week": j.DayOfWeek, "timezone": j.Timezone} {
		if value != "" {
			out[key] = value
		}
	}
	if j.Type == string(provider.Export) {
		out["segment_ids"], out["withbackfill"], out["backfill_only"] = j.Audiences, !j.SkipBackfill, j.BackfillOnly
		if len(j.Exclude) > 0 {
			out["exclude"] = j.Exclude
		}
		if j.HoldoutPercent > 0 {
			out["holdout_percent"] = j.HoldoutPercent
		}
		if j.UserLimit > 0 {
			out["user_limit"], out["user_limit_frequency"] = j.UserLimit, j.UserLimitFrequency
		}
	}
	w, _, err := a.Catalog.Workflow(j.Workflow)
	if err != nil {
		return out // the workflow is no longer in the binary: its settings can't be told from secrets
	}
	for _, f := range w.Fields {
		if v, ok := j.Config[f.Name]; ok {
			out[f.Name] = catalog.SettingValue(f, v)
		}
	}
	return out
}

// jobViews are jobs as the API shows them, with their runtime where asked for.
func (a *API) jobViews(ctx context.Context, jobs []activation.Job, runtime bool) ([]client.Job, error) {
	all, err := a.Config.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	destinations := make(map[activation.DestinationID]activation.Destination, len(all))
	for _, d := range all {
		destinations[d.ID] = d
	}
	out := make([]client.Job, len(jobs))
	for i, j := range jobs {
		out[i] = a.jobView(j, destinations)
		if !runtime {
			continue
		}
		if out[i].State, err = a.runtimeOf(ctx, j); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *API) runtimeOf(ctx context.Context, j activation.Job) (*client.JobRuntime, error) {
	targets, err := a.Jobs.TargetsOf(ctx, j.ID, "")
	if err != nil {
		return nil, err
	}
	if targets == nil {
		targets = []activation.Target{}
	}
	r := &client.JobRuntime{Targets: targets, Commands: []activation.JobCommand{}}
	for _, c := range activation.JobCommands {
		if c.Check(j.State) == nil {
			r.Commands = append(r.Commands, c)
		}
	}
	return r, nil
}

// oneJob is the answer about one job: with its next times and its alerts.
func (a *API) oneJob(ctx context.Context, j activation.Job, runtime bool) (client.Job, error) {
	views, err := a.jobViews(ctx, []activation.Job{j}, runtime)
	if err != nil {
		return client.Job{}, err
	}
	v := views[0]
	if j.State == activation.JobRunnable || j.State == activation.JobSleeping {
		v.NextRuns = schedule.Upcoming(j.Schedule, a.Now(), upcoming)
	}
	watching, err := a.Jobs.Jobs(ctx, store.JobFilter{Tag: activation.MonitorTag(j.ID), Hidden: true})
	if err != nil {
		return client.Job{}, err
	}
	for _, m := range watching {
		v.Monitoring = append(v.Monitoring, client.Monitor{ID: m.ID, Workflow: m.Workflow, Authorizations: m.Authorizations, Config: a.settingsOf(m)})
	}
	return v, nil
}
