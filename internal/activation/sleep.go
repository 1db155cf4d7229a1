package activation

import "time"

// The retry rhythm of a target that errs: sleep 1, 2, 4 … minutes until the
// errors have lasted DefaultFailAfter (or the job's own setting).
const (
	// FirstSleep is the sleep after the first error.
	FirstSleep = time.Minute
	// DefaultFailAfter is how long errors may last before a target fails.
	DefaultFailAfter = 10 * time.Hour
)

// Rest is what a target remembers between runs: whether it may run, and how
// its errors stand.
type Rest struct {
	State             TargetState
	Reason            SleepReason
	Until             time.Time
	ConsecutiveErrors int
	FailingSince      time.Time
}

// RunEnd is how a run of the target ended. An empty Kind is a success.
type RunEnd struct {
	Kind Kind
	// Until is when the provider takes calls again, for WaitUntil.
	Until time.Time
	At    time.Time
}

// Rhythm is what the job says about when and how long to try.
type Rhythm struct {
	// FailAfter is how long errors may last; 0 = DefaultFailAfter.
	FailAfter time.Duration
	// Next is the next scheduled time; zero = no schedule. One that is past
	// makes the target due at once: missed runs are caught up once.
	Next time.Time
	// Once is true for a job that completes after one success.
	Once bool
}

func (r Rhythm) failAfter() time.Duration {
	if r.FailAfter <= 0 {
		return DefaultFailAfter
	}
	return r.FailAfter
}

// NextSleep returns the rest of a target after a run ended. It is the whole of
// "errors and sleep": a success resets, a provider's wait is not counted, an
// invalid configuration fails at once, and everything else sleeps twice as
// long as before, never past the moment at which the errors have lasted
// FailAfter. A target that has failed or completed stays so whatever the last
// answers to its runs are.
func NextSleep(s Rest, e RunEnd, r Rhythm) Rest {
	if s.State == TargetFailed || s.State == TargetCompleted {
		return s
	}
	switch e.Kind {
	case "":
		return afterSuccess(e, r)
	case WaitUntil:
		return waiting(s, e)
	case Invalid:
		s = countError(s, e.At)
		return failed(s)
	case Unauthorized:
		return Park(countError(s, e.At), e.At, r)
	case Unavailable, Internal, RefusedWhole, Gone:
		return retrying(countError(s, e.At), e.At, r)
	}
	return retrying(countError(s, e.At), e.At, r)
}

// Park puts a target to sleep until its authorization is mended. Until is then
// not a wake-up but the moment at which the target fails. Parking a target
// that is failing, completed or parked already changes at most its deadline.
func Park(s Rest, at time.Time, r Rhythm) Rest {
	if s.State == TargetFailed || s.State == TargetCompleted {
		return s
	}
	if s.FailingSince.IsZero() {
		s.FailingSince = at
	}
	deadline := s.FailingSince.Add(r.failAfter())
	if !at.Before(deadline) {
		return failed(s)
	}
	s.State, s.Reason, s.Until = TargetSleeping, SleepAuthorization, deadline
	return s
}

// NewRest is the rest of a new target, or of one that a job adopts: due now, or
// asleep until first, the job's time of day, where that is set.
func NewRest(at, first time.Time) Rest {
	if first.After(at) {
		return Rest{State: TargetSleeping, Reason: SleepSchedule, Until: first}
	}
	return Rest{State: TargetRunnable}
}

// Roused is the rest of a target that a person's command makes due now, and
// whether it is: those that are completed stay so, and those that wait for
// their authorization or an approval wait on. Where failedToo is set those that
// have failed start with a clean slate; the errors of others still count.
func Roused(s Rest, failedToo bool) (_ Rest, due bool) {
	switch {
	case s.State == TargetCompleted,
		s.State == TargetFailed && !failedToo,
		s.State == TargetSleeping && (s.Reason == SleepAuthorization || s.Reason == SleepApproval):
		return s, false
	case s.State == TargetFailed:
		return Rest{State: TargetRunnable}, true
	}
	return awake(s), true
}

// Opened is the rest of a target whose run begins.
func Opened(s Rest) Rest { return awake(s) }

// RetriedRest is the rest of a target whose failed run goes on. A failed target
// starts with a clean slate; a completed one stays completed.
func RetriedRest(s Rest) Rest {
	switch s.State {
	case TargetCompleted:
		return s
	case TargetFailed:
		return Rest{State: TargetRunnable}
	case TargetRunnable, TargetSleeping:
	}
	return awake(s)
}

// Asking is the rest of a target whose run waits for a person's approval.
func Asking(s Rest, until time.Time) Rest {
	s.State, s.Reason, s.Until = TargetSleeping, SleepApproval, until
	return s
}

// WokenFrom is the rest of a target when what it slept for is settled: the
// approval is answered, the authorization mended. Another sleep goes on.
func WokenFrom(s Rest, reason SleepReason) Rest {
	if s.State != TargetSleeping || s.Reason != reason {
		return s
	}
	return awake(s)
}

// awake is a rest without its sleep; the errors still count.
func awake(s Rest) Rest {
	s.State, s.Reason, s.Until = TargetRunnable, "", time.Time{}
	return s
}

func afterSuccess(e RunEnd, r Rhythm) Rest {
	if r.Once {
		return Rest{State: TargetCompleted}
	}
	return NewRest(e.At, r.Next)
}

// waiting obeys the provider; a wait without a time is the shortest sleep.
func waiting(s Rest, e RunEnd) Rest {
	s.State, s.Reason, s.Until = TargetSleeping, SleepProviderLimit, e.Until
	if !e.Until.After(e.At) {
		s.Until = e.At.Add(FirstSleep)
	}
	return s
}

func countError(s Rest, at time.Time) Rest {
	s.ConsecutiveErrors++
	if s.FailingSince.IsZero() {
		s.FailingSince = at
	}
	return s
}

func retrying(s Rest, at time.Time, r Rhythm) Rest {
	deadline := s.FailingSince.Add(r.failAfter())
	if !at.Before(deadline) {
		return failed(s)
	}
	s.State, s.Reason, s.Until = TargetSleeping, SleepError, at.Add(backoff(s.ConsecutiveErrors))
	if s.Until.After(deadline) {
		s.Until = deadline
	}
	return s
}

// backoff is 1, 2, 4 … minutes; the shift is bounded well above any FailAfter.
func backoff(errorCount int) time.Duration {
	return FirstSleep << min(max(errorCount-1, 0), 20)
}

func failed(s Rest) Rest {
	s.State, s.Reason, s.Until = TargetFailed, "", time.Time{}
	return s
}

// JobRest derives what a job shows from the rests of its targets: runnable
// while any of them is, sleeping (until the earliest wake) only when all that
// are left sleep, failed when nothing is left and one failed, else completed.
// A job without targets is runnable.
func JobRest(targets []Rest) (state JobState, reason SleepReason, until time.Time) {
	failures, left := 0, len(targets)
	for _, t := range targets {
		switch t.State {
		case TargetRunnable:
			return JobRunnable, "", time.Time{}
		case TargetSleeping:
			if until.IsZero() || t.Until.Before(until) {
				reason, until = t.Reason, t.Until
			}
		case TargetFailed:
			failures, left = failures+1, left-1
		case TargetCompleted:
			left--
		}
	}
	switch {
	case len(targets) == 0:
		return JobRunnable, "", time.Time{}
	case left > 0:
		return JobSleeping, reason, until
	case failures > 0:
		return JobFailed, "", time.Time{}
	default:
		return JobCompleted, "", time.Time{}
	}
}
