package schedule_test

import (
	"testing"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// TestChangeNights has every run of some days around a change of the clock. The
// times are written with their offset, as the clock of the zone shows them.
func TestChangeNights(t *testing.T) {
	for _, c := range []struct {
		name string
		s    activation.Schedule
		from string
		want []string
	}{
		{"Berlin, forward: 02:30 is skipped, 03:00 is the change", daily("Europe/Berlin", "02:30"), "2026-03-28T12:00+01:00", []string{
			"2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00",
		}},
		{"Berlin, back: the first 02:30", daily("Europe/Berlin", "02:30"), "2026-10-24T12:00+02:00", []string{
			"2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00",
		}},
		{"Berlin, back: asked between the two 02:30", daily("Europe/Berlin", "02:30"), "2026-10-25T02:10+01:00", []string{
			"2026-10-26T02:30+01:00",
		}},
		{"New York, forward", daily("America/New_York", "02:30"), "2026-03-07T12:00-05:00", []string{
			"2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00",
		}},
		{"New York, back: 02:30 comes once", daily("America/New_York", "02:30"), "2026-10-31T12:00-04:00", []string{
			"2026-11-01T02:30-05:00", "2026-11-02T02:30-05:00",
		}},
		{"New York, back: 01:30 comes twice", daily("America/New_York", "01:30"), "2026-10-31T12:00-04:00", []string{
			"2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00",
		}},
		{"Lord Howe, forward by half an hour: 02:30 is the change itself", daily("Australia/Lord_Howe", "02:30"), "2026-10-03T12:00+10:30", []string{
			"2026-10-04T02:30+11:00", "2026-10-05T02:30+11:00",
		}},
		{"Lord Howe, forward: 02:15 is skipped", daily("Australia/Lord_Howe", "02:15"), "2026-10-03T12:00+10:30", []string{
			"2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00",
		}},
		{"Lord Howe, back: 02:30 comes once", daily("Australia/Lord_Howe", "02:30"), "2026-04-04T12:00+11:00", []string{
			"2026-04-05T02:30+10:30", "2026-04-06T02:30+10:30",
		}},
		{"Lord Howe, back: 01:45 comes twice", daily("Australia/Lord_Howe", "01:45"), "2026-04-04T12:00+11:00", []string{
			"2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30",
		}},
		{"Santiago, forward at midnight: 00:30 is skipped", daily("America/Santiago", "00:30"), "2026-09-05T12:00-04:00", []string{
			"2026-09-06T01:00-03:00", "2026-09-07T00:30-03:00",
		}},
		{"Santiago, forward at midnight: 02:30 is as ever", daily("America/Santiago", "02:30"), "2026-09-05T12:00-04:00", []string{
			"2026-09-06T02:30-03:00", "2026-09-07T02:30-03:00",
		}},
		{"Santiago, forward at midnight: midnight itself", daily("America/Santiago", ""), "2026-09-05T12:00-04:00", []string{
			"2026-09-06T01:00-03:00", "2026-09-07T00:00-03:00",
		}},
		{"Santiago, back at midnight: 23:30 comes twice", daily("America/Santiago", "23:30"), "2026-04-04T12:00-03:00", []string{
			"2026-04-04T23:30-03:00", "2026-04-05T23:30-04:00",
		}},
		{"Santiago, back at midnight: midnight comes once", daily("America/Santiago", "00:00"), "2026-04-04T12:00-03:00", []string{
			"2026-04-05T00:00-04:00", "2026-04-06T00:00-04:00",
		}},
		{"Havana, back at one: midnight comes twice", daily("America/Havana", "00:00"), "2026-10-31T12:00-04:00", []string{
			"2026-11-01T00:00-04:00", "2026-11-02T00:00-05:00",
		}},
		{"Nuuk skips the last hour of a day", daily("America/Nuuk", "23:30"), "2026-03-27T12:00-02:00", []string{
			"2026-03-27T23:30-02:00", "2026-03-29T00:00-01:00", "2026-03-29T23:30-01:00",
		}},
		{"Apia had no 30 December 2011", daily("Pacific/Apia", "02:30"), "2011-12-28T12:00-10:00", []string{
			"2011-12-29T02:30-10:00", "2011-12-31T02:30+14:00", "2012-01-01T02:30+14:00",
		}},
		{"the last day of a leap year, of which Go knows no end", daily("America/New_York", "02:30"), "2060-12-29T12:00-05:00", []string{
			"2060-12-30T02:30-05:00", "2060-12-31T02:30-05:00", "2061-01-01T02:30-05:00",
		}},
		{"weekly on the night", activation.Schedule{Continuous: true, Frequency: "weekly", DayOfWeek: "sunday", TimeOfDay: "02:30", Timezone: "Europe/Berlin"}, "2026-03-22T12:00+01:00", []string{
			"2026-03-29T03:00+02:00", "2026-04-05T02:30+02:00",
		}},
		{"monthly on the night", activation.Schedule{Continuous: true, Frequency: "monthly", TimeOfDay: "01:30", Timezone: "America/New_York"}, "2026-10-15T12:00-04:00", []string{
			"2026-11-01T01:30-04:00", "2026-12-01T01:30-05:00",
		}},
		{"hourly, forward: an hour passes between any two", activation.Schedule{Continuous: true, Frequency: "hourly", TimeOfDay: "00:30", Timezone: "Europe/Berlin"}, "2026-03-29T00:45+01:00", []string{
			"2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00", "2026-03-29T04:30+02:00",
		}},
		{"hourly, back: both hours", activation.Schedule{Continuous: true, Frequency: "hourly", TimeOfDay: "00:30", Timezone: "Europe/Berlin"}, "2026-10-25T01:45+02:00", []string{
			"2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00",
		}},
		{"hourly where the change is half an hour", activation.Schedule{Continuous: true, Frequency: "hourly", TimeOfDay: "00:15", Timezone: "Australia/Lord_Howe"}, "2026-10-04T00:45+10:30", []string{
			"2026-10-04T01:15+10:30", "2026-10-04T03:15+11:00", "2026-10-04T04:15+11:00",
		}},
		{"hourly, by the minute of the local clock", activation.Schedule{Continuous: true, Frequency: "hourly", Timezone: "Asia/Kathmandu"}, "2026-01-01T00:00Z", []string{
			"2026-01-01T06:00+05:45", "2026-01-01T07:00+05:45",
		}},
		{"an interval knows no clock", activation.Schedule{Continuous: true, Frequency: "2h", Timezone: "Europe/Berlin"}, "2026-10-25T01:00+02:00", []string{
			"2026-10-25T02:00+01:00", "2026-10-25T04:00+01:00",
		}},
		{"cron of every hour, back", cronAt("Europe/Berlin", "*/30 * * * *"), "2026-10-25T02:15+02:00", []string{
			"2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00", "2026-10-25T03:00+01:00",
		}},
		{"cron of every hour, forward", cronAt("Europe/Berlin", "*/30 * * * *"), "2026-03-29T01:15+01:00", []string{
			"2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00",
		}},
		{"cron of some hours, forward: what is skipped runs once", cronAt("Europe/Berlin", "*/10 2,4 * * *"), "2026-03-29T00:15+01:00", []string{
			"2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00", "2026-03-29T04:10+02:00",
		}},
		{"cron of some hours, back: each minute once", cronAt("Europe/Berlin", "*/20 2 * * *"), "2026-10-25T01:15+02:00", []string{
			"2026-10-25T02:00+02:00", "2026-10-25T02:20+02:00", "2026-10-25T02:40+02:00", "2026-10-26T02:00+01:00",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := instant(t, c.from)
			for i, got := range schedule.Upcoming(normal(t, c.s), at, len(c.want)) {
				if want := instant(t, c.want[i]); !got.Equal(want) {
					t.Fatalf("run %d is at %s, want %s", i+1, got.In(load(t, c.s.Timezone)), c.want[i])
				}
			}
		})
	}
}

// TestBetweenTwice asks from within the repeated hour, at every minute of it.
func TestBetweenTwice(t *testing.T) {
	s := normal(t, daily("Europe/Berlin", "02:30"))
	first, second := instant(t, "2026-10-25T02:30+02:00"), instant(t, "2026-10-26T02:30+01:00")
	for at := first; at.Before(second); at = at.Add(60e9) {
		if got := schedule.Next(s, at); !got.Equal(second) {
			t.Fatalf("after %s: %s", at, got)
		}
	}
}
