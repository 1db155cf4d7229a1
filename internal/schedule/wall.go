package schedule

import "time"

// A wall is what a clock on the wall shows, as seconds since 1970 on that
// clock. An instant is seconds since 1970 in UTC. The difference is the offset
// of the zone, and everything about changes of the clock is in this file.
type wall int64

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// clock shows the wall time of a zone.
type clock struct{ loc *time.Location }

// offset returns how far the clock is ahead of UTC at an instant.
func (c clock) offset(instant int64) int64 {
	_, o := time.Unix(instant, 0).In(c.loc).Zone()
	return int64(o)
}

// since returns when the offset of an instant began. ok is false when it
// always was.
func (c clock) since(instant int64) (start int64, ok bool) {
	s, _ := time.Unix(instant, 0).In(c.loc).ZoneBounds()
	return s.Unix(), !s.IsZero()
}

// until returns when the offset of an instant ends. ok is false when it never
// does.
func (c clock) until(instant int64) (end int64, ok bool) {
	_, e := time.Unix(instant, 0).In(c.loc).ZoneBounds()
	if e.IsZero() {
		return 0, false
	}
	if e.Unix() <= instant {
		// Go 1.26 gives every year of the far future 365 days, so on the last day
		// of a leap year the end is past. No clock is changed on that day, and an
		// end that comes too early does no harm.
		return instant + hour, true
	}
	return e.Unix(), true
}

func (c clock) at(instant int64) wall { return wall(instant + c.offset(instant)) }

// first returns the first instant at which the clock shows w or later. So a
// time that comes twice means the first, and one that is skipped means the
// moment of the change.
func (c clock) first(w wall) int64 {
	x := int64(w) - day // no offset is a day, so the clock is before w here
	for {
		t := max(int64(w)-c.offset(x), x)
		end, ok := c.until(x)
		if !ok || t < end {
			return t
		}
		x = end
	}
}

// last returns the instant from which on the clock never shows anything before
// w again. It differs from first only for a time that comes twice.
func (c clock) last(w wall) int64 {
	x := int64(w) + day
	limit := x
	for {
		t := min(int64(w)-c.offset(x), limit)
		start, ok := c.since(x)
		if !ok || t > start {
			return t
		}
		x, limit = start-1, start
	}
}

// unseen returns the least wall time that the clock has not shown by the
// instant: one second on from what it shows, or more within an hour that comes
// for the second time.
func (c clock) unseen(instant int64) wall {
	w := c.at(instant) + 1
	start, ok := c.since(instant)
	for ok && start > instant-day {
		w = max(w, wall(start+c.offset(start-1)))
		start, ok = c.since(start - 1)
	}
	return w
}

// date returns the wall time at which the day of w begins.
func (w wall) date() wall {
	d := w % day
	if d < 0 {
		d += day
	}
	return w - d
}

// civil returns w as a time.Time whose year, month, day and clock are those of w.
func (w wall) civil() time.Time { return time.Unix(int64(w), 0).UTC() }
