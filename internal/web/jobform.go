package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/catalog"
	"usher/internal/provider"
	"usher/internal/provider/usher"
	"usher/internal/schedule"
)

// answers are what a form holds, wherever it is kept: in a request, in a draft
// or made from a job.
type answers map[string][]string

func (a answers) get(name string) string {
	if len(a[name]) == 0 {
		return ""
	}
	return strings.TrimSpace(a[name][0])
}

// jobForm is the settings of a job as a form: new or of one that is there.
type jobForm struct {
	Name, Description field
	Destination       *field
	Audiences         []option
	Stream            *field
	Columns           []option
	AudiencesWrong    string
	// Level is sent instead of audiences, Exclude are left out of all.
	Level                              *field
	Exclude                            []option
	ExcludeWrong                       string
	Settings                           []field
	When, Custom, At, On, Zone         field
	Zones                              []string
	Once                               bool
	OnceWrong                          string
	Reach                              []field
	Quiet, Limits                      []field
	Hidden, Verbose                    bool
	MayRealTime, MayOnce, MaySchedule  bool
	ShowMore                           bool
	NewDestination, NewAudience, Wrong string
	Next                               []time.Time
}

// frequencies are the choices of the schedule; custom is a duration or cron.
const custom = "custom"

// jobFields are the names of the form's fields and the field of the catalog
// that each sets.
var jobFields = []string{
	"name", "description", "destination_id", "stream", "segment_ids", "exclude", "level", "holdout_percent", "auth_ids", "run_frequency", "time_of_day", "day_of_week", "timezone", "continuous_update", "expires_at",
	"quiet_time_of_day", "quiet_period", "quiet_timezone", "drop_events_during_quiet_window", "withbackfill", "backfill_only", "user_limit", "user_limit_frequency", "fail_after", "stall_after", "on_end", "tag",
}

// form makes the form of a job of a workflow with what was given and what is
// wrong with it.
func (c *Console) form(v visit, w provider.Workflow, def provider.Definition, given answers, wrong map[string]string) (jobForm, error) {
	text := func(name, label, help string) field {
		return field{Name: name, Label: label, Help: help, Type: "text", Value: given.get(name), Error: wrong[name]}
	}
	f := jobForm{
		Name: text("name", "Name", ""), Description: text("description", "Description", "What it is for, for those who find it later."), Wrong: wrong[""],
		MayRealTime: w.RealTime, MayOnce: w.Once, MaySchedule: w.Scheduled, Once: given.get("once") != "", OnceWrong: wrong["continuous_update"],
		Hidden: given.get("hidden") != "", Verbose: given.get("verbose") != "", Settings: declared(given.get, "config.", w.Fields, wrong), Zones: schedule.Zones(),
	}
	f.Name.Required = true
	if err := c.offerAccounts(v, f.Settings); err != nil {
		return f, err
	}
	f.when(w, given, wrong)
	f.At = text("time_of_day", "At", "Such as 02:30. Without it a daily job runs at midnight.")
	f.At.Example = "02:30"
	f.Zone = text("timezone", "Time zone", "Such as Europe/Berlin; without one, UTC.")
	f.Zone.List = "zones"
	f.On = text("day_of_week", "On", "For weekly jobs.")
	f.On.Type, f.On.Options = "select", choose([]option{{"", "Any", false}, {"monday", "Monday", false}, {"tuesday", "Tuesday", false}, {"wednesday", "Wednesday", false}, {"thursday", "Thursday", false}, {"friday", "Friday", false}, {"saturday", "Saturday", false}, {"sunday", "Sunday", false}}, given.get("day_of_week"))
	f.Quiet = []field{
		text("quiet_time_of_day", "Send nothing from", "Such as 22:00. A run that is under way stops at a safe point and goes on afterwards."),
		text("quiet_period", "For how many hours", ""), text("quiet_timezone", "In time zone", "Without one, that of the schedule."),
	}
	f.Limits = []field{
		text("fail_after", "Give up after", "How long errors may last, such as 2h. Without it 10h."),
		text("stall_after", "Stalled after", "A run without progress for so long is restarted. Without it 15m."),
		text("expires_at", "Ends at", "Such as 2026-12-31T18:00:00Z. Without it, never."),
		text("tag", "Tag", "A word to find it by."),
	}
	if w.Kind == provider.Event {
		f.Quiet = append(f.Quiet, field{Name: "drop_quiet", Label: "Leave out the events that come in it", Type: "checkbox", Checked: given.get("drop_quiet") != "", Error: wrong["drop_events_during_quiet_window"], Help: "Otherwise they are sent after it."})
	}
	for _, more := range slices.Concat(f.Quiet, f.Limits) {
		f.ShowMore = f.ShowMore || more.Value != "" || more.Error != ""
	}
	if w.Direction == provider.Deciding {
		if err := c.decidedAt(v, f.Settings); err != nil {
			return f, err
		}
	}
	if w.Direction == provider.Export {
		if err := c.exportFields(v, &f, w, def, given, wrong, text); err != nil {
			return f, err
		}
	}
	if spec, bad := specOf(w, given); len(bad) == 0 {
		if s, problems := schedule.Normalize(spec.Schedule); len(problems) == 0 {
			f.Next = schedule.Upcoming(s, c.Now(), 5)
		}
	}
	return f, nil
}

// when is the choice of the rhythm.
func (f *jobForm) when(w provider.Workflow, given answers, wrong map[string]string) {
	options := []option{{"hourly", "Every hour", false}, {"daily", "Every day", false}, {"weekly", "Every week", false}, {"monthly", "Every month", false}, {custom, "Other: an interval or a cron expression", false}}
	if w.RealTime {
		options = slices.Insert(options, 0, option{activation.Realtime, "As soon as something changes", false})
	}
	chosen := orText(given.get("run_frequency"), options[0].Value)
	f.When = field{Name: "run_frequency", Label: "Run", Type: "select", Error: wrong["run_frequency"], Options: choose(options, chosen)}
	f.Custom = field{Name: "custom", Label: "Other", Type: "text", Value: given.get("custom"), Example: "6h or 30 2 * * 1-5", Help: "An interval such as 6h, or a cron expression of five fields. Used when Run says Other."}
	if !slices.ContainsFunc(options, func(o option) bool { return o.Value == chosen }) {
		f.When.Options, f.Custom.Value = choose(options, custom), chosen
	}
}

// exportFields are those of a job that has a destination.
func (c *Console) exportFields(v visit, f *jobForm, w provider.Workflow, def provider.Definition, given answers, wrong map[string]string, text func(name, label, help string) field) error {
	d := text("destination_id", "Destination", "")
	d.Type, d.Required = "select", true
	all, err := c.Store.Destinations(v.Context())
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.Provider == def.Name && (given.get("auth") == "" || string(one.Authorization) == given.get("auth")) {
			label := one.Name
			if one.Account != "" {
				label += ", account " + one.Account
			}
			d.Options = append(d.Options, option{string(one.ID), label, string(one.ID) == given.get("destination_id")})
		}
	}
	f.Destination = &d
	if w.Kind == provider.Event {
		if err := c.eventFields(v, f, w, given, text); err != nil {
			return err
		}
	}
	rows, err := c.audienceRows(v.Context())
	if err != nil {
		return err
	}
	for _, a := range rows {
		if a.Kind == activation.KindRetired {
			continue
		}
		if w.Kind != provider.Event {
			f.Exclude = append(f.Exclude, option{a.Slug, a.Name + " (" + many(a.Size, "person") + ")", slices.Contains(given["exclude"], a.Slug)})
		}
		f.Audiences = append(f.Audiences, option{a.Slug, a.Name + " (" + many(a.Size, "person") + ")", slices.Contains(given["segment_ids"], a.Slug)})
	}
	f.AudiencesWrong, f.ExcludeWrong = wrong["segment_ids"], wrong["exclude"]
	f.ShowMore = f.ShowMore || len(given["exclude"]) > 0 || f.ExcludeWrong != ""
	if err := c.levelField(v, f, w, given, text); err != nil {
		return err
	}
	backfill := text("backfill", "People who are members already", "Those left out are sent once they have left and come back.")
	if w.Kind == provider.Event {
		backfill = text("backfill", "What is there already", "Messages received, and people who are members, before the job was made.")
	}
	backfill.Type, backfill.Error = "select", orText(wrong["withbackfill"], wrong["backfill_only"])
	backfill.Options = choose([]option{{"", "Send them first", false}, {"none", "Leave them out", false}, {"only", "Send only them, then complete", false}}, given.get("backfill"))
	limit, per := text("user_limit", "Add at most so many people", "Without a number, no limit."), text("user_limit_frequency", "Per", "")
	per.Type, per.Options = "select", choose([]option{{"", "Run", false}, {"hourly", "Hour", false}, {"daily", "Day", false}, {"weekly", "Week", false}, {"monthly", "Month", false}}, given.get("user_limit_frequency"))
	end := text("on_end", "When the job has ended", "Removing many people waits for approval like any other run.")
	end.Type, end.Options = "select", choose([]option{{"keep", "Keep the audience at the network", false}, {"empty", "Remove everybody from it", false}, {"delete", "Remove everybody and delete it", false}}, orText(given.get("on_end"), "keep"))
	holdout := text("holdout_percent", "Hold out, in per cent", "Always the same people of each audience, at every destination, are never sent. Without a number, nobody.")
	holdout.Example = "5"
	f.Reach = []field{backfill, holdout, limit, per, end}
	if w.Kind == provider.Event {
		f.Reach = []field{backfill}
	}
	for _, more := range f.Reach {
		f.ShowMore = f.ShowMore || more.Error != "" || (more.Value != "" && more.Value != "keep")
	}
	return nil
}

// levelField is the choice of a level of next-best-action instead of audiences.
func (c *Console) levelField(v visit, f *jobForm, w provider.Workflow, given answers, text func(name, label, help string) field) error {
	if c.Decisions == nil || w.Kind == provider.Event {
		return nil
	}
	h, err := c.Decisions.Hierarchy(v.Context())
	if err != nil || len(h.Issues) == 0 {
		return err
	}
	level := text("level", "Level of next-best-action", "Its audiences are sent instead of those below, those of not eligible customers too, as actions come and go.")
	level.Type, level.Options = "select", append([]option{{"", "None: the audiences chosen below", false}}, levelOptions(h, given.get("level"))...)
	f.Level = &level
	return nil
}

// decidedAt makes the level of a job that decides a choice.
func (c *Console) decidedAt(v visit, settings []field) error {
	if c.Decisions == nil {
		return nil
	}
	h, err := c.Decisions.Hierarchy(v.Context())
	for i := range settings {
		if settings[i].Name == "config."+usher.LevelField {
			settings[i].Type, settings[i].Options = "select", levelOptions(h, settings[i].Value)
		}
	}
	return err
}

// eventFields are those of a job that sends events: its stream, and what its
// columns and templates may be.
func (c *Console) eventFields(v visit, f *jobForm, w provider.Workflow, given answers, text func(name, label, help string) field) error {
	streams, err := c.Warehouse.Streams(v.Context())
	if err != nil {
		return err
	}
	chosen := text("stream", "Stream", "Each of its messages is sent once, in the order they came.")
	chosen.Type, chosen.Required = "select", true
	if given.get("stream") == "" {
		chosen.Options = []option{{"", "Choose a stream", true}}
	}
	for _, s := range provider.EventSources {
		f.Columns = append(f.Columns, option{s.Name, s.Help, false})
	}
	for _, s := range streams {
		if s.ReferenceKey != "" {
			continue
		}
		chosen.Options = append(chosen.Options, option{s.Name, s.Name + " (" + many(s.Messages, "message") + ")", s.Name == given.get("stream")})
		if w.Feed == provider.FeedStream && (given.get("stream") == "" || given.get("stream") == s.Name) {
			for _, column := range s.Columns {
				f.Columns = append(f.Columns, option{column, "column of " + s.Name, false})
			}
		}
	}
	if w.Feed == provider.FeedStream {
		f.Stream = &chosen
	}
	return c.templateChoices(v, f.Settings, w)
}

// templateChoices turns the settings that name a payload template into selects.
func (c *Console) templateChoices(v visit, settings []field, w provider.Workflow) error {
	for i, d := range w.Fields {
		if d.Type != "template" {
			continue
		}
		all, err := c.Store.Templates(v.Context())
		if err != nil {
			return err
		}
		options := []option{{"", "None: the payload as it is", false}}
		for _, t := range all {
			options = append(options, option{t.ID, t.Name, false})
		}
		settings[i].Type, settings[i].Options = "select", choose(options, settings[i].Value)
	}
	return nil
}

// specOf reads a job from a form. What it returns beside is wrong by its form;
// what the values mean is checked by the catalog.
func specOf(w provider.Workflow, given answers) (catalog.JobSpec, map[string]string) {
	bad := map[string]string{}
	spec := catalog.JobSpec{
		Workflow: w.Name, Name: given.get("name"), Description: given.get("description"), Config: map[string]string{},
		Destination: activation.DestinationID(given.get("destination_id")), Audiences: given["segment_ids"], Exclude: given["exclude"], Level: activation.Level(given.get("level")), Stream: given.get("stream"),
		Schedule: activation.Schedule{
			Continuous: given.get("once") == "", Frequency: given.get("run_frequency"), TimeOfDay: given.get("time_of_day"), DayOfWeek: given.get("day_of_week"), Timezone: given.get("timezone"),
			QuietTimeOfDay: given.get("quiet_time_of_day"), QuietTimezone: given.get("quiet_timezone"), DropQuiet: given.get("drop_quiet") != "",
		},
		Reach: activation.Reach{SkipBackfill: given.get("backfill") == "none", BackfillOnly: given.get("backfill") == "only", UserLimitFrequency: given.get("user_limit_frequency")},
		OnEnd: activation.OnEnd(given.get("on_end")), Tag: given.get("tag"), Hidden: given.get("hidden") != "", VerboseLogging: given.get("verbose") != "",
	}
	if spec.Frequency == custom {
		spec.Frequency = given.get("custom")
		if spec.Frequency == "" {
			bad["run_frequency"] = "Give an interval such as 6h, or a cron expression, under Other."
		}
	}
	if w.Feed != provider.FeedStream {
		spec.Stream = ""
	} else {
		spec.Audiences = nil
	}
	if spec.Level != "" {
		spec.Audiences = nil // they follow from the level
	}
	if w.Direction != provider.Export {
		spec.Destination, spec.Audiences, spec.Exclude, spec.Level, spec.OnEnd = "", nil, nil, "", ""
		if auth := given.get("auth"); auth != "" {
			spec.Authorizations = []activation.AuthorizationID{activation.AuthorizationID(auth)}
		}
	}
	for _, f := range w.Fields {
		if g := given.get("config." + f.Name); g != "" {
			spec.Config[f.Name] = g
		}
	}
	readNumbers(&spec, given, bad)
	return spec, bad
}

func readNumbers(spec *catalog.JobSpec, given answers, bad map[string]string) {
	if text := given.get("quiet_period"); text != "" {
		hours, err := strconv.ParseFloat(text, 64)
		if err != nil {
			bad["quiet_period"] = "Must be a number of hours, such as 8."
		}
		spec.QuietPeriod = time.Duration(hours * float64(time.Hour))
	}
	if text := given.get("user_limit"); text != "" {
		n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
		if err != nil {
			bad["user_limit"] = "Must be a whole number."
		}
		spec.UserLimit = n
	}
	if text := strings.TrimSuffix(given.get("holdout_percent"), "%"); text != "" {
		n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			bad["holdout_percent"] = "Must be a number, such as 5 or 2.5."
		}
		spec.HoldoutPercent = n
	}
	for name, to := range map[string]*time.Duration{"fail_after": &spec.FailAfter, "stall_after": &spec.StallAfter} {
		if text := given.get(name); text != "" {
			d, err := time.ParseDuration(text)
			if err != nil {
				bad[name] = "Must be a duration such as 90s or 6h."
			}
			*to = d
		}
	}
	if text := given.get("expires_at"); text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			bad["expires_at"] = "Must be a time such as 2026-12-31T18:00:00Z."
		}
		spec.ExpiresAt = t.UTC()
	}
}

// answersOf are the answers that would have made a job.
func answersOf(j activation.Job, slugs map[activation.AudienceID]string) answers {
	a := answers{}
	set := func(name, value string) {
		if value != "" {
			a[name] = []string{value}
		}
	}
	for name, value := range map[string]string{
		"name": j.Name, "description": j.Description, "destination_id": string(j.Destination), "stream": j.Stream, "run_frequency": j.Frequency, "time_of_day": j.TimeOfDay, "day_of_week": j.DayOfWeek, "timezone": j.Timezone,
		"quiet_time_of_day": j.QuietTimeOfDay, "quiet_timezone": j.QuietTimezone, "user_limit_frequency": j.UserLimitFrequency, "on_end": string(j.OnEnd), "tag": j.Tag,
	} {
		set(name, value)
	}
	for name, on := range map[string]bool{"once": !j.Continuous, "hidden": j.Hidden, "verbose": j.VerboseLogging, "drop_quiet": j.DropQuiet} {
		if on {
			set(name, "1")
		}
	}
	switch {
	case j.SkipBackfill:
		set("backfill", "none")
	case j.BackfillOnly:
		set("backfill", "only")
	}
	if j.QuietPeriod > 0 {
		set("quiet_period", strconv.FormatFloat(j.QuietPeriod.Hours(), 'f', -1, 64))
	}
	if j.UserLimit > 0 {
		set("user_limit", fmt.Sprint(j.UserLimit))
	}
	if j.FailAfter != activation.DefaultFailAfter {
		set("fail_after", shortDuration(j.FailAfter))
	}
	if j.StallAfter != activation.DefaultStallAfter {
		set("stall_after", shortDuration(j.StallAfter))
	}
	if !j.ExpiresAt.IsZero() {
		set("expires_at", j.ExpiresAt.UTC().Format(time.RFC3339))
	}
	set("level", string(j.Level))
	if j.HoldoutPercent > 0 {
		set("holdout_percent", strconv.FormatFloat(j.HoldoutPercent, 'f', -1, 64))
	}
	for _, id := range j.Audiences {
		if j.Level == "" {
			a["segment_ids"] = append(a["segment_ids"], slugs[id])
		}
	}
	for _, id := range j.Exclude {
		a["exclude"] = append(a["exclude"], slugs[id])
	}
	for _, id := range j.Authorizations {
		set("auth", string(id))
	}
	for name, value := range j.Config {
		set("config."+name, value)
	}
	return a
}

// shortDuration is a duration as people write it: 2h, not 2h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// kept are the answers of a form without what is not to be stored: the CSRF
// token and the secrets.
func kept(form url.Values, w provider.Workflow) answers {
	out := answers{}
	for name, values := range form {
		secret := slices.ContainsFunc(w.Fields, func(f provider.Field) bool { return f.Secret && name == "config."+f.Name })
		if name != "csrf_token" && name != "go" && !secret {
			out[name] = values
		}
	}
	return out
}
