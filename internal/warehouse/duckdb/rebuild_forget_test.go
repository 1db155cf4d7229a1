package duckdb

import (
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

// TestNobodyGetsTheIDOfWhoWasForgotten: who was found to be one person with
// somebody who is forgotten during the rebuild lives under an id of their own.
func TestNobodyGetsTheIDOfWhoWasForgotten(t *testing.T) {
	d, err := Open(t.Context(), Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l := warehousetest.NewLoader(t.TempDir(), d)
	s := warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
			{Name: "cookie", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2},
		},
		Streams:  []warehouse.Stream{{Name: "visits"}},
		Mappings: []warehouse.Mapping{{Stream: "visits", Field: "email", Expression: "email"}},
	}
	l.Apply(t, s)
	l.Load(t, "1", "visits",
		warehousetest.Row{Time: 1, Values: map[string]string{"email": "a@x.org", "cookie": "k"}},
		warehousetest.Row{Time: 2, Values: map[string]string{"email": "b@x.org", "cookie": "k"}})
	s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: "visits", Field: "cookie", Expression: "cookie"})
	l.Apply(t, s)
	r, err := d.newRebuild(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.rebuilding.Store(true)
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Suppress(t.Context(), "f", "email", "a@x.org"); err != nil {
		t.Fatal(err)
	}
	if e, err := d.Erase(t.Context(), "f"); err != nil || e.Profiles != 1 {
		t.Fatalf("erased %+v, %v", e, err)
	}
	if err := r.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := l.Find(t, "cookie", "k"); p.Values["email"] != "b@x.org" {
		t.Errorf("the other is %+v", p)
	}
	var shared int64
	if err := d.sql.QueryRowContext(t.Context(), `SELECT count(*) FROM profiles WHERE _pid IN (SELECT pid FROM forgotten)`).Scan(&shared); err != nil || shared != 0 {
		t.Errorf("%d people have the id of somebody who was forgotten (%v)", shared, err)
	}
}

// TestEmptyLoadsSettle: a load without rows drops the record of the load before it
// like any other, or those records would grow for ever.
func TestEmptyLoadsSettle(t *testing.T) {
	d, err := Open(t.Context(), Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, l := range []warehouse.Load{{ID: "1", Stream: "s"}, {ID: "2", Stream: "s", Settled: "1", Urgent: true}, {ID: "3", Stream: "s", Settled: "2", Urgent: true}} {
		if _, err := d.Merge(t.Context(), l, nil); err != nil {
			t.Fatal(err)
		}
	}
	var left int64
	if err := d.sql.QueryRowContext(t.Context(), `SELECT count(*) FROM loads`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d records are left (%v), want that of the last", left, err)
	}
}
