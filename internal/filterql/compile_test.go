package filterql_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"usher/internal/filterql"
)

var people = filterql.Fields{
	"name": filterql.Text, "email": filterql.Text, "age": filterql.Integer, "ltv": filterql.Number,
	"vip": filterql.Boolean, "last_order": filterql.Time, "tags": filterql.Set,
}

var noon = time.Date(2024, time.May, 31, 12, 0, 0, 0, time.UTC)

// audiences is a Resolver over rule texts.
func audiences(rules map[string]string) filterql.Resolver {
	return func(slug string) (*filterql.Filter, error) {
		text, ok := rules[slug]
		if !ok {
			return nil, nil
		}
		return filterql.Parse(text)
	}
}

func mustParse(t testing.TB, text string) *filterql.Filter {
	t.Helper()
	f, err := filterql.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func TestCompiledSQL(t *testing.T) {
	f := mustParse(t, `FILTER AND (email LIKE "*@x_y.com", NOT age >= 18, tags INTERSECTS ("a", "b"), last_order > "now-1M", INCLUDE best)`)
	c, err := filterql.Compile(f, filterql.Options{
		Schema: people, Table: "p", Now: noon, FirstParam: 3,
		Resolve: audiences(map[string]string{"best": `FILTER ltv > 100.5 OR vip = true`}),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := filterql.Compiled{
		SQL: `((p."email" IS NOT NULL AND p."email" <> '' AND p."email" LIKE CAST($3 AS VARCHAR) ESCAPE '\')` +
			` AND (NOT (p."age" IS NOT NULL AND p."age" >= CAST($4 AS BIGINT)))` +
			` AND (p."tags" IS NOT NULL AND len(p."tags") > 0 AND list_has_any(p."tags", [CAST($5 AS VARCHAR), CAST($6 AS VARCHAR)]))` +
			` AND (p."last_order" IS NOT NULL AND p."last_order" > make_timestamp(CAST($7 AS BIGINT)))` +
			` AND ((p."ltv" IS NOT NULL AND p."ltv" > CAST($8 AS DOUBLE)) OR (p."vip" IS NOT NULL AND p."vip" = CAST($9 AS BOOLEAN))))`,
		Args: []any{
			`%@x\_y.com`, int64(18), "a", "b",
			time.Date(2024, time.April, 30, 12, 0, 0, 0, time.UTC).UnixMicro(), 100.5, true,
		},
		TimeDependent: true,
		Fields:        []string{"age", "email", "last_order", "ltv", "tags", "vip"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

func TestLiteralsNeverBecomeSQL(t *testing.T) {
	const hostile = `'; DROP TABLE profiles; --`
	for _, text := range []string{`FILTER geodistance(name, %q, 3)`, `FILTER geodistance(name, "1,2", %q)`, `FILTER timewindow(tags, %q, 1)`, `FILTER timewindow(tags, 1, %q)`} {
		if _, err := filterql.Compile(mustParse(t, fmt.Sprintf(text, hostile)), filterql.Options{Schema: people}); err == nil {
			t.Errorf("%s compiles with a hostile argument", text)
		}
	}
	for _, op := range []string{"= %q", "LIKE %q", "CONTAINS %q", "IN (%q)", "INTERSECTS (%q)", "BETWEEN %[1]q AND %[1]q"} {
		c, err := filterql.Compile(mustParse(t, "FILTER name "+fmt.Sprintf(op, hostile)), filterql.Options{Schema: people})
		if err != nil {
			t.Errorf("%s: %v", op, err)
		}
		if strings.Contains(c.SQL, "DROP") {
			t.Errorf("%s: %s", op, c.SQL)
		}
	}
}

func TestRuleErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`FILTER agee = 1`, `line 1, column 8: unknown field "agee", did you mean "age"?`},
		{`FILTER NOT EXISTS mail`, `line 1, column 19: unknown field "mail", did you mean "email"?`},
		{`FILTER Name = "x"`, `line 1, column 8: unknown field "Name", did you mean "name"?`},
		{`FILTER zzzzz = 1`, `line 1, column 8: unknown field "zzzzz"`},
		{`FILTER user.age = 1`, `line 1, column 8: unknown field "user.age"`},
		{"FILTER *\nAND age = \"abc\"", `line 2, column 11: field "age" is integer, "abc" is not`},
		{`FILTER age > 1.5`, `line 1, column 14: field "age" is integer, "1.5" is not`},
		{`FILTER age > 9223372036854775808`, `line 1, column 14: field "age" is integer, "9223372036854775808" is not`},
		{`FILTER ltv = "NaN"`, `line 1, column 14: field "ltv" is number, "NaN" is not`},
		{`FILTER ltv = "1e999"`, `line 1, column 14: field "ltv" is number, "1e999" is not`},
		{`FILTER vip = "yes"`, `line 1, column 14: field "vip" is boolean, "yes" is not`},
		{`FILTER last_order > "now-3x"`, `line 1, column 21: field "last_order" is time, "now-3x" is not (use "now-3d", Unix milliseconds or "2006-01-02T15:04:05Z")`},
		{`FILTER last_order > "04/08/1966"`, `line 1, column 21: field "last_order" is time, "04/08/1966" is not (use "now-3d", Unix milliseconds or "2006-01-02T15:04:05Z")`},
		{`FILTER last_order > "now-999999y"`, `line 1, column 21: field "last_order" is time, "now-999999y" is not (use "now-3d", Unix milliseconds or "2006-01-02T15:04:05Z")`},
		{`FILTER name = ""`, `line 1, column 15: a value is empty: an empty text counts as missing, use [NOT] EXISTS`},
		{`FILTER tags = "x"`, `line 1, column 8: field "tags" is set: = does not apply, use CONTAINS or INTERSECTS`},
		{`FILTER tags IN ("x")`, `line 1, column 8: field "tags" is set: IN does not apply, use CONTAINS or INTERSECTS`},
		{`FILTER vip > true`, `line 1, column 8: field "vip" is boolean: > does not apply`},
		{`FILTER age LIKE "1*"`, `line 1, column 8: field "age" is integer: LIKE does not apply, which takes text or a set`},
		{`FILTER * AND geodistance(age, "1,2", 3)`, `line 1, column 26: field "age" is integer: geodistance takes a text of "latitude,longitude"`},
		{`FILTER geodistance(name, "Rome", 3)`, `line 1, column 26: "Rome" is no point (use "latitude,longitude" in degrees, such as "41.9,12.5")`},
		{`FILTER geodistance(name, "1,2,3", 3)`, `line 1, column 26: "1,2,3" is no point (use "latitude,longitude" in degrees, such as "41.9,12.5")`},
		{`FILTER geodistance(name, "nan,2", 3)`, `line 1, column 26: "nan,2" is no point (use "latitude,longitude" in degrees, such as "41.9,12.5")`},
		{`FILTER geodistance(name, "90.1,2", 3)`, `line 1, column 26: the latitude 90.1 is not between -90 and 90`},
		{`FILTER geodistance(name, "1,-181", 3)`, `line 1, column 26: the longitude -181 is not between -180 and 180`},
		{"FILTER *\n AND geodistance(name, '1,2', 0)", `line 2, column 31: "0" is no distance (use kilometres: more than 0, at most 20040)`},
		{`FILTER geodistance(name, "1,2", "1e3")`, `line 1, column 33: "1e3" is no distance (use kilometres: more than 0, at most 20040)`},
		{`FILTER geodistance(name, "1,2", 20041)`, `line 1, column 33: "20041" is no distance (use kilometres: more than 0, at most 20040)`},
		{`FILTER geodistance(nam, "1,2", 3)`, `line 1, column 20: unknown field "nam", did you mean "name"?`},
		{`FILTER timewindow(age, 1, 2)`, `line 1, column 19: field "age" is integer: timewindow takes a time or a set of times`},
		{`FILTER timewindow(tags, 0, 2)`, `line 1, column 25: "0" is no count (use a whole number from 1 to 1000)`},
		{`FILTER timewindow(tags, 1001, 2)`, `line 1, column 25: "1001" is no count (use a whole number from 1 to 1000)`},
		{`FILTER timewindow(tags, 1, 1.5)`, `line 1, column 28: "1.5" is no number of days (use a whole number from 1 to 36500)`},
		{`FILTER timewindow(tags, 1, 36501)`, `line 1, column 28: "36501" is no number of days (use a whole number from 1 to 36500)`},
		{`FILTER timewindow(last_order, 2, 7)`, `line 1, column 31: field "last_order" is time, which is one time: a count above 1 takes a set of times`},
		{`FILTER INCLUDE nobody`, `line 1, column 8: unknown audience "nobody"`},
		{`FILTER INCLUDE broken`, `in audience "broken": line 1, column 14: expected a value: text in quotes, a number, true or false, found the end of the rule`},
		{`FILTER INCLUDE wrong`, `in audience "wrong": line 1, column 12: unknown field "agee", did you mean "age"?`},
		{`FILTER INCLUDE nests_wrong`, `in audience "wrong": line 1, column 12: unknown field "agee", did you mean "age"?`},
		{`FILTER NOT INCLUDE a`, `in audience "b": line 1, column 12: audiences include each other: a → b → a`},
		{`FILTER INCLUDE self`, `in audience "self": line 1, column 8: audiences include each other: self → self`},
		{`FILTER INCLUDE start ALIAS start`, `line 1, column 8: audiences include each other: start → start`},
	} {
		rules := audiences(map[string]string{
			"broken": `FILTER age > `, "wrong": `FILTER NOT agee = 1`, "nests_wrong": `FILTER INCLUDE wrong`,
			"a": `FILTER INCLUDE b`, "b": `FILTER NOT INCLUDE a`, "self": `FILTER INCLUDE self`, "start": `FILTER *`,
		})
		_, err := filterql.Compile(mustParse(t, c.text), filterql.Options{Schema: people, Resolve: rules, Now: noon})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
		if _, ok := errors.AsType[*filterql.Error](err); !ok {
			t.Errorf("%s: the error is a %T", c.text, err)
		}
	}
}

// TestBoundsHoldThroughIncludes takes rules that are small but include much.
func TestBoundsHoldThroughIncludes(t *testing.T) {
	rules := map[string]string{"wide30": `FILTER *`, "long120": `FILTER *`, "values": "FILTER age IN (1" + strings.Repeat(",1", 5999) + ")"}
	for i := range 30 { // each includes the next twice: 2^30 conditions
		rules[fmt.Sprintf("wide%d", i)] = fmt.Sprintf("FILTER AND (INCLUDE wide%[1]d, INCLUDE wide%[1]d)", i+1)
	}
	for i := range 120 {
		rules[fmt.Sprintf("long%d", i)] = fmt.Sprintf("FILTER INCLUDE long%d", i+1)
	}
	for text, want := range map[string]string{
		`FILTER INCLUDE wide0`: "more than 1000 conditions",
		`FILTER INCLUDE long0`: "nested deeper than 100",
	} {
		f := mustParse(t, text)
		if _, err := filterql.Compile(f, filterql.Options{Schema: people, Resolve: audiences(rules)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: compile: %v, want %s", text, err, want)
		}
		if _, err := filterql.TimeDependent(f, audiences(rules)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: time-dependent: %v, want %s", text, err, want)
		}
	}
	f := mustParse(t, `FILTER INCLUDE values AND INCLUDE values`)
	if _, err := filterql.Compile(f, filterql.Options{Schema: people, Resolve: audiences(rules)}); err == nil || !strings.Contains(err.Error(), "more than 10000 values") {
		t.Errorf("values: %v", err)
	}
}

func TestResolverErrorIsKept(t *testing.T) {
	down := errors.New("the store is down")
	f := mustParse(t, `FILTER INCLUDE x`)
	resolve := func(string) (*filterql.Filter, error) { return nil, down }
	_, err := filterql.Compile(f, filterql.Options{Schema: people, Resolve: resolve})
	if !errors.Is(err, down) {
		t.Errorf("compile: %v", err)
	}
	if _, err := filterql.TimeDependent(f, resolve); !errors.Is(err, down) {
		t.Errorf("time-dependent: %v", err)
	}
}

func TestCycleThroughTheRuleItself(t *testing.T) {
	f := mustParse(t, `FILTER INCLUDE b`)
	resolve := audiences(map[string]string{"a": `FILTER INCLUDE b`, "b": `FILTER INCLUDE a`})
	_, err := filterql.Compile(f, filterql.Options{Schema: people, Name: "a", Resolve: resolve})
	const want = `in audience "b": line 1, column 8: audiences include each other: a → b → a`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestTimeDependent(t *testing.T) {
	resolve := audiences(map[string]string{
		"fixed": `FILTER last_order > "2024-01-01"`, "recent": `FILTER last_order > "now-30d"`, "deep": `FILTER NOT INCLUDE recent`,
	})
	for text, want := range map[string]bool{
		`FILTER *`:                                       false,
		`FILTER last_order > "2024-01-01"`:               false,
		`FILTER last_order > 1704067200000`:              false,
		`FILTER last_order > "now"`:                      true,
		`FILTER last_order BETWEEN 0 AND "now+2w"`:       true,
		`FILTER OR (*, NOT last_order < "now-1y-2M+3d")`: true,
		`FILTER INCLUDE fixed`:                           false,
		`FILTER INCLUDE deep`:                            true,
		`FILTER name = "nowhere"`:                        false,
		`FILTER NOT timewindow(tags, 1, 2)`:              true,
		`FILTER geodistance(name, "1,2", 3)`:             false,
	} {
		f := mustParse(t, text)
		got, err := filterql.TimeDependent(f, resolve)
		if err != nil || got != want {
			t.Errorf("%s: TimeDependent gives %t, %v", text, got, err)
		}
		c, err := filterql.Compile(f, filterql.Options{Schema: people, Resolve: resolve, Now: noon})
		if err != nil || c.TimeDependent != want {
			t.Errorf("%s: Compile gives %t, %v", text, c.TimeDependent, err)
		}
	}
	if _, err := filterql.TimeDependent(mustParse(t, `FILTER INCLUDE gone`), resolve); err == nil {
		t.Error("an unknown audience went unnoticed")
	}
}

func TestDateMath(t *testing.T) {
	for text, want := range map[string]string{
		"now": "2024-05-31T12:00:00Z", "now-30s": "2024-05-31T11:59:30Z", "now-5m": "2024-05-31T11:55:00Z",
		"now-3h": "2024-05-31T09:00:00Z", "now+3h": "2024-05-31T15:00:00Z", "now-30d": "2024-05-01T12:00:00Z",
		"now-4w": "2024-05-03T12:00:00Z", "now-3M": "2024-02-29T12:00:00Z", "now-1M": "2024-04-30T12:00:00Z",
		"now-15M": "2023-02-28T12:00:00Z", "now-1y": "2023-05-31T12:00:00Z", "now-1M+1d": "2024-05-01T12:00:00Z",
		"1704067200000": "2024-01-01T00:00:00Z", "-1": "1969-12-31T23:59:59.999Z",
		"2024-01-01": "2024-01-01T00:00:00Z", "2024-01-01T10:30": "2024-01-01T10:30:00Z",
		"2024-01-01 10:30:15.123456789": "2024-01-01T10:30:15.123456Z", "2024-01-01T10:30:00+02:00": "2024-01-01T08:30:00Z",
	} {
		c, err := filterql.Compile(mustParse(t, fmt.Sprintf("FILTER last_order = %q", text)), filterql.Options{Schema: people, Now: noon})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := time.UnixMicro(c.Args[0].(int64)).UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

// TestWidestRuleRuns proves that DuckDB takes rules at the bounds.
func TestWidestRuleRuns(t *testing.T) {
	db := openDuckDB(t)
	createProfiles(t, db, people)
	for name, text := range map[string]string{
		"deep":   "FILTER " + strings.Repeat("NOT AND (age = 1, ", 49) + "*" + strings.Repeat(")", 49),
		"many":   "FILTER AND (age = 1" + strings.Repeat(", name != \"x\"", filterql.MaxConditions-2) + ")",
		"values": "FILTER name IN (1" + strings.Repeat(", 1", filterql.MaxValues-1) + ")",
		"set":    "FILTER tags INTERSECTS (1" + strings.Repeat(", 1", filterql.MaxValues-1) + ")",
	} {
		c, err := filterql.Compile(mustParse(t, text), filterql.Options{Schema: people, Table: "p"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var in int
		if err := db.QueryRow("SELECT count(*) FROM profiles AS p WHERE "+c.SQL, c.Args...).Scan(&in); err != nil {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}
