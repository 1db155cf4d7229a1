package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/catalog"
)

// jobBody is what a client sends to create or change a job. What is left out
// keeps its value, or its default. The shared keys may stand in config too, as
// older clients have them.
type jobBody struct {
	Name           *string        `json:"name,omitempty" doc:"name for people, unique per workflow"`
	Description    *string        `json:"description,omitempty"`
	Workflow       *string        `json:"workflow,omitempty" doc:"when it is not in the path; kebab or snake case"`
	Destination    *string        `json:"destination_id,omitempty" doc:"where the audiences of an export go"`
	Audiences      *[]string      `json:"segment_ids,omitempty" doc:"ids or slugs of an export's audiences"`
	Exclude        *[]string      `json:"exclude,omitempty" doc:"ids or slugs of audiences whose members are left out"`
	Level          *string        `json:"level,omitempty" doc:"instead of segment_ids: all, an issue, or issue/group; the audiences of its actions, as they come and go"`
	Holdout        *float64       `json:"holdout_percent,omitempty" doc:"share of each audience that is never sent, always the same people, at most two decimals; 0 = nobody"`
	Stream         *string        `json:"stream,omitempty" doc:"of an export of raw events: the stream whose messages are sent, each once"`
	Authorizations *[]string      `json:"auth_ids,omitempty" doc:"for jobs without a destination"`
	Config         map[string]any `json:"config,omitempty" doc:"the workflow's settings (GET /v2/workflow lists them) and the shared keys"`
	Continuous     *bool          `json:"continuous_update,omitempty" doc:"false = run once, then complete; default true"`
	Frequency      *string        `json:"run_frequency,omitempty" doc:"realtime, hourly, daily, weekly, monthly, a duration such as 6h, or cron; default realtime where the workflow has it, else daily"`
	TimeOfDay      *string        `json:"time_of_day,omitempty" doc:"such as 02:30, in timezone"`
	DayOfWeek      *string        `json:"day_of_week,omitempty" doc:"for weekly jobs"`
	Timezone       *string        `json:"timezone,omitempty" doc:"IANA name; default UTC"`
	ExpiresAt      *string        `json:"expires_at,omitempty" doc:"RFC 3339; empty = never"`
	QuietTime      *string        `json:"quiet_time_of_day,omitempty" doc:"when the quiet window begins, such as 22:00"`
	QuietTimezone  *string        `json:"quiet_timezone,omitempty" doc:"default timezone"`
	QuietPeriod    *float64       `json:"quiet_period,omitempty" doc:"hours"`
	DropEvents     *bool          `json:"drop_events_during_quiet_window,omitempty" doc:"for workflows that take events: those that came in the quiet window are left out; default false, they are sent after it"`
	FailAfter      *string        `json:"fail_after,omitempty" doc:"how long errors may last, such as 2h; default 10h"`
	StallAfter     *string        `json:"stall_after,omitempty" doc:"how long a run may make no progress; default 15m"`
	WithBackfill   *bool          `json:"withbackfill,omitempty" doc:"false = people who are members already are sent only when they come back; default true"`
	BackfillOnly   *bool          `json:"backfill_only,omitempty" doc:"send the present members once, then complete"`
	UserLimit      *int64         `json:"user_limit,omitempty" doc:"the most people added per user_limit_frequency; 0 = no limit"`
	LimitFrequency *string        `json:"user_limit_frequency,omitempty" doc:"hourly, daily, weekly or monthly; empty = each run"`
	OnEnd          *string        `json:"on_end,omitempty" doc:"what stays at the network: keep (default), empty or delete"`
	Tag            *string        `json:"tag,omitempty"`
	Hidden         *bool          `json:"hidden,omitempty"`
	VerboseLogging *bool          `json:"verbose_logging,omitempty"`
	// Monitoring: left out = keep, null or [] = none.
	Monitoring json.RawMessage `json:"monitoring,omitempty" doc:"alert jobs that watch this job: [{workflow, auth_ids, config}]; null = none"`
	_          struct{}        `json:"-" additionalProperties:"true"`
}

// spec puts what was sent over base. Its problems are those of form; what it
// means is checked by the catalog.
func (b jobBody) spec(base catalog.JobSpec) (catalog.JobSpec, []*activation.Error) {
	var wrong wrongs
	s := base
	s.Config = maps.Clone(base.Config)
	if s.Config == nil {
		s.Config = map[string]string{}
	}
	b.shared(&wrong)
	set(&s.Name, b.Name)
	set(&s.Description, b.Description)
	set(&s.Workflow, b.Workflow)
	set(&s.Tag, b.Tag)
	set(&s.Hidden, b.Hidden)
	set(&s.VerboseLogging, b.VerboseLogging)
	set(&s.Continuous, b.Continuous)
	set(&s.Frequency, b.Frequency)
	set(&s.TimeOfDay, b.TimeOfDay)
	set(&s.DayOfWeek, b.DayOfWeek)
	set(&s.Timezone, b.Timezone)
	set(&s.QuietTimeOfDay, b.QuietTime)
	set(&s.QuietTimezone, b.QuietTimezone)
	set(&s.BackfillOnly, b.BackfillOnly)
	set(&s.UserLimit, b.UserLimit)
	set(&s.UserLimitFrequency, b.LimitFrequency)
	if b.WithBackfill != nil {
		s.SkipBackfill = !*b.WithBackfill
	}
	if b.Destination != nil {
		s.Destination = activation.DestinationID(*b.Destination)
	}
	if b.Audiences != nil {
		s.Audiences = *b.Audiences
	}
	if b.Authorizations != nil {
		s.Authorizations = ids[activation.AuthorizationID](*b.Authorizations)
	}
	set(&s.Exclude, b.Exclude)
	if b.Level != nil {
		s.Level = activation.Level(*b.Level)
	}
	set(&s.HoldoutPercent, b.Holdout)
	set(&s.Stream, b.Stream)
	if b.OnEnd != nil {
		s.OnEnd = activation.OnEnd(*b.OnEnd)
	}
	if b.QuietPeriod != nil {
		s.QuietPeriod = time.Duration(*b.QuietPeriod * float64(time.Hour))
	}
	set(&s.DropQuiet, b.DropEvents)
	wrong.duration("fail_after", b.FailAfter, &s.FailAfter)
	wrong.duration("stall_after", b.StallAfter, &s.StallAfter)
	wrong.instant("expires_at", b.ExpiresAt, &s.ExpiresAt)
	b.settings(s.Config, &wrong)
	return s, wrong
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func ids[T ~string](texts []string) []T {
	out := make([]T, len(texts))
	for i, t := range texts {
		out[i] = T(t)
	}
	return out
}

// sharedKeys are the keys of config that are ours and not the workflow's.
var sharedKeys = []string{
	"continuous_update", "run_frequency", "time_of_day", "day_of_week", "timezone", "withbackfill", "backfill_only",
	"segment_id", "segment_ids", "user_limit", "user_limit_frequency", "destination_id", "exclude", "holdout_percent",
}

// shared moves the shared keys of config to where they belong; what stands
// beside config wins.
func (b *jobBody) shared(wrong *wrongs) {
	text := func(key string, to **string) {
		if v, ok := b.Config[key]; ok && *to == nil && v != nil {
			s, isText := v.(string)
			if !isText {
				wrong.add("config."+key, "must be text")
				return
			}
			*to = &s
		}
	}
	flag := func(key string, to **bool) {
		if v, ok := b.Config[key]; ok && *to == nil && v != nil {
			f, isFlag := v.(bool)
			if !isFlag {
				wrong.add("config."+key, "must be true or false")
				return
			}
			*to = &f
		}
	}
	flag("continuous_update", &b.Continuous)
	text("run_frequency", &b.Frequency)
	text("time_of_day", &b.TimeOfDay)
	text("day_of_week", &b.DayOfWeek)
	text("timezone", &b.Timezone)
	flag("withbackfill", &b.WithBackfill)
	flag("backfill_only", &b.BackfillOnly)
	text("user_limit_frequency", &b.LimitFrequency)
	text("destination_id", &b.Destination)
	if v, ok := b.Config["user_limit"]; ok && b.UserLimit == nil && v != nil {
		n, isNumber := v.(float64)
		if !isNumber || n != float64(int64(n)) {
			wrong.add("config.user_limit", "must be a whole number")
		} else {
			whole := int64(n)
			b.UserLimit = &whole
		}
	}
	if v, ok := b.Config["holdout_percent"]; ok && b.Holdout == nil && v != nil {
		n, isNumber := v.(float64)
		if !isNumber {
			wrong.add("config.holdout_percent", "must be a number")
		} else {
			b.Holdout = &n
		}
	}
	b.sharedAudiences(wrong, &b.Audiences, "segment_ids", "segment_id")
	b.sharedAudiences(wrong, &b.Exclude, "exclude")
}

// sharedAudiences moves a list of audiences of config, under the first key that
// is there, to where it belongs.
func (b *jobBody) sharedAudiences(wrong *wrongs, to **[]string, keys ...string) {
	if *to != nil {
		return
	}
	for _, key := range keys {
		switch v := b.Config[key].(type) {
		case nil:
			continue
		case string:
			*to = &[]string{v}
		case []any:
			list := make([]string, 0, len(v))
			for _, one := range v {
				s, isText := one.(string)
				if !isText {
					wrong.add("config."+key, "must be a list of texts")
					return
				}
				list = append(list, s)
			}
			*to = &list
		default:
			wrong.add("config."+key, "must be text or a list of texts")
		}
		return
	}
}

// settings puts the workflow's own keys of config over those there are; null
// takes one away.
func (b jobBody) settings(to map[string]string, wrong *wrongs) {
	for _, key := range slices.Sorted(maps.Keys(b.Config)) {
		if slices.Contains(sharedKeys, key) {
			continue
		}
		if b.Config[key] == nil {
			delete(to, key)
			continue
		}
		text, ok := catalog.SettingText(b.Config[key])
		if !ok {
			wrong.add("config."+key, "must be text, a number, true, false or a list of those")
			continue
		}
		to[key] = text
	}
}

// wrongs gathers what is wrong with the form of a request.
type wrongs []*activation.Error

func (w *wrongs) add(field, message string) {
	*w = append(*w, &activation.Error{Kind: activation.Invalid, Code: "JOB-BADREQ-002", Field: field, Message: field + ": " + message})
}

func (w *wrongs) duration(field string, text *string, to *time.Duration) {
	if text == nil || *text == "" {
		return
	}
	d, err := time.ParseDuration(*text)
	if err != nil {
		w.add(field, "must be a duration such as 90s or 6h")
		return
	}
	*to = d
}

func (w *wrongs) instant(field string, text *string, to *time.Time) {
	if text == nil {
		return
	}
	if *text == "" {
		*to = time.Time{}
		return
	}
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil {
		w.add(field, "must be a time such as 2026-12-31T18:00:00Z")
		return
	}
	*to = t.UTC()
}

// badForm is the error of a request whose form is wrong, with everything that
// else is wrong with it.
type badForm struct {
	wrong []*activation.Error
	also  error
}

func (e badForm) Error() string {
	texts := make([]string, 0, len(e.wrong))
	for _, one := range e.Each() {
		texts = append(texts, one.Message)
	}
	return strings.Join(texts, "; ")
}

// Each returns one error per wrong field.
func (e badForm) Each() []*activation.Error {
	var many interface{ Each() []*activation.Error }
	if errors.As(e.also, &many) {
		return slices.Concat(e.wrong, many.Each())
	}
	return e.wrong
}

// Unwrap returns the error of the whole.
func (e badForm) Unwrap() error {
	return &activation.Error{Kind: activation.Invalid, Code: "JOB-BADREQ-002", Field: e.wrong[0].Field, Message: e.Error()}
}

// monitors reads the alerts that a request declares inline; given is false
// where it leaves them as they are.
func (b jobBody) monitors() (out []client.Monitor, given bool, err error) {
	if len(b.Monitoring) == 0 {
		return nil, false, nil
	}
	if err := json.Unmarshal(b.Monitoring, &out); err != nil {
		return nil, true, invalid("monitoring", `monitoring: must be a list such as [{"workflow": "alert-email", "auth_ids": ["…"], "config": {"recipients": ["…"]}}], or null`)
	}
	return out, true, nil
}

// monitorSpec is the alert job that watches one job.
func monitorSpec(m client.Monitor, job client.Job, n int) (catalog.JobSpec, []*activation.Error) {
	config := maps.Clone(m.Config)
	if config == nil {
		config = map[string]any{}
	}
	config["system_event_single_source"] = string(activation.SourceWork)
	config["system_event_single_source_ids"] = []any{string(job.ID)}
	name := fmt.Sprintf("%s: alert %d", job.Name, n+1)
	return jobBody{Name: &name, Workflow: &m.Workflow, Config: config}.spec(catalog.JobSpec{
		Authorizations: m.Authorizations, Tag: activation.MonitorTag(job.ID), Hidden: true, Schedule: activation.Schedule{Continuous: true},
	})
}
