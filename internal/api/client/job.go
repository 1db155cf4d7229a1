package client

import (
	"time"

	"usher/internal/activation"
)

// Job is a job as the API shows it and takes it back.
type Job struct {
	ID          activation.JobID `json:"id"`
	AccountID   string           `json:"account_id" doc:"always the same: one organisation per server"`
	UserID      string           `json:"user_id" doc:"who created it"`
	Name        string           `json:"name"`
	Description string           `json:"description"`
	Workflow    string           `json:"workflow"`
	WorkflowID  string           `json:"workflow_id"`
	Type        string           `json:"type" doc:"export, import, enrichment or alert"`
	Provider    string           `json:"provider"`
	// Config holds the workflow's settings, secrets redacted, and the shared
	// keys (schedule, backfill, audiences).
	Config         map[string]any               `json:"config"`
	Authorizations []activation.AuthorizationID `json:"auth_ids"`
	Destination    activation.DestinationID     `json:"destination_id"`
	Audiences      []activation.AudienceID      `json:"segment_ids"`
	Exclude        []activation.AudienceID      `json:"exclude" doc:"audiences whose members are left out"`
	Level          activation.Level             `json:"level,omitempty" doc:"the next-best-action level whose audiences it sends"`
	Stream         string                       `json:"stream,omitempty"`
	Tag            string                       `json:"tag"`
	Hidden         bool                         `json:"hidden"`
	Deleted        bool                         `json:"deleted"`
	VerboseLogging bool                         `json:"verbose_logging"`

	Status            activation.JobState    `json:"status"`
	StatusSince       time.Time              `json:"status_since"`
	SleepReason       activation.SleepReason `json:"sleep_reason,omitempty"`
	SleepUntil        time.Time              `json:"sleep_until,omitzero"`
	ConsecutiveErrors int                    `json:"consecutive_errors"`
	FailingSince      time.Time              `json:"failing_since,omitzero"`
	StalledAt         time.Time              `json:"stalled_at,omitzero" doc:"since when a run of it has made no progress"`

	Continuous    bool        `json:"continuous_update"`
	Frequency     string      `json:"run_frequency"`
	TimeOfDay     string      `json:"time_of_day,omitempty"`
	DayOfWeek     string      `json:"day_of_week,omitempty"`
	Timezone      string      `json:"timezone,omitempty"`
	Schedule      string      `json:"schedule" doc:"the same in words"`
	NextRun       time.Time   `json:"next_run,omitzero"`
	NextRuns      []time.Time `json:"next_runs,omitempty" doc:"the next five scheduled times, in the answer about one job"`
	LastRun       time.Time   `json:"last_run,omitzero"`
	ExpiresAt     time.Time   `json:"expires_at,omitzero"`
	QuietTime     string      `json:"quiet_time_of_day,omitempty"`
	QuietPeriod   float64     `json:"quiet_period,omitempty" doc:"hours"`
	QuietTimezone string      `json:"quiet_timezone,omitempty"`
	FailAfter     string      `json:"fail_after" doc:"how long errors may last, such as 10h"`
	StallAfter    string      `json:"stall_after" doc:"how long a run may make no progress, such as 15m"`

	WithBackfill       bool             `json:"withbackfill"`
	BackfillOnly       bool             `json:"backfill_only"`
	UserLimit          int64            `json:"user_limit,omitempty"`
	UserLimitFrequency string           `json:"user_limit_frequency,omitempty"`
	HoldoutPercent     float64          `json:"holdout_percent,omitempty"`
	OnEnd              activation.OnEnd `json:"on_end"`

	CreatedBy string    `json:"created_by"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`

	Monitoring []Monitor `json:"monitoring,omitempty" doc:"alert jobs that watch this job alone"`
	// State is the runtime detail; only with show_state.
	State *JobRuntime `json:"state,omitempty"`
}

// JobRuntime is the detail of how a job stands.
type JobRuntime struct {
	Commands []activation.JobCommand `json:"commands" doc:"what it can be told now"`
	Targets  []activation.Target     `json:"targets"`
	Passes   []activation.Pass       `json:"passes,omitempty" doc:"the last ones of a job without targets"`
}

// Monitor is an alert job that watches one job.
type Monitor struct {
	ID             activation.JobID             `json:"id,omitempty"`
	Workflow       string                       `json:"workflow" doc:"such as alert-email"`
	Authorizations []activation.AuthorizationID `json:"auth_ids,omitempty"`
	Config         map[string]any               `json:"config,omitempty"`
}
