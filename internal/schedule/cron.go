package schedule

import (
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"

	cron "github.com/netresearch/go-cron"
)

// cronField is one of the five fields of a cron expression.
type cronField struct {
	name     string
	min, max int
	words    []string // names of the values, beginning with min
	example  string
}

var cronFields = [5]cronField{
	{"minute", 0, 59, nil, "*/15"},
	{"hour", 0, 23, nil, "9-17"},
	{"day of the month", 1, 31, nil, "1,15"},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}, "1-6"},
	{"weekday", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, "mon-fri"},
}

// cronParser reads the five fields and nothing more: no seconds, years, @words,
// H, L, W or #.
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// cronPart is one element of a field. The library takes more, such as *-x.
var cronPart = regexp.MustCompile(`^(?:\*|\?|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(/[0-9]{1,2})?$`)

// readCron reads the fields of a cron expression, in lower case. why says what
// is wrong; "" = nothing.
func readCron(fields []string) (c calendar, why string) {
	if len(fields) != len(cronFields) {
		return c, fmt.Sprintf("a cron expression has five fields (minute, hour, day of the month, month, weekday), and this has %d; the zone is given as timezone", len(fields))
	}
	for i, f := range cronFields {
		if !f.takes(fields[i]) {
			return c, f.wrong()
		}
	}
	parsed, err := cronParser.Parse(strings.Join(fields, " "))
	if err != nil {
		return c, whichField(fields)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return c, whichField(fields)
	}
	c = calendar{
		minutes: spec.Minute & allMinutes, hours: spec.Hour & allHours,
		days: spec.Dom & allDays, months: spec.Month & allMonths, weekdays: spec.Dow & allWeekdays,
	}
	if spec.Dom != c.days || spec.Dow != c.weekdays {
		// One of the day fields is a star, which restricts nothing.
	} else if c.days == allDays || c.weekdays == allWeekdays {
		c.days, c.weekdays = allDays, allWeekdays // one or the other is every day
	}
	if !c.comes() {
		return c, "never comes: none of its months has such a day"
	}
	return c, ""
}

// takes reports whether the text has the shape of a field.
func (f cronField) takes(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		m := cronPart.FindStringSubmatch(part)
		if m == nil {
			return false
		}
		// The library counts the week as eight days when a range goes past its
		// end in steps.
		if m[3] != "" && m[2] != "" && f.number(m[1]) > f.number(m[2]) {
			return false
		}
	}
	return true
}

func (f cronField) number(s string) int {
	if i := slices.Index(f.words, s); i >= 0 {
		return f.min + i
	}
	n, _ := strconv.Atoi(s) // three letters are 0, and refused by the library
	return n
}

func (f cronField) wrong() string {
	names := ""
	if f.words != nil {
		names = fmt.Sprintf(" (or %s to %s)", f.words[0], f.words[len(f.words)-1])
	}
	return fmt.Sprintf("the %s must be *, numbers from %d to %d%s, ranges, steps or a list of these, such as %s", f.name, f.min, f.max, names, f.example)
}

// whichField says which field the library refuses.
func whichField(fields []string) string {
	for i, f := range cronFields {
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = fields[i]
		if _, err := cronParser.Parse(strings.Join(alone, " ")); err != nil {
			return f.wrong()
		}
	}
	return "must be a cron expression of five fields such as 30 2 * * 1-5"
}

// String writes the calendar as a cron expression: one text for one meaning,
// however it was written.
func (c *calendar) String() string {
	return strings.Join([]string{
		cronText(c.minutes, 0, 59), cronText(c.hours, 0, 23), cronText(c.days, 1, 31),
		cronText(c.months, 1, 12), cronText(c.weekdays, 0, 6),
	}, " ")
}

// cronText writes a set of values as *, as */n, or as numbers and ranges.
func cronText(set uint64, low, high int) string {
	if bits.OnesCount64(set) == high-low+1 {
		return "*"
	}
	for step := 2; low+2*step <= high; step++ {
		var steps uint64
		for n := low; n <= high; n += step {
			steps |= 1 << n
		}
		if steps == set {
			return "*/" + strconv.Itoa(step)
		}
	}
	var parts []string
	for n, ok := nextBit(set, low); ok; n, ok = nextBit(set, n+1) {
		end := n
		for has(set, end+1) {
			end++
		}
		if end-n < 2 {
			parts = append(parts, strconv.Itoa(n))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d-%d", n, end))
		n = end
	}
	return strings.Join(parts, ",")
}
