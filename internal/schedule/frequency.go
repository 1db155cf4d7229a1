package schedule

import (
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
)

// The kinds of frequency. The first four are also how they are written.
const (
	hourlyWord   = "hourly"
	dailyWord    = "daily"
	weeklyWord   = "weekly"
	monthlyWord  = "monthly"
	intervalWord = "interval"
	cronWord     = "cron"
)

const (
	// minEvery is the shortest interval between runs.
	minEvery = time.Minute
	// maxEvery is the longest: a leap year.
	maxEvery = 366 * 24 * time.Hour
	// maxFrequency is how many bytes of a frequency are read at most.
	maxFrequency = 256
)

// frequency is what a run_frequency means.
type frequency struct {
	word     string // activation.Realtime or one of the kinds
	every    time.Duration
	calendar calendar // for cron
	text     string   // the normal form
}

// synonyms are crontab's words for frequencies, and how else real time is
// written.
var synonyms = map[string]string{
	"":          activation.Realtime,
	"real-time": activation.Realtime,
	"real_time": activation.Realtime,
	"@hourly":   hourlyWord,
	"@daily":    dailyWord,
	"@midnight": dailyWord,
	"@weekly":   weeklyWord,
	"@monthly":  monthlyWord,
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
}

// readFrequency reads a run_frequency in any of its forms. why says, for a
// person, what is wrong with it; "" = nothing.
func readFrequency(s string) (f frequency, why string) {
	if len(s) > maxFrequency {
		return f, fmt.Sprintf("is longer than %d bytes", maxFrequency)
	}
	fields := strings.Fields(strings.ToLower(s))
	text := strings.Join(fields, " ")
	if other, ok := synonyms[text]; ok {
		text = other
		fields = strings.Fields(text)
	}
	switch text {
	case activation.Realtime, hourlyWord, dailyWord, weeklyWord, monthlyWord:
		return frequency{word: text, text: text}, ""
	}
	if fields[0] == "@every" && len(fields) == 2 {
		fields = fields[1:]
	}
	if len(fields) == 1 {
		return readInterval(fields[0])
	}
	c, why := readCron(fields)
	if why != "" {
		return f, why
	}
	return frequency{word: cronWord, calendar: c, text: c.String()}, ""
}

func readInterval(s string) (f frequency, why string) {
	every, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return f, "must be realtime, hourly, daily, weekly, monthly, a duration such as 6h, or a cron expression of five fields such as 30 2 * * 1-5"
	case every < minEvery:
		return f, "must be a duration of at least 1m"
	case every > maxEvery:
		return f, fmt.Sprintf("must be a duration of at most %s, which is 366 days", short(maxEvery))
	case every%time.Second != 0:
		return f, "must be a duration of whole seconds"
	}
	return frequency{word: intervalWord, every: every, text: short(every)}, ""
}

// short writes a duration without its zeros: 24h, not 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
