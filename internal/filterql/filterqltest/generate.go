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
	"place":         filterql.Text,
	"visits":        filterql.Set,
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

// places are points, and texts that look like one.
var places = []string{
	"41.9,12.5", "41.9, 12.5", " +41.90 ,12.50 ", "51.5,-0.1", "-33.87,151.21", "-41.9,-167.5", "90,0", "-90,180", "0,180", "0,-180", "0.5,-179.5",
	"91,0", "0,181", "999,999", "41.9", "41.9,12.5,0", "41,9,12,5", "1e1,2", "nan,0", ".5,1", "5.,1", "1_0,2", "--1,2", "41.9;12.5", ",", "12.5,41.9",
}

// centres and distances are what rules ask about; no distance between two
// places is as good as one of these.
var (
	centres   = []string{"41.9,12.5", "41.8 , 12.4", "51.5,-0.1", "-33.8,151.2", "0,180", "89.9,-90", "-41.9,-167.4", "0,0"}
	distances = []string{"0.001", "1", "20", "56.2", "1500.5", "10000", "19990", "20040"}
)

// drawVisit draws a text that is a time, near a border of the windows that
// rules ask about, or looks like one.
func drawVisit(t *rapid.T) string {
	if rapid.IntRange(0, 4).Draw(t, "odd") == 0 {
		return rapid.SampledFrom([]string{
			"yesterday", "20240331", "17118822", "171188221500000", "2024-02-30", "2024-03-31T24:00:00", "2024-03-31T09:60", "2024-03-31T09:30:60Z",
			"2024-03-30T", "2024-03-30T1:00", "2024-3-30", "-1711882215", "1711882215.5", " 2024-03-30", "2024-03-30Z", "2024-03-30+02:00", "31.03.2024",
			"2024-03-30T09:00:00z", "2024-03-30T09:00:00 +01:00", "2024-03-30T09:00+0130",
		}).Draw(t, "text")
	}
	border := Now.AddDate(0, 0, -rapid.SampledFrom([]int{0, 0, 1, 7, 30}).Draw(t, "days"))
	at := border.Add(time.Duration(rapid.SampledFrom([]int64{-3600e6, -250_001, -250_000, -1, 0, 0, 1, 3600e6}).Draw(t, "micros")) * time.Microsecond)
	switch rapid.IntRange(0, 6).Draw(t, "form") {
	case 0:
		return strconv.FormatInt(at.Unix(), 10)
	case 1:
		return strconv.FormatInt(at.UnixMilli(), 10)
	case 2:
		return at.Format(time.DateOnly)
	case 3:
		return at.In(time.FixedZone("", -5400)).Format("2006-01-02 15:04:05.999999999-0700")
	case 4:
		return at.Format("2006-01-02T15:04:05.999999999")
	}
	return at.In(time.FixedZone("", 12*3600)).Format(time.RFC3339Nano)
}

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
	switch name {
	case "place":
		return rapid.SampledFrom(places).Draw(t, name)
	case "visits":
		return rapid.SliceOfN(rapid.Custom(drawVisit), 0, 6).Draw(t, name)
	}
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
	ops := operators(Schema[name])
	switch name {
	case "place":
		ops = append(ops, filterql.GeoDistance, filterql.GeoDistance, filterql.GeoDistance)
	case "visits":
		ops = append(ops, filterql.TimeWindow, filterql.TimeWindow, filterql.TimeWindow)
	case "seen":
		ops = append(ops, filterql.TimeWindow)
	}
	op := rapid.SampledFrom(ops).Draw(t, "op")
	c := &filterql.Condition{Op: op, Field: filterql.Ident{Parts: []string{name}}}
	count := 1
	switch op {
	case filterql.GeoDistance:
		c.Values = []filterql.Value{{Text: rapid.SampledFrom(centres).Draw(t, "centre")}, {Text: rapid.SampledFrom(distances).Draw(t, "km")}}
		return c
	case filterql.TimeWindow:
		least := 1
		if Schema[name] == filterql.Set {
			least = rapid.IntRange(1, 3).Draw(t, "least")
		}
		days := rapid.SampledFrom([]int{1, 7, 30, 36500}).Draw(t, "days")
		c.Values = []filterql.Value{{Text: strconv.Itoa(least)}, {Text: strconv.Itoa(days)}}
		return c
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
