package schedule_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/schedule"
)

func TestPeriod(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ every, zone, at, from, until string }{
		{"hourly", "", "2026-03-10T14:59:59Z", "2026-03-10T14:00:00Z", "2026-03-10T15:00:00Z"},
		{"hourly", "Asia/Kolkata", "2026-03-10T14:59:59Z", "2026-03-10T14:30:00Z", "2026-03-10T15:30:00Z"},
		{"daily", "America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"},   // 23 hours
		{"daily", "America/New_York", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},   // 25 hours
		{"weekly", "Europe/Copenhagen", "2026-11-22T22:59:00Z", "2026-11-15T23:00:00Z", "2026-11-22T23:00:00Z"}, // a Sunday
		{"weekly", "", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},                  // a Monday
		{"monthly", "", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{"monthly", "", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
	} {
		parse := func(text string) time.Time {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		from, until := schedule.Period(c.every, c.zone, parse(c.at))
		if !from.Equal(parse(c.from)) || !until.Equal(parse(c.until)) {
			t.Errorf("%s in %q at %s: %s until %s, want %s until %s", c.every, c.zone, c.at, from.UTC(), until.UTC(), c.from, c.until)
		}
	}
	if from, until := schedule.Period("", "", time.Now()); !from.IsZero() || !until.IsZero() {
		t.Errorf("each run has a period: %s until %s", from, until)
	}
}

// TestPeriodsFollowEachOther: whatever the clocks of a zone do, every time is in
// one period, and where it ends the next begins.
func TestPeriodsFollowEachOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		every := rapid.SampledFrom([]string{"hourly", "daily", "weekly", "monthly"}).Draw(rt, "every")
		zone := rapid.SampledFrom(schedule.Zones()).Draw(rt, "zone")
		at := time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(rt, "at"), 0)
		from, until := schedule.Period(every, zone, at)
		if at.Before(from) || !at.Before(until) {
			rt.Fatalf("%s is not in %s until %s", at.UTC(), from.UTC(), until.UTC())
		}
		again, end := schedule.Period(every, zone, until.Add(-time.Second))
		if !again.Equal(from) || !end.Equal(until) {
			rt.Fatalf("its last second is in %s until %s", again.UTC(), end.UTC())
		}
		if next, _ := schedule.Period(every, zone, until); !next.Equal(until) {
			rt.Fatalf("after %s comes %s", until.UTC(), next.UTC())
		}
	})
}
