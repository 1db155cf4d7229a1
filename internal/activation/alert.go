package activation

import "time"

// NoticeID names one message of an alert job. It stays the same however often
// the message is sent.
type NoticeID string

// AlertState is how a subject is, as far as an alert job was told.
type AlertState string

const (
	// AlertFiring: something is wrong with the subject.
	AlertFiring AlertState = "firing"
	// AlertResolved: it works again, or there is no longer such a thing.
	AlertResolved AlertState = "resolved"
)

// The further states an alert is shown in while it fires.
const (
	// ShownAcknowledged: a person knows; nothing more is told until it is resolved.
	ShownAcknowledged = "acknowledged"
	// ShownSilenced: nothing is told until Alert.SilencedUntil.
	ShownSilenced = "silenced"
)

// AlertsShown lists every state an alert is shown in, in the order the docs use.
var AlertsShown = []string{string(AlertFiring), ShownAcknowledged, ShownSilenced, string(AlertResolved)}

// Alert is what an alert job last told about one subject.
type Alert struct {
	Job         JobID      `json:"job_id"`
	Source      Source     `json:"source"`
	SubjectID   string     `json:"subject_id"`
	SubjectName string     `json:"subject_name"`
	State       AlertState `json:"state"`
	// Type, Code and Message are those of the event that made it fire.
	Type           EventType `json:"type"`
	Code           string    `json:"code,omitempty"`
	Message        string    `json:"message"`
	Since          time.Time `json:"since"`
	ResolvedAt     time.Time `json:"resolved_at,omitzero"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
	SilencedUntil  time.Time `json:"silenced_until,omitzero"`
}

// Quiet reports whether changes of the alert are kept and not told.
func (a Alert) Quiet(now time.Time) bool {
	return !a.AcknowledgedAt.IsZero() || a.SilencedUntil.After(now)
}

// Shown returns the state that people see: one of AlertsShown.
func (a Alert) Shown(now time.Time) string {
	switch {
	case a.State == AlertResolved:
		return string(AlertResolved)
	case a.SilencedUntil.After(now):
		return ShownSilenced
	case !a.AcknowledgedAt.IsZero():
		return ShownAcknowledged
	}
	return string(AlertFiring)
}

// NoticeState is where a notice is on its way.
type NoticeState string

const (
	// NoticePending: to be sent, or to be sent again.
	NoticePending NoticeState = "pending"
	// NoticeSending: on its way. After a crash it is sent again under its id.
	NoticeSending NoticeState = "sending"
	NoticeSent    NoticeState = "sent"
	// NoticeFailed: refused for good; it is not sent again.
	NoticeFailed NoticeState = "failed"
	// NoticeUnknown: its job ended while nobody knew whether it had arrived.
	NoticeUnknown NoticeState = "unknown"
	// NoticeSilenced: kept, and never sent.
	NoticeSilenced NoticeState = "silenced"
)

// NoticeStates lists the states, in the order the docs use.
var NoticeStates = []NoticeState{NoticePending, NoticeSending, NoticeSent, NoticeFailed, NoticeUnknown, NoticeSilenced}

// Notice is one message of an alert job, from its making to its arrival.
type Notice struct {
	ID  NoticeID `json:"id"`
	Job JobID    `json:"job_id"`
	// Event is what is told. Its id is 0 for a test.
	Event Event `json:"event"`
	// Recovery is true when the subject works again.
	Recovery bool `json:"recovery"`
	// Repeat counts how often the same event was told before.
	Repeat    int         `json:"repeat"`
	State     NoticeState `json:"state"`
	Attempts  int         `json:"attempts"`
	CreatedAt time.Time   `json:"created"`
	SentAt    time.Time   `json:"sent_at,omitzero"`
	// Answer is what the far side said, short and safe to show.
	Answer    string `json:"answer,omitempty"`
	ErrorCode string `json:"error_code,omitempty"`
	ErrorText string `json:"error,omitempty"`
}
