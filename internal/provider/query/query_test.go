package query

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

var (
	postgres = Dialect{Quote: func(n string) string { return `"` + strings.ReplaceAll(n, `"`, `""`) + `"` }}
	mysql    = Dialect{Quote: func(n string) string { return "`" + strings.ReplaceAll(n, "`", "``") + "`" }, MySQL: true}
)

func TestOneStatement(t *testing.T) {
	for _, c := range []struct {
		query, both, postgres, mysql string // what is wrong; "" = nothing, "-" = see both
	}{
		{"SELECT 1", "", "-", "-"},
		{" -- why\n/* what */ select 1 ; -- end", "", "-", "-"},
		{"(SELECT 1) UNION (SELECT 2)", "", "-", "-"},
		{"WITH a AS (SELECT ';)' AS x) SELECT * FROM a", "", "-", "-"},
		{"", "begin with SELECT", "-", "-"},
		{"DELETE FROM a", "begin with SELECT", "-", "-"},
		{"SELECTION", "begin with SELECT", "-", "-"},
		{"SELECT 1; SELECT 2", "one statement", "-", "-"},
		{"SELECT 1;;", "one statement", "-", "-"},
		{"SELECT 1) AS x, (SELECT 2", "closing parenthesis", "-", "-"},
		{"SELECT (1", "not closed", "-", "-"},
		{"SELECT 'a", "quote", "-", "-"},
		{"SELECT 'it''s;' AS a", "", "-", "-"},
		{`SELECT 'a\' AS b, '; DROP TABLE x'`, "", "", "one statement"},
		{`SELECT 'a\'; DROP TABLE x; --' AS b`, "", "one statement", ""},
		{`SELECT E'a\'; DROP TABLE x; --' AS b`, "", "", ""},
		{`SELECT fee'a\' AS b`, "", "", "quote"},
		{"SELECT $$ ; ' $$ AS a", "", "", "one statement"},
		{"SELECT $x$ ; $$ $x$ AS a", "", "", "one statement"},
		{"SELECT a$1 FROM t", "", "-", "-"},
		{"SELECT $1 AS a", "", "parameter", ""},
		{"SELECT /* a /* ; */ ; */ 1", "", "", "one statement"},
		{"SELECT 1 /* open", "comment", "-", "-"},
		{"SELECT 1 /*! ) */", "", "", "executed"},
		{"SELECT 1 # ; x\n", "", "one statement", ""},
		{"SELECT 2--1;SELECT 3", "", "", "one statement"},
		{"SELECT `a;` FROM t", "", "one statement", ""},
	} {
		for d, want := range map[*Dialect]string{&postgres: c.postgres, &mysql: c.mysql} {
			if want == "-" {
				want = c.both
			}
			_, err := d.one(Settings{Query: c.query})
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("mysql %v, %q: got %v, want %q", d.MySQL, c.query, err, want)
			}
		}
	}
}

// FuzzOne: whatever is written, the check ends, and what it lets through has no
// semicolon outside of quotes and comments left.
func FuzzOne(f *testing.F) {
	for _, q := range []string{"SELECT 1;", "SELECT E'\\'' || $a$;$a$ -- ;", "select `a` # ;\n", "/*! */", "WITH /* /* */ */ x"} {
		f.Add(q, true)
		f.Add(q, false)
	}
	f.Fuzz(func(t *testing.T, q string, isMySQL bool) {
		d := postgres
		d.MySQL = isMySQL
		got, err := d.one(Settings{Query: q})
		if err != nil {
			return
		}
		if !strings.HasPrefix(q, got) {
			t.Fatalf("%q became %q", q, got)
		}
		if again, err := d.one(Settings{Query: got}); err != nil || again != got {
			t.Fatalf("%q is not its own: %q, %v", got, again, err)
		}
	})
}

func TestTimes(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-22 08:00:00+00":     `"2026-11-22T08:00:00Z"`,
		"2026-11-22 08:00:00.123456": `"2026-11-22T08:00:00.123456Z"`,
		"infinity":                   `"infinity"`,
		"0044-03-15 12:00:00+00 BC":  `"0044-03-15 12:00:00+00 BC"`,
		"0000-00-00 00:00:00":        `"0000-00-00 00:00:00"`,
		"12345-01-01 00:00:00+00":    `"12345-01-01 00:00:00"`,
	} {
		if got := string(AppendTime(nil, []byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// FuzzValues: what is written is JSON that reads back as the value.
func FuzzValues(f *testing.F) {
	for _, v := range []string{"", "-0.50e+7", "01", "1.", "NaN", "a\x00\"\\\n\xff", "9007199254740993"} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		var text string
		if err := json.Unmarshal(AppendText(nil, v), &text); err != nil || utf8.Valid(v) && text != string(v) {
			t.Fatalf("%q became %q: %v", v, text, err)
		}
		n := AppendNumber(nil, v)
		if !json.Valid(n) {
			t.Fatalf("%q became %s", v, n)
		}
		var number json.Number
		if json.Valid(v) && json.Unmarshal(v, &number) == nil && v[0] != '"' && v[0] != 'n' && string(n) != string(v) && strings.TrimSpace(string(v)) == string(v) {
			t.Fatalf("the number %s became %s", v, n)
		}
		if !json.Valid(AppendTime(nil, v)) || !json.Valid(AppendBytes(nil, v)) {
			t.Fatalf("%q is no JSON", v)
		}
	})
}
