package schedule

import (
	"time"

	"usher/internal/activation"
)

// Quiet returns the quiet window that the moment lies in, else the next one:
// nothing is sent from from on until until. Both are zero when the schedule has
// no quiet window.
//
// A window is what the clock of its zone shows: one from 22:00 for 8 hours ends
// at 06:00 on every night of the year, so it is an hour longer or shorter when
// the clock is changed in it. If the clock shows its beginning twice it begins
// at the first, and if it shows its end twice it ends at the second, so that it
// is never loud while the clock shows a quiet time.
func Quiet(s activation.Schedule, at time.Time) (from, until time.Time) {
	h, m, ok := readTimeOfDay(s.QuietTimeOfDay)
	if !ok || s.QuietPeriod < time.Minute || s.QuietPeriod >= 24*time.Hour {
		return time.Time{}, time.Time{}
	}
	name := s.QuietTimezone
	if name == "" {
		name = s.Timezone
	}
	loc, ok := zone(name)
	if !ok {
		return time.Time{}, time.Time{}
	}
	c := clock{loc}
	begin := c.at(at.Unix()).date() - 2*day + wall(h*hour+m*minute)
	for ; ; begin += day {
		f, u := c.first(begin), c.last(begin+wall(s.QuietPeriod/time.Second))
		if f < u && u > at.Unix() {
			return time.Unix(f, 0).UTC(), time.Unix(u, 0).UTC()
		}
	}
}
