package filterql_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/filterql"
	"usher/internal/filterql/filterqltest"
)

// TestNegatedIsTheOthers: a rule and what Negated makes of it, read again from
// its text, divide everybody between them.
func TestNegatedIsTheOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := filterqltest.Rules().Draw(t, "rule")
		text := f.Negated().String()
		g, err := filterql.Parse(text)
		if err != nil {
			t.Fatalf("%q does not parse: %v", text, err)
		}
		if g.Alias != "" {
			t.Fatalf("%q keeps the alias", text)
		}
		w := filterqltest.World{Schema: filterqltest.Schema, Now: filterqltest.Now}
		for _, p := range rapid.SliceOfN(filterqltest.Profiles(), 1, 5).Draw(t, "people") {
			if w.Eval(f.Where, p) == w.Eval(g.Where, p) {
				t.Fatalf("%q and %q agree on %v", f, text, p)
			}
		}
	})
}

func TestNegatedText(t *testing.T) {
	for text, want := range map[string]string{
		"FILTER *":                       "FILTER NOT *",
		"FILTER NOT EXISTS a":            "FILTER EXISTS a",
		"FILTER a = 1 FROM user ALIAS x": "FILTER NOT a = 1 FROM user",
		"FILTER a IN (1, 2)":             "FILTER a NOT IN (1, 2)",
		"FILTER a = 1 OR INCLUDE b":      "FILTER NOT OR (a = 1, INCLUDE b)",
	} {
		f, err := filterql.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Negated().String(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		if f.String() == want || !slices.Equal(f.Includes(), f.Negated().Includes()) {
			t.Errorf("%s: the rule itself has changed", text)
		}
	}
}
