package alerting

import (
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/store"
)

// wrongs are the types of event that make an alert fire.
var wrongs = []activation.EventType{
	activation.EventErred, activation.EventFailed, activation.EventStalled, activation.EventApproval, activation.EventUnhealthy, activation.EventUnusual, activation.EventDrifted,
}

// ends are the types of event after which there is nothing left to be wrong.
var ends = []activation.EventType{activation.EventCompleted, activation.EventKilled, activation.EventDeleted}

// Judge decides what an event means to an alert job: a notice for each change of
// what is wrong, and one when it works again. It is a pure function of the alert
// as it is and the event.
func Judge(self activation.JobID, rule provider.AlertRule) store.Judge {
	return func(have activation.Alert, e activation.Event) (now activation.Alert, tell, recovery bool) {
		if e.Source == activation.SourceWork && e.SubjectID == string(self) {
			return have, false, false // its own errors would be new events for ever
		}
		firing := have.State == activation.AlertFiring
		if firing && mends(rule, have, e) {
			return resolved(have, e), true, true
		}
		if !wanted(rule, e) {
			if firing && slices.Contains(ends, e.Type) {
				return resolved(have, e), false, false
			}
			return have, false, false
		}
		switch {
		case isWrong(rule, e):
			if firing && have.Type == e.Type {
				return have, false, false
			}
			return fires(have, e), true, false
		case e.Type == activation.EventRejected:
			return have, false, false // fewer than are to be told of
		case e.Type == activation.EventRecovered:
			return have, true, true // asked for by name, whatever was told before
		case firing && slices.Contains(ends, e.Type):
			return resolved(have, e), true, false
		}
		return have, true, false
	}
}

// wanted reports whether the job is to tell of events like this.
func wanted(rule provider.AlertRule, e activation.Event) bool {
	return (rule.Source == "" || rule.Source == e.Source) &&
		(len(rule.Subjects) == 0 || slices.Contains(rule.Subjects, e.SubjectID)) &&
		slices.Contains(rule.Types, e.Type)
}

// isWrong reports whether the event says that something is wrong.
func isWrong(rule provider.AlertRule, e activation.Event) bool {
	if e.Type == activation.EventRejected {
		return rule.RejectedPerMille > 0 && e.PerMille >= rule.RejectedPerMille
	}
	return slices.Contains(wrongs, e.Type)
}

// mends reports whether the event says that what the alert fires for is over.
// How many rows are rejected and whether the subject works are told apart.
func mends(rule provider.AlertRule, have activation.Alert, e activation.Event) bool {
	if have.Type == activation.EventRejected {
		return e.Type == activation.EventRejected && !isWrong(rule, e)
	}
	return e.Type == activation.EventRecovered
}

func fires(have activation.Alert, e activation.Event) activation.Alert {
	if have.State != activation.AlertFiring {
		have.AcknowledgedAt, have.AcknowledgedBy = time.Time{}, ""
	}
	have.State, have.ResolvedAt = activation.AlertFiring, time.Time{}
	have.SubjectName, have.Type, have.Code, have.Message, have.Since = e.SubjectName, e.Type, e.Code, e.Message, e.At
	return have
}

// resolved keeps a silence, which is for a time, and ends an acknowledgement,
// which was of what is over now.
func resolved(have activation.Alert, e activation.Event) activation.Alert {
	have.State, have.ResolvedAt, have.SubjectName = activation.AlertResolved, e.At, e.SubjectName
	have.AcknowledgedAt, have.AcknowledgedBy = time.Time{}, ""
	return have
}
