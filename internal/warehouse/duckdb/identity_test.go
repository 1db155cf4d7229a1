package duckdb

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestIdentity(t *testing.T) {
	warehousetest.Identity(t, func(sliceRows int) (warehousetest.IdentityStore, error) {
		return Open(t.Context(), Config{MaxSliceLines: int64(sliceRows), Threads: 1})
	})
}

// TestCutterOfAMillion: a component of a million values is cut.
func TestCutterOfAMillion(t *testing.T) {
	const values, most = 1_000_000, 1000
	// The last value is linked with all others, as a shared e-mail is.
	c := newCutter(values, most)
	for v := range values - 1 {
		c.link(values-1, v)
	}
	if got := c.finish(); !slices.Equal(got, []int{values - 1}) {
		t.Errorf("%d values are capped, want the last one", len(got))
	}
	r := rand.New(rand.NewPCG(1, 2))
	c = newCutter(values, most)
	for v := 1; v < values; v++ {
		c.link(v, r.IntN(v))
	}
	capped := c.finish()
	if len(capped) == 0 || !slices.IsSorted(capped) {
		t.Fatalf("%d values of a random tree are capped", len(capped))
	}
	for v := range int32(values) {
		if n := c.size[c.root(v)]; n > most {
			t.Fatalf("somebody has %d values", n)
		}
	}
}

// TestForgottenNoLongerCaps: a value that too many people carried links those who
// are left once one of them is forgotten.
func TestForgottenNoLongerCaps(t *testing.T) {
	ctx := t.Context()
	d, err := Open(ctx, Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l := warehousetest.NewLoader(t.TempDir(), d)
	l.Apply(t, warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "customer", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2},
		},
		Streams:  []warehouse.Stream{{Name: "crm"}},
		Mappings: []warehouse.Mapping{{Stream: "crm", Field: "customer", Expression: "customer"}, {Stream: "crm", Field: "email", Expression: "email"}},
		Identity: warehouse.Identity{MaxIdentifiers: 3},
	})
	carrier := func(customer string) warehousetest.Row {
		return warehousetest.Row{Time: 1, Values: map[string]string{"customer": customer, "email": "a@x"}}
	}
	l.Load(t, "1", "crm", carrier("1"), carrier("2"), carrier("3"))
	one, three := l.Find(t, "customer", "1").ID, l.Find(t, "customer", "3").ID
	if two := l.Find(t, "customer", "2").ID; one == two {
		t.Fatalf("customers 1 and 2 are profile %d", one)
	}
	if err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		gone := `SELECT ` + number(three)
		if err := forgetIdentity(ctx, tx, gone); err != nil {
			return err
		}
		return execAll(ctx, tx, `DELETE FROM profiles WHERE _pid IN (`+gone+`)`, `DELETE FROM stream_1 WHERE _pid IN (`+gone+`)`)
	}); err != nil {
		t.Fatal(err)
	}
	l.Load(t, "2", "crm", warehousetest.Row{Time: 2, Values: map[string]string{"customer": "9"}})
	if one, two, both := l.Find(t, "customer", "1").ID, l.Find(t, "customer", "2").ID, l.Find(t, "email", "a@x").ID; one != two || one != both {
		t.Errorf("customers 1 and 2 and their e-mail are the profiles %d, %d and %d", one, two, both)
	}
	events, err := d.Merges(ctx, 0, time.Time{}, 10)
	if err != nil || len(events) == 0 {
		t.Fatalf("history is %v (%v)", events, err)
	}
	for _, e := range events {
		if e.Survivor == three || e.Gone == three || e.From == three {
			t.Errorf("the history names who was forgotten: %+v", e)
		}
	}
}
