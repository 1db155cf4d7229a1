package schedule

import (
	"math/bits"
	"time"
)

// calendar is a set of wall times: those whose minute, hour, day, month and
// weekday each have their bit set.
type calendar struct {
	minutes  uint64 // bits 0 to 59
	hours    uint64 // bits 0 to 23
	days     uint64 // bits 1 to 31
	months   uint64 // bits 1 to 12
	weekdays uint64 // bits 0 (Sunday) to 6
}

const (
	allMinutes  = 1<<60 - 1
	allHours    = 1<<24 - 1
	allDays     = 1<<32 - 2
	allMonths   = 1<<13 - 2
	allWeekdays = 1<<7 - 1
)

func everyDay(hours, minutes uint64) *calendar {
	return &calendar{minutes: minutes, hours: hours, days: allDays, months: allMonths, weekdays: allWeekdays}
}

// longest is how many days each month can have.
var longest = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// comes reports whether the calendar has any time at all: 30 February does not.
func (c *calendar) comes() bool {
	if c.minutes == 0 || c.hours == 0 || c.months == 0 || c.days == 0 || c.weekdays == 0 {
		return false
	}
	if c.weekdays != allWeekdays {
		return true
	}
	first := bits.TrailingZeros64(c.days)
	for month := 1; month <= 12; month++ {
		if has(c.months, month) && first <= longest[month] {
			return true
		}
	}
	return false
}

// dayMatches is crontab's rule: a day must be one of the days of the month if
// only these are given, one of the weekdays if only these are given, and one or
// the other if both are.
func (c *calendar) dayMatches(d int, weekday time.Weekday) bool {
	switch {
	case c.weekdays == allWeekdays:
		return has(c.days, d)
	case c.days == allDays:
		return has(c.weekdays, int(weekday))
	default:
		return has(c.days, d) || has(c.weekdays, int(weekday))
	}
}

// from returns the first time of the calendar that is not before w. ok is
// false when there is none up to maxYear.
func (c *calendar) from(w wall) (found wall, ok bool) {
	if !c.comes() {
		return 0, false
	}
	if over := (w - w.date()) % minute; over != 0 {
		w += minute - over
	}
	t := w.date().civil()
	now := int(w-w.date()) / minute
	for t.Year() <= maxYear {
		switch {
		case !has(c.months, int(t.Month())):
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			now = 0
			continue
		case c.dayMatches(t.Day(), t.Weekday()):
			if m, ok := c.timeOfDay(now); ok {
				return wall(t.Unix()) + wall(m*minute), true
			}
		}
		t = t.AddDate(0, 0, 1)
		now = 0
	}
	return 0, false
}

// timeOfDay returns the first minute of a day, not before another, that the
// calendar has.
func (c *calendar) timeOfDay(now int) (int, bool) {
	h, m := now/60, now%60
	if has(c.hours, h) {
		if m, ok := nextBit(c.minutes, m); ok {
			return h*60 + m, true
		}
	}
	h, ok := nextBit(c.hours, h+1)
	return h*60 + bits.TrailingZeros64(c.minutes), ok
}

func has(set uint64, n int) bool { return set>>n&1 == 1 }

// nextBit returns the first member of the set from n on.
func nextBit(set uint64, n int) (int, bool) {
	rest := set >> n << n
	return bits.TrailingZeros64(rest), rest != 0
}
