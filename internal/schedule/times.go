package schedule

import (
	"time"

	"usher/internal/activation"
)

// maxYear is the last year in which anything is scheduled: later ones have no
// form in JSON.
const maxYear = 9999

// First returns when a new job is first due: when it is created, or, if it says
// at what time or on what day, at the first of these. It is zero when the job
// expires before that.
func First(s activation.Schedule, created time.Time) time.Time {
	t, ok := compile(s)
	if !ok || !t.alive(created) {
		return time.Time{}
	}
	if !t.fixed {
		return created.UTC().Round(0)
	}
	return t.next(created.Add(-1))
}

// Next returns the first scheduled time after the given one, in UTC. It is zero
// when there is none: a job in real time has none, a job that runs once has one
// only if it says when, and an expired job has no more.
//
// Times of the calendar do not depend on when the run before was. An interval
// is counted from after. Whoever was away asks for the next time from now, and
// so makes good one run and not all that were missed.
func Next(s activation.Schedule, after time.Time) time.Time {
	t, ok := compile(s)
	if !ok {
		return time.Time{}
	}
	return t.step(after)
}

// Upcoming returns the next scheduled times after from: n of them, or as many
// as there are.
func Upcoming(s activation.Schedule, from time.Time, n int) []time.Time {
	t, ok := compile(s)
	if !ok {
		return nil
	}
	if t.once {
		n = min(n, 1)
	}
	var times []time.Time
	for len(times) < n {
		from = t.step(from)
		if from.IsZero() {
			break
		}
		times = append(times, from)
	}
	return times
}

// timetable is a schedule made ready to compute with.
type timetable struct {
	clock clock
	// calendar has the times of day; none when it is nil.
	calendar *calendar
	// every is the interval between runs; 0 = by the calendar.
	every time.Duration
	// fixed is true when also the first run waits for its time.
	fixed   bool
	once    bool
	expires time.Time
}

// compile reads a schedule in its normal form. Anything else is refused and
// has no times.
func compile(s activation.Schedule) (timetable, bool) {
	loc, ok := zone(s.Timezone)
	if !ok {
		return timetable{}, false
	}
	f, why := readFrequency(s.Frequency)
	if why != "" {
		return timetable{}, false
	}
	t := timetable{clock: clock{loc}, every: f.every, once: !s.Continuous, expires: s.ExpiresAt}
	t.fixed = s.TimeOfDay != "" || s.DayOfWeek != "" || f.word == cronWord
	h, m, ok := readTimeOfDay(s.TimeOfDay)
	if !ok && s.TimeOfDay != "" {
		return timetable{}, false
	}
	switch f.word {
	case cronWord:
		t.calendar = &f.calendar
	case hourlyWord:
		t.calendar = everyDay(allHours, 1<<m)
	case dailyWord:
		t.calendar = everyDay(1<<h, 1<<m)
	case weeklyWord:
		t.calendar = everyDay(1<<h, 1<<m)
		d, ok := readDayOfWeek(s.DayOfWeek)
		if !ok && s.DayOfWeek != "" {
			return timetable{}, false
		}
		t.calendar.weekdays = 1 << d
	case monthlyWord:
		t.calendar = everyDay(1<<h, 1<<m)
		t.calendar.days = 1 << 1
	case intervalWord, activation.Realtime:
		if t.fixed {
			t.calendar = everyDay(1<<h, 1<<m)
		}
	}
	return t, true
}

func (t timetable) alive(at time.Time) bool {
	return t.expires.IsZero() || at.Before(t.expires)
}

// step returns the scheduled time after another one.
func (t timetable) step(after time.Time) time.Time {
	switch {
	case t.once && !t.fixed, t.calendar == nil && t.every == 0:
		return time.Time{}
	case t.every > 0 && !t.once:
		next := after.UTC().Round(0).Add(t.every)
		if !t.alive(next) || next.Year() > maxYear {
			return time.Time{}
		}
		return next
	}
	return t.next(after)
}

// next returns the first time of the calendar after another one.
func (t timetable) next(after time.Time) time.Time {
	if after.Year() > maxYear || t.calendar == nil {
		return time.Time{}
	}
	instant, ok := int64(0), false
	if t.calendar.hours == allHours {
		instant, ok = t.everyHour(after.Unix())
	} else {
		instant, ok = t.onceADay(after.Unix())
	}
	next := time.Unix(instant, 0).UTC()
	if !ok || !t.alive(next) {
		return time.Time{}
	}
	return next
}

// onceADay serves calendars that name their hours: each wall time has one
// instant, the first at which the clock shows it or something later. A day the
// zone leaves out altogether has none.
func (t timetable) onceADay(after int64) (int64, bool) {
	w, ok := t.calendar.from(t.clock.unseen(after))
	for ok {
		instant := t.clock.first(w)
		if t.clock.at(instant).date() == w.date() || t.clock.at(t.clock.first(w.date())).date() == w.date() {
			return instant, true
		}
		w, ok = t.calendar.from(w.date() + day)
	}
	return 0, false
}

// everyHour serves calendars that run in every hour: each instant at which the
// clock shows one of the minutes, so that no hour that passes is left out or
// served twice, whatever it is called.
func (t timetable) everyHour(after int64) (int64, bool) {
	x := after + 1
	for {
		offset := t.clock.offset(x)
		w, ok := t.calendar.from(wall(x + offset))
		if !ok {
			return 0, false
		}
		instant := int64(w) - offset
		end, bounded := t.clock.until(x)
		if !bounded || instant < end {
			return instant, true
		}
		x = end
	}
}
