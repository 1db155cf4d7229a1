package store

import (
	"strconv"
	"strings"
)

// chunkMost is the most values that one statement lists.
const chunkMost = 256

// inChunks calls fn for some of the values at a time, with the marks that stand for
// them in a statement whose own parameters are the first skip. There are few lengths
// of such a list, since the last value is repeated, so that few texts are compiled.
func inChunks[T any](skip int, values []T, fn func(marks string, args []any) error) error {
	for len(values) > 0 {
		n := min(len(values), chunkMost)
		size := 1
		for size < n {
			size *= 2
		}
		args := make([]any, size)
		for i := range args {
			args[i] = values[min(i, n-1)]
		}
		values = values[n:]
		if err := fn(marks(skip, size), args); err != nil {
			return err
		}
	}
	return nil
}

// marks are n parameters in brackets, counted on from skip.
func marks(skip, n int) string {
	var b strings.Builder
	b.WriteByte('(')
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(skip + i + 1))
	}
	b.WriteByte(')')
	return b.String()
}

// rowChunks are how many rows one INSERT has: as many as fit of these. SQLite looks for
// the name of each parameter among all of its statement, so that more rows at once
// take longer for each.
var rowChunks = []int{8, 1}

// insertAll inserts rows of as many values each. head is the statement up to VALUES,
// tail what follows the rows.
func (t *tx) insertAll(head, tail string, rows [][]any) error {
	for _, n := range rowChunks {
		if len(rows) < n {
			continue
		}
		width := len(rows[0])
		groups := make([]string, n)
		for i := range groups {
			groups[i] = marks(i*width, width)
		}
		statement := head + ` VALUES ` + strings.Join(groups, ", ") + tail
		for len(rows) >= n {
			args := make([]any, 0, n*width)
			for _, r := range rows[:n] {
				args = append(args, r...)
			}
			if _, err := t.exec(statement, args...); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}
