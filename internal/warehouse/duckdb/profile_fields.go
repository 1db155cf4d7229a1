package duckdb

import (
	"fmt"
	"strings"

	"usher/internal/warehouse"
)

// Values of a profile come from its messages by one derivation, whichever way
// they go: contribution turns messages into rows of the profiles table's shape,
// combine folds any number of such rows into one a person. A merge combines the
// rows there are with the contributions of new messages, a recompute combines
// the contributions of all messages. They agree because every merge rule is a
// commutative fold: it does not matter which rows were folded before.

// maxSet is how many values a set field holds; the first in byte order stay.
const maxSet = 1000

// ordSQL is the order of latest and first: by message time, then by receipt. The
// two are stored as columns of their own, because DuckDB reads a million wide
// numbers in twenty milliseconds and narrow ones in two, and a small load reads
// everybody to find its few people.
func ordSQL(at, seq string) string {
	return fmt.Sprintf("(%s::HUGEINT * 18446744073709551616 + %s)", at, seq)
}

// fieldColumn is a column of the profiles table.
type fieldColumn struct {
	name    string
	sqlType string
}

// ordered reports whether the field needs to remember which message it is from.
func ordered(f warehouse.Field) bool {
	return f.Merge == warehouse.Latest || f.Merge == warehouse.First
}

// fieldColumns returns the columns of a field: its value, and the time and number
// of the message it came from.
func fieldColumns(f warehouse.Field) []fieldColumn {
	return []fieldColumn{{f.Name, sqlTypes[f.Type]}, {f.Name + "__at", "BIGINT"}, {f.Name + "__seq", "BIGINT"}}
}

// columnList returns the columns of all fields, quoted, each after prefix.
func columnList(fields []warehouse.Field, prefix string) string {
	var b strings.Builder
	for _, f := range fields {
		for _, c := range fieldColumns(f) {
			b.WriteString(", " + prefix + quote(c.name))
		}
	}
	return b.String()
}

// messages says which messages of a stream: a FROM clause that names the row m
// and, where the messages have owners, a column pid, and a condition or "".
type messages struct{ from, where string }

// clause returns the FROM and WHERE clauses, with more joins.
func (m messages) clause(joins string) string {
	if m.where == "" {
		return "FROM " + m.from + joins
	}
	return "FROM " + m.from + joins + " WHERE " + m.where
}

// contribution is a SELECT of (pid, fields…), one row a message.
func contribution(fields []warehouse.Field, mappings *streamMappings, of messages) string {
	var values, columns strings.Builder
	for _, f := range fields {
		value := "NULL"
		for _, m := range mappings.fields {
			if m.field.Name == f.Name {
				value = m.value
			}
		}
		fmt.Fprintf(&values, ", (%s)::%s AS %s", value, sqlTypes[f.Type], quote(f.Name))
		at, seq := "NULL::BIGINT", "NULL::BIGINT"
		if ordered(f) && value != "NULL" {
			at = fmt.Sprintf("CASE WHEN v.%s IS NOT NULL THEN v._at END", quote(f.Name))
			seq = fmt.Sprintf("CASE WHEN v.%s IS NOT NULL THEN v._seq END", quote(f.Name))
		}
		fmt.Fprintf(&columns, ", v.%s, %s AS %s, %s AS %s", quote(f.Name), at, quote(f.Name+"__at"), seq, quote(f.Name+"__seq"))
	}
	return fmt.Sprintf("SELECT v.pid%s FROM (SELECT pid, m._time AS _at, m._seq AS _seq%s %s) v", columns.String(), values.String(), of.clause(mappings.joins()))
}

// combine is a SELECT of (pid, fields…), one row a person, over sources of that shape.
func combine(fields []warehouse.Field, sources []string) string {
	var b strings.Builder
	b.WriteString("SELECT pid")
	for _, f := range fields {
		fmt.Fprintf(&b, ", %s", aggregate(f))
	}
	b.WriteString(" FROM (" + strings.Join(sources, " UNION ALL ") + ") GROUP BY pid")
	return b.String()
}

// alone is combine for one source in which no person has two rows, which needs
// no grouping.
func alone(fields []warehouse.Field, source string) string {
	var b strings.Builder
	b.WriteString("SELECT pid")
	for _, f := range fields {
		name := quote(f.Name)
		if f.Merge == warehouse.Set {
			fmt.Fprintf(&b, ", %s AS %s", setSQL(name), name)
		} else {
			b.WriteString(", " + name)
		}
		for _, c := range fieldColumns(f)[1:] {
			b.WriteString(", " + quote(c.name))
		}
	}
	return b.String() + " FROM (" + source + ")"
}

// setSQL makes a set of a list: sorted, each value once, NULL when empty.
func setSQL(list string) string {
	return fmt.Sprintf("nullif(list_sort(list_distinct(%s))[1:%d], []::VARCHAR[])", list, maxSet)
}

func aggregate(f warehouse.Field) string {
	name, at, seq := quote(f.Name), quote(f.Name+"__at"), quote(f.Name+"__seq")
	pick, end := "arg_max", "max"
	switch f.Merge {
	case warehouse.Latest:
	case warehouse.First:
		pick, end = "arg_min", "min"
	default:
		return fmt.Sprintf("%s AS %s, NULL::BIGINT AS %s, NULL::BIGINT AS %s", unordered(f, name), name, at, seq)
	}
	ord := ordSQL(at, seq)
	return fmt.Sprintf("%[1]s(%[3]s, %[6]s) AS %[3]s, %[2]s(%[4]s) AS %[4]s, %[1]s(%[5]s, %[6]s) AS %[5]s", pick, end, name, at, seq, ord)
}

func unordered(f warehouse.Field, name string) string {
	switch f.Merge {
	case warehouse.Min:
		return "min(" + name + ")"
	case warehouse.Max:
		return "max(" + name + ")"
	case warehouse.Set:
		return setSQL(fmt.Sprintf("flatten(list(%s) FILTER (%s IS NOT NULL))", name, name))
	}
	if f.Type == warehouse.Number {
		return "sum(" + name + ")"
	}
	// A sum of integers is 128 bits wide; out of range it stays at the border
	// rather than stopping the load for ever.
	return fmt.Sprintf("CASE WHEN count(%s) > 0 THEN greatest(least(sum(%s), 9223372036854775807), -9223372036854775808)::BIGINT END", name, name)
}

// keysDiffer is SQL that is true when an identifier or a personal field differs
// between rows a and b.
func keysDiffer(fields []warehouse.Field, a, b string) string {
	var terms []string
	for _, f := range fields {
		if f.PII || f.Rank > 0 {
			terms = append(terms, fmt.Sprintf("%s.%s IS DISTINCT FROM %s.%s", a, quote(f.Name), b, quote(f.Name)))
		}
	}
	if len(terms) == 0 {
		return "false"
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}
