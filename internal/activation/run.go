package activation

import "time"

// Destination is a named account at a provider that audiences go to.
type Destination struct {
	ID            DestinationID     `json:"id"`
	Name          string            `json:"name"`
	Provider      string            `json:"provider"`
	Authorization AuthorizationID   `json:"auth_id"`
	Account       string            `json:"account"`
	Mapping       map[string]string `json:"mapping"` // match key name -> profile field
	Config        map[string]string `json:"config"`  // the provider's declared destination fields
	Enabled       bool              `json:"enabled"`
	CreatedAt     time.Time         `json:"created"`
	UpdatedAt     time.Time         `json:"updated"`
}

// Audience is a saved rule.
type Audience struct {
	ID          AudienceID `json:"id"`
	Slug        string     `json:"slug_name"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Rule        string     `json:"segment_ql"` // FilterQL text; "" where members are given
	// Kind says who decides about the members; "" = KindRule.
	Kind AudienceKind `json:"kind"`
	// Public audiences may be read by sites (the web destination).
	Public bool `json:"is_public"`
	// Version grows by one with every change of the rule.
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"created"`
	UpdatedAt time.Time `json:"updated"`
}

// Managed reports whether Usher keeps the audience, so that people can't change
// its rule or name.
func (a Audience) Managed() bool { return a.Kind != "" && a.Kind != KindRule }

// Job is a standing instruction.
type Job struct {
	ID          JobID             `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Workflow    string            `json:"workflow"`
	Provider    string            `json:"provider"`
	Type        string            `json:"type"` // export, import, enrichment, alert
	Config      map[string]string `json:"config"`
	Destination DestinationID     `json:"destination_id"`
	Audiences   []AudienceID      `json:"segment_ids"`
	// Exclude are audiences whose members are left out of every one of Audiences.
	Exclude []AudienceID `json:"exclude,omitempty"`
	// Level is sent instead of named audiences: Audiences are those of its actions
	// and follow the hierarchy.
	Level Level `json:"level,omitempty"`
	// Stream feeds an export of raw events; it has no audiences then.
	Stream string `json:"stream,omitempty"`
	// Authorizations are those the job uses itself; an export job uses its
	// destination's.
	Authorizations []AuthorizationID `json:"auth_ids"`
	State          JobState          `json:"status"`
	SleepReason    SleepReason       `json:"sleep_reason,omitempty"`
	SleepUntil     time.Time         `json:"sleep_until,omitzero"`
	// ConsecutiveErrors counts errors since the last success.
	ConsecutiveErrors int       `json:"consecutive_errors"`
	FailingSince      time.Time `json:"failing_since,omitzero"`
	// FailAfter is how long errors may last before the job fails. Default 10h.
	FailAfter time.Duration `json:"fail_after"`
	// StallAfter is how long a run may make no progress before it is restarted.
	// Default 15m.
	StallAfter time.Duration `json:"stall_after"`
	Schedule
	Reach
	OnEnd OnEnd `json:"on_end"`
	// Tag and Hidden are for lists; VerboseLogging logs every queue item.
	Tag            string    `json:"tag,omitempty"`
	Hidden         bool      `json:"hidden"`
	VerboseLogging bool      `json:"verbose_logging"`
	Deleted        bool      `json:"deleted"`
	CreatedBy      string    `json:"created_by"`
	CreatedAt      time.Time `json:"created"`
	UpdatedAt      time.Time `json:"updated"`
	// StateSince is when the job entered its state.
	StateSince time.Time `json:"status_since"`
	// ResumeAt is when a paused job resumes by itself; zero = it does not.
	ResumeAt  time.Time `json:"resume_at,omitzero"`
	LastRunAt time.Time `json:"last_run,omitzero"`
	// NextRunAt is the next scheduled time of any of its targets; zero for a job
	// in real time and for one that will not run again by itself.
	NextRunAt time.Time `json:"next_run,omitzero"`
	// QuietFrom and QuietUntil are the quiet window that is on, or the next one.
	QuietFrom  time.Time `json:"quiet_from,omitzero"`
	QuietUntil time.Time `json:"quiet_until,omitzero"`
	// StalledAt is since when a run of it has made no progress.
	StalledAt time.Time `json:"stalled_at,omitzero"`
}

// Once reports whether the job completes after one success.
func (j Job) Once() bool { return !j.Continuous || j.BackfillOnly }

// Target is one audience kept at one destination.
type Target struct {
	ID          TargetID      `json:"id"`
	Destination DestinationID `json:"destination_id"`
	// Audience, or Stream where a stream feeds it.
	Audience AudienceID `json:"segment_id"`
	Stream   string     `json:"stream,omitempty"`
	// Workflow is that of the job that made it, which decides what is kept there.
	Workflow   string `json:"workflow"`
	Job        JobID  `json:"job_id"` // owner; "" when free to be adopted
	RemoteID   string `json:"remote_id"`
	RemoteName string `json:"remote_name"`
	Generation int    `json:"generation"`
	OpenRun    RunID  `json:"open_run"`
	DueNow     bool   `json:"due_now"`
	// DueAt is from when on it is due, where DueNow is set.
	DueAt time.Time `json:"-"`
	// DueCause is what made it due; "" = a person, where DueNow is set.
	DueCause Cause `json:"due_cause,omitempty"`
	DirtySeq int64 `json:"dirty_seq"`
	DoneSeq  int64 `json:"done_seq"`
	// KeysSeq is the highest change of a member's identifiers, KeysDone the last
	// one that was dealt with.
	KeysSeq  int64 `json:"keys_seq"`
	KeysDone int64 `json:"keys_done"`
	// State, sleep, errors and failing-since are per target.
	State             TargetState `json:"status"`
	SleepReason       SleepReason `json:"sleep_reason,omitempty"`
	SleepUntil        time.Time   `json:"sleep_until,omitzero"`
	ConsecutiveErrors int         `json:"consecutive_errors"`
	FailingSince      time.Time   `json:"failing_since,omitzero"`
	LastOpenedAt      time.Time   `json:"last_opened_at,omitzero"`
	// NextAt is the next scheduled time, by the job's schedule.
	NextAt time.Time `json:"next_at,omitzero"`
	// Release is empty or delete while the remote audience is to be given up.
	Release   OnEnd     `json:"release,omitempty"`
	CreatedAt time.Time `json:"created"`
}

// HeldRun is a run in a node's hands. InLine: it does nothing but wait its turn
// behind others.
type HeldRun struct {
	ID      RunID
	Attempt int
	InLine  bool
}

// Run is one execution of an export job for one target: a row of Sync Tracking.
type Run struct {
	ID          RunID         `json:"id"`
	Number      int64         `json:"number"` // increasing, for people: "run #12"
	Target      TargetID      `json:"target_id"`
	Job         JobID         `json:"job_id"`
	Destination DestinationID `json:"destination_id"`
	Audience    AudienceID    `json:"segment_id"`
	Stream      string        `json:"stream,omitempty"`
	Generation  int           `json:"generation"`
	Key         string        `json:"key"` // runs of one key supersede each other
	SyncType    SyncType      `json:"sync_type"`
	TriggeredBy string        `json:"triggered_by"`
	// Cause is what triggered it, and Mode what it does.
	Cause Cause   `json:"cause,omitempty"`
	Mode  RunMode `json:"mode,omitempty"`
	// Period is that of a historical push.
	Period Period    `json:"period,omitzero"`
	Status RunStatus `json:"status"`
	Stage  Stage     `json:"stage"`
	// Attempt grows with every takeover and every Retry; writes match it.
	Attempt    int       `json:"attempt"`
	Node       string    `json:"node"`
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	// Seq and Now are fixed at Plan: the change number read up to, and the
	// time that date math means.
	Seq int64     `json:"seq"`
	Now time.Time `json:"now,omitzero"`
	// KeySet is the id of the key set the rows were staged under.
	KeySet    string    `json:"key_set,omitempty"`
	WaitUntil time.Time `json:"wait_until,omitzero"` // provider's wait inside the run
	// ProgressAt is when anything of the run last moved; StalledAt is set while
	// nothing has for the job's stall limit, and Stalls counts how often.
	ProgressAt time.Time `json:"progress_at,omitzero"`
	StalledAt  time.Time `json:"stalled_at,omitzero"`
	Stalls     int       `json:"stalls,omitempty"`
	// Release is set on the run that gives the remote audience up.
	Release  OnEnd       `json:"release,omitempty"`
	Reason   SleepReason `json:"reason,omitempty"` // approval
	StagedAt time.Time   `json:"staged_at,omitzero"`
	Counts   Counts      `json:"counts"`
	Timings  []Timing    `json:"stages"`
	// ErrorKind, ErrorCode and ErrorText tell why a run failed.
	ErrorKind Kind      `json:"error_kind,omitempty"`
	ErrorCode string    `json:"error_code,omitempty"`
	ErrorText string    `json:"error,omitempty"`
	StartedAt time.Time `json:"started"`
	EndedAt   time.Time `json:"ended,omitzero"`
}

// Timing is when a stage of a run began and ended.
type Timing struct {
	Stage     Stage     `json:"stage"`
	StartedAt time.Time `json:"started"`
	EndedAt   time.Time `json:"ended,omitzero"`
}

// Item is one batch of staged rows for one target: a range of ordinals.
type Item struct {
	ID       ItemID    `json:"id"`
	Run      RunID     `json:"run_id"`
	Number   int       `json:"number"` // 1-based within the run, children after their parents
	Parent   ItemID    `json:"parent,omitempty"`
	Phase    int       `json:"phase"`
	Op       Op        `json:"op"`
	Plain    bool      `json:"plain"` // people who leave or newly come, as against keys that change
	First    int64     `json:"first"` // first staged ordinal, inclusive
	Last     int64     `json:"last"`  // last staged ordinal, inclusive
	State    ItemState `json:"state"`
	Attempt  int       `json:"attempt"`
	Folded   bool      `json:"folded"`
	Code     string    `json:"code,omitempty"`
	Message  string    `json:"message,omitempty"`
	UpdateAt time.Time `json:"updated"`
}

// Rows is how many staged rows the item covers.
func (i Item) Rows() int64 { return i.Last - i.First + 1 }

// Receipt is what the provider answered to a queue item. The counts add up to
// the rows of the batch: Accepted + Rejected + Unknown + Unsent + Superseded,
// or all zero with Poll set while the network has not answered.
type Receipt struct {
	// Attempt is the attempt of the item that it answers; the store fills it.
	Attempt    int   `json:"attempt"`
	Accepted   int64 `json:"accepted"`
	Rejected   int64 `json:"rejected"`
	Unknown    int64 `json:"unknown"`
	Unsent     int64 `json:"unsent"`
	Superseded int64 `json:"superseded"`
	// Unplaced is how many of the accepted rows the network called invalid
	// without saying which.
	Unplaced int64 `json:"unplaced"`
	// Exceptions are the rows whose outcome is not Accepted, by ordinal within
	// the batch (0-based), ascending.
	Exceptions []Exception `json:"exceptions,omitempty"`
	RequestID  string      `json:"request_id,omitempty"`
	// HTTPStatus and Headers are kept for support; only an allow-list of
	// headers is stored.
	HTTPStatus int               `json:"http_status,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	// PollToken is set when the network answers later; PollAfter is when to ask.
	PollToken string    `json:"poll_token,omitempty"`
	PollAfter time.Time `json:"poll_after,omitzero"`
}

// Exception is one row of a batch that was not simply accepted.
type Exception struct {
	Ordinal int64   `json:"n"`
	Outcome Outcome `json:"outcome"`
	Code    string  `json:"code,omitempty"`
}
