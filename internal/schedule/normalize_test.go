package schedule_test

import (
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/schedule"
)

// TestFrequencies has what people write and the one form of it.
func TestFrequencies(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "realtime",
		" RealTime ":                "realtime",
		"real-time":                 "realtime",
		"HOURLY":                    "hourly",
		"@hourly":                   "hourly",
		"@daily":                    "daily",
		"@Midnight":                 "daily",
		"@weekly":                   "weekly",
		"@monthly":                  "monthly",
		"@yearly":                   "0 0 1 1 *",
		"24h0m0s":                   "24h",
		"60m":                       "1h",
		"90m":                       "1h30m",
		"90s":                       "1m30s",
		"1H":                        "1h",
		"@every 36h":                "36h",
		"8784h":                     "8784h",
		"30 2 * * *":                "30 2 * * *",
		"  30\t2  * *   * ":         "30 2 * * *",
		"0 0 * JAN-mar Mon-FRI":     "0 0 * 1-3 1-5",
		"0,15,30,45 * * * *":        "*/15 * * * *",
		"*/15 0-23 ? * ?":           "*/15 * * * *",
		"05 02 01 * 7":              "5 2 1 * 0",
		"0 0 * * sun,7,0":           "0 0 * * 0",
		"0 0 * * sat-mon":           "0 0 * * 0,1,6",
		"0 22-2 * * *":              "0 0-2,22,23 * * *",
		"0 0 1-31 * 1":              "0 0 * * *",
		"0 0 */1 * 1":               "0 0 * * 1",
		"0 0 */2 * *":               "0 0 */2 * *",
		"0 0 1,3,5 * *":             "0 0 1,3,5 * *",
		"0 0 31 2,4 mon":            "0 0 31 2,4 1",
		"1,2,4,5,6 0 * * *":         "1,2,4-6 0 * * *",
		"0/20 * * * *":              "*/20 * * * *",
		"0 0 * * mon,tue,wed,*/2":   "0 0 * * 0-4,6",
		"0 0 29 2 *":                "0 0 29 2 *",
		"59 23 31 dec 6":            "59 23 31 12 6",
		"0 0 * 1,2,3,4,5,6,7-12 *":  "0 0 * * *",
		"0-59/30 0-23/12 1 1-12/6 ": "",
	} {
		got, problems := schedule.Normalize(activation.Schedule{Continuous: true, Frequency: in})
		if want == "" {
			if len(problems) == 0 {
				t.Errorf("%q is %q, want a problem", in, got.Frequency)
			}
			continue
		}
		if len(problems) > 0 || got.Frequency != want {
			t.Errorf("%q is %q %v, want %q", in, got.Frequency, problems, want)
		}
	}
}

// TestProblems has one wrong field each, and a part of what is said about it.
func TestProblems(t *testing.T) {
	at := func(f string) activation.Schedule { return activation.Schedule{Continuous: true, Frequency: f} }
	with := func(f string, change func(*activation.Schedule)) activation.Schedule {
		s := at(f)
		change(&s)
		return s
	}
	for _, c := range []struct {
		s           activation.Schedule
		field, text string
	}{
		{at("sometimes"), "run_frequency", "must be realtime, hourly, daily, weekly, monthly, a duration such as 6h, or a cron"},
		{at("59s"), "run_frequency", "at least 1m"},
		{at("-2h"), "run_frequency", "at least 1m"},
		{at("8785h"), "run_frequency", "366 days"},
		{at("1m1ms"), "run_frequency", "whole seconds"},
		{at(strings.Repeat("1,", 200)), "run_frequency", "longer than"},
		{at("0 30 2 * * *"), "run_frequency", "this has 6"},
		{at("30 2 *"), "run_frequency", "this has 3"},
		{at("TZ=Europe/Berlin 30 2 * * *"), "run_frequency", "the zone is given as timezone"},
		{at("60 * * * *"), "run_frequency", "the minute must be"},
		{at("-1 * * * *"), "run_frequency", "the minute must be"},
		{at("* 24 * * *"), "run_frequency", "the hour must be"},
		{at("* mon * * *"), "run_frequency", "the hour must be"},
		{at("* * 0 * *"), "run_frequency", "the day of the month must be"},
		{at("* * L * *"), "run_frequency", "the day of the month must be"},
		{at("* * * 13 *"), "run_frequency", "the month must be"},
		{at("* * * foo *"), "run_frequency", "(or jan to dec)"},
		{at("* * * * 8"), "run_frequency", "the weekday must be"},
		{at("* * * * mon#2"), "run_frequency", "the weekday must be"},
		{at("* * * * sat-mon/2"), "run_frequency", "the weekday must be"},
		{at("*-5 * * * *"), "run_frequency", "the minute must be"},
		{at(", * * * *"), "run_frequency", "the minute must be"},
		{at("1,,2 * * * *"), "run_frequency", "the minute must be"},
		{at("*/0 * * * *"), "run_frequency", "the minute must be"},
		{at("h * * * *"), "run_frequency", "the minute must be"},
		{at("0 0 30 2 *"), "run_frequency", "never comes"},
		{at("0 0 31 2,4,6,9,11 *"), "run_frequency", "never comes"},
		{with("daily", func(s *activation.Schedule) { s.TimeOfDay = "7am" }), "time_of_day", "such as 07:05"},
		{with("daily", func(s *activation.Schedule) { s.TimeOfDay = "24:00" }), "time_of_day", "such as 07:05"},
		{with("daily", func(s *activation.Schedule) { s.TimeOfDay = "12:60" }), "time_of_day", "such as 07:05"},
		{with("daily", func(s *activation.Schedule) { s.TimeOfDay = "07:05:00" }), "time_of_day", "such as 07:05"},
		{with("daily", func(s *activation.Schedule) { s.TimeOfDay = "٠٧:٠٥" }), "time_of_day", "such as 07:05"},
		{with("realtime", func(s *activation.Schedule) { s.TimeOfDay = "07:05" }), "time_of_day", "real time"},
		{with("0 * * * *", func(s *activation.Schedule) { s.TimeOfDay = "07:05" }), "time_of_day", "cron"},
		{with("daily", func(s *activation.Schedule) { s.DayOfWeek = "monday" }), "day_of_week", "weekly"},
		{with("weekly", func(s *activation.Schedule) { s.DayOfWeek = "7" }), "day_of_week", "sunday, monday"},
		{with("weekly", func(s *activation.Schedule) { s.DayOfWeek = "mo" }), "day_of_week", "sunday, monday"},
		{with("daily", func(s *activation.Schedule) { s.Timezone = "Berlin" }), "timezone", "did you mean Europe/Berlin?"},
		{with("daily", func(s *activation.Schedule) { s.Timezone = "Europe/Munich" }), "timezone", "such as Europe/Berlin"},
		{with("daily", func(s *activation.Schedule) { s.Timezone = "America/New-Yrok" }), "timezone", "did you mean America/New_York?"},
		{with("daily", func(s *activation.Schedule) { s.Timezone = "Local" }), "timezone", "such as Europe/Berlin"},
		{with("daily", func(s *activation.Schedule) { s.Timezone = "../../etc/passwd" }), "timezone", "such as Europe/Berlin"},
		{with("daily", func(s *activation.Schedule) { s.Timezone = "right/UTC" }), "timezone", "did you mean"},
		{with("daily", func(s *activation.Schedule) { s.Timezone = "+02:00" }), "timezone", "such as Europe/Berlin"},
		{with("daily", func(s *activation.Schedule) { s.ExpiresAt = time.Unix(0, 0) }), "expires_at", "2000"},
		{with("daily", func(s *activation.Schedule) { s.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), "expires_at", "9999"},
		{with("daily", func(s *activation.Schedule) { s.QuietTimeOfDay = "22:00" }), "quiet_period", "is needed"},
		{with("daily", func(s *activation.Schedule) { s.QuietPeriod = time.Hour }), "quiet_time_of_day", "is needed"},
		{with("daily", func(s *activation.Schedule) { s.QuietTimeOfDay, s.QuietPeriod = "10pm", time.Hour }), "quiet_time_of_day", "such as 22:00"},
		{with("daily", func(s *activation.Schedule) { s.QuietTimeOfDay, s.QuietPeriod = "22:00", 24*time.Hour }), "quiet_period", "less than 24"},
		{with("daily", func(s *activation.Schedule) { s.QuietTimeOfDay, s.QuietPeriod = "22:00", -time.Hour }), "quiet_period", "more than 0"},
		{with("daily", func(s *activation.Schedule) { s.QuietTimeOfDay, s.QuietPeriod = "22:00", time.Second }), "quiet_period", "minutes"},
		{with("daily", func(s *activation.Schedule) { s.QuietTimezone = "UTC" }), "quiet_timezone", "only with"},
		{with("daily", func(s *activation.Schedule) {
			s.QuietTimeOfDay, s.QuietPeriod, s.QuietTimezone = "22:00", time.Hour, "Berlin"
		}), "quiet_timezone", "did you mean Europe/Berlin?"},
	} {
		_, problems := schedule.Normalize(c.s)
		if len(problems) != 1 || problems[0].Field != c.field || !strings.Contains(problems[0].Message, c.text) {
			t.Errorf("%+v: %v, want one of %s with %q", c.s, problems, c.field, c.text)
		}
	}
}

// TestEveryProblemAtOnce names all wrong fields, in the order of the page, and
// repeats nothing of what was written.
func TestEveryProblemAtOnce(t *testing.T) {
	_, problems := schedule.Normalize(activation.Schedule{
		Continuous: true, Frequency: "zzfrequency", TimeOfDay: "zztime", DayOfWeek: "zzday", Timezone: "zzzone/zzplace",
		ExpiresAt: time.Unix(0, 0), QuietTimeOfDay: "zzquiet", QuietPeriod: -1, QuietTimezone: "zzquietzone",
	})
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field)
		if strings.Contains(p.Message, "zz") || p.Message == "" || strings.HasSuffix(p.Message, ".") {
			t.Errorf("%s: %q", p.Field, p.Message)
		}
	}
	want := "run_frequency time_of_day day_of_week timezone expires_at quiet_time_of_day quiet_period quiet_timezone"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("problems of %s, want of %s", got, want)
	}
}

// TestNormalForm has whole schedules.
func TestNormalForm(t *testing.T) {
	in := activation.Schedule{
		Continuous: true, Frequency: "Weekly", TimeOfDay: " 7:05 ", DayOfWeek: "MON", Timezone: "europe/berlin",
		ExpiresAt:      time.Date(2030, 1, 1, 0, 0, 0, 1, time.FixedZone("", 3600)),
		QuietTimeOfDay: "9:30", QuietPeriod: 90 * time.Minute, QuietTimezone: "america/new york",
	}
	want := activation.Schedule{
		Continuous: true, Frequency: "weekly", TimeOfDay: "07:05", DayOfWeek: "monday", Timezone: "Europe/Berlin",
		ExpiresAt:      time.Date(2029, 12, 31, 23, 0, 0, 0, time.UTC),
		QuietTimeOfDay: "09:30", QuietPeriod: 90 * time.Minute, QuietTimezone: "America/New_York",
	}
	if got := normal(t, in); got != want {
		t.Errorf("normal form is\n%+v, want\n%+v", got, want)
	}
	for in, want := range map[activation.Schedule]activation.Schedule{
		{}: {Frequency: "realtime"},
		{Continuous: true, Frequency: "hourly", TimeOfDay: "17:05"}: {Continuous: true, Frequency: "hourly", TimeOfDay: "00:05"},
		{TimeOfDay: "7:00"}:                       {Frequency: "realtime", TimeOfDay: "07:00"},
		{Frequency: "weekly", DayOfWeek: "0"}:     {Frequency: "weekly", DayOfWeek: "sunday"},
		{Frequency: "daily", Timezone: "utc"}:     {Frequency: "daily", Timezone: "UTC"},
		{Frequency: "daily", Timezone: "etc/utc"}: {Frequency: "daily", Timezone: "Etc/UTC"},
	} {
		if got := normal(t, in); got != want {
			t.Errorf("%+v: normal form is %+v, want %+v", in, got, want)
		}
	}
}
