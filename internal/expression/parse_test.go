package expression_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"usher/internal/expression"
)

func TestCanonicalText(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"email", "email"},
		{"`email`", "email"},
		{"`Customer Key`", "`Customer Key`"},
		{"`a``b`", "`a``b`"},
		{"`and`", "`and`"},
		{"größe", "größe"},
		{"LOWER( EmailAddress )", "lower(EmailAddress)"},
		{`'it\'s'`, `"it's"`},
		{`"a\"\\\n\t\r"`, `"a\"\\\n\t\r"`},
		{"1.50", "1.5"},
		{"-1", "-1"},
		{"-(1)", "-1"},
		{"- -1", "--1"},
		{"-number(a)", "-number(a)"},
		{"-(number(a) * 2)", "-(number(a) * 2)"},
		{"1 + 2 * 3", "1 + 2 * 3"},
		{"(1 + 2) * 3", "(1 + 2) * 3"},
		{"1 - (2 - 3) - 4", "1 - (2 - 3) - 4"},
		{"1 / (2 * 3)", "1 / (2 * 3)"},
		{"1 - -2", "1 - -2"},
		{"not a == b or c != d AND TRUE", "not a = b or c != d and true"},
		{"not (a = b or true)", "not (a = b or true)"},
		{"(a = b) = (c = d)", "(a = b) = (c = d)"},
		{"(not true) = true", "(not true) = true"},
		{"NOT NOT true", "not not true"},
		{"if(a = b, 1)", "if(a = b, 1)"},
		{`lookup("products", ProductKey, "Price")`, `lookup("products", ProductKey, "Price")`},
	} {
		e, err := expression.Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := e.String(); got != c.want {
			t.Errorf("%s: canonical text is %s, want %s", c.text, got, c.want)
		}
		checkRoundTrip(t, e)
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, `line 1, column 1: expected a column, a value or a function, found the end of the expression`},
		{`lower(`, `line 1, column 7: expected a column, a value or a function, found the end of the expression`},
		{`lower(a`, `line 1, column 8: expected an operator, "," or ")", found the end of the expression`},
		{`(a`, `line 1, column 3: expected an operator or ")", found the end of the expression`},
		{`a b`, `line 1, column 3: expected an operator or the end of the expression, found "b"`},
		{"number(a) +\n  * 2", `line 2, column 3: expected a column, a value or a function, found "*"`},
		{`1 < 2 < 3`, `line 1, column 7: expected an operator or the end of the expression, found "<"`},
		{`a ~ b`, `line 1, column 3: character '~' means nothing here`},
		{`"a`, `line 1, column 1: expected a closing " for this one, found the end of the expression`},
		{"`a", "line 1, column 1: expected a closing ` for this one, found the end of the expression"},
		{"``", `line 1, column 1: a column in backticks has no name`},
		{`"\d"`, `line 1, column 2: after a backslash only " ' \ n t r may follow`},
		{`and`, `line 1, column 1: expected a column, a value or a function, found "and"`},
		{`md5(a)`, `line 1, column 1: unknown function "md5"`},
		{`neg(a)`, `line 1, column 1: unknown function "neg"`},
		{"\"\x00\"", `line 1, column 2: the expression is not valid UTF-8 text`},
		{"a = \"日\xff\"", `line 1, column 7: the expression is not valid UTF-8 text`},
		{strings.Repeat("9", 400), `line 1, column 1: the number is too large`},

		{`lower()`, `line 1, column 1: lower has 0 arguments, it is written lower(text)`},
		{`replace(a, "b")`, `line 1, column 1: replace has 2 arguments, it is written replace(text, "old", "new")`},
		{`a * 2`, `line 1, column 1: * takes number, a is text, use number(a)`},
		{`-a`, `line 1, column 2: - takes number, a is text, use number(a)`},
		{`lower(1)`, `line 1, column 7: lower takes text, 1 is number, use text(1)`},
		{`lower(date(a))`, `line 1, column 7: lower takes text, date(a) is time, use text(date(a))`},
		{`if(a, 1, 2)`, `line 1, column 4: if takes boolean, a is text, use boolean(a)`},
		{`if(true, 1, "b")`, `line 1, column 13: if gives number or text: both must be of one type`},
		{`coalesce(number(a), b)`, `line 1, column 21: coalesce gives number or text: both must be of one type`},
		{`a > 5`, `line 1, column 1: > takes number, a is text, use number(a)`},
		{`5 < a`, `line 1, column 5: < takes number, a is text, use number(a)`},
		{`date(a) > "2024-01-01"`, `line 1, column 11: > takes time, "2024-01-01" is text, use date("2024-01-01")`},
		{`1 = true`, `line 1, column 5: = takes number, true is boolean`},
		{`true < false`, `line 1, column 1: < does not take a boolean`},
		{`a = ""`, `line 1, column 5: an empty text counts as missing, use exists(…)`},
		{`set(a, ";") = set(b, ";")`, `line 1, column 1: = does not take a set`},
		{`concat(set(a, ";"))`, `line 1, column 8: concat does not take a set`},
		{`not a`, `line 1, column 5: not takes boolean, a is text, use boolean(a)`},
		{`1 and true`, `line 1, column 1: and takes boolean, 1 is number`},
		{`lookup(a, b, "c")`, `line 1, column 8: lookup takes the stream as text in quotes, found a`},
		{`lookup("a", b, c)`, `line 1, column 16: lookup takes the column as text in quotes, found c`},
		{`lookup("a", set(b, ";"), "c")`, `line 1, column 13: lookup does not take a set as the key`},
		{`date(a, "myd")`, `line 1, column 9: date takes the order of its parts as "mdy", "dmy", "ymd"`},
		{`date(1)`, `line 1, column 6: date takes text, 1 is number, use text(1)`},
		{`number(a, ";")`, `line 1, column 11: number takes the decimal mark as "." or ","`},
		{`split(a, "", 1)`, `line 1, column 10: split takes the separator as text in quotes, found ""`},
		{`split(a, "-", 0)`, `line 1, column 15: split takes the place of the part (1 = first, -1 = last) as a whole number, found 0`},
		{`substr(a, 1.5)`, `line 1, column 11: substr takes the start (1 = first, -1 = last) as a whole number, found 1.5`},
		{`substr(a, 1, -1)`, `line 1, column 14: substr takes the length as a whole number, found -1`},
		{`round(1, 11)`, `line 1, column 10: round takes the digits after the point (0 to 10) as a whole number, found 11`},
		{`replace(a, "", "b")`, `line 1, column 12: replace can't look for an empty text`},
	} {
		_, err := expression.Parse(c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("%.80q:\n got %v\nwant %s", c.text, err, c.want)
		}
		if _, ok := errors.AsType[*expression.Error](err); err != nil && !ok {
			t.Errorf("%.80q: the error is a %T", c.text, err)
		}
	}
}

func TestBounds(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"deep":        {strings.Repeat("(", 99) + "a" + strings.Repeat(")", 99), ""},
		"too deep":    {strings.Repeat("(", 5000) + "a", "nested deeper than 100"},
		"minus":       {strings.Repeat("-", 5000) + "1", "nested deeper than 100"},
		"not":         {strings.Repeat("not ", 2000) + "true", "nested deeper than 100"},
		"functions":   {strings.Repeat("trim(", 2000) + "a", "nested deeper than 100"},
		"long sum":    {"1" + strings.Repeat(" + 1", 98), ""},
		"longer sum":  {"1" + strings.Repeat(" + 1", 1000), "nested deeper than 100"},
		"many parts":  {"concat(a" + strings.Repeat(", a", 2000) + ")", ""},
		"longer text": {strings.Repeat(" ", expression.MaxTextBytes) + "a", "longer than 16 KiB"},
	} {
		e, err := expression.Parse(c.text)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error is %v, want %q", name, err, c.want)
		}
		if err == nil {
			checkRoundTrip(t, e)
		}
	}
}

// TestGrowthIsBounded compiles what would grow without measure, and runs what
// is as deep as may be.
func TestGrowthIsBounded(t *testing.T) {
	db := openDuckDB(t)
	load(t, db, messages())
	nest := func(before, inner, after string, n int) string {
		return strings.Repeat(before, n) + inner + strings.Repeat(after, n)
	}
	for name, text := range map[string]string{
		"dates":     nest("text(date(", "day", "))", 24),
		"divisions": nest("1 / (2 + ", "number(qty)", ")", 45),
		"texts":     nest("trim(", "name", ")", 98),
		"choices":   nest(`if(name = "a", note, `, "name", ")", 95),
		"numbers":   nest("number(text(", "number(qty)", "))", 45),
		"readings":  nest(`number(concat("1", `, "qty", "))", 20),
	} {
		e, err := expression.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c, err := expression.Compile(e, expression.Options{Columns: columnSQL})
		if err != nil {
			if !strings.Contains(err.Error(), "too large") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if _, err := run(db, c); err != nil {
			t.Errorf("%s: %d bytes of SQL: %.300v", name, len(c.SQL), err)
		}
	}
}

func TestDependencies(t *testing.T) {
	e, err := expression.Parse(`concat(lookup("regions", lookup("shops", trim(Shop), "region"), "name"), lookup("shops", trim(Shop), "region"), ` + "`Customer Key`, Shop)")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := expression.Columns(e), []string{"Customer Key", "Shop"}; !reflect.DeepEqual(got, want) {
		t.Errorf("columns are %q, want %q", got, want)
	}
	want := []expression.Lookup{
		{Stream: "shops", Key: "trim(Shop)", Column: "region"},
		{Stream: "regions", Key: `lookup("shops", trim(Shop), "region")`, Column: "name"},
	}
	if got := expression.Lookups(e); !reflect.DeepEqual(got, want) {
		t.Errorf("lookups are %+v, want %+v", got, want)
	}
}

// FuzzParse feeds the parser: it must not panic, and what it accepts must have
// a canonical text and SQL.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"email", "`Customer Key`", `number(a) * number(lookup("products", b, "Price")) - -2 / 3.5`, `date(b, "mdy")`,
		`if(g = "M" and not true or 1 <= 2, "male", "")`, `concat(a, ' ', "\"\\\n")`, `coalesce(substr(a, -3, 2), split(b, "-", 1))`,
		`set(a, ";")`, `exists(round(-number(a), 2))`, `replace(upper(lower(trim(a))), "x", "")`, `text(length(a)) = "é"`, `boolean(a)`,
	} {
		f.Add(s)
	}
	anything := expression.Options{
		Columns: func(string) (string, bool) { return "m.c", true },
		Lookup:  func(expression.Lookup) (string, error) { return "l.c", nil },
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := expression.Parse(text)
		if err == nil {
			checkRoundTrip(t, e)
			_, err = expression.CompileAs(e, expression.Text, anything)
		}
		if err == nil {
			return
		}
		x, ok := errors.AsType[*expression.Error](err)
		if !ok {
			t.Fatalf("the error is a %T: %v", err, err)
		}
		if (x.Line < 1 || x.Column < 1) && !strings.Contains(x.Message, "16 KiB") {
			t.Fatalf("the error has no place: %v", err)
		}
	})
}
