package duckdb

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestInsights(t *testing.T) {
	warehousetest.Insights(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}

// TestReachOfASample: of a large audience some are looked at, and the counts
// are about those of all.
func TestReachOfASample(t *testing.T) {
	d, err := Open(t.Context(), Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	schema := warehouse.Schema{
		Streams:  []warehouse.Stream{{Name: "s"}},
		Fields:   []warehouse.Field{{Name: "id", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1}, {Name: "email", Type: warehouse.Text, Merge: warehouse.Latest}},
		Mappings: []warehouse.Mapping{{Stream: "s", Field: "id", Expression: "id"}, {Stream: "s", Field: "email", Expression: "email"}},
	}
	if _, err := d.Apply(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	const people = 20_000
	var rows []warehousetest.Row
	for i := range people {
		values := map[string]string{"id": fmt.Sprint(i)}
		if i%4 != 0 {
			values["email"] = fmt.Sprintf("p%d@example.com", i)
		}
		rows = append(rows, warehousetest.Row{Time: int64(i + 1), Values: values})
	}
	warehousetest.NewLoader(t.TempDir(), d).Load(t, "load", "s", rows...)
	if err := d.SetAudiences(t.Context(), []warehouse.Rule{{ID: "all", Slug: "all", Text: "FILTER *", Version: 1}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	rules := matchkey.RuleSet{Name: "t/1", Keys: []matchkey.Key{{Name: "EMAIL", Hash: true, Identifies: true, Normalize: matchkey.Plain}}}
	set, err := matchkey.NewSet(rules, map[string]string{"EMAIL": "email"}, "")
	if err != nil {
		t.Fatal(err)
	}
	d.state.audience.reach = 4000
	got, err := d.Reach(t.Context(), activation.AudienceID("all"), set)
	if err != nil {
		t.Fatal(err)
	}
	if got.People != people || got.Sampled < 3500 || got.Sampled > 4500 || math.Abs(float64(got.Usable)-people*3/4) > people*0.05 || got.Keys[0].Count != got.Usable {
		t.Errorf("reach %+v", got)
	}
}

func TestNumberEdges(t *testing.T) {
	for _, c := range []struct {
		from, to float64
		whole    bool
		want     []string
	}{
		{0, 9, true, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}},
		{0, 10, true, []string{"0", "2", "4", "6", "8", "10", "12"}},
		{-3, 4, false, []string{"-3", "-2", "-1", "0", "1", "2", "3", "4", "5"}},
		{0.1, 0.9, false, []string{"0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"}},
		{-0.25, -0.05, false, []string{"-0.25", "-0.2", "-0.15", "-0.1", "-0.05", "0"}},
		{5, 5, true, []string{"5", "6"}},
	} {
		var got []string
		for _, e := range numberEdges(c.from, c.to, c.whole) {
			got = append(got, e.text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%g to %g: %q, want %q", c.from, c.to, got, c.want)
		}
	}
	for _, far := range []float64{1e-300, 1, 1e15, 1e18, mostFinite} {
		for _, from := range []float64{-far, 0, far, math.Nextafter(far, 0)} {
			if e := numberEdges(from, far, false); from <= far && (len(e) < 2 || e[0].at > from || e[len(e)-1].at <= far || len(e) > rangeCount+1) {
				t.Errorf("%g to %g: %v", from, far, e)
			}
		}
	}
}
