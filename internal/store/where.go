package store

import (
	"fmt"
	"strings"
	"time"
)

// where gathers the conditions of a list. Columns and operators come from the
// code alone; values always travel as parameters.
type where struct {
	conditions []string
	args       []any
}

// add appends a condition whose %d are the numbers of its parameters.
func (w *where) add(condition string, args ...any) {
	numbers := make([]any, len(args))
	for i, a := range args {
		w.args = append(w.args, a)
		numbers[i] = len(w.args)
	}
	w.conditions = append(w.conditions, fmt.Sprintf(condition, numbers...))
}

// equal matches a column unless the value is empty.
func equal[T ~string](w *where, column string, value T) {
	if value != "" {
		w.add(column+" = $%d", string(value))
	}
}

// compare matches a time column with an operator unless the time is zero.
func (w *where) compare(column, operator string, t time.Time) {
	if !t.IsZero() {
		w.add(column+" "+operator+" $%d", t.UnixMicro())
	}
}

// in matches a column with any of the values; none of them matches all rows.
func in[T ~string](w *where, column string, values []T) {
	if len(values) == 0 {
		return
	}
	marks := make([]string, len(values))
	for i, v := range values {
		w.args = append(w.args, string(v))
		marks[i] = fmt.Sprintf("$%d", len(w.args))
	}
	w.conditions = append(w.conditions, column+" IN ("+strings.Join(marks, ", ")+")")
}

// next appends a bare parameter, for LIMIT, and returns its mark.
func (w *where) next(value any) string {
	w.args = append(w.args, value)
	return fmt.Sprintf("$%d", len(w.args))
}

// sql returns the WHERE clause, or nothing.
func (w *where) sql() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}
