package duckdb

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestRebuildPeople(t *testing.T) {
	warehousetest.RebuildPeople(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}

// TestRebuildCatchesUpAtTheEnd: what comes between the last round and the lock is
// in what is swapped, also what takes something back.
func TestRebuildCatchesUpAtTheEnd(t *testing.T) {
	d, err := Open(t.Context(), Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l := warehousetest.NewLoader(t.TempDir(), d)
	l.Apply(t, warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
			{Name: "cookie", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2},
			{Name: "n", Type: warehouse.Integer, Merge: warehouse.Sum},
		},
		Streams: []warehouse.Stream{{Name: "visits", MessageID: []string{"id"}}, {Name: "calls"}},
		Mappings: []warehouse.Mapping{
			{Stream: "visits", Field: "email", Expression: "email"}, {Stream: "visits", Field: "cookie", Expression: "cookie"}, {Stream: "visits", Field: "n", Expression: "n"},
		},
	})
	load := func(id string, rows ...string) {
		t.Helper()
		var all []warehousetest.Row
		for _, row := range rows {
			values := map[string]string{}
			for pair := range strings.FieldsSeq(row) {
				name, value, _ := strings.Cut(pair, "=")
				values[name] = value
			}
			all = append(all, warehousetest.Row{Time: int64(len(all)), Values: values})
		}
		stream := "visits"
		if strings.HasPrefix(id, "calls") {
			stream = id[:5]
		}
		l.Load(t, id, stream, all...)
	}
	load("1", "id=1 email=a@x n=1", "id=2 email=b@x n=2", "id=3 email=a@x cookie=k", "id=4 email=b@x cookie=k") // one person
	load("calls", "who=a@x")
	l.Apply(t, warehouse.Schema{Mappings: []warehouse.Mapping{{Stream: "calls", Field: "email", Expression: "who"}}}) // waits for the rebuild
	r, err := d.newRebuild(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.rebuilding.Store(true)
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	load("2", "id=5 email=a@x n=10", "id=6 email=c@x n=5", "id=4 email=b@x cookie=other") // is parted
	if err := d.Suppress(t.Context(), "f", "email", "forgotten@x"); err != nil {
		t.Fatal(err)
	}
	load("calls again", "who=forgotten@x")
	if err := r.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	for email, want := range map[string]int64{"a@x": 11, "b@x": 2, "c@x": 5} {
		if p := l.Find(t, "email", email); p.Values["n"] != want || p.Values["email"] != email {
			t.Errorf("%s has %v, want %d", email, p.Values, want)
		}
	}
	if n, err := d.CountProfiles(t.Context()); err != nil || n != 3 {
		t.Errorf("%d people (%v), want 3", n, err)
	}
	if want := (warehouse.RebuildResult{Messages: 7, Profiles: 3, Moved: 1}); r.result != want {
		t.Errorf("the rebuild says %+v, want %+v", r.result, want)
	}
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
