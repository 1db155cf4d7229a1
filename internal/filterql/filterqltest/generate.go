package filterqltest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"usher/internal/filterql"
)

// Schema has fields of every type; two names need quoting in SQL and backticks
// in a rule.
var Schema = filterql.Fields{
	"name":          filterql.Text,
	"city":          filterql.Text,
	`Odd "q". name`: filterql.Text,
	"age":           filterql.Integer,
	"ltv":           filterql.Number,
	"vip":           filterql.Boolean,
	"seen":          filterql.Time,
	"select":        filterql.Set,
}

// Now is the time at which generated rules are judged: the end of a month that
// has no counterpart in most others.
var Now = time.Date(2024, time.March, 31, 9, 30, 15, 250_000_000, time.UTC)

// texts are chosen to trip patterns, quoting, case and order by bytes.
var texts = []string{
	"a", "A", "ab", "b", "Ann", "ann", "a%b", "a_b", "axb", `a\b`, `"a"`, "it's", "*", "a*b", "straße", "STRASSE",
	"日本", "日本語", "😀", "é", "e\u0301", "ü", "two words", "line\nbreak", "\ttab", " a", "0", "10", "9", "true", "now-3h", "$1", "`",
}

var (
	textValues = rapid.OneOf(rapid.SampledFrom(texts), rapid.SampledFrom(texts), rapid.StringN(1, 4, 8).Filter(isText))
	integers   = rapid.OneOf(rapid.Int64Range(-2, 12), rapid.SampledFrom([]int64{-9223372036854775808, 9223372036854775807, 9007199254740993}))
	numbers    = rapid.OneOf(rapid.Map(rapid.IntRange(-8, 8), func(i int) float64 { return float64(i) / 4 }), rapid.Float64Range(-1e9, 1e9))
	instants   = rapid.Custom(drawInstant)
)

func isText(s string) bool { return s != "" && !strings.ContainsRune(s, 0) }

// drawInstant draws a time near one that the rules name, or anywhere.
func drawInstant(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "anywhere") {
		return time.UnixMilli(rapid.Int64Range(-1e12, 4e12).Draw(t, "ms")).UTC()
	}
	days := rapid.SampledFrom([]int{0, 1, 7, 30, 31, 366}).Draw(t, "days")
	micros := rapid.Int64Range(-1, 1).Draw(t, "micros")
	return Now.AddDate(0, 0, -days).Add(time.Duration(micros) * time.Microsecond)
}

// Profiles generates people over Schema; about a third of the values are missing.
func Profiles() *rapid.Generator[Profile] {
	return rapid.Custom(func(t *rapid.T) Profile {
		p := Profile{}
		for _, name := range Schema.Names() {
			if rapid.IntRange(0, 2).Draw(t, name+" is there") > 0 {
				p[name] = drawValue(t, name)
			}
		}
		return p
	})
}

func drawValue(t *rapid.T, name string) any {
	switch Schema[name] {
	case filterql.Integer:
		return integers.Draw(t, name)
	case filterql.Number:
		return numbers.Draw(t, name)
	case filterql.Boolean:
		return rapid.Bool().Draw(t, name)
	case filterql.Time:
		return instants.Draw(t, name)
	case filterql.Set:
		return rapid.SliceOfN(textValues, 0, 3).Draw(t, name)
	}
	if rapid.IntRange(0, 9).Draw(t, name+" is empty") == 0 {
		return ""
	}
	return textValues.Draw(t, name)
}

// Rules generates rules over Schema that compile. They include the audiences
// of the given names.
func Rules(audiences ...string) *rapid.Generator[*filterql.Filter] {
	return rapid.Custom(func(t *rapid.T) *filterql.Filter {
		f := &filterql.Filter{Where: condition(t, audiences, 4)}
		f.From = rapid.SampledFrom([]string{"", "user"}).Draw(t, "from")
		f.Alias = rapid.SampledFrom([]string{"", "slug", "not", "3 odd"}).Draw(t, "alias")
		return f
	})
}

func condition(t *rapid.T, audiences []string, depth int) *filterql.Condition {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	switch {
	case kind == 0:
		return &filterql.Condition{Op: filterql.MatchAll}
	case kind == 1 && len(audiences) > 0:
		return &filterql.Condition{Op: filterql.Include, Audience: rapid.SampledFrom(audiences).Draw(t, "audience")}
	case kind < 4 && depth > 0:
		return &filterql.Condition{Op: filterql.Not, Args: []*filterql.Condition{condition(t, audiences, depth-1)}}
	case kind < 7 && depth > 0:
		c := &filterql.Condition{Op: rapid.SampledFrom([]filterql.Op{filterql.And, filterql.Or}).Draw(t, "group")}
		for range rapid.IntRange(1, 3).Draw(t, "args") {
			c.Args = append(c.Args, condition(t, audiences, depth-1))
		}
		return c
	}
	return leaf(t)
}

// operators are those that apply to a type.
func operators(typ filterql.Type) []filterql.Op {
	ordered := []filterql.Op{filterql.Greater, filterql.AtLeast, filterql.Less, filterql.AtMost, filterql.Between}
	scalar := []filterql.Op{filterql.Exists, filterql.Equal, filterql.NotEqual, filterql.In, filterql.Intersects}
	switch typ {
	case filterql.Set:
		return []filterql.Op{filterql.Exists, filterql.Contains, filterql.Like, filterql.Intersects}
	case filterql.Boolean:
		return scalar
	case filterql.Text:
		return slices.Concat(scalar, ordered, []filterql.Op{filterql.Contains, filterql.Like, filterql.Like})
	}
	return slices.Concat(scalar, ordered)
}

func leaf(t *rapid.T) *filterql.Condition {
	name := rapid.SampledFrom(Schema.Names()).Draw(t, "field")
	op := rapid.SampledFrom(operators(Schema[name])).Draw(t, "op")
	c := &filterql.Condition{Op: op, Field: filterql.Ident{Parts: []string{name}}}
	count := 1
	switch op {
	case filterql.Exists:
		count = 0
	case filterql.Between:
		count = 2
	case filterql.In, filterql.Intersects:
		count = rapid.IntRange(1, 4).Draw(t, "count")
	}
	for range count {
		c.Values = append(c.Values, filterql.Value{Text: literal(t, op, Schema[name])})
	}
	return c
}

// literal draws the text of a literal for a field of the type.
func literal(t *rapid.T, op filterql.Op, typ filterql.Type) string {
	switch typ {
	case filterql.Integer:
		return strconv.FormatInt(integers.Draw(t, "integer"), 10)
	case filterql.Number:
		return strconv.FormatFloat(numbers.Draw(t, "number"), 'f', -1, 64)
	case filterql.Boolean:
		return rapid.SampledFrom([]string{"true", "false", "TRUE", "False"}).Draw(t, "boolean")
	case filterql.Time:
		return timeLiteral(t)
	}
	s := textValues.Draw(t, "text")
	if op == filterql.Like {
		r := []rune(s)
		at := rapid.IntRange(0, len(r)).Draw(t, "star")
		s = string(r[:at]) + "*" + string(r[min(at+rapid.IntRange(0, 1).Draw(t, "over"), len(r)):])
	}
	return s
}

func timeLiteral(t *rapid.T) string {
	at := instants.Draw(t, "time")
	switch rapid.IntRange(0, 5).Draw(t, "form") {
	case 0:
		return strconv.FormatInt(at.UnixMilli(), 10)
	case 1:
		return at.Format(time.DateOnly)
	case 2:
		return at.Format(time.DateTime)
	case 3:
		return at.In(time.FixedZone("", 5400)).Format(time.RFC3339Nano)
	}
	math := "now"
	for range rapid.IntRange(0, 2).Draw(t, "terms") {
		n := rapid.SampledFrom([]int{-366, -31, -30, -13, -7, -1, 1, 4}).Draw(t, "n")
		math += fmt.Sprintf("%+d%s", n, rapid.SampledFrom([]string{"s", "m", "h", "d", "w", "M", "y"}).Draw(t, "unit"))
	}
	return math
}
