package activation

// JobState is the state of a job (product.md section 2).
type JobState string

const (
	JobRunnable  JobState = "runnable"
	JobSleeping  JobState = "sleeping"
	JobPaused    JobState = "paused"
	JobCompleted JobState = "completed"
	JobFailed    JobState = "failed"
	JobKilled    JobState = "killed"
)

// JobStates lists every state, in the order the docs use.
var JobStates = []JobState{JobRunnable, JobSleeping, JobPaused, JobCompleted, JobFailed, JobKilled}

// SleepReason says why a job or a target sleeps.
type SleepReason string

const (
	SleepSchedule      SleepReason = "schedule"
	SleepError         SleepReason = "error"
	SleepProviderLimit SleepReason = "provider_limit"
	SleepQuietWindow   SleepReason = "quiet_window"
	SleepAuthorization SleepReason = "authorization"
	SleepApproval      SleepReason = "approval"
)

// TargetState says whether a target may run. A job's state is derived from
// those of its targets (JobRest).
type TargetState string

const (
	// TargetRunnable: running, due, or waiting for changes.
	TargetRunnable TargetState = "runnable"
	// TargetSleeping: waiting until its time or until something is mended.
	TargetSleeping TargetState = "sleeping"
	// TargetCompleted: its job runs once and it had its run.
	TargetCompleted TargetState = "completed"
	// TargetFailed: its errors lasted too long, or its configuration is wrong.
	TargetFailed TargetState = "failed"
)

// RunStatus is the status of a run as Sync Tracking shows it.
type RunStatus string

const (
	// RunPending: opened, waiting for its turn or for approval.
	RunPending RunStatus = "pending"
	// RunRunning: being worked on, or waiting for a provider within the run.
	RunRunning RunStatus = "running"
	// RunAwaiting: everything is sent, the network answers later.
	RunAwaiting RunStatus = "awaiting"
	// RunCompleted: every item is final.
	RunCompleted RunStatus = "completed"
	// RunWithdrawn: superseded, killed or switched off before anything was sent.
	RunWithdrawn RunStatus = "withdrawn"
	// RunFailed: stopped by an error; what failed can be retried alone.
	RunFailed RunStatus = "failed"
)

// RunStatuses lists every status, in the order the docs use.
var RunStatuses = []RunStatus{RunPending, RunRunning, RunAwaiting, RunCompleted, RunWithdrawn, RunFailed}

// Final reports whether the run will not move again by itself.
func (s RunStatus) Final() bool {
	return s == RunCompleted || s == RunWithdrawn || s == RunFailed
}

// Stage is one of the six named steps of an export run.
type Stage string

const (
	StagePayload   Stage = "payload"
	StageAudiences Stage = "audiences"
	StageStaging   Stage = "staging"
	StageQueue     Stage = "queue"
	StageRemote    Stage = "remote_audiences"
	StageMembers   Stage = "members"
)

// Stages lists the stages in order.
var Stages = []Stage{StagePayload, StageAudiences, StageStaging, StageQueue, StageRemote, StageMembers}

// ItemState is the state of a queue item.
type ItemState string

const (
	ItemQueued     ItemState = "queued"
	ItemSending    ItemState = "sending"
	ItemDelivered  ItemState = "delivered"
	ItemAwaiting   ItemState = "awaiting"
	ItemFailed     ItemState = "failed"
	ItemUnknown    ItemState = "unknown"
	ItemWithdrawn  ItemState = "withdrawn"
	ItemSuperseded ItemState = "superseded"
	// ItemSplit: replaced by child items over the same ordinals; counts nothing.
	ItemSplit ItemState = "split"
)

// Final reports whether the item will not move again unless a person retries.
func (s ItemState) Final() bool {
	return s != ItemQueued && s != ItemSending && s != ItemAwaiting
}

// Op is what is asked of the network for the rows of an item.
type Op string

const (
	OpAdd    Op = "add"
	OpRemove Op = "remove"
	// OpReadd adds a member again under new keys after its old keys were removed.
	OpReadd Op = "readd"
)

// Outcome is what became of one member change.
type Outcome string

const (
	Accepted   Outcome = "accepted"
	Rejected   Outcome = "rejected"
	Unknown    Outcome = "unknown"
	Unsent     Outcome = "unsent"
	Superseded Outcome = "superseded"
)

// SyncType is the kind of a run in Sync Tracking.
type SyncType string

const (
	SyncSegment            SyncType = "segment"
	SyncPIIUpdate          SyncType = "pii_update"
	SyncNextBestAction     SyncType = "next_best_action"
	SyncOfflineConversion  SyncType = "offline_conversion"
	SyncConversionAudience SyncType = "conversion_audience"
	// SyncEvents sends people's entering and leaving, or raw events, as they come.
	SyncEvents SyncType = "events"
)

// SyncTypes lists every kind of run, in the order the docs use.
var SyncTypes = []SyncType{SyncSegment, SyncPIIUpdate, SyncNextBestAction, SyncOfflineConversion, SyncConversionAudience, SyncEvents}
