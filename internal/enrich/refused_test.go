package enrich_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/enrich"
	"usher/internal/ingest"
	"usher/internal/provider"
	"usher/internal/warehouse"
	"usher/internal/warehouse/inbox"
)

type noSchema struct{}

func (noSchema) Schema(context.Context) (warehouse.Schema, error) { return warehouse.Schema{}, nil }

// TestOneReplyThatIsNoMessage: a reply with too many names, or too long, is left out
// alone, counted with its reason, and its person is asked about again; the others are
// stored. It goes through the real collector.
func TestOneReplyThatIsNoMessage(t *testing.T) {
	box, err := inbox.Open(t.Context(), inbox.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	w := newWorld(6)
	wide := map[string]any{}
	for i := range 1001 {
		wide[fmt.Sprintf("k%d", i)] = i
	}
	w.answer = func(people []provider.AskedPerson) ([]provider.Reply, error) {
		out := make([]provider.Reply, len(people))
		for i, p := range people {
			out[i] = provider.Reply{Known: true, Values: map[string]any{"score": p.ID}}
			switch p.ID {
			case 2, 5:
				out[i].Values = wide
			case 4:
				out[i].Values = map[string]any{"": "no name"}
			}
		}
		return out, nil
	}
	r := enrich.New(enrich.Config{
		Warehouse: w, Collector: ingest.NewCollector(ingest.CollectorConfig{Inbox: box, Schema: noSchema{}}),
		Connect: func(context.Context, activation.Job) (provider.Enricher, provider.Definition, error) {
			return w, provider.Definition{}, nil
		},
	}).Runner()
	p := newProgress(1)
	if err := r.Pass(t.Context(), job(nil), p); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, p, 3, 0, 3)
	for id, e := range w.asked {
		if want := slices.Contains([]int64{2, 4, 5}, id); (e.Outcome == "failed") != want {
			t.Errorf("person %d is remembered as %s", id, e.Outcome)
		}
	}
	notes := strings.Join(p.notes, "\n")
	for _, want := range []string{"2 replies were not taken as messages: with this row there are more than 1000 different keys", "one reply was not taken as messages: a key is empty"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the log lacks %q:\n%s", want, notes)
		}
	}
	loads, err := box.Pending(t.Context(), 10)
	if err != nil || len(loads) != 1 || loads[0].Rows != 3 || loads[0].Rejected != 3 || len(loads[0].Columns) != 4 {
		t.Errorf("waiting are %+v (%v)", loads, err)
	}
}
