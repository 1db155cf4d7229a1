package schedule_test

import (
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

func TestFirst(t *testing.T) {
	const created = "2026-05-13T09:17Z" // a Wednesday
	for _, c := range []struct {
		s    activation.Schedule
		want string // "" = never
	}{
		{activation.Schedule{}, created},
		{activation.Schedule{Continuous: true}, created},
		{activation.Schedule{Continuous: true, Frequency: "hourly"}, created},
		{activation.Schedule{Continuous: true, Frequency: "daily"}, created},
		{activation.Schedule{Continuous: true, Frequency: "6h"}, created},
		{activation.Schedule{Continuous: true, Frequency: "hourly", TimeOfDay: "00:10"}, "2026-05-13T10:10Z"},
		{activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: "09:17"}, created},
		{activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: "09:16"}, "2026-05-14T09:16Z"},
		{activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: "11:30", Timezone: "Europe/Berlin"}, "2026-05-13T09:30Z"},
		{activation.Schedule{Continuous: true, Frequency: "6h", TimeOfDay: "08:00"}, "2026-05-14T08:00Z"},
		{activation.Schedule{Continuous: true, Frequency: "weekly"}, created},
		{activation.Schedule{Continuous: true, Frequency: "weekly", DayOfWeek: "mon"}, "2026-05-18T00:00Z"},
		{activation.Schedule{Continuous: true, Frequency: "weekly", TimeOfDay: "08:00"}, "2026-05-17T08:00Z"},
		{activation.Schedule{Continuous: true, Frequency: "monthly", TimeOfDay: "08:00"}, "2026-06-01T08:00Z"},
		{activation.Schedule{Continuous: true, Frequency: "0 8 29 2 *"}, "2028-02-29T08:00Z"},
		{activation.Schedule{TimeOfDay: "08:00"}, "2026-05-14T08:00Z"},
		{activation.Schedule{Frequency: "0 8 * * fri"}, "2026-05-15T08:00Z"},
		{activation.Schedule{ExpiresAt: instant(t, created)}, ""},
		{activation.Schedule{ExpiresAt: instant(t, "2026-05-13T09:18Z")}, created},
		{activation.Schedule{TimeOfDay: "08:00", ExpiresAt: instant(t, "2026-05-14T08:00Z")}, ""},
		{activation.Schedule{TimeOfDay: "08:00", ExpiresAt: instant(t, "2026-05-14T08:01Z")}, "2026-05-14T08:00Z"},
	} {
		var want time.Time
		if c.want != "" {
			want = instant(t, c.want)
		}
		if got := schedule.First(normal(t, c.s), instant(t, created)); !got.Equal(want) {
			t.Errorf("%+v: first at %s, want %s", c.s, got, want)
		}
	}
}

func TestUpcoming(t *testing.T) {
	from := instant(t, "2026-05-13T09:17Z")
	for _, c := range []struct {
		s    activation.Schedule
		want []string
	}{
		{activation.Schedule{Continuous: true}, nil},
		{activation.Schedule{}, nil},
		{activation.Schedule{Frequency: "daily"}, nil},
		{activation.Schedule{Frequency: "6h"}, nil},
		{activation.Schedule{Frequency: "daily", TimeOfDay: "02:30"}, []string{"2026-05-14T02:30Z"}},
		{activation.Schedule{Frequency: "6h", TimeOfDay: "02:30"}, []string{"2026-05-14T02:30Z"}},
		{activation.Schedule{Continuous: true, Frequency: "6h"}, []string{"2026-05-13T15:17Z", "2026-05-13T21:17Z", "2026-05-14T03:17Z"}},
		{activation.Schedule{Continuous: true, Frequency: "6h", ExpiresAt: instant(t, "2026-05-13T21:17Z")}, []string{"2026-05-13T15:17Z"}},
		{activation.Schedule{Continuous: true, Frequency: "monthly"}, []string{"2026-06-01T00:00Z", "2026-07-01T00:00Z", "2026-08-01T00:00Z"}},
		{activation.Schedule{Continuous: true, Frequency: "weekly"}, []string{"2026-05-17T00:00Z", "2026-05-24T00:00Z", "2026-05-31T00:00Z"}},
		{activation.Schedule{Continuous: true, Frequency: "30 9 13 * fri"}, []string{"2026-05-13T09:30Z", "2026-05-15T09:30Z", "2026-05-22T09:30Z"}},
	} {
		got := schedule.Upcoming(normal(t, c.s), from, 3)
		if len(got) != len(c.want) {
			t.Errorf("%+v: %v, want %v", c.s, got, c.want)
			continue
		}
		for i, want := range c.want {
			if !got[i].Equal(instant(t, want)) {
				t.Errorf("%+v: number %d is %s, want %s", c.s, i+1, got[i], want)
			}
		}
	}
}

// TestUnread says that a schedule nobody normalized has no times, and that
// nothing comes after the year 9999.
func TestUnread(t *testing.T) {
	now := instant(t, "2026-05-13T09:17Z")
	for _, s := range []activation.Schedule{
		{Continuous: true, Frequency: "sometimes"},
		{Continuous: true, Frequency: "daily", TimeOfDay: "25:00"},
		{Continuous: true, Frequency: "daily", Timezone: "Mars/Olympus"},
		{Continuous: true, Frequency: "weekly", DayOfWeek: "someday"},
		{Continuous: true, Frequency: "0 0 30 2 *"},
	} {
		if first, next, words := schedule.First(s, now), schedule.Next(s, now), schedule.Words(s); !first.IsZero() || !next.IsZero() || words != "" {
			t.Errorf("%+v: first %s, next %s, %q", s, first, next, words)
		}
	}
	end := time.Date(9999, 12, 31, 12, 0, 0, 0, time.UTC)
	for _, f := range []string{"hourly", "daily", "24h", "0 0 * * *", "* * * * *"} {
		s := normal(t, activation.Schedule{Continuous: true, Frequency: f})
		for _, got := range schedule.Upcoming(s, end, 2000) {
			if got.Year() > 9999 {
				t.Fatalf("%s comes at %s", f, got)
			}
		}
	}
}
