package meta

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The hours of the week in which an ad set runs (marketing-api/bidding/overview/
// pacing-and-scheduling): adset_schedule is a list of parts of a day, each for some
// days; Meta takes it beside pacing_type day_parting, and standard goes without one.

// weekdays are the days from Monday on; Meta's numbers of them begin with Sunday.
var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const (
	ofAccount = "account" // behind a part whose hours are of the account's zone

	zoneViewer  = "USER"
	zoneAccount = "ADVERTISER"
)

// hours are a part of the day on some days of the week.
type hours struct {
	from, to int     // minutes since midnight
	account  bool    // they are of the account's zone, not of the viewer's
	days     [7]bool // from Monday on
}

// week is a schedule: parts in the order of their hours, each hours once.
type week []hours

var hoursPattern = regexp.MustCompile(`^([0-9]{1,2})(?::([0-9]{2}))?-([0-9]{1,2})(?::([0-9]{2}))?$`)

// parseWeek reads what people write: "mon-fri 09:00-17:00", "sat sun 10-14 account".
func parseWeek(parts []string) (week, bool) {
	var w week
	for _, part := range parts {
		words := strings.Fields(strings.ToLower(part))
		var h hours
		if n := len(words) - 1; n > 0 && words[n] == ofAccount {
			h.account, words = true, words[:n]
		}
		if len(words) < 2 || !h.readTime(words[len(words)-1]) {
			return nil, false
		}
		for _, word := range words[:len(words)-1] {
			if !h.readDays(word) {
				return nil, false
			}
		}
		w = w.with(h)
	}
	return w, len(w) > 0
}

// readTime reads 09:00-17:00. Meta takes whole hours.
func (h *hours) readTime(text string) bool {
	m := hoursPattern.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	n := [4]int{}
	for i, digits := range m[1:] {
		n[i], _ = strconv.Atoi(digits) // none is 0
	}
	h.from, h.to = n[0]*60, n[2]*60
	return n[1] == 0 && n[3] == 0 && h.from < h.to && h.to <= 24*60
}

// readDays reads mon or fri-mon.
func (h *hours) readDays(text string) bool {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
	if from < 0 || to < 0 {
		return false
	}
	for day := from; ; day = (day + 1) % 7 {
		h.days[day] = true
		if day == to {
			return true
		}
	}
}

// with adds a part; what has the same hours becomes one.
func (w week) with(h hours) week {
	for i := range w {
		if w[i].from == h.from && w[i].to == h.to && w[i].account == h.account {
			for day, on := range h.days {
				w[i].days[day] = w[i].days[day] || on
			}
			return w
		}
	}
	w = append(w, h)
	slices.SortFunc(w, func(a, b hours) int {
		if c := cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)); c != 0 || a.account == b.account {
			return c
		}
		if b.account {
			return -1
		}
		return 1
	})
	return w
}

// String is the one form in which a schedule is kept.
func (w week) String() string {
	parts := make([]string, len(w))
	for i, h := range w {
		var words []string
		for day := 0; day < 7; day++ {
			if !h.days[day] {
				continue
			}
			last := day
			for last < 6 && h.days[last+1] {
				last++
			}
			word := weekdays[day]
			if last > day {
				word += "-" + weekdays[last]
			}
			words, day = append(words, word), last
		}
		words = append(words, fmt.Sprintf("%02d:%02d-%02d:%02d", h.from/60, h.from%60, h.to/60, h.to%60))
		if h.account {
			words = append(words, ofAccount)
		}
		parts[i] = strings.Join(words, " ")
	}
	return strings.Join(parts, ",")
}

// dayPart is one of adset_schedule.
type dayPart struct {
	From number   `json:"start_minute"`
	To   number   `json:"end_minute"`
	Days []number `json:"days"`
	Zone string   `json:"timezone_type"`
}

// setSchedule writes a schedule, none for one that always runs.
func (w *written) setSchedule(s week) {
	list := make([]dayPart, 0, len(s))
	for _, h := range s {
		part := dayPart{From: number(h.from), To: number(h.to), Zone: zoneViewer}
		if h.account {
			part.Zone = zoneAccount
		}
		for i := range 7 { // from Sunday on
			if h.days[(i+6)%7] {
				part.Days = append(part.Days, number(i))
			}
		}
		list = append(list, part)
	}
	pacing := `["day_parting"]`
	if len(list) == 0 {
		pacing = `["standard"]`
	}
	text, err := json.Marshal(list)
	if err != nil {
		return // numbers and words can be written
	}
	w.form.Set("adset_schedule", string(text))
	w.form.Set("pacing_type", pacing)
}

// readWeek reads what Meta says, nothing of what cannot be understood.
func readWeek(raw json.RawMessage) week {
	var list []dayPart
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var w week
	for _, part := range list {
		h := hours{from: int(part.From), to: int(part.To), account: part.Zone == zoneAccount}
		for _, day := range part.Days {
			if day < 0 || day > 6 {
				return nil
			}
			h.days[(day+6)%7] = true
		}
		if h.from < 0 || h.to <= h.from || h.to > 24*60 || h.days == [7]bool{} {
			return nil
		}
		w = w.with(h)
	}
	return w
}
