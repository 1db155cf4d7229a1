package filterql

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// applies checks that the operator means something for the type.
func applies(n *Condition, t Type) error {
	types := map[Op][]Type{
		Exists:     {Text, Integer, Number, Boolean, Time, Set},
		Equal:      {Text, Integer, Number, Boolean, Time},
		NotEqual:   {Text, Integer, Number, Boolean, Time},
		Greater:    {Text, Integer, Number, Time},
		AtLeast:    {Text, Integer, Number, Time},
		Less:       {Text, Integer, Number, Time},
		AtMost:     {Text, Integer, Number, Time},
		Between:    {Text, Integer, Number, Time},
		In:         {Text, Integer, Number, Boolean, Time},
		Intersects: {Text, Integer, Number, Boolean, Time, Set},
		Contains:   {Text, Set},
		Like:       {Text, Set},

		GeoDistance: {Text},
		TimeWindow:  {Time, Set},
	}
	if slices.Contains(types[n.Op], t) {
		return nil
	}
	hint := ""
	switch {
	case n.Op == GeoDistance:
		return errorAt(n.Field.Pos, "field %q is %s: geodistance takes a text of \"latitude,longitude\"", brief(n.Field.Name()), t)
	case n.Op == TimeWindow:
		return errorAt(n.Field.Pos, "field %q is %s: timewindow takes a time or a set of times", brief(n.Field.Name()), t)
	case t == Set:
		hint = ", use CONTAINS or INTERSECTS"
	case n.Op == Contains || n.Op == Like:
		hint = ", which takes text or a set"
	}
	return errorAt(n.Field.Pos, "field %q is %s: %s does not apply%s",
		brief(n.Field.Name()), t, strings.ToUpper(string(n.Op)), hint)
}

// coerce turns a literal into the parameter for a field of type t.
func coerce(n *Condition, v Value, t Type, now time.Time) (any, error) {
	if v.Text == "" {
		return nil, errorAt(v.Pos, "a value is empty: an empty text counts as missing, use [NOT] EXISTS")
	}
	switch t {
	case Text, Set:
		if n.Op == Like {
			return likePattern(v.Text), nil
		}
		return v.Text, nil
	case Integer:
		if i, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			return i, nil
		}
	case Number:
		if f, err := strconv.ParseFloat(v.Text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f, nil
		}
	case Boolean:
		switch strings.ToLower(v.Text) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	case Time:
		if at, ok := parseTime(v.Text, now); ok {
			return at.UnixMicro(), nil
		}
		return nil, errorAt(v.Pos, "field %q is time, %q is not (use \"now-3d\", Unix milliseconds or \"2006-01-02T15:04:05Z\")",
			brief(n.Field.Name()), brief(v.Text))
	}
	return nil, errorAt(v.Pos, "field %q is %s, %q is not", brief(n.Field.Name()), t, brief(v.Text))
}

// likePattern makes an SQL pattern: * is the only wildcard of a rule.
func likePattern(s string) string {
	if needsEscape(s) {
		s = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
	}
	return strings.ReplaceAll(s, "*", "%")
}

// needsEscape reports whether a pattern holds what SQL would take for more
// than itself. Without, the database may use a faster plan.
func needsEscape(s string) bool { return strings.ContainsAny(s, `\%_`) }
