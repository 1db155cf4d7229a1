package activation_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func TestNextSleep(t *testing.T) {
	failing := activation.Rest{State: activation.TargetRunnable, ConsecutiveErrors: 3, FailingSince: start}
	at := start.Add(10 * time.Minute)
	cases := []struct {
		name string
		from activation.Rest
		end  activation.RunEnd
		how  activation.Rhythm
		want activation.Rest
	}{
		{
			"first error",
			activation.Rest{},
			activation.RunEnd{Kind: activation.Unavailable, At: at},
			activation.Rhythm{},
			activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepError, Until: at.Add(time.Minute), ConsecutiveErrors: 1, FailingSince: at},
		},
		{
			"fourth error", failing,
			activation.RunEnd{Kind: activation.Internal, At: at},
			activation.Rhythm{},
			activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepError, Until: at.Add(8 * time.Minute), ConsecutiveErrors: 4, FailingSince: start},
		},
		{
			"the last sleep is shortened", failing,
			activation.RunEnd{Kind: activation.Unavailable, At: at},
			activation.Rhythm{FailAfter: 12 * time.Minute},
			activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepError, Until: start.Add(12 * time.Minute), ConsecutiveErrors: 4, FailingSince: start},
		},
		{
			"errors have lasted", failing,
			activation.RunEnd{Kind: activation.Unavailable, At: at},
			activation.Rhythm{FailAfter: 10 * time.Minute},
			activation.Rest{State: activation.TargetFailed, ConsecutiveErrors: 4, FailingSince: start},
		},
		{
			"a provider's wait is not counted", failing,
			activation.RunEnd{Kind: activation.WaitUntil, At: at, Until: at.Add(30 * time.Hour)},
			activation.Rhythm{},
			activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepProviderLimit, Until: at.Add(30 * time.Hour), ConsecutiveErrors: 3, FailingSince: start},
		},
		{
			"a wait without a time",
			activation.Rest{},
			activation.RunEnd{Kind: activation.WaitUntil, At: at},
			activation.Rhythm{},
			activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepProviderLimit, Until: at.Add(time.Minute)},
		},
		{
			"invalid fails at once",
			activation.Rest{},
			activation.RunEnd{Kind: activation.Invalid, At: at},
			activation.Rhythm{},
			activation.Rest{State: activation.TargetFailed, ConsecutiveErrors: 1, FailingSince: at},
		},
		{
			"unauthorized waits to be mended, until fail_after", failing,
			activation.RunEnd{Kind: activation.Unauthorized, At: at},
			activation.Rhythm{},
			activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepAuthorization, Until: start.Add(10 * time.Hour), ConsecutiveErrors: 4, FailingSince: start},
		},
		{"success in real time", failing, activation.RunEnd{At: at}, activation.Rhythm{}, activation.Rest{State: activation.TargetRunnable}},
		{
			"success on schedule", failing,
			activation.RunEnd{At: at},
			activation.Rhythm{Next: at.Add(time.Hour)},
			activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepSchedule, Until: at.Add(time.Hour)},
		},
		{"success after the next time", failing, activation.RunEnd{At: at}, activation.Rhythm{Next: at.Add(-time.Minute)}, activation.Rest{State: activation.TargetRunnable}},
		{"success of a job that runs once", failing, activation.RunEnd{At: at}, activation.Rhythm{Once: true, Next: at.Add(time.Hour)}, activation.Rest{State: activation.TargetCompleted}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := activation.NextSleep(c.from, c.end, c.how); got != c.want {
				t.Fatalf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// Under any errors, a target sleeps twice as long each time, never past
// fail_after, fails once they have lasted that long and not before, and one
// success forgets them all.
func TestSleepDoublesUntilItFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		how := activation.Rhythm{FailAfter: time.Duration(rapid.Int64Range(1, int64(72*time.Hour)).Draw(t, "fail after"))}
		rest, now := activation.Rest{State: activation.TargetRunnable}, start
		var since time.Time
		errorCount := 0
		for range rapid.IntRange(1, 30).Draw(t, "runs") {
			kind := rapid.SampledFrom([]activation.Kind{"", activation.Unavailable, activation.Unavailable, activation.Unavailable, activation.Internal, activation.WaitUntil}).Draw(t, "kind")
			rest = activation.NextSleep(rest, activation.RunEnd{Kind: kind, At: now}, how)
			switch kind {
			case "":
				errorCount, since = 0, time.Time{}
				if rest != (activation.Rest{State: activation.TargetRunnable}) {
					t.Fatalf("after a success: %+v", rest)
				}
			case activation.WaitUntil:
			default:
				errorCount++
				if since.IsZero() {
					since = now
				}
				if lasted := now.Sub(since); (rest.State == activation.TargetFailed) != (lasted >= how.FailAfter) {
					t.Fatalf("errors lasted %v of %v: %+v", lasted, how.FailAfter, rest)
				}
			}
			if rest.ConsecutiveErrors != errorCount || !rest.FailingSince.Equal(since) {
				t.Fatalf("%d errors since %v: %+v", errorCount, since, rest)
			}
			if rest.State == activation.TargetFailed {
				return
			}
			if rest.Reason == activation.SleepError {
				want := min(time.Minute<<(errorCount-1), since.Add(how.FailAfter).Sub(now))
				if got := rest.Until.Sub(now); got != want {
					t.Fatalf("error %d sleeps %v, want %v", errorCount, got, want)
				}
			}
			if rest.Until.After(now) {
				now = rest.Until
			}
		}
	})
}

func TestPark(t *testing.T) {
	done := activation.Rest{State: activation.TargetCompleted}
	if got := activation.Park(done, start, activation.Rhythm{}); got != done {
		t.Fatalf("a completed target is parked: %+v", got)
	}
	asleep := activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepSchedule, Until: start.Add(time.Hour)}
	parked := activation.Park(asleep, start, activation.Rhythm{FailAfter: time.Hour})
	if parked.Reason != activation.SleepAuthorization || !parked.Until.Equal(start.Add(time.Hour)) {
		t.Fatalf("parked: %+v", parked)
	}
	if again := activation.Park(parked, start.Add(30*time.Minute), activation.Rhythm{FailAfter: time.Hour}); again != parked {
		t.Fatalf("parking twice moves the deadline: %+v", again)
	}
	if over := activation.Park(parked, start.Add(time.Hour), activation.Rhythm{FailAfter: time.Hour}); over.State != activation.TargetFailed {
		t.Fatalf("at its deadline: %+v", over)
	}
}

func TestJobRest(t *testing.T) {
	run := activation.Rest{State: activation.TargetRunnable}
	done := activation.Rest{State: activation.TargetCompleted}
	gone := activation.Rest{State: activation.TargetFailed}
	soon := activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepError, Until: start.Add(time.Minute)}
	late := activation.Rest{State: activation.TargetSleeping, Reason: activation.SleepSchedule, Until: start.Add(time.Hour)}
	cases := []struct {
		name   string
		rests  []activation.Rest
		state  activation.JobState
		reason activation.SleepReason
		until  time.Time
	}{
		{"no targets", nil, activation.JobRunnable, "", time.Time{}},
		{"one runs", []activation.Rest{soon, run, gone}, activation.JobRunnable, "", time.Time{}},
		{"all sleep: the earliest wake", []activation.Rest{late, soon}, activation.JobSleeping, activation.SleepError, soon.Until},
		{"one sleeps, one failed", []activation.Rest{gone, late}, activation.JobSleeping, activation.SleepSchedule, late.Until},
		{"all failed", []activation.Rest{gone, gone}, activation.JobFailed, "", time.Time{}},
		{"one failed, one completed", []activation.Rest{done, gone}, activation.JobFailed, "", time.Time{}},
		{"all completed", []activation.Rest{done, done}, activation.JobCompleted, "", time.Time{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			state, reason, until := activation.JobRest(c.rests)
			if state != c.state || reason != c.reason || !until.Equal(c.until) {
				t.Fatalf("got %s %s %v", state, reason, until)
			}
		})
	}
}
