package warehousetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/warehouse"
)

// The expressions a model understands, and what they mean. number and date
// understand no more than what the generated data holds.
const (
	exprPriced  = `number(n) * number(lookup("prices", k, "price"))`
	exprNested  = `lookup("prices", lookup("prices", k, "instead"), "price")`
	exprIf      = `if(k = "s1", a, "other")`
	exprLowerA  = `lower(a)`
	exprMissing = `never_loaded`
)

// value returns the typed value a message gives to a field, if any.
func (m *Model) value(stream string, f warehouse.Field, msg modelMessage) (any, bool) {
	for _, mp := range m.Schema.Mappings {
		if mp.Stream != stream || mp.Field != f.Name {
			continue
		}
		raw := m.evaluate(mp.Expression, msg)
		if raw == "" {
			return nil, false
		}
		if f.Merge == warehouse.Count {
			return int64(1), true
		}
		v, err := typed(f, raw)
		return v, err == nil
	}
	return nil, false
}

// evaluate returns the value of an expression as text, "" = missing.
func (m *Model) evaluate(expression string, msg modelMessage) string {
	switch expression {
	case exprPriced:
		n, err1 := strconv.ParseFloat(msg.Values["n"], 64)
		price, err2 := strconv.ParseFloat(m.lookUp("prices", msg.Values["k"], "price"), 64)
		if err1 != nil || err2 != nil {
			return ""
		}
		return strconv.FormatFloat(n*price, 'g', -1, 64)
	case exprNested:
		return m.lookUp("prices", m.lookUp("prices", msg.Values["k"], "instead"), "price")
	case exprIf:
		if msg.Values["k"] == "s1" {
			return msg.Values["a"]
		}
		return "other"
	case exprLowerA:
		return strings.ToLower(msg.Values["a"])
	}
	return msg.Values[expression]
}

func typed(f warehouse.Field, raw string) (any, error) {
	switch f.Type {
	case warehouse.Integer:
		return strconv.ParseInt(raw, 10, 64)
	case warehouse.Number:
		return strconv.ParseFloat(raw, 64)
	case warehouse.Boolean:
		switch raw {
		case "true", "yes":
			return true, nil
		case "false", "no":
			return false, nil
		}
		return nil, strconv.ErrSyntax
	case warehouse.Time:
		if t, err := time.Parse(time.DateOnly, raw); err == nil {
			return t, nil
		}
		return time.Parse(time.RFC3339, raw)
	case warehouse.TextSet:
		return []string{raw}, nil
	}
	if f.Rank > 0 {
		if raw = strings.TrimSpace(raw); raw == "" {
			return nil, strconv.ErrSyntax
		}
	}
	return raw, nil
}

func identifierText(v any) string { return fmt.Sprint(v) }

// fold makes the fields of one person out of all of that person's messages.
func (m *Model) fold(messages []identified) map[string]any {
	slices.SortFunc(messages, func(a, b identified) int { return later(a.modelMessage, b.modelMessage) })
	values := make(map[string]any)
	for _, f := range m.Schema.Fields {
		for _, msg := range messages {
			if v, ok := m.value(msg.stream, f, msg.modelMessage); ok {
				values[f.Name] = step(f, values[f.Name], v)
			}
		}
	}
	return values
}

// step folds the next value, by message time, into what there is (nil = nothing).
func step(f warehouse.Field, have, v any) any {
	if have == nil {
		return v
	}
	switch f.Merge {
	case warehouse.Latest:
		return v
	case warehouse.First:
		return have
	case warehouse.Set:
		set := append(slices.Clone(have.([]string)), v.([]string)...)
		slices.Sort(set)
		return slices.Compact(set)
	case warehouse.Min:
		if compareValues(v, have) < 0 {
			return v
		}
		return have
	case warehouse.Max:
		if compareValues(v, have) > 0 {
			return v
		}
		return have
	}
	if n, ok := have.(int64); ok {
		return n + v.(int64)
	}
	return have.(float64) + v.(float64)
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		return compare(a, b.(int64))
	case float64:
		return compare(a, b.(float64))
	}
	return a.(time.Time).Compare(b.(time.Time))
}

func compare[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
