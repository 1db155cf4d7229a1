package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"usher/internal/ingest"
	"usher/internal/warehouse"
)

// A backfill and a real-time stream write the same fields out of order: the
// newest value of each field stands, whichever way and whenever it came.
func TestTheNewestValueStandsWhateverWayItCame(t *testing.T) {
	p := newPlant(t)
	schema := warehouse.Schema{Fields: []warehouse.Field{{Name: "who", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1}}}
	for _, f := range []string{"plan", "city"} {
		schema.Fields = append(schema.Fields, warehouse.Field{Name: f, Type: warehouse.Text, Merge: warehouse.Latest})
	}
	for _, s := range []string{"backfill", "events"} {
		schema.Streams = append(schema.Streams, warehouse.Stream{Name: s, TimestampField: "at"})
		for _, f := range schema.Fields {
			schema.Mappings = append(schema.Mappings, warehouse.Mapping{Stream: s, Field: f.Name, Expression: f.Name})
		}
	}
	if _, err := p.db.Apply(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 3 {
		newest := map[string]int{} // time of the newest value, by person and field
		var uploads []string
		// Every time is given once, so that there is one newest.
		for _, at := range r.Perm(12) {
			who := fmt.Sprintf("%d-%d", round, r.IntN(2))
			row := map[string]string{"plan": "", "city": ""}
			for _, f := range []string{"plan", "city"} {
				if r.IntN(2) == 0 {
					row[f] = fmt.Sprint(f, at)
					newest[who+f] = max(newest[who+f], at)
				}
			}
			when := 1_700_000_000 + at
			if r.IntN(2) == 0 {
				text := fmt.Sprintf(`{"who":%q,"plan":%q,"city":%q,"at":"%d"}`, who, row["plan"], row["city"], when)
				if _, err := p.JSON(t.Context(), ingest.Request{Stream: "events", Body: strings.NewReader(text)}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			s, err := p.Bulk(t.Context(), ingest.Request{Stream: "backfill", Body: strings.NewReader(fmt.Sprintf("who,plan,city,at\n%s,%s,%s,%d\n", who, row["plan"], row["city"], when))})
			if err != nil {
				t.Fatal(err)
			}
			uploads = append(uploads, s.LoadID)
		}
		for _, id := range uploads {
			if _, err := p.merger.Wait(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		for rows, _ := p.merger.Waiting(); rows > 0; rows, _ = p.merger.Waiting() {
			time.Sleep(time.Millisecond)
		}
		for i := range 2 {
			who := fmt.Sprintf("%d-%d", round, i)
			got, err := p.db.Find(t.Context(), "who", who)
			for _, f := range []string{"plan", "city"} {
				at, given := newest[who+f]
				if !given {
					continue
				}
				if want := fmt.Sprint(f, at); err != nil || got.Values[f] != want {
					t.Errorf("%s of %s = %v, want %q (%v)", f, who, got.Values[f], want, err)
				}
			}
		}
	}
}
