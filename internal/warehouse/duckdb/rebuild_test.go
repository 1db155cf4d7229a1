package duckdb

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestRebuildPeople(t *testing.T) {
	warehousetest.RebuildPeople(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}

// TestCancelledRebuildLeavesNothing: neither a table, nor a temporary one in
// memory, nor a connection.
func TestCancelledRebuildLeavesNothing(t *testing.T) {
	d, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "warehouse.duckdb"), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l := warehousetest.NewLoader(t.TempDir(), d)
	l.Apply(t, warehouse.Schema{
		Fields:   []warehouse.Field{{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1}},
		Streams:  []warehouse.Stream{{Name: "people"}},
		Mappings: []warehouse.Mapping{{Stream: "people", Field: "email", Expression: "email"}},
	})
	var rows []warehousetest.Row
	for i := range 500 {
		rows = append(rows, warehousetest.Row{Time: int64(i), Values: map[string]string{"email": string(rune('a'+i%26)) + "@x"}})
	}
	l.Load(t, "1", "people", rows...)
	left := func() (tables, memory int64, open int) {
		t.Helper()
		if err := d.sql.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM duckdb_tables() WHERE NOT internal),
			(SELECT memory_usage_bytes + temporary_storage_bytes FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE')`).Scan(&tables, &memory); err != nil {
			t.Fatal(err)
		}
		return tables, memory, d.sql.Stats().InUse
	}
	tables, memory, open := left()
	cancelled := 0
	for stop := range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		calls, most := 0, int64(0)
		_, err := d.Rebuild(ctx, func(int64, int64) {
			if calls++; calls > stop {
				n, _, _ := left()
				most = max(most, n)
				cancel()
			}
		})
		cancel()
		if err == nil {
			break
		}
		cancelled++
		if !errors.Is(err, context.Canceled) || most <= tables {
			t.Fatalf("cancelled at step %d, with %d tables: %v", stop, most, err)
		}
		if nowTables, nowMemory, nowOpen := left(); nowTables != tables || nowMemory > memory || nowOpen != open {
			t.Fatalf("cancelled at step %d, it leaves %d tables, %d bytes and %d connections, before %d, %d and %d", stop, nowTables, nowMemory, nowOpen, tables, memory, open)
		}
	}
	if cancelled < 3 {
		t.Fatalf("cancelled %d times, want at the beginning, during the replay and at the end", cancelled)
	}
}
