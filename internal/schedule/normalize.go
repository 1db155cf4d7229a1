package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
)

// Problem is one wrong field of a schedule.
type Problem struct {
	// Field is its name in the API, such as "time_of_day".
	Field string
	// Message says what would be right. It follows the name of the field and
	// never repeats what was written.
	Message string
}

type problems []Problem

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, Problem{field, fmt.Sprintf(format, args...)})
}

// weekdays in the order of time.Weekday.
var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// Normalize returns the schedule in its normal form, in which two schedules
// that mean the same look the same, and every wrong field. A schedule with a
// problem must not be stored; its wrong fields are returned as they were.
// Normalizing a normal form changes nothing.
func Normalize(s activation.Schedule) (activation.Schedule, []Problem) {
	var p problems
	f, why := readFrequency(s.Frequency)
	if why != "" {
		p.add("run_frequency", "%s", why)
	} else {
		s.Frequency = f.text
	}
	normalTimeOfDay(&s, f.word, &p)
	normalDayOfWeek(&s, f.word, &p)
	if name, why := readZone(s.Timezone); why != "" {
		p.add("timezone", "%s", why)
	} else {
		s.Timezone = name
	}
	normalExpiry(&s, &p)
	normalQuiet(&s, &p)
	return s, p
}

// normalTimeOfDay checks the time of day. word is the kind of the frequency,
// "" when that is wrong itself.
func normalTimeOfDay(s *activation.Schedule, word string, p *problems) {
	text := strings.TrimSpace(s.TimeOfDay)
	if text == "" {
		s.TimeOfDay = ""
		return
	}
	switch {
	case word == cronWord:
		p.add("time_of_day", "a cron expression says itself at what time; leave this out")
		return
	case word == activation.Realtime && s.Continuous:
		p.add("time_of_day", "a job in real time runs whenever something changes; leave this out, or choose another run_frequency such as daily")
		return
	}
	h, m, ok := readTimeOfDay(text)
	if !ok {
		p.add("time_of_day", "must be a time from 00:00 to 23:59, such as 07:05")
		return
	}
	if word == hourlyWord {
		h = 0 // only the minute means anything
	}
	s.TimeOfDay = fmt.Sprintf("%02d:%02d", h, m)
}

func normalDayOfWeek(s *activation.Schedule, word string, p *problems) {
	text := strings.ToLower(strings.TrimSpace(s.DayOfWeek))
	if text == "" {
		s.DayOfWeek = ""
		return
	}
	if word != "" && word != weeklyWord {
		p.add("day_of_week", "only a weekly job has one; leave it out, or choose run_frequency weekly")
		return
	}
	d, ok := readDayOfWeek(text)
	if !ok {
		p.add("day_of_week", "must be %s, the first three letters of it, or a number from 0 (sunday) to 6", strings.Join(weekdays, ", "))
		return
	}
	s.DayOfWeek = weekdays[d]
}

// normalExpiry keeps whole microseconds, as the store does, of times that have
// a form in JSON. Whether it is in the past is for whoever knows the time.
func normalExpiry(s *activation.Schedule, p *problems) {
	if s.ExpiresAt.IsZero() {
		return
	}
	at := s.ExpiresAt.UTC().Truncate(time.Microsecond)
	if at.Year() < 2000 || at.Year() > maxYear {
		p.add("expires_at", "must be a date and time between the years 2000 and %d, such as 2030-12-31T00:00:00Z", maxYear)
		return
	}
	s.ExpiresAt = at
}

func normalQuiet(s *activation.Schedule, p *problems) {
	text := strings.TrimSpace(s.QuietTimeOfDay)
	h, m, ok := readTimeOfDay(text)
	switch {
	case ok:
		s.QuietTimeOfDay = fmt.Sprintf("%02d:%02d", h, m)
	case text != "":
		p.add("quiet_time_of_day", "must be a time from 00:00 to 23:59, such as 22:00")
	case s.QuietPeriod != 0:
		p.add("quiet_time_of_day", "is needed with quiet_period: when it begins to be quiet, such as 22:00")
	default:
		s.QuietTimeOfDay = ""
	}
	switch {
	case s.QuietPeriod == 0 && text == "":
	case s.QuietPeriod == 0:
		p.add("quiet_period", "is needed with quiet_time_of_day: for how many hours it is quiet, more than 0 and less than 24")
	case s.QuietPeriod < 0 || s.QuietPeriod >= 24*time.Hour:
		p.add("quiet_period", "must be more than 0 and less than 24 hours")
	case s.QuietPeriod%time.Minute != 0:
		p.add("quiet_period", "must be a whole number of minutes")
	}
	name, why := readZone(s.QuietTimezone)
	switch {
	case why != "":
		p.add("quiet_timezone", "%s", why)
	case name != "" && text == "" && s.QuietPeriod == 0:
		p.add("quiet_timezone", "is of use only with quiet_time_of_day and quiet_period; leave it out")
	default:
		s.QuietTimezone = name
	}
}

// readTimeOfDay reads 07:05, or 7:05.
func readTimeOfDay(s string) (hours, minutes int, ok bool) {
	if len(s) == len("7:05") {
		s = "0" + s
	}
	if len(s) != len("07:05") || s[2] != ':' {
		return 0, 0, false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, 0, false
		}
	}
	hours, minutes = int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	if hours > 23 || minutes > 59 {
		return 0, 0, false
	}
	return hours, minutes, true
}

// readDayOfWeek reads a weekday in lower case: monday, mon or 1.
func readDayOfWeek(s string) (time.Weekday, bool) {
	i := slices.IndexFunc(weekdays, func(name string) bool { return s == name || s == name[:3] })
	if i < 0 && len(s) == 1 {
		i = strings.Index("0123456", s)
	}
	return time.Weekday(max(i, 0)), i >= 0
}
