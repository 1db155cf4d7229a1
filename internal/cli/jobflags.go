package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// jobFlags are the flags that declare a job. Each is named as the field of the
// API, and only those that were given are sent.
type jobFlags struct {
	name, description, destination, every, timeOfDay, dayOfWeek, timezone, expires string
	quietTime, quietTimezone, failAfter, stallAfter, limitFrequency, onEnd, tag    string
	stream, level                                                                  string
	audiences, exclude, auths, config                                              []string
	quietHours, holdout                                                            float64
	userLimit                                                                      int64
	once, noBackfill, backfillOnly, hidden, verbose, dropQuiet                     bool
}

// fieldOf is the field of the API that a flag sets.
var fieldOf = map[string]string{
	"name": "name", "description": "description", "destination": "destination_id", "every": "run_frequency", "at": "time_of_day", "on": "day_of_week",
	"timezone": "timezone", "expires": "expires_at", "quiet-from": "quiet_time_of_day", "quiet-hours": "quiet_period", "quiet-timezone": "quiet_timezone", "drop-quiet": "drop_events_during_quiet_window",
	"fail-after": "fail_after", "stall-after": "stall_after", "user-limit": "user_limit", "user-limit-per": "user_limit_frequency", "on-end": "on_end", "tag": "tag",
	"hidden": "hidden", "verbose-logging": "verbose_logging", "audience": "segment_ids", "stream": "stream", "auth": "auth_ids", "backfill-only": "backfill_only",
	"exclude": "exclude", "level": "level", "holdout": "holdout_percent",
}

func (j *jobFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&j.name, "name", "", "name for people, unique per workflow")
	f.StringVar(&j.description, "description", "", "what it is for")
	f.StringVar(&j.destination, "destination", "", "id of the destination of an export")
	f.StringSliceVar(&j.audiences, "audience", nil, "slug or id of an audience of an export (repeat)")
	f.StringSliceVar(&j.exclude, "exclude", nil, "slug or id of an audience whose members are left out (repeat)")
	f.StringVar(&j.level, "level", "", "instead of --audience: send the next-best-action audiences of all, an issue, or Issue/Group")
	f.Float64Var(&j.holdout, "holdout", 0, "percent of each audience that is never sent, always the same people")
	f.StringVar(&j.stream, "stream", "", "the stream whose messages are sent, of an export of raw events")
	f.StringSliceVar(&j.auths, "auth", nil, "id of an authorization, for jobs without a destination (repeat)")
	f.StringArrayVar(&j.config, "set", nil, "setting=value of the workflow; usher provider show lists them (repeat)")
	f.StringVar(&j.every, "every", "", "realtime, hourly, daily, weekly, monthly, a duration such as 6h, or a cron expression")
	f.StringVar(&j.timeOfDay, "at", "", "time of day such as 02:30, in --timezone")
	f.StringVar(&j.dayOfWeek, "on", "", "day of the week, for weekly jobs")
	f.StringVar(&j.timezone, "timezone", "", "IANA name such as Europe/Berlin (default UTC)")
	f.BoolVar(&j.once, "once", false, "run once, then complete")
	f.StringVar(&j.expires, "expires", "", "when it ends by itself, such as 2026-12-31T18:00:00Z")
	f.StringVar(&j.quietTime, "quiet-from", "", "when nothing is to be sent any more, such as 22:00")
	f.Float64Var(&j.quietHours, "quiet-hours", 0, "for how many hours from then on")
	f.StringVar(&j.quietTimezone, "quiet-timezone", "", "zone of --quiet-from (default --timezone)")
	f.BoolVar(&j.dropQuiet, "drop-quiet", false, "leave out the events that come in the quiet window, instead of sending them after it")
	f.BoolVar(&j.noBackfill, "no-backfill", false, "leave out those who are members already, until they come back")
	f.BoolVar(&j.backfillOnly, "backfill-only", false, "send the present members once, then complete")
	f.Int64Var(&j.userLimit, "user-limit", 0, "the most people added per --user-limit-per (0 = no limit)")
	f.StringVar(&j.limitFrequency, "user-limit-per", "", "hourly, daily, weekly or monthly (default each run)")
	f.StringVar(&j.failAfter, "fail-after", "", "how long errors may last, such as 2h (default 10h)")
	f.StringVar(&j.stallAfter, "stall-after", "", "how long a run may make no progress (default 15m)")
	f.StringVar(&j.onEnd, "on-end", "", "what stays at the network: keep, empty or delete (default keep)")
	f.StringVar(&j.tag, "tag", "", "a word to find it by")
	f.BoolVar(&j.hidden, "hidden", false, "leave it out of lists")
	f.BoolVar(&j.verbose, "verbose-logging", false, "log every queue item")
}

// body is what was given, as the API takes it.
func (j *jobFlags) body(c *cobra.Command) (map[string]any, error) {
	config, err := pairs("set", j.config)
	if err != nil {
		return nil, err
	}
	body := map[string]any{}
	values := map[string]any{
		"quiet-hours": j.quietHours, "user-limit": j.userLimit, "hidden": j.hidden, "verbose-logging": j.verbose, "drop-quiet": j.dropQuiet,
		"backfill-only": j.backfillOnly, "audience": j.audiences, "auth": j.auths, "exclude": j.exclude, "holdout": j.holdout,
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		switch field, ok := fieldOf[f.Name]; {
		case f.Name == "once":
			body["continuous_update"] = !j.once
		case f.Name == "no-backfill":
			body["withbackfill"] = !j.noBackfill
		case !ok:
		case values[f.Name] != nil:
			body[field] = values[f.Name]
		default:
			body[field] = strings.TrimSpace(f.Value.String())
		}
	})
	if len(config) > 0 {
		body["config"] = config
	}
	return body, nil
}
