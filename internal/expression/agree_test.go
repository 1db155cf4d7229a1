package expression_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"pgregory.net/rapid"

	"usher/internal/expression"
	"usher/internal/matchkey"
)

func openDuckDB(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	// A zone far from UTC: no expression may depend on it.
	if _, err := db.Exec(`SET threads = 1; SET TimeZone = 'Asia/Tokyo'`); err != nil {
		t.Fatal(err)
	}
	registerPhone(t, db)
	return db
}

// phone is the function that a warehouse gives expressions with phone().
type phone struct{ text duckdb.TypeInfo }

func (p phone) Config() duckdb.ScalarFuncConfig {
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{p.text, p.text}, ResultTypeInfo: p.text}
}

func (p phone) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(values []driver.Value) (any, error) {
		if number := matchkey.Phone(values[0].(string), values[1].(string)); number != "" {
			return number, nil
		}
		return nil, nil
	}}
}

func registerPhone(t testing.TB, db *sql.DB) {
	t.Helper()
	text, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := duckdb.RegisterScalarUDF(conn, expression.PhoneFunction, phone{text}); err != nil {
		t.Fatal(err)
	}
}

// message is a row of the stream: by column a text; a missing one is absent.
type message map[string]string

// messages are as many as pick every value of every column at least once.
func messages() []message {
	var all []message
	for i := range 60 {
		m := message{}
		for n, column := range columnNames {
			values := columnValues[column]
			if v := values[(i*(2*n+1)+i/7)%len(values)]; v != "" {
				m[column] = v
			}
		}
		all = append(all, m)
	}
	return all
}

// load makes table m of the messages; what is missing is NULL or empty in turn.
func load(t testing.TB, db *sql.DB, all []message) {
	t.Helper()
	var columns []string
	for _, c := range columnNames {
		columns = append(columns, quote(c)+" VARCHAR")
	}
	if _, err := db.Exec("CREATE TABLE m (_n BIGINT, " + strings.Join(columns, ", ") + ")"); err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		args, marks := []any{i}, []string{"$1"}
		for _, c := range columnNames {
			var v any = m[c]
			if v == "" && i%2 == 0 {
				v = nil
			}
			args = append(args, v)
			marks = append(marks, fmt.Sprintf("$%d", len(args)))
		}
		if _, err := db.Exec("INSERT INTO m VALUES ("+strings.Join(marks, ", ")+")", args...); err != nil {
			t.Fatal(err)
		}
	}
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func columnSQL(name string) (string, bool) { return "m." + quote(name), columnValues[name] != nil }

type result struct {
	value    any
	unparsed bool
}

// run evaluates a compiled expression over table m.
func run(db *sql.DB, c expression.Compiled) ([]result, error) {
	rows, err := db.QueryContext(context.Background(), "SELECT "+c.SQL+", "+c.UnparsedSQL+" FROM m ORDER BY _n", c.Args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []result
	for rows.Next() {
		var r result // scanning a NULL unparsed fails
		if err := rows.Scan(&r.value, &r.unparsed); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// TestSQLAgreesWithTheLanguage compares DuckDB with the meaning in plain Go on
// random expressions over all messages.
func TestSQLAgreesWithTheLanguage(t *testing.T) {
	db := openDuckDB(t)
	all := messages()
	load(t, db, all)
	var there, missing, unparsed int
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]expression.Type{expression.Number, expression.Text, expression.Boolean, expression.Time}).Draw(t, "type")
		s := draw(t, typ, 4)
		e, err := expression.Parse(s.text)
		if err != nil {
			t.Fatalf("%s: %v", s.text, err)
		}
		checkRoundTrip(t, e)
		c, err := expression.CompileAs(e, typ, expression.Options{Columns: columnSQL, PhoneCountry: "US", Inline: rapid.Bool().Draw(t, "inline")})
		if err != nil {
			t.Fatalf("%s: %v", s.text, err)
		}
		got, err := run(db, c)
		if err != nil {
			t.Fatalf("%s\n%s\n%v: %v", s.text, c.SQL, c.Args, err)
		}
		for i, m := range all {
			want := s.eval(m)
			if want.value != nil {
				want.unparsed = false
				there++
			} else if missing++; want.unparsed {
				unparsed++
			}
			if !equal(got[i].value, want.value) || got[i].unparsed != want.unparsed {
				t.Fatalf("%s\n%s\n%v\non %v gives %v, want %v", s.text, c.SQL, c.Args, m, got[i], want)
			}
		}
	})
	if there < 1000 || missing < 1000 || unparsed < 100 {
		t.Errorf("%d values, %d missing, %d unparsed: the expressions prove too little", there, missing, unparsed)
	}
}

func equal(got, want any) bool {
	if at, ok := want.(time.Time); ok {
		g, ok := got.(time.Time)
		return ok && g.Equal(at)
	}
	if f, ok := want.(float64); ok {
		g, ok := got.(float64)
		return ok && (g == f || math.Abs(g-f) <= 1e-12*math.Abs(f))
	}
	return got == want
}

func checkRoundTrip(t interface{ Fatalf(string, ...any) }, e *expression.Expr) {
	text := e.String()
	again, err := expression.Parse(text)
	if err != nil {
		t.Fatalf("the canonical text %s does not parse: %v", text, err)
	}
	if again.String() != text || again.Type() != e.Type() {
		t.Fatalf("the canonical text %s is another expression: %s", text, again)
	}
}
