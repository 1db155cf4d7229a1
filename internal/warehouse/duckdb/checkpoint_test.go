package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"usher/internal/warehouse"
)

// TestManySmallRuns: the staged rows of more runs than fit into memory are no
// reason to run out of it.
func TestManySmallRuns(t *testing.T) {
	d, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "w.duckdb"), Threads: 2, MemoryLimitBytes: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i := range 500 { // without a checkpoint 135 MB
		err := d.onOwnConnection(t.Context(), func(conn *sql.Conn) error {
			return inTx(t.Context(), conn, func(tx *sql.Tx) error {
				return execAll(t.Context(), tx, fmt.Sprintf(`CREATE TABLE staging.run_%d AS SELECT range AS n, 1 AS phase, 'add' AS op, true AS plain, range AS pid,
					1 AS keyset, 1 AS version, uuid() AS fp, 'in' AS prior, 0 AS held, 1 AS present, 1 AS audience, 'x'::BLOB AS k1, 'y'::BLOB AS k2 FROM range(20)`, i))
			})
		})
		if err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		d.staged(t.Context())
	}
	var pinned int64
	if err := queryRow(t.Context(), d.sql, "measure memory", `SELECT coalesce(sum(memory_usage_bytes), 0) FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'`, nil, &pinned); err != nil {
		t.Fatal(err)
	}
	if pinned > 32<<20 {
		t.Errorf("%d MB are pinned by staged rows", pinned>>20)
	}
}

// TestVacuum: a save leaves deleted rows where they are, a vacuum takes them away,
// and neither takes others.
func TestVacuum(t *testing.T) {
	d, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "w.duckdb"), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const rows = 5 * rowGroup
	if err := d.write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		return execAll(ctx, tx, fmt.Sprintf(`CREATE TABLE many AS SELECT range AS n FROM range(%d)`, rows))
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if more, err := d.vacuum(t.Context()); more || err != nil {
		t.Fatalf("before anything is deleted: %v, %v", more, err)
	}
	if err := d.write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		return execAll(ctx, tx, `DELETE FROM many WHERE n % 5 < 3`)
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, most, err := d.deadShare(t.Context()); err != nil || all < 0.59 || most < 0.59 {
		t.Fatalf("after a save %v of all rows are deleted, %v of one table (%v), want 0.6", all, most, err)
	}
	for more := true; more; {
		if more, err = d.vacuum(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if all, _, err := d.deadShare(t.Context()); err != nil || all > worthVacuum {
		t.Errorf("after a vacuum %v of the rows are deleted (%v)", all, err)
	}
	var n, sum int64
	if err := queryRow(t.Context(), d.sql, "check", `SELECT count(*), sum(n) FROM many WHERE n % 5 >= 3`, nil, &n, &sum); err != nil {
		t.Fatal(err)
	}
	if want := int64(rows / 5 * 2); n != want || sum != want/2*(5*(rows/5-1)+7) {
		t.Errorf("%d rows with the sum %d", n, sum)
	}
}

// TestMergeLetsSave: nothing in a merge as it comes in real time would wait for a
// save: a statement that does would refuse one meanwhile. Two people turn out to be
// one, an audience changes, and both streams were there before.
func TestMergeLetsSave(t *testing.T) {
	d, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "w.duckdb"), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := warehouse.Schema{Streams: []warehouse.Stream{{Name: "people"}}}
	for i, name := range []string{"email", "customer", "visits"} {
		f := warehouse.Field{Name: name, Type: warehouse.Text, Merge: warehouse.Latest, Rank: i + 1}
		if name == "visits" {
			f.Type, f.Merge, f.Rank = warehouse.Integer, warehouse.Count, 0
		}
		s.Fields = append(s.Fields, f)
		s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: "people", Field: name, Expression: name})
	}
	if _, err := d.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := d.SetAudiences(t.Context(), []warehouse.Rule{{ID: "a1", Slug: "often", Text: "FILTER visits > 1", Version: 1}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rows.csv")
	load := func(id, text string, rows int64) warehouse.Load {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return warehouse.Load{ID: id, Stream: "people", Path: path, Columns: []string{"email", "customer", "visits"}, Rows: rows, ReceivedAt: time.UnixMicro(1), Urgent: true}
	}
	if _, err := d.Merge(t.Context(), load("l1", "1,1,ann@x.org,,1\n2,1,,7,1\n", 2), nil); err != nil {
		t.Fatal(err)
	}
	l := load("l2", "1,2,ann@x.org,7,1\n", 1)
	l.Settled = "l1"
	st, err := d.loadStream(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	from, err := d.stage(t.Context(), st, l)
	if err != nil {
		t.Fatal(err)
	}
	defer d.unstage(t.Context(), from)
	if err := d.write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		m := slice{d: d, tx: tx, sc: d.state.snapshot(), load: l, from: from, first: 1, end: 2, now: time.Now()}
		if err := m.run(ctx); err != nil {
			return err
		}
		if _, err := m.finishes(ctx, loadRecord{result: m.result}); err != nil {
			return err
		}
		for range 2 {
			if err := (loadRecord{known: true, finished: true, result: m.result}).save(ctx, tx, l.ID); err != nil {
				return err
			}
		}
		return d.checkpoint(ctx)
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := d.CountProfiles(t.Context()); n != 1 || err != nil {
		t.Errorf("%d people, %v", n, err)
	}
	if n, err := d.Size(t.Context(), "a1"); n != 1 || err != nil {
		t.Errorf("%d members, %v", n, err)
	}
}
