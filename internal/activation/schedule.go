package activation

import "time"

// Realtime is the frequency of a job that runs as soon as changes wait.
const Realtime = "realtime"

// Schedule is when a job runs. Package schedule checks it, brings it into its
// normal form and computes times from it.
type Schedule struct {
	// Continuous is false for a job that completes after one success.
	Continuous bool `json:"continuous_update"`
	// Frequency is realtime, hourly, daily, weekly, monthly, a Go duration of at
	// least a minute, or a cron expression of five fields. "" = realtime.
	Frequency string `json:"run_frequency"`
	// TimeOfDay is "15:04" in Timezone; "" = minute 0 or midnight.
	TimeOfDay string `json:"time_of_day,omitempty"`
	// DayOfWeek is "monday" and so on, for weekly jobs.
	DayOfWeek string `json:"day_of_week,omitempty"`
	// Timezone is an IANA name; "" = UTC.
	Timezone string `json:"timezone,omitempty"`
	// ExpiresAt is when the job ends by itself; zero = never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Nothing is sent from QuietTimeOfDay ("22:00") on for QuietPeriod, in
	// QuietTimezone ("" = Timezone).
	QuietTimeOfDay string        `json:"quiet_time_of_day,omitempty"`
	QuietPeriod    time.Duration `json:"quiet_period,omitempty"`
	QuietTimezone  string        `json:"quiet_timezone,omitempty"`
	// DropQuiet leaves out the events that came in the quiet window, instead of
	// sending them after it. For workflows that take events only.
	DropQuiet bool `json:"drop_events_during_quiet_window,omitempty"`
}

// RealTime reports whether changes alone make the job's targets due.
func (s Schedule) RealTime() bool {
	return s.Continuous && (s.Frequency == "" || s.Frequency == Realtime)
}

// Reach is whom an export job sends, beyond what its audience says.
type Reach struct {
	// SkipBackfill leaves out those who were members when the job began; they
	// are sent once they have left and come back. The API calls its contrary
	// withbackfill.
	SkipBackfill bool `json:"skip_backfill,omitempty"`
	// BackfillOnly sends the present members once; the job completes then.
	BackfillOnly bool `json:"backfill_only,omitempty"`
	// UserLimit is the most people added per UserLimitFrequency; 0 = no limit.
	UserLimit int64 `json:"user_limit,omitempty"`
	// UserLimitFrequency is hourly, daily, weekly or monthly (in the job's
	// timezone), or "" for each run.
	UserLimitFrequency string `json:"user_limit_frequency,omitempty"`
	// HoldoutPercent of each audience is never sent, from 0 to below 100 with two
	// decimals: always the same people, at every destination of the audience.
	HoldoutPercent float64 `json:"holdout_percent,omitempty"`
}

// OnEnd says what stays at the network when a job has ended.
type OnEnd string

const (
	// EndKeep leaves the remote audience as it is.
	EndKeep OnEnd = "keep"
	// EndEmpty removes everybody from it.
	EndEmpty OnEnd = "empty"
	// EndDelete removes everybody and then the audience itself.
	EndDelete OnEnd = "delete"
)

// OnEnds lists what can stay, in the order the docs use.
var OnEnds = []OnEnd{EndKeep, EndEmpty, EndDelete}

// DefaultStallAfter is how long a run may make no progress before it is shown
// as stalled and taken from the node that holds it.
const DefaultStallAfter = 15 * time.Minute

// Once makes a creation happen once: the same person, key and digest of the
// request within a day creates nothing a second time. The zero value asks for
// nothing of that.
type Once struct {
	Person string
	Key    string
	// Digest is the SHA-256 of the request.
	Digest []byte
}
