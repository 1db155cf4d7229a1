package web

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/insight"
	"usher/internal/warehouse"
)

// TestEveryOfferedOperatorIsARule: what the builder offers for a type, with as
// many values as it has inputs for, is a rule that compiles.
func TestEveryOfferedOperatorIsARule(t *testing.T) {
	sample := map[string]string{"text": "x", "integer": "3", "number": "2.5", "boolean": "true", "time": "now-7d", "set": "x"}
	values := func(typ, inputs string) []string {
		v := sample[typ]
		return map[string][]string{"": nil, "one": {v}, "two": {v, v}, "many": {v, v, v}, "place": {"41.9,12.5", "10"}, "window": {"1", "30"}}[inputs]
	}
	ops := builtOps()
	for typ := range sample {
		if len(ops[typ]) == 0 {
			t.Errorf("nothing is offered for fields of type %s", typ)
		}
		seen := map[string]bool{}
		for _, o := range ops[typ] {
			if seen[o.Op] || o.Text == "" {
				t.Errorf("%s: %q is offered twice, or without words", typ, o.Op)
			}
			seen[o.Op] = true
			name, negated := strings.CutPrefix(o.Op, "not ")
			args := []any{map[string]string{"ident": "f"}}
			for _, v := range values(typ, o.Inputs) {
				args = append(args, map[string]string{"val": v})
			}
			tree := map[string]any{"op": name, "args": args}
			if negated {
				tree = map[string]any{"op": "not", "args": []any{tree}}
			}
			raw, err := json.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			f, err := filterql.ParseJSON(raw)
			if err != nil {
				t.Errorf("%s %q: %v", typ, o.Op, err)
				continue
			}
			if _, err := filterql.Compile(f, filterql.Options{Schema: filterql.Fields{"f": filterql.Type(typ)}, Now: time.Now()}); err != nil {
				t.Errorf("%s %q: %v", typ, o.Op, err)
			}
		}
	}
}

func TestBuilderKnowsWhatItMayOffer(t *testing.T) {
	schema := warehouse.Schema{Fields: []warehouse.Field{{Name: "age", Type: warehouse.Integer}, {Name: "like", Type: warehouse.Text, Help: "a keyword"}}}
	raw, err := ruleBuilder(schema, []activation.Audience{{ID: "1", Slug: "own"}, {ID: "2", Slug: "other", Name: "Other"}, {ID: "3", Slug: "given", Kind: activation.KindAction}}, "1")
	if err != nil {
		t.Fatal(err)
	}
	var b builder
	if err := json.Unmarshal([]byte(raw), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(b.Fields, []builderField{{"age", "integer", ""}, {"`like`", "text", "a keyword"}}) || !reflect.DeepEqual(b.Audiences, []builderChoice{{"other", "Other"}}) {
		t.Errorf("%+v", b)
	}
}

func TestPlacesAndRanges(t *testing.T) {
	for text, want := range map[string][2]int{
		"Line 2, column 14: field x.":                 {2, 14},
		`In audience "b": line 1, column 3: unknown.`: {}, // not a place of this rule
		"Nothing of the kind.":                        {},
	} {
		if line, column := placeIn(text); [2]int{line, column} != want {
			t.Errorf("%s: %d, %d", text, line, column)
		}
	}
	for _, c := range []struct{ value, until, want string }{
		{"DK", "", "DK"},
		{"0", "10", "0 to under 10"},
		{"2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "2026-11-01 to 2026-12-01"},
		{"2026-11-01T06:00:00Z", "", "2026-11-01 06:00"},
	} {
		if got := rangeText(warehouse.BreakdownValue{Value: c.value, Until: c.until}); got != c.want {
			t.Errorf("%s..%s is %q, want %q", c.value, c.until, got, c.want)
		}
	}
}

// trend answers with the same sizes whatever is asked.
type trend struct {
	Insight
	points []insight.Point
}

func (f trend) Trend(context.Context, string, time.Time, time.Time) ([]insight.Point, error) {
	return f.points, nil
}

// TestSizeChart: the line begins at the first size and goes on at the last known one.
func TestSizeChart(t *testing.T) {
	now := time.Date(2026, 11, 22, 15, 30, 0, 0, time.UTC)
	at := func(hours int, size int64) insight.Point {
		return insight.Point{At: now.Truncate(time.Hour).Add(time.Duration(hours) * time.Hour), Size: size}
	}
	draw := func(points ...insight.Point) *chart {
		c := &Console{Config: Config{Now: func() time.Time { return now }, Insight: trend{points: points}}}
		ch, err := c.sizeChart(visit{Request: httptest.NewRequest("GET", "/audiences/a", nil)}, activation.Audience{Slug: "a"})
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	if ch := draw(); ch.Anything || len(ch.Rows) != 0 {
		t.Errorf("without sizes: %+v", ch.Rows)
	}
	ch := draw(at(-3, 10), at(-1, 12))
	var got []int64
	var last string
	for _, r := range ch.Rows {
		got, last = append(got, r.Values[0]), r.Name
	}
	if ch.Per != "hour" || last != "2026-11-22 15:00" || !reflect.DeepEqual(got, []int64{10, 10, 12, 12}) || ch.Series[0].Total != 12 {
		t.Errorf("per %s up to %s: %v", ch.Per, last, got)
	}
}
