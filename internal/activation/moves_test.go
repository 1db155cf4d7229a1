package activation_test

import (
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
)

// TestMoves: each constructor from each state, for a job that keeps its rest
// itself: what it clears, what it keeps, and when it entered its state.
func TestMoves(t *testing.T) {
	at, before := start.Add(time.Hour), start
	failing := func(s activation.JobState) activation.Standing {
		as := activation.Standing{State: s, ConsecutiveErrors: 3, FailingSince: before, Since: before}
		switch s {
		case activation.JobSleeping:
			as.Reason, as.Until = activation.SleepError, at.Add(time.Minute)
		case activation.JobPaused:
			as.ResumeAt = at
		case activation.JobRunnable, activation.JobCompleted, activation.JobFailed, activation.JobKilled:
		}
		return as
	}
	moves := map[string]struct {
		make  func(activation.Standing) (activation.Standing, error)
		from  string // the states that take it
		to    activation.JobState
		clean string // the states from which it starts with a clean slate
	}{
		"pause":   {func(s activation.Standing) (activation.Standing, error) { return activation.Paused(s, at, time.Hour) }, "runnable sleeping", activation.JobPaused, ""},
		"resume":  {func(s activation.Standing) (activation.Standing, error) { return activation.Resumed(s, at) }, "paused", activation.JobRunnable, ""},
		"unpause": {func(s activation.Standing) (activation.Standing, error) { return activation.Unpaused(s, at) }, "paused", activation.JobRunnable, ""},
		"bounce":  {func(s activation.Standing) (activation.Standing, error) { return activation.Bounced(s, at) }, "failed", activation.JobRunnable, "failed"},
		"run":     {func(s activation.Standing) (activation.Standing, error) { return activation.Called(s, at) }, "runnable sleeping", activation.JobRunnable, ""},
		"retry":   {func(s activation.Standing) (activation.Standing, error) { return activation.Retried(s, at) }, "runnable sleeping failed", activation.JobRunnable, "failed"},
		"kill":    {func(s activation.Standing) (activation.Standing, error) { return activation.Killed(s, at) }, "runnable sleeping paused completed failed killed", activation.JobKilled, ""},
		"delete":  {func(s activation.Standing) (activation.Standing, error) { return activation.Deleted(s, at) }, "runnable sleeping paused completed failed killed", activation.JobKilled, ""},
		"expire":  {func(s activation.Standing) (activation.Standing, error) { return activation.Expired(s, at) }, "runnable sleeping paused", activation.JobCompleted, ""},
	}
	for name, m := range moves {
		for _, from := range activation.JobStates {
			s := failing(from)
			got, err := m.make(s)
			if !strings.Contains(" "+m.from+" ", " "+string(from)+" ") {
				if activation.KindOf(err) != activation.Invalid || !strings.Contains(err.Error(), "the job is "+string(from)) || got != s {
					t.Errorf("%s of a %s job: %+v, %v", name, from, got, err)
				}
				continue
			}
			want := activation.Standing{State: m.to, ConsecutiveErrors: 3, FailingSince: before, Since: at}
			if from == m.to {
				want.Since = before
			}
			if name == "pause" {
				want.ResumeAt = at.Add(time.Hour)
			}
			if strings.Contains(m.clean, string(from)) && m.clean != "" {
				want.ConsecutiveErrors, want.FailingSince = 0, time.Time{}
			}
			if err != nil || got != want {
				t.Errorf("%s of a %s job: %+v, %v; want %+v", name, from, got, err, want)
			}
		}
	}
	early := failing(activation.JobPaused)
	early.ResumeAt = at.Add(time.Second)
	if _, err := activation.Unpaused(early, at); err == nil {
		t.Error("a job resumes by itself before its time")
	}
	early.ResumeAt = time.Time{}
	if _, err := activation.Unpaused(early, at); err == nil {
		t.Error("a job that is paused for good resumes by itself")
	}
	if got := activation.Created(at, at.Add(time.Hour)); got.State != activation.JobSleeping || got.Reason != activation.SleepSchedule || !got.Until.Equal(at.Add(time.Hour)) {
		t.Errorf("a new job with a time of day: %+v", got)
	}
	if got := activation.Created(at, time.Time{}); got != (activation.Standing{State: activation.JobRunnable, Since: at}) {
		t.Errorf("a new job: %+v", got)
	}
}
