// Package filterqltest judges the SQL of audience rules: it has a second,
// slower meaning of the language in plain Go, and generators of rules and
// profiles. Tests of every warehouse compare their SQL with it.
//
// It shares the parser with package filterql and nothing else, so that a wrong
// reading of a literal or an operator is not wrong in both.
package filterqltest

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"usher/internal/filterql"
)

// Profile is a person: by field a string, int64, float64, bool, time.Time or
// []string. A missing field is absent.
type Profile map[string]any

// World is all that a rule depends on beside the profile.
type World struct {
	Schema    filterql.Fields
	Audiences map[string]*filterql.Filter
	Now       time.Time
}

// Resolve finds an included audience.
func (w World) Resolve(slug string) (*filterql.Filter, error) { return w.Audiences[slug], nil }

// Eval reports whether the rule selects the profile. The rule must be one that
// compiles; for any other Eval panics.
func (w World) Eval(c *filterql.Condition, p Profile) bool {
	switch c.Op {
	case filterql.MatchAll:
		return true
	case filterql.And:
		return !slices.ContainsFunc(c.Args, func(a *filterql.Condition) bool { return !w.Eval(a, p) })
	case filterql.Or:
		return slices.ContainsFunc(c.Args, func(a *filterql.Condition) bool { return w.Eval(a, p) })
	case filterql.Not:
		return !w.Eval(c.Args[0], p)
	case filterql.Include:
		return w.Eval(w.Audiences[c.Audience].Where, p)
	}
	v, there := p[c.Field.Name()]
	if s, ok := v.(string); ok && s == "" {
		there = false
	}
	if s, ok := v.([]string); ok && len(s) == 0 {
		there = false
	}
	return there && w.holds(c, v)
}

// holds judges an operator on a value that is there.
func (w World) holds(c *filterql.Condition, v any) bool {
	switch c.Op {
	case filterql.Exists:
		return true
	case filterql.Contains:
		if set, ok := v.([]string); ok {
			return slices.Contains(set, c.Values[0].Text)
		}
		return strings.Contains(v.(string), c.Values[0].Text)
	case filterql.Like:
		like := func(s string) bool { return matches([]rune(c.Values[0].Text), []rune(s)) }
		if set, ok := v.([]string); ok {
			return slices.ContainsFunc(set, like)
		}
		return like(v.(string))
	case filterql.In, filterql.Intersects:
		return slices.ContainsFunc(c.Values, func(l filterql.Value) bool { return w.equalsAny(v, l) })
	case filterql.Between:
		return w.compare(v, c.Values[0]) >= 0 && w.compare(v, c.Values[1]) <= 0
	case filterql.GeoDistance:
		return near(v.(string), c.Values[0].Text, c.Values[1].Text)
	case filterql.TimeWindow:
		return w.within(v, c.Values[0].Text, c.Values[1].Text)
	}
	order := w.compare(v, c.Values[0])
	return map[filterql.Op]bool{
		filterql.Equal: order == 0, filterql.NotEqual: order != 0,
		filterql.Less: order < 0, filterql.AtMost: order <= 0,
		filterql.Greater: order > 0, filterql.AtLeast: order >= 0,
	}[c.Op]
}

func (w World) equalsAny(v any, l filterql.Value) bool {
	if set, ok := v.([]string); ok {
		return slices.Contains(set, l.Text)
	}
	return w.compare(v, l) == 0
}

// compare orders the value of a field against a literal read as its type.
func (w World) compare(v any, l filterql.Value) int {
	switch v := v.(type) {
	case string:
		return slices.Compare([]byte(v), []byte(l.Text))
	case int64:
		return new(big.Rat).SetInt64(v).Cmp(rational(l.Text))
	case float64:
		f, _ := rational(l.Text).Float64()
		return new(big.Float).SetFloat64(v).Cmp(big.NewFloat(f))
	case bool:
		if v == (strings.ToLower(l.Text) == "true") {
			return 0
		}
		return 1
	case time.Time:
		return v.Compare(w.instant(l.Text))
	}
	panic(fmt.Sprintf("no order for %T", v))
}

func rational(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic("not a number: " + s)
	}
	return r
}

// instant reads a time literal of the forms that Rules makes.
func (w World) instant(s string) time.Time {
	if ms, err := time.ParseDuration(s + "ms"); err == nil {
		return time.Unix(0, 0).Add(ms)
	}
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		return w.shifted(rest)
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	panic("not a time: " + s)
}

// shifted moves Now by terms such as "-3h+1M".
func (w World) shifted(terms string) time.Time {
	t := w.Now
	for terms != "" {
		var n int
		var unit rune
		if _, err := fmt.Sscanf(terms, "%d%c", &n, &unit); err != nil {
			panic("not date math: " + terms)
		}
		terms = terms[strings.IndexRune(terms, unit)+1:]
		switch unit {
		case 'M':
			t = monthsLater(t, n)
		case 'y':
			t = monthsLater(t, 12*n)
		default:
			seconds := map[rune]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[unit]
			t = t.Add(time.Duration(n*seconds) * time.Second)
		}
	}
	return t
}

// monthsLater walks day by day back from a date that is not in the calendar.
func monthsLater(t time.Time, n int) time.Time {
	month := int(t.Month()) - 1 + n
	year := t.Year() + month/12
	if month %= 12; month < 0 {
		month, year = month+12, year-1
	}
	clock := t.Sub(t.Truncate(24 * time.Hour))
	for day := t.Day(); ; day-- {
		d := time.Date(year, time.Month(month+1), day, 0, 0, 0, 0, time.UTC)
		if d.Month() == time.Month(month+1) {
			return d.Add(clock)
		}
	}
}

// matches reports whether the text matches a pattern in which * stands for any
// number of characters.
func matches(pattern, s []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == '*':
		return matches(pattern[1:], s) || len(s) > 0 && matches(pattern, s[1:])
	}
	return len(s) > 0 && s[0] == pattern[0] && matches(pattern[1:], s[1:])
}
