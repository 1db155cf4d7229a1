package filterql

import (
	"strconv"
	"strings"
	"time"
)

// isDateMath reports whether the text counts from now: "now", "now-3h",
// "now-1M+12h".
func isDateMath(text string) bool {
	_, ok := dateMath(text, time.Unix(0, 0).UTC())
	return ok
}

// dateMath resolves date math: "now" and any number of terms of a sign, a
// whole number of at most six digits and a unit (s, m, h, d, w, M, y).
func dateMath(text string, now time.Time) (time.Time, bool) {
	rest, ok := strings.CutPrefix(text, "now")
	if !ok {
		return time.Time{}, false
	}
	t := now.UTC().Truncate(time.Microsecond)
	for rest != "" {
		const maxDigits = 6
		digits := digitsLen(rest[1:])
		if (rest[0] != '+' && rest[0] != '-') || digits == 0 || digits > maxDigits || len(rest) == 1+digits {
			return time.Time{}, false
		}
		n, err := strconv.Atoi(rest[:1+digits])
		if err != nil {
			return time.Time{}, false
		}
		if t, ok = shift(t, n, rest[1+digits]); !ok {
			return time.Time{}, false
		}
		rest = rest[2+digits:]
	}
	return t, true
}

// shift moves t by n units of a calendar in UTC.
func shift(t time.Time, n int, unit byte) (time.Time, bool) {
	switch unit {
	case 's':
		return t.Add(time.Duration(n) * time.Second), true
	case 'm':
		return t.Add(time.Duration(n) * time.Minute), true
	case 'h':
		return t.Add(time.Duration(n) * time.Hour), true
	case 'd':
		return t.AddDate(0, 0, n), true
	case 'w':
		return t.AddDate(0, 0, 7*n), true
	case 'M':
		return shiftMonths(t, n), true
	case 'y':
		return shiftMonths(t, 12*n), true
	}
	return time.Time{}, false
}

// shiftMonths moves t by n months. Where the month is too short for the day
// it takes the month's last day: 31 March less one month is 28 February.
func shiftMonths(t time.Time, n int) time.Time {
	moved := t.AddDate(0, n, 0)
	if moved.Day() != t.Day() {
		return moved.AddDate(0, 0, -moved.Day())
	}
	return moved
}

// timeLayouts are the ISO 8601 forms a rule may use; without an offset, UTC.
var timeLayouts = []string{
	"2006-01-02",
	"2006-01-02T15:04", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00",
	"2006-01-02 15:04", "2006-01-02 15:04Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00",
}

// parseTime reads date math, Unix milliseconds or ISO 8601.
func parseTime(text string, now time.Time) (time.Time, bool) {
	t, ok := readTime(text, now)
	if !ok || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Microsecond), true
}

func readTime(text string, now time.Time) (time.Time, bool) {
	if t, ok := dateMath(text, now); ok {
		return t, true
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), true
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// ParseTime reads a time as rules do: counted from now ("now-3h", "now-1M"),
// Unix milliseconds, or ISO 8601, which without an offset is UTC.
func ParseTime(text string, now time.Time) (time.Time, bool) { return parseTime(text, now) }
