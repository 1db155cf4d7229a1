package activation

import "time"

// Source is what an event is about.
type Source string

const (
	// SourceWork is a job.
	SourceWork Source = "work"
	// SourceAuth is an authorization.
	SourceAuth Source = "auth"
	// SourceSegment is an audience.
	SourceSegment Source = "segment"
	// SourceQuery is a stream's mapping or the schema.
	SourceQuery Source = "query"
	// SourceServer is the server itself, such as a full disk.
	SourceServer Source = "server"
)

// Sources lists the sources, in the order the docs use.
var Sources = []Source{SourceWork, SourceAuth, SourceSegment, SourceQuery, SourceServer}

// EventType is what happened to the subject of an event.
type EventType string

const (
	EventCreated   EventType = "created"
	EventUpdated   EventType = "updated"
	EventDeleted   EventType = "deleted"
	EventStarted   EventType = "started"
	EventCompleted EventType = "completed"
	EventPaused    EventType = "paused"
	EventResumed   EventType = "resumed"
	EventKilled    EventType = "killed"
	// EventErred: an error that will be retried by itself.
	EventErred EventType = "error"
	// EventFailed: given up; a person has to do something.
	EventFailed EventType = "failed"
	// EventRecovered: it erred, had failed, had stalled or was unhealthy, and
	// works again.
	EventRecovered EventType = "recovered"
	// EventStalled: a run made no progress and was restarted.
	EventStalled EventType = "stalled"
	// EventApproval: a run waits for a person's approval.
	EventApproval EventType = "approval"
	// EventUnhealthy: an authorization does not work any more.
	EventUnhealthy EventType = "unhealthy"
	// EventExpiring: an authorization ends within 30 days.
	EventExpiring EventType = "expiring"
	// EventRejected: more of a run's rows were rejected than the limit.
	EventRejected EventType = "rejected_rows"
	// EventUnusual: a run's counts are far from those of the runs before.
	EventUnusual EventType = "unusual_counts"
	// EventDrifted: a network does not hold what was sent to it.
	EventDrifted EventType = "drifted"
	// EventPurgeDue: an ended job will be purged in a week.
	EventPurgeDue EventType = "purge_due"
)

// EventTypes lists the types, in the order the docs use.
var EventTypes = []EventType{
	EventCreated, EventUpdated, EventDeleted, EventStarted, EventCompleted, EventPaused, EventResumed, EventKilled, EventErred, EventFailed,
	EventRecovered, EventStalled, EventApproval, EventUnhealthy, EventExpiring, EventRejected, EventUnusual, EventDrifted, EventPurgeDue,
}

// Event is one thing that happened which somebody may want to be told. Events
// are written in the transaction that made them so and are never changed.
type Event struct {
	ID          int64     `json:"id"`
	At          time.Time `json:"ts"`
	Source      Source    `json:"source"`
	Type        EventType `json:"type"`
	SubjectID   string    `json:"subject_id"`
	SubjectName string    `json:"subject_name"`
	// Level is info, warn or error.
	Level   string `json:"level"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	// Run is the number of the run it happened in, 0 = none.
	Run int64 `json:"run,omitempty"`
	// PerMille is, of rejected_rows, how many of 1,000 rows were rejected.
	PerMille int64 `json:"per_mille,omitempty"`
}

// MonitorTag marks the alert jobs that belong to one job alone: they are
// declared with it and deleted with it.
func MonitorTag(id JobID) string { return "monitoring:" + string(id) }
