package activation

import "time"

// Cause is what triggered a run.
type Cause string

const (
	// CauseManual: a person asked for it.
	CauseManual Cause = "manual"
	// CauseSchedule: its job's time had come.
	CauseSchedule Cause = "schedule"
	// CauseRealTime: people entered or left, or events came.
	CauseRealTime Cause = "real_time"
	// CauseOutbound: the outbound schedule decided for everybody.
	CauseOutbound Cause = "outbound"
	// CauseAgent: Usher itself found identifiers or mappings changed.
	CauseAgent Cause = "agent"
	// CauseRepair: what reconciling found is being mended.
	CauseRepair Cause = "repair"
)

// Causes lists every cause, in the order the docs use.
var Causes = []Cause{CauseManual, CauseSchedule, CauseRealTime, CauseOutbound, CauseAgent, CauseRepair}

// RunMode is what a run does. The zero value brings the audience in step, or
// sends the events that wait.
type RunMode string

const (
	ModeSync RunMode = ""
	// ModeKeys moves the keys of those whom the network holds, and neither adds
	// nor removes anybody.
	ModeKeys RunMode = "keys"
	// ModeReplace sends everybody who is wanted; the network drops the others.
	ModeReplace RunMode = "replace"
	// ModeHistory sends the events of a period before the job began.
	ModeHistory RunMode = "history"
	// ModeForget removes one person, whatever the state of the job.
	ModeForget RunMode = "forget"
)

// Period is the message times a historical push covers: From included, Until not.
type Period struct {
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// AudienceKind says who decides about the members of an audience.
type AudienceKind string

const (
	// KindRule: its rule. The only kind that people make and change.
	KindRule AudienceKind = "rule"
	// KindAction: next-best-action decisions.
	KindAction AudienceKind = "action"
	// KindNegative: a rule that Usher makes, everybody not eligible for an action.
	KindNegative AudienceKind = "negative"
	// KindConversion: events that a network accepted; nobody leaves it.
	KindConversion AudienceKind = "conversion"
	// KindRetired: of an action that was deleted. It has no members, and goes
	// when no destination keeps anything of it.
	KindRetired AudienceKind = "retired"
)

// Given reports whether members are put in one by one instead of by a rule.
func (k AudienceKind) Given() bool {
	return k == KindAction || k == KindConversion || k == KindRetired
}

// PriorityList orders audiences of a destination: a person in several of them
// goes to the first only. An audience that is not sent there takes nobody.
type PriorityList struct {
	ID          PriorityListID `json:"id"`
	Name        string         `json:"name"`
	Destination DestinationID  `json:"destination_id"`
	Audiences   []AudienceID   `json:"segment_ids"` // the first is the strongest
	CreatedAt   time.Time      `json:"created"`
	UpdatedAt   time.Time      `json:"updated"`
}

// ReconcileMethod is what a network can tell of an audience.
type ReconcileMethod string

const (
	// ByMembers: every member, hence every difference by name.
	ByMembers ReconcileMethod = "members"
	// BySize: how many, exactly or between two numbers.
	BySize ReconcileMethod = "size"
	// ByNothing: nothing.
	ByNothing ReconcileMethod = "none"
)

// ReconcileStatus is what comparing came to.
type ReconcileStatus string

const (
	ReconcileRunning ReconcileStatus = "running"
	// ReconcileEqual: the network holds what the ledger says, as far as it tells.
	ReconcileEqual ReconcileStatus = "equal"
	// ReconcileDrifted: it does not.
	ReconcileDrifted ReconcileStatus = "drifted"
	// ReconcileRepaired: the differences were given to the next run to mend.
	ReconcileRepaired ReconcileStatus = "repaired"
	ReconcileFailed   ReconcileStatus = "failed"
	// ReconcileUntold: the network tells nothing that could be compared.
	ReconcileUntold ReconcileStatus = "untold"
)

// Reconciliation is one comparison of a target's ledger with what its network
// tells. It counts; the people are in the data plane.
type Reconciliation struct {
	ID         ReconciliationID `json:"id"`
	Target     TargetID         `json:"target_id"`
	Generation int              `json:"generation"`
	Method     ReconcileMethod  `json:"method"`
	Status     ReconcileStatus  `json:"status"`
	// Ledger is how many people the ledger holds as in. RemoteLow and RemoteHigh
	// are how many the network says it has: equal where it is exact.
	Ledger     int64 `json:"ledger"`
	RemoteLow  int64 `json:"remote_low"`
	RemoteHigh int64 `json:"remote_high"`
	// Missing is how many people the ledger holds and the network does not; Extra
	// how many members of the network the ledger does not know. ByMembers only.
	Missing    int64     `json:"missing"`
	Extra      int64     `json:"extra"`
	ErrorCode  string    `json:"error_code,omitempty"`
	ErrorText  string    `json:"error,omitempty"`
	AskedBy    string    `json:"asked_by"` // a person, or "system" at night
	StartedAt  time.Time `json:"started"`
	EndedAt    time.Time `json:"ended,omitzero"`
	RepairedBy string    `json:"repaired_by,omitempty"`
	RepairedAt time.Time `json:"repaired,omitzero"`
}
