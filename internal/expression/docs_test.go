package expression_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/internal/expression"
)

// docs is docs/expressions.md, taken apart.
type docs struct {
	message    map[string]string
	references [][]string // stream, key, column, value
	examples   [][]string // expression, field type, outcome
}

func readDocs(t *testing.T) docs {
	t.Helper()
	data, err := os.ReadFile("../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	d := docs{message: map[string]string{}}
	header := ""
	for line := range strings.Lines(string(data)) {
		cells := cellsOf(line)
		switch {
		case cells == nil:
			header = ""
		case header == "":
			header = fmt.Sprint(cells[0], len(cells))
		case strings.HasPrefix(cells[0], "---"):
		case header == "Column2":
			d.message[code(cells[0])] = code(cells[1])
		case header == "Stream4":
			d.references = append(d.references, []string{code(cells[0]), code(cells[1]), code(cells[2]), code(cells[3])})
		case header == "Expression3":
			d.examples = append(d.examples, []string{code(cells[0]), cells[1], cells[2]})
		}
	}
	return d
}

// cellsOf returns the cells of a line of a table, nil for any other line.
func cellsOf(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(c)
	}
	return cells
}

// code takes the backticks off.
func code(s string) string {
	if strings.HasPrefix(s, "`` ") {
		return strings.TrimSuffix(strings.TrimPrefix(s, "`` "), " ``")
	}
	return strings.Trim(s, "`")
}

// TestDocs runs every example of the page.
func TestDocs(t *testing.T) {
	d := readDocs(t)
	if len(d.examples) < 90 || len(d.message) < 12 || len(d.references) < 4 {
		t.Fatalf("read %d examples, %d columns, %d reference rows: the page or its reader is broken", len(d.examples), len(d.message), len(d.references))
	}
	db := openDuckDB(t)
	d.load(t, db)
	for _, x := range d.examples {
		for _, inline := range []bool{false, true} {
			got := d.outcome(db, x[0], expression.Type(x[1]), inline)
			if want := strings.Trim(x[2], "`"); got != want {
				t.Errorf("%s as %s (inline %t): %s, want %s", x[0], x[1], inline, got, want)
			}
		}
	}
}

// load makes table m of the message and one table of each reference stream.
func (d docs) load(t *testing.T, db *sql.DB) {
	t.Helper()
	var columns, values []string
	var args []any
	for name, v := range d.message {
		columns = append(columns, quote(name)+" VARCHAR")
		args = append(args, v)
		values = append(values, fmt.Sprintf("$%d", len(args)))
	}
	statements := []string{
		"CREATE TABLE m (" + strings.Join(columns, ", ") + ")",
		`CREATE TABLE refs (stream VARCHAR, key VARCHAR, col VARCHAR, value VARCHAR)`,
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("INSERT INTO m VALUES ("+strings.Join(values, ", ")+")", args...); err != nil {
		t.Fatal(err)
	}
	for _, r := range d.references {
		if _, err := db.Exec("INSERT INTO refs VALUES ($1, $2, $3, $4)", r[0], r[1], r[2], r[3]); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome says what an expression gives, as the page writes it.
func (d docs) outcome(db *sql.DB, text string, typ expression.Type, inline bool) string {
	e, err := expression.Parse(text)
	if err != nil {
		return err.Error()
	}
	joins := &joins{}
	c, err := expression.CompileAs(e, typ, expression.Options{
		Columns: func(name string) (string, bool) { _, ok := d.message[name]; return "m." + quote(name), ok },
		Lookup:  joins.add,
		Inline:  inline,

		PhoneCountry: "AU",
	})
	if err != nil {
		return err.Error()
	}
	if inline && len(c.Args) > 0 {
		return "inline SQL has parameters"
	}
	var value any
	var unparsed bool
	row := db.QueryRowContext(context.Background(), "SELECT "+c.SQL+", "+c.UnparsedSQL+" FROM m"+joins.sql, c.Args...)
	if err := row.Scan(&value, &unparsed); err != nil {
		return err.Error()
	}
	switch {
	case value != nil && unparsed:
		return "a value that is unparsed"
	case unparsed:
		return "unparsed"
	}
	return shown(value)
}

// joins writes the joins of lookups as a warehouse does.
type joins struct {
	keys []string
	sql  string
}

func (j *joins) add(l expression.Lookup) (string, error) {
	i := slices.Index(j.keys, l.Stream+" "+l.Key)
	if i < 0 {
		i = len(j.keys)
		j.keys = append(j.keys, l.Stream+" "+l.Key)
		j.sql += fmt.Sprintf(" LEFT JOIN (SELECT key, map_from_entries(list((col, value))) AS row FROM refs WHERE stream = '%s' GROUP BY key) AS l%d ON l%d.key = %s",
			l.Stream, i, i, l.KeySQL)
	}
	return fmt.Sprintf("l%d.row['%s']", i, l.Column), nil
}

func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "missing"
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = fmt.Sprint(v[i])
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(value)
}
