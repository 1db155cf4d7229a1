package web

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/tracking"
)

// times are the choices of how far back a list goes.
var times = []option{
	{"1h", "Last hour", false},
	{"24h", "Last 24 hours", false},
	{"168h", "Last 7 days", false},
	{"720h", "Last 30 days", false},
	{"", "Any time", false},
	{customRange, "Days of your own…", false},
}

// Actions are the choices of what a list offers to do.
const (
	actionRetry    = "retry"
	actionWithheld = "withheld"
)

var actions = []option{{"", "Any action", false}, {actionRetry, "Retry", false}, {actionWithheld, "Retry withheld", false}}

// looked is how many failed runs are looked at for one page of those with an
// action: whether Retry is offered is a rule and no column.
const looked = 250

// causes are what triggers a run, as people read it.
var causes = []option{
	{string(activation.CauseManual), "By hand", false},
	{string(activation.CauseSchedule), "Schedule", false},
	{string(activation.CauseRealTime), "Real time", false},
	{string(activation.CauseOutbound), "Outbound decisions", false},
	{string(activation.CauseAgent), "Agent", false},
	{string(activation.CauseRepair), "Repair", false},
}

// causeWords says what triggered a run, "" where that is not known.
func causeWords(r activation.Run) string {
	for _, o := range causes {
		if o.Value == string(r.Cause) {
			return o.Text
		}
	}
	return string(r.Cause)
}

// modeWords says what a run does, where that is not to bring an audience in step.
func modeWords(r activation.Run) string {
	switch r.Mode {
	case activation.ModeSync:
	case activation.ModeKeys:
		return "Moves the keys of people who are in; nobody is added or removed"
	case activation.ModeReplace:
		return "Replaces everybody in the audience"
	case activation.ModeHistory:
		return "Sends the events from " + utc(r.Period.From) + " to " + utc(r.Period.Until)
	case activation.ModeForget:
		return "Forgets one person"
	}
	if r.Release == activation.EndEmpty {
		return "Empties the audience"
	}
	if r.Release == activation.EndDelete {
		return "Empties the audience and deletes it"
	}
	return ""
}

// syncFilter reads the filters of the list, and fills in the inputs that set
// them. A status counts apart.
func (c *Console) syncFilter(v visit, p *syncPage) (store.RunFilter, error) {
	f := store.RunFilter{Destination: activation.DestinationID(v.get("destination")), Job: activation.JobID(v.get("job")), Audience: activation.AudienceID(v.get("audience")), Target: activation.TargetID(v.get("target"))}
	if t := v.get("sync_type"); t != "" {
		f.SyncType = []activation.SyncType{activation.SyncType(t)}
	}
	if t := v.get("type"); t != "" {
		f.Providers = []string{t}
	}
	if t := v.get("cause"); t != "" {
		f.Cause = []activation.Cause{activation.Cause(t)}
	}
	p.Status, p.Triggered = v.get("status"), v.get("triggered_by")
	if v.get("action") != "" {
		p.Status = string(activation.RunFailed) // no other has one
	}
	p.SyncTypes, p.Causes = choose(syncTypes, v.get("sync_type")), choose(causes, v.get("cause"))
	p.Action, p.Time = choose(actions, v.get("action")), choose(times, v.get("within"))
	for _, name := range []string{"status", "job", "audience", "target"} {
		if value := v.get(name); value != "" {
			p.Kept = append(p.Kept, hidden{name, value})
		}
	}
	c.startedWithin(v, p, &f)
	if err := c.triggered(v, p, &f); err != nil {
		return f, err
	}
	if err := c.narrowed(v, p); err != nil {
		return f, err
	}
	return f, c.destinationOptions(v, p)
}

// startedWithin reads when the runs of the list started.
func (c *Console) startedWithin(v visit, p *syncPage, f *store.RunFilter) {
	if d, err := time.ParseDuration(v.get("within")); err == nil {
		f.Since = c.Now().Add(-d)
	}
	if p.Custom = v.get("within") == customRange; !p.Custom {
		return
	}
	for _, day := range []struct {
		name string
		to   *string
		at   *time.Time
		plus time.Duration
	}{{"since", &p.Since, &f.Since, 0}, {"until", &p.Until, &f.Until, 24 * time.Hour}} {
		text := v.get(day.name)
		if text == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			p.Wrong = "Give days such as 2026-11-22; this one is left out."
			continue
		}
		*day.to, *day.at = text, t.Add(day.plus)
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		p.Wrong = "The last day is before the first, so no run fits."
	}
}

// triggered reads what triggered the runs of the list: an audience by its name or
// short name, else what runs say, such as Sales / Cards.
func (c *Console) triggered(v visit, p *syncPage, f *store.RunFilter) error {
	all, err := c.Store.Audiences(v.Context())
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Kind == "" || a.Kind == activation.KindRule {
			p.Triggers = append(p.Triggers, a.Slug)
		}
	}
	p.Triggers = append(p.Triggers, c.levelNames(v)...)
	p.Triggers = append(p.Triggers, "Agent")
	if p.Triggered == "" {
		return nil
	}
	i := slices.IndexFunc(all, func(a activation.Audience) bool {
		return strings.EqualFold(a.Slug, p.Triggered) || strings.EqualFold(a.Name, p.Triggered)
	})
	switch {
	case i >= 0 && f.Audience == "":
		f.Audience = all[i].ID
	case strings.EqualFold(p.Triggered, "agent") && len(f.SyncType) == 0:
		f.SyncType = []activation.SyncType{activation.SyncPIIUpdate}
	default:
		f.TriggeredBy = p.Triggered
	}
	return nil
}

// runNumbered finds the run that was asked for by its number, as 12 or #12.
func (c *Console) runNumbered(v visit) (activation.RunID, bool) {
	n, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimPrefix(v.get("triggered_by"), "#"), ",", ""), 10, 64)
	if err != nil || n < 1 {
		return "", false
	}
	runs, err := c.Store.Runs(v.Context(), store.RunFilter{Before: n + 1, Limit: 1})
	if err != nil || len(runs) == 0 || runs[0].Number != n {
		return "", false
	}
	return runs[0].ID, true
}

// narrowed says in words which job, audience or target a link has narrowed the list
// to.
func (c *Console) narrowed(v visit, p *syncPage) error {
	if id := v.get("job"); id != "" {
		j, err := c.Store.Job(v.Context(), activation.JobID(id))
		if err != nil && !errors.Is(err, activation.ErrNotFound) {
			return err
		}
		p.Only = append(p.Only, link{filtered(v, "job", ""), "Job: " + orText(j.Name, "gone")})
	}
	if id := v.get("audience"); id != "" {
		a, err := c.Store.Audience(v.Context(), activation.AudienceID(id))
		if err != nil && !errors.Is(err, activation.ErrNotFound) {
			return err
		}
		p.Only = append(p.Only, link{filtered(v, "audience", ""), "Audience: " + orText(a.Name, "gone")})
	}
	if v.get("target") != "" {
		p.Only = append(p.Only, link{filtered(v, "target", ""), "One target"})
	}
	return nil
}

func (c *Console) destinationOptions(v visit, p *syncPage) error {
	for _, d := range c.Providers {
		if d.NewDestination != nil {
			p.Types = append(p.Types, option{d.Name, d.DestinationType, d.Name == v.get("type")})
		}
	}
	destinations, err := c.Store.Destinations(v.Context())
	for _, d := range destinations {
		p.Destinations = append(p.Destinations, option{string(d.ID), d.Name, string(d.ID) == v.get("destination")})
	}
	return err
}

// runsOf is one page of runs, newest first, and the number from which the next
// one goes on; 0 = there is none. With an action, the failed runs that it is
// offered on are picked out.
func (c *Console) runsOf(v visit, f store.RunFilter, action string, limit int) (out []tracking.View, next int64, err error) {
	if action == "" {
		f.Limit = limit + 1
		out, err = c.Tracking.List(v.Context(), f)
		if len(out) > limit {
			out = out[:limit]
			next = out[limit-1].Number
		}
		return out, next, err
	}
	f.Status, f.Limit = []activation.RunStatus{activation.RunFailed}, 2*limit
	for seen := 0; ; {
		failed, err := c.Tracking.List(v.Context(), f)
		if err != nil {
			return nil, 0, err
		}
		for i, r := range failed {
			if r.Retry.Allowed == (action == actionRetry) {
				out = append(out, r)
			}
			seen++
			more := i < len(failed)-1 || len(failed) == f.Limit
			if more && (len(out) == limit || seen == looked) {
				return out, r.Number, nil
			}
			f.Before = r.Number
		}
		if len(failed) < f.Limit {
			return out, 0, nil
		}
	}
}
