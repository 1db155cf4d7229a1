package insight_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/insight"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// world is a store and a warehouse that answer what they are told to.
type world struct {
	warehouse.Insights
	mu           sync.Mutex
	audiences    []activation.Audience
	destinations []activation.Destination
	sizes, seqs  map[activation.AudienceID]int64
	refuse       error
	recorded     []string
	asked        []string
	width        time.Duration
	begun        time.Time
}

func (w *world) Audience(_ context.Context, idOrSlug activation.AudienceID) (activation.Audience, error) {
	for _, a := range w.audiences {
		if a.ID == idOrSlug || a.Slug == string(idOrSlug) {
			return a, nil
		}
	}
	return activation.Audience{}, activation.ErrNotFound
}
func (w *world) Audiences(context.Context) ([]activation.Audience, error) { return w.audiences, nil }
func (w *world) Destinations(context.Context) ([]activation.Destination, error) {
	return w.destinations, nil
}

func (w *world) SetSeries(_ context.Context, kind, subject string, values map[string]int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	w.recorded = append(w.recorded, fmt.Sprintf("%s %s %s=%d", time.Since(w.begun), kind, subject, values["size"]))
	return nil
}

func (w *world) Series(_ context.Context, kind, subject string, from, until time.Time, width time.Duration) (map[string][]activation.MetricPoint, error) {
	w.width = width
	return map[string][]activation.MetricPoint{"size": {{At: from, Value: 7}}, "other": {{At: until, Value: 9}}}, nil
}

func (w *world) Seq(context.Context) (map[activation.AudienceID]int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[activation.AudienceID]int64{}
	for id, n := range w.seqs {
		out[id] = n
	}
	return out, nil
}

func (w *world) Sizes(context.Context) (map[activation.AudienceID]int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[activation.AudienceID]int64{}
	for id, n := range w.sizes {
		out[id] = n
	}
	return out, nil
}

func (w *world) Overlaps(_ context.Context, ids []activation.AudienceID) ([]warehouse.Overlap, error) {
	var out []warehouse.Overlap
	for i, a := range ids {
		for j := i; j < len(ids); j++ {
			out = append(out, warehouse.Overlap{A: a, B: ids[j], Both: int64(10*i + j)})
		}
	}
	return out, nil
}

func (w *world) Reach(_ context.Context, _ activation.AudienceID, keys matchkey.Set) (warehouse.KeyReach, error) {
	w.asked = append(w.asked, keys.ID)
	if slices.Contains(keys.Fields, "gone") {
		return warehouse.KeyReach{}, &activation.Error{Kind: activation.Invalid, Message: "gone is not declared"}
	}
	return warehouse.KeyReach{People: 5, Usable: int64(len(keys.Keys))}, nil
}

func (w *world) Breakdown(_ context.Context, rule, field string, _ time.Time, limit int) (warehouse.Breakdown, error) {
	return warehouse.Breakdown{Field: rule + " " + field, Distinct: int64(limit)}, nil
}

func newWorld() *world {
	return &world{audiences: []activation.Audience{
		{ID: "1", Slug: "buyers", Name: "Buyers", Rule: "FILTER orders > 0"},
		{ID: "2", Slug: "vips", Name: "VIPs", Rule: `FILTER AND (vip = true, INCLUDE buyers)`},
		{ID: "3", Slug: "rest", Name: "Rest", Rule: `FILTER NOT INCLUDE "1"`},
		{ID: "4", Slug: "given", Name: "Given"},
	}}
}

func TestOverlap(t *testing.T) {
	n := insight.New(insight.Config{Store: newWorld(), Warehouse: newWorld()})
	got, err := n.Overlap(t.Context(), []string{"vips", "1", "2", "rest"})
	want := [][]int64{{0, 1, 2}, {1, 11, 12}, {2, 12, 22}}
	if err != nil || !reflect.DeepEqual(got.Both, want) || len(got.Audiences) != 3 || got.Audiences[1] != (insight.Compared{ID: "1", Slug: "buyers", Name: "Buyers", Size: 11}) {
		t.Errorf("%+v (%v)", got, err)
	}
	if _, err := n.Overlap(t.Context(), []string{"nobody"}); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("an audience that is not there: %v", err)
	}
}

// TestReach: destinations with the same keys are asked about once, a broken one
// says so, and one that finds nobody is left out.
func TestReach(t *testing.T) {
	w := newWorld()
	def := provider.Definition{Name: "net", RuleSet: matchkey.RuleSet{Name: "net/1", Keys: []matchkey.Key{{Name: "EMAIL", Identifies: true, Normalize: matchkey.Plain}, {Name: "COUNTRY", Normalize: matchkey.Plain}}}}
	events := provider.Definition{Name: "events"}
	w.destinations = []activation.Destination{
		{ID: "a", Name: "A", Provider: "net", Mapping: map[string]string{"EMAIL": "email"}},
		{ID: "b", Name: "B", Provider: "net", Mapping: map[string]string{"EMAIL": "email"}},
		{ID: "c", Name: "C", Provider: "events"},
		{ID: "d", Name: "D", Provider: "net", Mapping: map[string]string{"NOSUCH": "x"}},
		{ID: "e", Name: "E", Provider: "net", Mapping: map[string]string{"EMAIL": "gone"}},
		{ID: "f", Name: "F", Provider: "unknown"},
	}
	n := insight.New(insight.Config{Store: w, Warehouse: w, Providers: []provider.Definition{events, def}})
	got, err := n.Reach(t.Context(), "vips")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range got {
		lines = append(lines, fmt.Sprint(r.Destination, " ", r.People, " ", r.Usable, " ", r.Problem))
	}
	if text := strings.Join(lines, "; "); text != "a 5 1 ; b 5 1 ; d 0 0 the mapping of the destination does not fit its network; e 0 0 gone is not declared" || len(w.asked) != 2 {
		t.Errorf("reach %s, asked %q", text, w.asked)
	}
}

func TestRulesAsTrees(t *testing.T) {
	n := insight.New(insight.Config{})
	tree, err := n.Tree(`filter age>=18 and not include x`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := n.Text(tree)
	if err != nil || text != "FILTER AND (age >= 18, NOT INCLUDE x)" {
		t.Errorf("%s (%v)", text, err)
	}
	_, err = n.Tree("FILTER\n age >")
	if activation.KindOf(err) != activation.Invalid || !strings.Contains(activation.SafeMessage(err), "line 2, column 7") {
		t.Errorf("a broken rule: %v", err)
	}
	if _, err = n.Text(json.RawMessage(`{"op":"="}`)); activation.KindOf(err) != activation.Invalid || !strings.Contains(activation.SafeMessage(err), "args") {
		t.Errorf("a broken tree: %v", err)
	}
}

func TestIncludedByAndTrend(t *testing.T) {
	w := newWorld()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	n := insight.New(insight.Config{Store: w, Warehouse: w, Now: func() time.Time { return now }})
	by, err := n.IncludedBy(t.Context(), "buyers")
	if err != nil || len(by) != 2 || by[0].Slug != "vips" || by[1].Slug != "rest" {
		t.Errorf("included by %+v (%v)", by, err)
	}
	for length, width := range map[time.Duration]time.Duration{time.Hour: time.Minute, 30 * 24 * time.Hour: time.Hour, 400 * 24 * time.Hour: 24 * time.Hour} {
		points, err := n.Trend(t.Context(), "buyers", now.Add(-length), now)
		if err != nil || w.width != width || len(points) != 1 || points[0] != (insight.Point{At: now.Add(-length).Truncate(width), Size: 7}) {
			t.Errorf("trend of %s is %v in steps of %s (%v)", length, points, w.width, err)
		}
	}
	b, err := n.Breakdown(t.Context(), "", "age", 3)
	if err != nil || b.Field != "FILTER * age" || b.Distinct != 3 {
		t.Errorf("%+v (%v)", b, err)
	}
}

// TestSizesAreRecorded: every hour, within a minute of a change, and again after
// the store refused.
func TestSizesAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.begun = time.Now()
		w.sizes, w.seqs = map[activation.AudienceID]int64{"1": 10, "2": 20}, map[activation.AudienceID]int64{"1": 1, "2": 1}
		n := insight.New(insight.Config{Store: w, Warehouse: w})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		change := func(after time.Duration, fn func()) {
			time.Sleep(after)
			w.mu.Lock()
			defer w.mu.Unlock()
			fn()
		}
		change(150*time.Second, func() { w.sizes["1"], w.seqs["1"] = 11, 2 })
		change(time.Second, func() { w.sizes["1"], w.seqs["1"] = 12, 3 })
		change(5*time.Minute, func() { w.refuse = errors.New("down"); w.sizes["2"], w.seqs["2"] = 21, 2 })
		change(5*time.Minute, func() { w.refuse = nil })
		change(49*time.Minute, func() { delete(w.sizes, "2"); delete(w.seqs, "2") })
		time.Sleep(time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{"0s segment 1=10", "0s segment 2=20", "3m0s segment 1=12", "13m0s segment 2=21", "1h3m0s segment 1=12"}
		if !slices.Equal(w.recorded, want) {
			t.Errorf("recorded %q, want %q", w.recorded, want)
		}
	})
}
