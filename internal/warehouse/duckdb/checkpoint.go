package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// What is committed lies in the write-ahead log until a checkpoint brings it into
// the file. DuckDB would do that within the commit that makes the log too long, and
// clear away deleted rows at once by writing most of a table anew: the writer stood
// still for seconds. So two things are done apart, by a goroutine of their own:
//
//   - A save is a checkpoint beside the writer. A transaction that deletes nothing
//     is open while it runs: it shares the lock that a vacuum needs alone, so DuckDB
//     leaves deleted rows where they are and lets others insert and delete meanwhile,
//     but for commits to the table it is just at. What they commit goes to a second
//     log. Statements that update or declare wait for its end, so what is merged many
//     times a second has none (replaceRows).
//   - A vacuum clears away a few groups of rows per table, while nothing is under way
//     in real time, or when tables hold more dead rows than living ones.
//
// Where a save never finds a gap, DuckDB's own checkpoint comes at four times the length.
//
// A small table that is in the log only has each of its columns in memory, where
// nothing can push it out. The log is measured in bytes, and many small tables are
// few bytes: a thousand runs of a few people each would take a quarter of a gigabyte
// and leave no room for anything else. So the tables of runs are counted too.

const (
	// saveShare is which part of the memory limit may wait in the log before it is
	// saved, and ownShare before a commit does it. Who appends to a table waits while
	// the rows of that table are saved, so a save should be small; but each compresses
	// the last row group of every table anew: at DuckDB's own 16 MB a bulk load does
	// little else.
	saveShare = 32
	ownShare  = 8
	// stagedBytes is what the staged rows of a small run take in memory.
	stagedBytes = 300 << 10
	// worthVacuum is which part of all rows must be deleted for a vacuum, and
	// pressing which part of one table for one that lets real time wait.
	worthVacuum = 0.25
	pressing    = 0.5
	// rowGroup is how many rows DuckDB keeps together; fewer are not worth a vacuum.
	rowGroup = 122_880
)

// mostStaged is how many runs may be staged between two checkpoints, in this much
// memory: an eighth of it.
func mostStaged(limit int64) int64 { return max(16, limit/ownShare/stagedBytes) }

// staged counts a run, and saves after many. Where a transaction is in the way the
// next run tries again.
func (d *DB) staged(ctx context.Context) {
	if d.unsaved.Add(1) >= d.mostStaged {
		_ = d.save(context.WithoutCancel(ctx)) // see saver
	}
}

// written asks for a save when the log has grown long.
func (d *DB) written() {
	if d.logBytes() < d.saveAt {
		return
	}
	select {
	case d.saves <- struct{}{}:
	default: // one is asked for
	}
}

// logBytes is the length of the write-ahead log; 0 = there is none.
func (d *DB) logBytes() int64 {
	if d.file.path == "" {
		return 0
	}
	info, err := os.Stat(d.file.path + ".wal")
	if err != nil {
		return 0
	}
	return info.Size()
}

// saver saves and vacuums until Close. A checkpoint that is cut short would make
// DuckDB give itself up, so Close waits for one under way.
func (d *DB) saver() {
	defer d.done.Done()
	ctx := context.Background()
	var look <-chan time.Time // when to see again whether it may vacuum; nil = no need
	for {
		select {
		case <-d.stop:
			return
		case <-d.saves:
			if d.logBytes() < d.saveAt { // somebody asked during the last save
				continue
			}
			if err := d.save(ctx); err != nil { // a statement was in the way: the next commit asks again
				d.log.DebugContext(ctx, "the log is saved later", "error", err)
				continue
			}
		case <-look:
		}
		more, err := d.vacuum(ctx)
		if err != nil {
			d.log.DebugContext(ctx, "deleted rows are cleared away later", "error", err)
		}
		if look = nil; more {
			look = time.After(lookAgain)
		}
	}
}

// lookAgain is how long after a vacuum had to wait, or did a part, the next is tried.
const lookAgain = time.Second

// save brings the log into the file while others insert and delete.
func (d *DB) save(ctx context.Context) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	counted := d.unsaved.Load()
	return d.onOwnConnection(ctx, func(holder *sql.Conn) (err error) {
		tx, err := holder.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("begin: %w", scrub(ctx, err))
		}
		defer func() {
			if rb := tx.Rollback(); rb != nil {
				spoil(holder)
				err = errors.Join(err, fmt.Errorf("roll back: %w", scrub(ctx, rb)))
			}
		}()
		if _, err := exec(ctx, tx, "hold back vacuums", `DELETE FROM settings WHERE false`); err != nil {
			return err
		}
		if err := d.checkpoint(ctx); err != nil {
			return err
		}
		d.unsaved.Add(-counted)
		return nil
	})
}

func (d *DB) checkpoint(ctx context.Context) error {
	return d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		_, err := exec(ctx, conn, "checkpoint", `CHECKPOINT`)
		return err
	})
}

// vacuum clears away some deleted rows where there are many. more says that there are
// more of them, or that it had to let others go first.
func (d *DB) vacuum(ctx context.Context) (more bool, err error) {
	part, most, err := d.deadShare(ctx)
	if err != nil || part < worthVacuum {
		return false, err
	}
	if d.hurried() && most < pressing || d.rebuilding.Load() {
		return true, nil
	}
	began := d.now()
	if err := d.vacuumOnce(ctx); err != nil {
		return true, err
	}
	left, _, err := d.deadShare(ctx)
	d.log.DebugContext(ctx, "cleared away deleted rows", "share", part, "left", left, "took", d.now().Sub(began))
	return left < part, err // groups that are too full to be merged stay until more is deleted
}

// vacuumOnce merges a few groups of rows of each table that has deleted ones. Nobody
// inserts or deletes meanwhile.
func (d *DB) vacuumOnce(ctx context.Context) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	// A checkpoint with nothing in the log does nothing.
	if err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return replaceRows(ctx, tx, "note vacuum", `settings`, `name = 'vacuumed'`, `SELECT 'vacuumed', $1`, d.now().UTC().Format(time.RFC3339))
	}); err != nil {
		return err
	}
	if _, err := exec(ctx, d.sql, "set vacuum tasks", `SET GLOBAL max_vacuum_tasks = 1`); err != nil {
		return err
	}
	err := d.checkpoint(ctx)
	_, reset := exec(ctx, d.sql, "set vacuum tasks", `SET GLOBAL max_vacuum_tasks = 0`)
	return errors.Join(err, reset)
}

// deadShare returns which part of the rows of all large tables is deleted, and of
// the table where it is largest.
func (d *DB) deadShare(ctx context.Context) (all, most float64, err error) {
	rows, err := d.sql.QueryContext(ctx, `SELECT schema_name, table_name, estimated_size FROM duckdb_tables()
		WHERE database_name = current_database() AND NOT temporary AND estimated_size >= $1`, rowGroup)
	if err != nil {
		return 0, 0, fmt.Errorf("look for deleted rows: %w", scrub(ctx, err))
	}
	defer rows.Close()
	stored := map[string]int64{} // by the table's quoted name
	for rows.Next() {
		var schema, name string
		var n int64
		if err := rows.Scan(&schema, &name, &n); err != nil {
			return 0, 0, fmt.Errorf("look for deleted rows: %w", scrub(ctx, err))
		}
		stored[quote(schema)+"."+quote(name)] = n
	}
	if err := rows.Err(); err != nil {
		return 0, 0, fmt.Errorf("look for deleted rows: %w", scrub(ctx, err))
	}
	var total, dead int64
	for t, n := range stored {
		var living int64
		if err := queryRow(ctx, d.sql, "count rows", `SELECT count(*) FROM `+t, nil, &living); err != nil {
			return 0, 0, err
		}
		total, dead = total+n, dead+n-living
		most = max(most, float64(n-living)/float64(n))
	}
	return float64(dead) / float64(max(1, total)), most, nil
}

// replaceRows puts the rows that a SELECT of all columns gives in the place of those
// that where selects. It does what an UPDATE does, which would wait for a save.
func replaceRows(ctx context.Context, tx *sql.Tx, what, table, where, selected string, args ...any) error {
	if _, err := exec(ctx, tx, what, `CREATE OR REPLACE TEMP TABLE replacing AS `+selected, args...); err != nil {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM ` + table + ` WHERE ` + where,
		`INSERT INTO ` + table + ` SELECT * FROM replacing`,
		`DROP TABLE temp.replacing`,
	} {
		if _, err := exec(ctx, tx, what, statement); err != nil {
			return err
		}
	}
	return nil
}
