package filterql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"pgregory.net/rapid"

	"usher/internal/filterql"
	"usher/internal/filterql/filterqltest"
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
	// A zone far from UTC: no rule may depend on it.
	if _, err := db.Exec(`SET threads = 1; SET TimeZone = 'Asia/Tokyo'`); err != nil {
		t.Fatal(err)
	}
	return db
}

var columnTypes = map[filterql.Type]string{
	filterql.Text: "VARCHAR", filterql.Integer: "BIGINT", filterql.Number: "DOUBLE",
	filterql.Boolean: "BOOLEAN", filterql.Time: "TIMESTAMP", filterql.Set: "VARCHAR[]",
}

// createProfiles makes an empty table of the schema.
func createProfiles(t testing.TB, db *sql.DB, schema filterql.Fields) {
	t.Helper()
	columns := []string{"_pid BIGINT"}
	for _, n := range schema.Names() {
		columns = append(columns, quote(n)+" "+columnTypes[schema[n]])
	}
	if _, err := db.Exec("CREATE TABLE profiles (" + strings.Join(columns, ", ") + ")"); err != nil {
		t.Fatal(err)
	}
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// fill replaces the table's rows, with parameters as the driver sends them.
func fill(db *sql.DB, schema filterql.Fields, people []filterqltest.Profile) error {
	if _, err := db.Exec("DELETE FROM profiles"); err != nil {
		return err
	}
	for pid, p := range people {
		names, marks, args := []string{"_pid"}, []string{"$1"}, []any{int64(pid)}
		for _, n := range schema.Names() {
			v, ok := p[n]
			if !ok {
				continue
			}
			mark := fmt.Sprintf("$%d", len(args)+1)
			switch at := v.(type) {
			case time.Time:
				mark, v = "make_timestamp(CAST("+mark+" AS BIGINT))", at.UnixMicro()
			case []string:
				mark = "CAST(" + mark + " AS VARCHAR[])"
			}
			names, marks, args = append(names, quote(n)), append(marks, mark), append(args, v)
		}
		insert := "INSERT INTO profiles (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
		if _, err := db.Exec(insert, args...); err != nil {
			return err
		}
	}
	return nil
}

// selected runs a compiled rule as a column, so that NULL would be seen, and as
// a WHERE, and returns who is in.
func selected(db *sql.DB, c filterql.Compiled) (in []int64, err error) {
	rows, err := db.QueryContext(context.Background(), "SELECT _pid, "+c.SQL+" FROM profiles AS p ORDER BY _pid", c.Args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var pid int64
		var is bool // scanning NULL fails
		if err := rows.Scan(&pid, &is); err != nil {
			return nil, err
		}
		if is {
			in = append(in, pid)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var count int
	if err := db.QueryRow("SELECT count(*) FROM profiles AS p WHERE "+c.SQL, c.Args...).Scan(&count); err != nil {
		return nil, err
	}
	if count != len(in) {
		return nil, errors.New("the rule as WHERE selects other people than as a column")
	}
	return in, nil
}

// TestSQLAgreesWithTheLanguage compares DuckDB with the meaning in plain Go on
// random rules and people.
func TestSQLAgreesWithTheLanguage(t *testing.T) {
	db := openDuckDB(t)
	createProfiles(t, db, filterqltest.Schema)
	var people, members int
	rapid.Check(t, func(t *rapid.T) {
		crowd := rapid.SliceOfN(filterqltest.Profiles(), 1, 12).Draw(t, "people")
		if err := fill(db, filterqltest.Schema, crowd); err != nil {
			t.Fatal(err)
		}
		world := filterqltest.World{Schema: filterqltest.Schema, Now: filterqltest.Now, Audiences: map[string]*filterql.Filter{
			"inner": filterqltest.Rules().Draw(t, "inner"),
		}}
		world.Audiences["3 outer"] = filterqltest.Rules("inner").Draw(t, "outer")
		for range 3 {
			f := filterqltest.Rules("inner", "3 outer").Draw(t, "rule")
			f.Alias = ""
			c, err := filterql.Compile(f, filterql.Options{Schema: world.Schema, Resolve: world.Resolve, Table: "p", Now: world.Now})
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			got, err := selected(db, c)
			if err != nil {
				t.Fatalf("%s\n%s\n%v: %v", f, c.SQL, c.Args, err)
			}
			var want []int64
			for pid, p := range crowd {
				if world.Eval(f.Where, p) {
					want = append(want, int64(pid))
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s\n%s\n%v\nselects %v, want %v", f, c.SQL, c.Args, got, want)
			}
			people, members = people+len(crowd), members+len(got)
		}
	})
	if members*10 < people || members*10 > people*9 {
		t.Errorf("%d of %d selected: the rules decide too little to prove anything", members, people)
	}
}
