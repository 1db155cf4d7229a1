package activation

import "time"

// QuietAt reports whether the job's quiet window is on. One that is over counts
// as on until the next one is noted, which may be on as well.
func (j Job) QuietAt(at time.Time) bool { return !j.QuietFrom.IsZero() && !at.Before(j.QuietFrom) }

// Hushed is how a job that stands as s shows itself at a time: while its quiet
// window is on it sleeps until the end of it, unless it sleeps for longer
// anyway, or for something a person has to do.
func (j Job) Hushed(s Standing, at time.Time) Standing {
	if !j.QuietAt(at) || !j.QuietUntil.After(at) {
		return s
	}
	switch {
	case s.State == JobRunnable:
	case s.State == JobSleeping && s.Until.Before(j.QuietUntil) && s.Reason != SleepAuthorization && s.Reason != SleepApproval:
	default:
		return s
	}
	next, err := s.to(MoveSleep, JobSleeping, at)
	if err != nil {
		return s
	}
	next.Reason, next.Until = SleepQuietWindow, j.QuietUntil
	return next
}
