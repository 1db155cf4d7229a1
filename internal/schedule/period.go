package schedule

import "time"

// Period returns the hour, day, week (from Monday) or month of a time zone that
// a time is in: from is in it, until no longer. Both are zero for any other
// word. The days on which clocks change are as long as they are.
func Period(every, timezone string, at time.Time) (from, until time.Time) {
	loc, ok := zone(timezone)
	if !ok {
		loc = time.UTC
	}
	at = at.In(loc)
	if every == "hourly" {
		from = at.Truncate(time.Second).Add(-time.Duration(at.Minute())*time.Minute - time.Duration(at.Second())*time.Second)
		return from, from.Add(time.Hour)
	}
	n := 0
	switch every {
	case "weekly":
		n = -(int(at.Weekday()) + 6) % 7
	case "monthly":
		n = 1 - at.Day()
	case "daily":
	default:
		return time.Time{}, time.Time{}
	}
	begin := func(periods int) time.Time {
		switch every {
		case "weekly":
			return time.Date(at.Year(), at.Month(), at.Day()+n+7*periods, 0, 0, 0, 0, loc)
		case "monthly":
			return time.Date(at.Year(), at.Month()+time.Month(periods), 1, 0, 0, 0, 0, loc)
		}
		return time.Date(at.Year(), at.Month(), at.Day()+periods, 0, 0, 0, 0, loc)
	}
	from, until = begin(0), begin(1)
	// Where there is no midnight, the day begins an hour before or after it.
	if at.Before(from) {
		return begin(-1), from
	}
	if !at.Before(until) {
		return until, begin(2)
	}
	return from, until
}
