package schedule_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// TestDocs runs every example of docs/schedules.md.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/schedules.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]struct {
		run  func(t *testing.T, cells []string)
		want int // rows the page has at least
	}{
		"Written":       {docForm, 9},
		"Zone":          {docQuiet, 4},
		"run_frequency": {docTimes, 17},
		"Field":         {docError, 11},
	}
	rows, header := map[string]int{}, ""
	for line := range strings.Lines(string(data)) {
		cells := cellsOf(line)
		switch {
		case cells == nil:
			header = ""
		case header == "":
			header = cells[0]
		case !strings.HasPrefix(cells[0], "---") && examples[header].run != nil:
			rows[header]++
			t.Run(header+" "+cells[0]+" "+cells[1], func(t *testing.T) { examples[header].run(t, cells) })
		}
	}
	for header, e := range examples {
		if rows[header] < e.want {
			t.Errorf("the table %q has %d rows, want %d: the page or its reader is broken", header, rows[header], e.want)
		}
	}
}

// cellsOf returns the cells of a line of a table, nil for any other line.
func cellsOf(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i, c := range cells {
		cells[i] = strings.Trim(strings.TrimSpace(c), "`")
	}
	return cells
}

func docForm(t *testing.T, cells []string) {
	for _, written := range cells[:2] {
		if got := normal(t, activation.Schedule{Continuous: true, Frequency: written}).Frequency; got != cells[1] {
			t.Errorf("%s is kept as %s, want %s", written, got, cells[1])
		}
	}
}

func docQuiet(t *testing.T, cells []string) {
	hours, err := strconv.ParseFloat(cells[2], 64)
	if err != nil {
		t.Fatal(err)
	}
	s := normal(t, activation.Schedule{Timezone: cells[0], QuietTimeOfDay: cells[1], QuietPeriod: time.Duration(hours * float64(time.Hour))})
	from, until := schedule.Quiet(s, instant(t, cells[3]))
	if got := shown(t, s, from) + " to " + shown(t, s, until); got != cells[4] {
		t.Errorf("quiet is %s, want %s", got, cells[4])
	}
}

func docTimes(t *testing.T, cells []string) {
	s := normal(t, activation.Schedule{Continuous: true, Frequency: cells[0], TimeOfDay: cells[1], DayOfWeek: cells[2], Timezone: cells[3]})
	if got := schedule.Words(s); got != cells[5] {
		t.Errorf("in words it is %q, want %q", got, cells[5])
	}
	var times []string
	for _, at := range schedule.Upcoming(s, instant(t, cells[4]), max(1, strings.Count(cells[6], ",")+1)) {
		times = append(times, shown(t, s, at))
	}
	if got := strings.Join(times, ", "); got != cells[6] {
		t.Errorf("next is %s, want %s", got, cells[6])
	}
}

// shown writes a time as the clock of the schedule's zone shows it.
func shown(t *testing.T, s activation.Schedule, at time.Time) string {
	t.Helper()
	return at.In(load(t, s.Timezone)).Format("2006-01-02T15:04Z07:00")
}

func docError(t *testing.T, cells []string) {
	s := activation.Schedule{Continuous: true, Frequency: "daily", QuietTimeOfDay: "22:00", QuietPeriod: time.Hour}
	switch cells[0] {
	case "run_frequency":
		s.Frequency = cells[1]
	case "time_of_day":
		s.TimeOfDay = cells[1]
	case "day_of_week":
		s.DayOfWeek = cells[1]
	case "timezone":
		s.Timezone = cells[1]
	case "quiet_time_of_day":
		s.QuietTimeOfDay = cells[1]
	case "quiet_period":
		hours, err := strconv.Atoi(cells[1])
		if err != nil {
			t.Fatal(err)
		}
		s.QuietPeriod = time.Duration(hours) * time.Hour
	default:
		t.Fatal("the test does not know this field")
	}
	_, problems := schedule.Normalize(s)
	if len(problems) != 1 || problems[0].Field != cells[0] || problems[0].Message != cells[2] {
		t.Errorf("problems are %v, want %s", problems, cells[2])
	}
}

// TestWords has the schedules the page has not.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		s    activation.Schedule
		want string
	}{
		{activation.Schedule{}, "Once, as soon as it is created"},
		{activation.Schedule{Frequency: "daily"}, "Once, as soon as it is created"},
		{activation.Schedule{TimeOfDay: "7:00", Timezone: "Europe/Berlin"}, "Once, at 07:00, Europe/Berlin"},
		{activation.Schedule{Frequency: "6h", TimeOfDay: "7:00"}, "Once, at 07:00, UTC"},
		{activation.Schedule{Frequency: "hourly", TimeOfDay: "0:01"}, "Once, at minute 1 of an hour, UTC"},
		{activation.Schedule{Frequency: "weekly", DayOfWeek: "5"}, "Once, on Friday at 00:00, UTC"},
		{activation.Schedule{Frequency: "monthly", TimeOfDay: "7:00"}, "Once, on the first day of a month at 07:00, UTC"},
		{activation.Schedule{Frequency: "0 7 * * *"}, "Once, at the next time of cron 0 7 * * *, UTC"},
		{activation.Schedule{Continuous: true, Frequency: "1h"}, "Every 1 hour, from run to run"},
		{activation.Schedule{Continuous: true, Frequency: "61s"}, "Every 1 minute 1 second, from run to run"},
		{
			activation.Schedule{Continuous: true, QuietTimeOfDay: "22:00", QuietPeriod: 8 * time.Hour, ExpiresAt: instant(t, "2030-12-31T23:00Z")},
			"As soon as something changes; quiet from 22:00 to 06:00, UTC; until 31 December 2030, 23:00 UTC",
		},
		{
			activation.Schedule{Continuous: true, Frequency: "daily", Timezone: "Europe/Berlin", QuietTimeOfDay: "12:30", QuietPeriod: 45 * time.Minute},
			"Every day at 00:00, Europe/Berlin; quiet from 12:30 to 13:15",
		},
		{
			activation.Schedule{Continuous: true, Frequency: "6h", QuietTimeOfDay: "22:00", QuietPeriod: 8 * time.Hour, QuietTimezone: "Asia/Tokyo"},
			"Every 6 hours, from run to run; quiet from 22:00 to 06:00, Asia/Tokyo",
		},
	} {
		if got := schedule.Words(normal(t, c.s)); got != c.want {
			t.Errorf("%+v is %q, want %q", c.s, got, c.want)
		}
	}
}
