package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/schedule"
)

func quiet(zone, at string, period time.Duration) activation.Schedule {
	return activation.Schedule{Continuous: true, Timezone: zone, QuietTimeOfDay: at, QuietPeriod: period}
}

func TestQuiet(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		name, at, from, until string
		s                     activation.Schedule
	}{
		{"before it, the next one", "2026-05-13T12:00Z", "2026-05-13T20:00Z", "2026-05-14T04:00Z", quiet("Europe/Berlin", "22:00", 8*h)},
		{"in the evening", "2026-05-13T20:00Z", "2026-05-13T20:00Z", "2026-05-14T04:00Z", quiet("Europe/Berlin", "22:00", 8*h)},
		{"after midnight", "2026-05-14T03:59Z", "2026-05-13T20:00Z", "2026-05-14T04:00Z", quiet("Europe/Berlin", "22:00", 8*h)},
		{"its end is not in it", "2026-05-14T04:00Z", "2026-05-14T20:00Z", "2026-05-15T04:00Z", quiet("Europe/Berlin", "22:00", 8*h)},
		{"UTC", "2026-05-14T04:00Z", "2026-05-14T03:30Z", "2026-05-14T04:15Z", quiet("", "03:30", 45*time.Minute)},
		{"the night that is an hour shorter", "2026-03-29T00:30Z", "2026-03-28T22:00+01:00", "2026-03-29T06:00+02:00", quiet("Europe/Berlin", "22:00", 8*h)},
		{"the night that is an hour longer", "2026-10-25T00:30Z", "2026-10-24T22:00+02:00", "2026-10-25T06:00+01:00", quiet("Europe/Berlin", "22:00", 8*h)},
		{"its beginning is skipped", "2026-03-28T12:00Z", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00", quiet("Europe/Berlin", "02:30", h)},
		{"its end is skipped", "2026-03-28T12:00Z", "2026-03-29T01:45+01:00", "2026-03-29T03:00+02:00", quiet("Europe/Berlin", "01:45", h)},
		{"all of it is skipped", "2026-03-28T12:00Z", "2026-03-30T02:00+02:00", "2026-03-30T02:45+02:00", quiet("Europe/Berlin", "02:00", 45*time.Minute)},
		{"its beginning comes twice", "2026-10-25T02:45+01:00", "2026-10-25T02:30+02:00", "2026-10-25T03:30+01:00", quiet("Europe/Berlin", "02:30", h)},
		{"its end comes twice", "2026-10-25T02:15+01:00", "2026-10-24T22:00+02:00", "2026-10-25T02:30+01:00", quiet("Europe/Berlin", "22:00", 4*h+30*time.Minute)},
		{"a change of half an hour, forward", "2026-10-04T01:00+10:30", "2026-10-03T22:00+10:30", "2026-10-04T06:00+11:00", quiet("Australia/Lord_Howe", "22:00", 8*h)},
		{"a change at midnight, forward", "2026-09-05T23:00-04:00", "2026-09-05T22:00-04:00", "2026-09-06T06:00-03:00", quiet("America/Santiago", "22:00", 8*h)},
		{"a change at midnight, back", "2026-04-04T23:30-04:00", "2026-04-04T22:00-03:00", "2026-04-05T06:00-04:00", quiet("America/Santiago", "22:00", 8*h)},
		{"nearly always", "2026-05-13T22:30Z", "2026-05-13T22:01Z", "2026-05-14T22:00Z", quiet("UTC", "22:01", 24*h-time.Minute)},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, until := schedule.Quiet(normal(t, c.s), instant(t, c.at))
			if !from.Equal(instant(t, c.from)) || !until.Equal(instant(t, c.until)) {
				t.Errorf("quiet from %s to %s, want %s to %s", from, until, c.from, c.until)
			}
		})
	}
	own := normal(t, activation.Schedule{Timezone: "Europe/Berlin", QuietTimeOfDay: "22:00", QuietPeriod: h, QuietTimezone: "Asia/Tokyo"})
	if from, _ := schedule.Quiet(own, instant(t, "2026-05-13T12:00Z")); !from.Equal(instant(t, "2026-05-13T13:00Z")) {
		t.Errorf("in a zone of its own: from %s", from)
	}
	for _, none := range []activation.Schedule{{}, {QuietTimeOfDay: "22:00"}, {QuietTimeOfDay: "x", QuietPeriod: h}, quiet("Nowhere", "22:00", h)} {
		if from, until := schedule.Quiet(none, instant(t, "2026-05-13T12:00Z")); !from.IsZero() || !until.IsZero() {
			t.Errorf("%+v: quiet from %s to %s", none, from, until)
		}
	}
}

// TestQuietByTheClock looks at the clock every minute of some days: when it
// shows a quiet time it is quiet. It is quiet at another time only within an
// hour that comes twice.
func TestQuietByTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, loc, start, _ := span(t)
		// Mostly at one of the two next changes of the clock, if there are any.
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			if _, change := start.In(loc).ZoneBounds(); !change.IsZero() && change.Year() < 2080 {
				start = change.Add(time.Hour)
			}
		}
		start = start.AddDate(0, 0, -2)
		m := rapid.IntRange(0, 1439).Draw(t, "minute of the day")
		end := rapid.OneOf(rapid.IntRange(0, 1439), rapid.IntRange(0, 180)).Draw(t, "end")
		length := max(1, (end-m+1440)%1440)
		s := quiet(zone, fmt.Sprintf("%02d:%02d", m/60, m%60), time.Duration(length)*time.Minute)
		shown := func(at time.Time) bool {
			c := at.In(loc)
			return (c.Hour()*60+c.Minute()-m+1440)%1440 < length
		}
		for at := start.Truncate(time.Minute); at.Before(start.AddDate(0, 0, 3)); at = at.Add(time.Minute) {
			from, until := schedule.Quiet(s, at)
			if !until.After(at) || !from.Before(until) {
				t.Fatalf("at %s: from %s to %s", at.In(loc), from, until)
			}
			is := !from.After(at)
			if shown(at) && !is {
				t.Fatalf("%s: loud at %s", schedule.Words(s), at.In(loc))
			}
			if is && !shown(at) && !repeats(loc, at) {
				t.Fatalf("%s: quiet at %s", schedule.Words(s), at.In(loc))
			}
		}
	})
}

// repeats reports whether the clock was or will be put back about now.
func repeats(loc *time.Location, at time.Time) bool {
	offset := func(at time.Time) int { _, o := at.In(loc).Zone(); return o }
	for d := -24 * time.Hour; d < 24*time.Hour; d += 15 * time.Minute {
		if offset(at.Add(d)) > offset(at.Add(d+15*time.Minute)) {
			return true
		}
	}
	return false
}
