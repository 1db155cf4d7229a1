package filterql_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/filterql"
	"usher/internal/filterql/filterqltest"
)

// bare returns the rule without places, to compare meanings.
func bare(f *filterql.Filter) *filterql.Filter {
	return &filterql.Filter{Where: bareCondition(f.Where), From: f.From, Alias: f.Alias}
}

func bareCondition(c *filterql.Condition) *filterql.Condition {
	out := &filterql.Condition{Op: c.Op, Audience: c.Audience, Field: filterql.Ident{Parts: c.Field.Parts}}
	for _, a := range c.Args {
		out.Args = append(out.Args, bareCondition(a))
	}
	for _, v := range c.Values {
		out.Values = append(out.Values, filterql.Value{Text: v.Text})
	}
	return out
}

// checkRoundTrips fails when the text or the JSON form of f means another rule.
func checkRoundTrips(t interface{ Fatalf(string, ...any) }, f *filterql.Filter) {
	text := f.String()
	g, err := filterql.Parse(text)
	if err != nil {
		t.Fatalf("the canonical text %q does not parse: %v", text, err)
	}
	if !reflect.DeepEqual(bare(f), bare(g)) {
		t.Fatalf("the canonical text %q is another rule: %q", text, g)
	}
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatalf("%q to JSON: %v", text, err)
	}
	h, err := filterql.ParseJSON(data)
	if err != nil {
		t.Fatalf("the JSON form %s of %q does not parse: %v", data, text, err)
	}
	if !reflect.DeepEqual(bare(f), bare(h)) {
		t.Fatalf("the JSON form %s of %q is another rule: %q", data, text, h)
	}
}

func TestRandomRulesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkRoundTrips(t, filterqltest.Rules("inner", "AND", "3 x", "a-b", "`").Draw(t, "rule"))
	})
}

func TestCanonicalText(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"filter *", `FILTER *`},
		{"FILTER match_all from USER alias `x`", `FILTER * FROM user ALIAS x`},
		{"FILTER a=1", `FILTER a = 1`},
		{"FILTER a == '1'", `FILTER a = 1`},
		{`FILTER a != "007"`, `FILTER a != "007"`},
		{`FILTER a > -5.50`, `FILTER a > -5.50`},
		{`FILTER a = TRUE`, `FILTER a = true`},
		{`FILTER a = 'it\'s "so"\n'`, `FILTER a = "it's \"so\"\n"`},
		{"FILTER `and` = 1", "FILTER `and` = 1"},
		{"FILTER `plain` = 1", "FILTER plain = 1"},
		{"FILTER `actioncounts.Web hit` >= 3", "FILTER `actioncounts.Web hit` >= 3"},
		{"FILTER a.`has.period` . b = 1", "FILTER a.`has.period`.b = 1"},
		{"FILTER `a``b` = 1", "FILTER `a``b` = 1"},
		{"FILTER a = 1 AND b = 2 AND c = 3", "FILTER AND (a = 1, b = 2, c = 3)"},
		{"FILTER a = 1 OR b = 2 AND NOT c = 3", "FILTER OR (a = 1, AND (b = 2, NOT c = 3))"},
		{"FILTER (a = 1 OR b = 2) AND c BETWEEN 1 AND 2", "FILTER AND (OR (a = 1, b = 2), c BETWEEN 1 AND 2)"},
		{"FILTER AND (a = 1\n, OR(*, NOT(*)))", "FILTER AND (a = 1, OR (*, NOT *))"},
		{`FILTER NOT (a CONTAINS "x")`, `FILTER a NOT CONTAINS "x"`},
		{`FILTER a not like "x*"`, `FILTER a NOT LIKE "x*"`},
		{`FILTER NOT a NOT IN (1, "b")`, `FILTER NOT a NOT IN (1, "b")`},
		{`FILTER a NOT INTERSECTS ("b")`, `FILTER a NOT INTERSECTS ("b")`},
		{`FILTER a NOT BETWEEN 1 AND 2`, `FILTER a NOT BETWEEN 1 AND 2`},
		{`FILTER NOT EXISTS a`, `FILTER NOT EXISTS a`},
		{`FILTER NOT INCLUDE big-spenders`, `FILTER NOT INCLUDE big-spenders`},
		{"FILTER INCLUDE \"0123abc\"", "FILTER INCLUDE `0123abc`"},
		{"FILTER INCLUDE 0123abc", "FILTER INCLUDE `0123abc`"},
		{`FILTER GeoDistance(place, "51.5,-0.1", 10)`, `FILTER geodistance(place, "51.5,-0.1", 10)`},
		{`FILTER timewindow(visits, 3, 7)`, `FILTER timewindow(visits, 3, 7)`},
		{`FILTER geodistance > 3`, `FILTER geodistance > 3`},
		{`FILTER größe = "XL"`, `FILTER größe = "XL"`},
	} {
		f, err := filterql.Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := f.String(); got != c.want {
			t.Errorf("%s: canonical text is %s, want %s", c.text, got, c.want)
		}
		checkRoundTrips(t, f)
	}
}

func TestJSONForm(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{
			`FILTER AND (a = 1, NOT b CONTAINS "x")`,
			`{"op":"and","args":[{"op":"=","args":[{"ident":"a"},{"val":"1"}]},{"op":"not","args":[{"op":"contains","args":[{"ident":"b"},{"val":"x"}]}]}]}`,
		},
		{`FILTER INCLUDE x FROM user ALIAS y`, `{"op":"include","args":[{"seg":"x"}],"from":"user","alias":"y"}`},
		{"FILTER a.`has.period` IN (1, \"b\")", "{\"op\":\"in\",\"args\":[{\"ident\":\"a.`has.period`\"},{\"val\":\"1\"},{\"val\":\"b\"}]}"},
		{`FILTER *`, `{"op":"match_all"}`},
		{`FILTER EXISTS a`, `{"op":"exists","args":[{"ident":"a"}]}`},
	} {
		f, err := filterql.Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(f)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: JSON is %s, %v, want %s", c.text, got, err, c.want)
		}
	}
}

// TestJSONFromOtherPrograms reads what the JSON form allows beside what we write.
func TestJSONFromOtherPrograms(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{"seg":"x"}`, `FILTER INCLUDE x`},
		{`{"op":"INCLUDE","args":[{"ident":"x"}]}`, `FILTER INCLUDE x`},
		{`{"ident":"*"}`, `FILTER *`},
		{`{"ident":"match_all"}`, `FILTER *`},
		{`{"op":"*"}`, `FILTER *`},
		{`{"op":"==","args":[{"ident":"a"},{"val":1.50}]}`, `FILTER a = 1.50`},
		{`{"op":"=","args":[{"ident":"a"},{"val":true}]}`, `FILTER a = true`},
		{`{"op":"NOT LIKE","args":[{"ident":"a"},{"val":"x*"}]}`, `FILTER a NOT LIKE "x*"`},
		{`{"op":"in","args":[{"ident":"a"},{"args":[{"val":"x"},{"val":"y"}]}]}`, `FILTER a IN ("x", "y")`},
		{`{"op":"=","args":[{"ident":"Web hit"},{"val":"x"}]}`, "FILTER `Web hit` = \"x\""},
		{`{"op":"=","args":[{"ident":"and"},{"val":"x"}]}`, "FILTER `and` = \"x\""},
		{`{"op":"=","args":[{"ident":"a.b"},{"val":"x"}]}`, `FILTER a.b = "x"`},
	} {
		f, err := filterql.ParseJSON([]byte(c.json))
		if err != nil {
			t.Errorf("%s: %v", c.json, err)
			continue
		}
		if f.String() != c.want {
			t.Errorf("%s: %s, want %s", c.json, f, c.want)
		}
	}
}

func TestJSONErrors(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{``, `line 1, column 1: the JSON form ends too early`},
		{`{"op":"and",`, `line 1, column 13: the JSON form ends too early`},
		{`{"op" "and"}`, `line 1, column 8: the JSON form is not valid: invalid character`},
		{`{"op":"and"}{}`, `expected the end of the rule, found more JSON`},
		{`[]`, `expected an object with op, ident, val or seg, found a array`},
		{`{"op":"and","args":[]}`, `args: expected at least 1 arguments, found 0`},
		{`{"op":"and","args":[null]}`, `args[0]: expected a condition, found null`},
		{`{"op":"and","args":[{"op":"xor"}]}`, `args[0].op: expected an operator, found "xor"`},
		{`{"args":[]}`, `op: expected an operator, found none`},
		{`{"op":"=","args":[{"val":"a"},{"val":"b"}]}`, `args[0]: expected a field`},
		{`{"op":"=","args":[{"ident":"a"},{"ident":"b"}]}`, `args[1]: expected a literal`},
		{`{"op":"=","args":[{"ident":"a"},{"val":[1]}]}`, `args[1]: expected a text, a number, true or false`},
		{`{"op":"=","args":[{"ident":"a"},{"val":"\u0000"}]}`, `args[1]: a NUL character is not allowed`},
		{`{"op":"=","args":[{"ident":""},{"val":"1"}]}`, `args[0]: expected a field, found an empty text`},
		{`{"op":"between","args":[{"ident":"a"},{"val":"1"}]}`, `args: expected 3 arguments, found 2`},
		{`{"op":"include","args":[{"val":"a"}]}`, `args[0]: expected an audience`},
		{`{"seg":""}`, `expected an audience, found an empty text`},
		{`{"op":"*","from":"orders"}`, `from: expected "user", the only table, found "orders"`},
		{`{"op":"*","extra":1}`, `unknown field "extra"`},
		{strings.Repeat(`{"op":"not","args":[`, 101) + `{"op":"*"}` + strings.Repeat(`]}`, 101), `nested deeper than 100`},
		{strings.Repeat(` `, filterql.MaxTextBytes) + `{"op":"*"}`, `longer than 1 MiB`},
	} {
		_, err := filterql.ParseJSON([]byte(c.json))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: error is %v, want %s", c.json, err, c.want)
		}
	}
}
