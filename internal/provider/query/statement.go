package query

import (
	"fmt"
	"slices"
	"strings"
)

// Dialect is how a database writes what all of them have.
type Dialect struct {
	// Quote writes a name as an identifier.
	Quote func(name string) string
	// Parameter writes parameter n, from 1, so that it compares as a value of this
	// type of column does.
	Parameter func(n int, kind string) string
	// MySQL: a backslash escapes within quotes, # begins a comment, a quote is an
	// apostrophe, a double quote or a backtick, and /*! is no comment. Otherwise
	// PostgreSQL: comments nest, and there are dollar quotes and texts with escapes (E).
	MySQL bool
}

// table writes the name of a table.
func (d Dialect) table(name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = d.Quote(strings.TrimSpace(parts[i]))
	}
	return strings.Join(parts, ".")
}

// Inner is what is read from, to be put behind FROM: the table, or the query in
// parentheses, checked. Before is how many characters stand before the query.
func (s Settings) inner(d Dialect) (text string, before int, err error) {
	if s.Table != "" {
		return d.table(s.Table) + " AS usher_rows", 0, nil
	}
	q, err := d.one(s)
	if err != nil {
		return "", 0, err
	}
	// A line of its own ends a comment that the query ends with.
	return "(" + q + "\n) AS usher_rows", 1, nil
}

// beginnings are the words that a statement which reads can begin with.
var beginnings = []string{"SELECT", "WITH", "VALUES", "TABLE"}

// one returns the one statement that a query is, without a semicolon at its end.
// It is no guard, which the transaction is: it tells people early what is wrong,
// and keeps the query within the parentheses that are put around it.
func (d Dialect) one(s Settings) (string, error) {
	q := s.Query
	depth, first, end := 0, "", -1
	for i := 0; i < len(q); {
		c := q[i]
		if end >= 0 && c > ' ' {
			if next := d.comment(q, i); next > i {
				i = next
				continue
			}
			return "", s.Refused("must be one statement; there is something behind its semicolon")
		}
		next, problem := d.skip(q, i)
		switch {
		case problem != "":
			return "", s.Refused(problem)
		case next > i:
			i = next
			continue
		case c == ';':
			end = i
		case c == '(':
			depth++
		case c == ')':
			depth--
		case first == "" && letter(c):
			for next = i; next < len(q) && letter(q[next]); next++ {
			}
			first = strings.ToUpper(q[i:next])
			i = next
			continue
		}
		if depth < 0 {
			return "", s.Refused("has a closing parenthesis too many")
		}
		i++
		if letter(c) { // the rest of a word, so that the E of a name is no E''
			for i < len(q) && word(q[i]) {
				i++
			}
		}
	}
	switch {
	case depth > 0:
		return "", s.Refused("has an open parenthesis that is not closed")
	case !slices.Contains(beginnings, first):
		return "", s.Refused("must begin with SELECT, or with WITH, VALUES or TABLE")
	}
	if end >= 0 {
		q = q[:end]
	}
	return q, nil
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }

func word(c byte) bool { return letter(c) || c >= '0' && c <= '9' || c == '$' }

// skip returns what is behind the quoted text or comment that begins at i, or i
// where none does.
func (d Dialect) skip(q string, i int) (next int, problem string) {
	if next := d.comment(q, i); next > i {
		if next > len(q) {
			return i, "has a comment that does not end"
		}
		return next, ""
	}
	const open = "has a quote that does not end"
	var end int
	switch c := q[i]; {
	case d.MySQL && strings.HasPrefix(q[i:], "/*"):
		return i, "has a comment that is executed; write plain comments"
	case d.MySQL && (c == '\'' || c == '"'):
		end = quoted(q, i, true)
	case c == '\'', c == '"', d.MySQL && c == '`':
		end = quoted(q, i, false)
	case !d.MySQL && (c == 'e' || c == 'E') && i+1 < len(q) && q[i+1] == '\'':
		end = quoted(q, i+1, true)
	case !d.MySQL && c == '$' && i+1 < len(q) && q[i+1] >= '0' && q[i+1] <= '9':
		return i, "has a parameter; write the value itself"
	case !d.MySQL && c == '$':
		tag := i + 1
		for tag < len(q) && word(q[tag]) && q[tag] != '$' {
			tag++
		}
		if tag == len(q) || q[tag] != '$' {
			return i, ""
		}
		mark := q[i : tag+1]
		n := strings.Index(q[tag+1:], mark)
		if n < 0 {
			return i, open
		}
		return tag + 1 + n + len(mark), ""
	default:
		return i, ""
	}
	if end < 0 {
		return i, open
	}
	return end, ""
}

// quoted returns what is behind the quote that begins at i, -1 where it is open.
// A doubled quote stands for one.
func quoted(q string, i int, backslash bool) int {
	for mark, n := q[i], i+1; n < len(q); n++ {
		switch {
		case backslash && q[n] == '\\':
			n++
		case q[n] == mark && n+1 < len(q) && q[n+1] == mark:
			n++
		case q[n] == mark:
			return n + 1
		}
	}
	return -1
}

// comment returns what is behind the comment that begins at i, i where none does,
// and more than the length where it does not end.
func (d Dialect) comment(q string, i int) int {
	rest := q[i:]
	line := strings.HasPrefix(rest, "--")
	if d.MySQL { // two hyphens and something that is no blank are two minus signs
		line = line && (len(rest) == 2 || rest[2] <= ' ') || rest[0] == '#'
	}
	switch {
	case line:
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return i + n + 1
		}
		return len(q)
	case !strings.HasPrefix(rest, "/*"):
		return i
	case d.MySQL:
		if strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!") {
			return i
		}
		if n := strings.Index(rest[2:], "*/"); n >= 0 {
			return i + 2 + n + 2
		}
		return len(q) + 1
	}
	for depth, n := 0, i; n+1 < len(q); n++ {
		switch q[n : n+2] {
		case "/*":
			depth++
			n++
		case "*/":
			depth--
			n++
			if depth == 0 {
				return n + 1
			}
		}
	}
	return len(q) + 1
}

// describe is the statement that has the columns of the result and no row.
func (s Settings) describe(d Dialect) (text string, before int, err error) {
	const head = "SELECT * FROM "
	inner, before, err := s.inner(d)
	return head + inner + " LIMIT 0", len(head) + before, err
}

// read is the statement whose rows come behind from, and its parameters.
func (s Settings) read(d Dialect, p plan, from state, limit int) (text string, args []string, err error) {
	inner, _, err := s.inner(d)
	if err != nil || s.Cursor == "" {
		return "SELECT * FROM " + inner, nil, err
	}
	cursor := d.Quote(s.Cursor)
	conditions := []string{cursor + " IS NOT NULL"}
	order := cursor
	if s.Key != "" {
		conditions = append(conditions, d.Quote(s.Key)+" IS NOT NULL")
		order += ", " + d.Quote(s.Key)
	}
	if from.Column != "" {
		args = []string{from.Cursor}
		conditions = append(conditions, cursor+" >= "+d.Parameter(1, p.columns[p.cursor].Kind))
		if s.Key != "" {
			args = append(args, from.Cursor, from.Key)
			conditions = append(conditions, "("+cursor+" > "+d.Parameter(2, p.columns[p.cursor].Kind)+" OR "+d.Quote(s.Key)+" > "+d.Parameter(3, p.columns[p.key].Kind)+")")
		}
	}
	return fmt.Sprintf("SELECT * FROM %s WHERE %s ORDER BY %s LIMIT %d", inner, strings.Join(conditions, " AND "), order, limit), args, nil
}
