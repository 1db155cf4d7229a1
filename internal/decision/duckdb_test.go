package decision_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/warehouse"
	"usher/internal/warehouse/duckdb"
	"usher/internal/warehouse/warehousetest"
)

// TestArbitrationInDuckDB is TestArbitration where rules, people and moves are
// the real ones.
func TestArbitrationInDuckDB(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a warehouse for each draw")
	}
	few(t, "5")
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		db, err := duckdb.Open(t.Context(), duckdb.Config{Threads: 1})
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		newArbitration(t, func(ages map[string]int64) plane {
			loader := warehousetest.NewLoader(dir, db)
			schema := warehouse.Schema{Fields: fields, Streams: []warehouse.Stream{{Name: "customers"}}}
			for _, f := range fields {
				schema.Mappings = append(schema.Mappings, warehouse.Mapping{Stream: "customers", Field: f.Name, Expression: f.Name})
			}
			loader.Apply(t, schema)
			var rows []warehousetest.Row
			for _, id := range slices.Sorted(maps.Keys(ages)) {
				row := warehousetest.Row{Time: testNow.UnixMicro(), Values: map[string]string{"customer": id}}
				if ages[id] >= 0 {
					row.Values["age"] = fmt.Sprint(ages[id])
				}
				rows = append(rows, row)
			}
			loader.Load(t, "people", "customers", rows...)
			return db
		}).run()
	})
}

// few lowers the number of draws, unless the command line sets it.
func few(t *testing.T, checks string) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(checks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(f.DefValue); err != nil {
			t.Error(err)
		}
	})
}
