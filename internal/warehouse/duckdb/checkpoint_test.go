package duckdb

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
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
