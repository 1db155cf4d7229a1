package schedule_test

import (
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// FuzzNormalize reads anything. What is taken has a normal form that stays as
// it is, times that only go forward and words; what is not is not repeated.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{
		"realtime", "hourly", "daily", "weekly", "monthly", "6h", "90s", "@daily", "@every 2h", "30 2 * * 1-5", "*/15 0-23/2 1,15 jan-mar mon",
		"0 0 30 2 *", "0 0 29 2 *", "0 0 31 4 sun", "* * * * sat-mon/2", "*-5 * * * *", "22-2 1 * * 7", "1/59 * * * *", "? ? ? ? ?", "@", "",
	} {
		f.Add(true, s, "7:05", "mon", "europe/berlin", "22:00", int64(8*time.Hour), "", int64(1774659600))
	}
	f.Add(false, "weekly", "", "6", "Lord Howe", "", int64(-1), "UTC", int64(-62135596800))
	f.Add(true, "0 0 * * *", "", "", "Australia/Lord_Howe", "02:15", int64(time.Hour), "Pacific/Apia", int64(253402300799))
	f.Fuzz(func(t *testing.T, continuous bool, frequency, at, weekday, zone, quietAt string, period int64, quietZone string, now int64) {
		in := activation.Schedule{
			Continuous: continuous, Frequency: frequency, TimeOfDay: at, DayOfWeek: weekday, Timezone: zone,
			QuietTimeOfDay: quietAt, QuietPeriod: time.Duration(period), QuietTimezone: quietZone,
		}
		s, problems := schedule.Normalize(in)
		for _, p := range problems {
			if p.Field == "" || p.Message == "" {
				t.Fatalf("%+v: problem %+v", in, p)
			}
		}
		const span = 300_000_000_000 // to the year 11476
		from := time.Unix(now%span, 0)
		if len(problems) > 0 {
			schedule.Upcoming(in, from, 2) // must end, whatever it is
			schedule.Quiet(in, from)
			schedule.Words(in)
			return
		}
		if again, problems := schedule.Normalize(s); again != s || len(problems) > 0 {
			t.Fatalf("%+v normalizes to %+v, and that to %+v %v", in, s, again, problems)
		}
		if strings.TrimSpace(schedule.Words(s)) == "" {
			t.Fatalf("%+v has no words", s)
		}
		last := from
		for _, next := range schedule.Upcoming(s, from, 5) {
			if !next.After(last) || next.Year() > 9999 {
				t.Fatalf("%+v: after %s comes %s", s, last, next)
			}
			last = next
		}
		if first := schedule.First(s, from); !first.IsZero() && first.Before(from) {
			t.Fatalf("%+v: created at %s, first at %s", s, from, first)
		}
		if a, b := schedule.Quiet(s, from); !a.IsZero() && (!b.After(from) || !a.Before(b)) {
			t.Fatalf("%+v: at %s quiet from %s to %s", s, from, a, b)
		}
	})
}
