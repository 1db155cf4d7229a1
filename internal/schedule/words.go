package schedule

import (
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
)

// Words says for people when a job runs, such as "Every day at 02:30,
// Europe/Berlin". It is "" for a schedule that is not in its normal form.
func Words(s activation.Schedule) string {
	t, ok := compile(s)
	if !ok {
		return ""
	}
	f, _ := readFrequency(s.Frequency)
	text, zoned := rhythm(s, f, t)
	if zoned {
		text += ", " + zoneName(s.Timezone)
	}
	if from, until := Quiet(s, time.Unix(0, 0)); from.Before(until) {
		h, m, _ := readTimeOfDay(s.QuietTimeOfDay)
		end := (wall(h*hour+m*minute) + wall(s.QuietPeriod/time.Second)) % day
		text += fmt.Sprintf("; quiet from %s to %s", s.QuietTimeOfDay, end.civil().Format("15:04"))
		if !zoned || s.QuietTimezone != "" && s.QuietTimezone != s.Timezone {
			name := s.QuietTimezone
			if name == "" {
				name = s.Timezone
			}
			text += ", " + zoneName(name)
		}
	}
	if !s.ExpiresAt.IsZero() {
		text += "; until " + s.ExpiresAt.UTC().Format("2 January 2006, 15:04") + " UTC"
	}
	return text
}

func zoneName(name string) string {
	if name == "" {
		return "UTC"
	}
	return name
}

// rhythm returns how often and at what time. zoned reports whether that depends
// on the time zone.
func rhythm(s activation.Schedule, f frequency, t timetable) (text string, zoned bool) {
	if t.once {
		return once(s, f, t)
	}
	at := s.TimeOfDay
	if at == "" {
		at = "00:00"
	}
	switch f.word {
	case hourlyWord:
		return "Every hour at minute " + minuteOf(at), true
	case dailyWord:
		return "Every day at " + at, true
	case weeklyWord:
		return "Every " + weekdayName(s.DayOfWeek) + " at " + at, true
	case monthlyWord:
		return "On the first day of every month at " + at, true
	case intervalWord:
		if t.fixed {
			return "Every " + span(f.every) + ", the first time at " + at, true
		}
		return "Every " + span(f.every) + ", from run to run", false
	case cronWord:
		return "At the times of cron " + f.text, true
	}
	return "As soon as something changes", false
}

func once(s activation.Schedule, f frequency, t timetable) (text string, zoned bool) {
	if !t.fixed {
		return "Once, as soon as it is created", false
	}
	at := s.TimeOfDay
	if at == "" {
		at = "00:00"
	}
	switch f.word {
	case hourlyWord:
		return "Once, at minute " + minuteOf(at) + " of an hour", true
	case weeklyWord:
		return "Once, on " + weekdayName(s.DayOfWeek) + " at " + at, true
	case monthlyWord:
		return "Once, on the first day of a month at " + at, true
	case cronWord:
		return "Once, at the next time of cron " + f.text, true
	}
	return "Once, at " + at, true
}

func minuteOf(at string) string { return strings.TrimPrefix(at[len("00:"):], "0") }

// weekdayName is the name of a day_of_week; unset is Sunday, as in crontab.
func weekdayName(s string) string {
	d, _ := readDayOfWeek(s)
	return d.String()
}

// span writes a duration in words: 1 hour 30 minutes.
func span(d time.Duration) string {
	var parts []string
	for _, u := range []struct {
		one  string
		size time.Duration
	}{{"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		n := d / u.size
		d %= u.size
		switch {
		case n == 1:
			parts = append(parts, "1 "+u.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, u.one))
		}
	}
	return strings.Join(parts, " ")
}
