package duckdb

import (
	"context"
	"database/sql"
)

// A small table that is in the write-ahead log only has each of its columns in
// memory, where nothing can push it out; a checkpoint brings it into the file. The
// log is measured in bytes, and many small tables are few bytes: a thousand runs
// of a few people each would take a quarter of a gigabyte and leave no room for
// anything else. So the tables of runs are counted too.

// stagedBytes is what the staged rows of a small run take in memory.
const stagedBytes = 300 << 10

// mostStaged is how many runs may be staged between two checkpoints, in this much
// memory: an eighth of it.
func mostStaged(limit int64) int64 { return max(16, limit/checkpointShare/stagedBytes) }

// staged counts a run, and brings the log into the file after many. Where a
// transaction is in the way the next run tries again.
func (d *DB) staged(ctx context.Context) {
	if d.unsaved.Add(1) < d.mostStaged {
		return
	}
	_ = d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "CHECKPOINT")
		if err == nil {
			d.unsaved.Store(0)
		}
		return err
	})
}
