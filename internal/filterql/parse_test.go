package filterql_test

import (
	"errors"
	"strings"
	"testing"

	"usher/internal/filterql"
)

func TestSyntaxErrorsSayWhereAndWhat(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, `line 1, column 1: expected FILTER, found the end of the rule`},
		{`SELECT *`, `line 1, column 1: expected FILTER, found "SELECT"`},
		{`FILTER`, `line 1, column 7: expected a condition, found the end of the rule`},
		{`FILTER )`, `line 1, column 8: expected a condition, found ")"`},
		{`FILTER age`, `line 1, column 11: expected an operator (=, !=, >, >=, <, <=, CONTAINS, LIKE, IN, INTERSECTS, BETWEEN), found the end of the rule`},
		{`FILTER age > `, `line 1, column 14: expected a value: text in quotes, a number, true or false, found the end of the rule`},
		{`FILTER age = abc`, `line 1, column 14: expected a value: text in quotes, a number, true or false, found "abc"`},
		{`FILTER age > 3 4`, `line 1, column 16: expected AND, OR, FROM, ALIAS or the end of the rule, found "4"`},
		{`FILTER * FROM orders`, `line 1, column 15: expected user, the only table, found "orders"`},
		{`FILTER * FROM user x`, `line 1, column 20: expected ALIAS or the end of the rule, found "x"`},
		{`FILTER * ALIAS x y`, `line 1, column 18: expected the end of the rule, found "y"`},
		{`FILTER * ALIAS`, `line 1, column 15: expected a slug, found the end of the rule`},
		{"FILTER AND (\n  age > 3,\n  name ~ 4\n)", `line 3, column 8: character '~' means nothing here`},
		{"FILTER AND (\n  \"日本\" = 4)", `line 2, column 3: expected a condition, found a text`},
		{`FILTER AND age > 3`, `line 1, column 12: expected "(" after AND, found "age"`},
		{`FILTER AND ()`, `line 1, column 13: expected a condition, found ")"`},
		{`FILTER AND (age > 3`, `line 1, column 20: expected ",", ")", AND or OR, found the end of the rule`},
		{`FILTER (age > 3`, `line 1, column 16: expected ")", AND or OR, found the end of the rule`},
		{`FILTER age NOT > 3`, `line 1, column 16: expected CONTAINS, LIKE, IN, INTERSECTS or BETWEEN after NOT, found ">"`},
		{`FILTER age IN 3`, `line 1, column 15: expected "(" before the list of values, found "3"`},
		{`FILTER age IN ()`, `line 1, column 16: expected a value: text in quotes, a number, true or false, found ")"`},
		{`FILTER age IN (3 4)`, `line 1, column 18: expected "," or ")", found "4"`},
		{`FILTER age BETWEEN 3, 4`, `line 1, column 21: expected AND between the two values, found ","`},
		{`FILTER a. = 4`, `line 1, column 11: expected a name after the dot, found "="`},
		{`FILTER EXISTS "a"`, `line 1, column 15: expected a field, found a text`},
		{`FILTER EXISTS in`, `line 1, column 15: expected a field, found "in"`},
		{`FILTER INCLUDE (`, `line 1, column 16: expected an audience, found "("`},
		{`FILTER foo(age)`, `line 1, column 8: expected a field or one of the functions geodistance and timewindow, found "foo"`},
		{`FILTER timewindow(age)`, `line 1, column 22: expected ",", found ")"`},
		{`FILTER name = "x`, `line 1, column 15: expected a closing " for this one, found the end of the rule`},
		{"FILTER `name = 3", "line 1, column 8: expected a closing ` for this one, found the end of the rule"},
		{"FILTER `` = 3", `line 1, column 8: a name in backticks is empty`},
		{`FILTER name = "a\d"`, `line 1, column 17: after a backslash only " ' \ n t r may follow`},
		{`FILTER name = -x`, `line 1, column 15: expected a digit after "-", found none`},
		{"FILTER name = \"\xff\"", `line 1, column 16: the rule is not valid UTF-8 text`},
		{"FILTER name = \"\x00\"", `line 1, column 16: the rule is not valid UTF-8 text`},
	} {
		_, err := filterql.Parse(c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
		if _, ok := errors.AsType[*filterql.Error](err); err != nil && !ok {
			t.Errorf("%q: the error is a %T", c.text, err)
		}
	}
}

func TestBounds(t *testing.T) {
	deep := func(n int) string { return "FILTER " + strings.Repeat("NOT ", n) + "*" }
	for _, c := range []struct {
		name, text, want string
	}{
		{"as deep as may be", deep(filterql.MaxDepth - 1), ""},
		{"too deep", deep(filterql.MaxDepth), "line 1, column 408: conditions are nested deeper than 100"},
		{"parentheses", "FILTER " + strings.Repeat("(", 100_000), "nested deeper than 100"},
		{"groups", "FILTER " + strings.Repeat("AND(", 100_000), "nested deeper than 100"},
		{"infix in parentheses", "FILTER " + strings.Repeat("* AND (* OR (", 60) + "*" + strings.Repeat("))", 60), "nested deeper than 100"},
		{"too many conditions", "FILTER *" + strings.Repeat(" OR *", filterql.MaxConditions), "more than 1000 conditions"},
		{"too many values", "FILTER a IN (1" + strings.Repeat(",1", filterql.MaxValues) + ")", "more than 10000 values"},
		{"too long", "FILTER a = \"" + strings.Repeat("x", filterql.MaxTextBytes) + "\"", "longer than 1 MiB"},
	} {
		f, err := filterql.Parse(c.text)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else {
				checkRoundTrips(t, f)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %s", c.name, err, c.want)
		}
	}
}

var seeds = []string{
	`FILTER *`, `FILTER AND (a = 1, OR (b != 'x', NOT EXISTS c)) FROM user ALIAS y`, "FILTER `a b`.c LIKE \"*x*\"",
	`FILTER a NOT IN (1, -2.5, true) OR b INTERSECTS ("x")`, `FILTER a BETWEEN "now-3M" AND "now"`, `FILTER NOT INCLUDE 3-x`,
	`FILTER geodistance(a, "1,2", 3) AND timewindow(b, 1, 2)`, `FILTER a NOT CONTAINS "\"\\\n"`, "FILTER a = \"é\U0001F600\"",
}

// FuzzParse feeds the text parser: it must not panic, and what it accepts must
// mean the same after a journey through text and JSON.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	schema := filterql.Fields{"a": filterql.Text, "b": filterql.Set, "c": filterql.Time}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := filterql.Parse(text)
		if err != nil {
			checkPlaced(t, err)
			return
		}
		checkRoundTrips(t, rule)
		if _, err := filterql.Compile(rule, filterql.Options{Schema: schema}); err != nil {
			checkPlaced(t, err)
		}
	})
}

// FuzzParseJSON does the same for the JSON form.
func FuzzParseJSON(f *testing.F) {
	for _, s := range seeds {
		rule, err := filterql.Parse(s)
		if err != nil {
			f.Fatal(err)
		}
		data, err := rule.MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"op":"in","args":[{"ident":"a b"},{"args":[{"val":1e3},{"val":false}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rule, err := filterql.ParseJSON(data)
		if err != nil {
			if _, ok := errors.AsType[*filterql.Error](err); !ok {
				t.Fatalf("the error is a %T: %v", err, err)
			}
			return
		}
		checkRoundTrips(t, rule)
	})
}

// checkPlaced fails when an error does not say where it is.
func checkPlaced(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*filterql.Error](err)
	if !ok {
		t.Fatalf("the error is a %T: %v", err, err)
	}
	if (e.Line < 1 || e.Column < 1) && !strings.Contains(e.Message, "1 MiB") {
		t.Fatalf("the error has no place: %v", err)
	}
}
