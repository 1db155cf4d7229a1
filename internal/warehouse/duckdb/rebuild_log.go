package duckdb

import (
	"context"
	"database/sql"
)

// While a rebuild replays messages, whoever changes those that were received
// before says so in rebuild_log, in the same transaction and with the ingest lock
// held. The number told_at tells which round of the rebuild takes the row.

// noteLost tells which messages are deleted; numbers is a SELECT of theirs.
func (d *DB) noteLost(ctx context.Context, tx *sql.Tx, numbers string) error {
	return d.noteForRebuild(ctx, tx, `SELECT $1, 'lost', NULL, n, NULL FROM (`+numbers+`) AS t(n)`)
}

// noteMoved tells which messages were given to another owner.
func (d *DB) noteMoved(ctx context.Context, tx *sql.Tx, numbers string) error {
	return d.noteForRebuild(ctx, tx, `SELECT $1, 'moved', NULL, n, NULL FROM (`+numbers+`) AS t(n)`)
}

// noteKeys tells which rows of a reference stream changed; keys is a SELECT of
// their keys.
func (d *DB) noteKeys(ctx context.Context, tx *sql.Tx, stream int, keys string) error {
	return d.noteForRebuild(ctx, tx, `SELECT $1, 'key', $2, NULL, k FROM (`+keys+`) AS t(k)`, stream)
}

func (d *DB) noteForRebuild(ctx context.Context, tx *sql.Tx, rows string, args ...any) error {
	if !d.logging.Load() {
		return nil
	}
	at, err := take(ctx, tx, "message", 1)
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, "tell the rebuild", `INSERT INTO rebuild_log `+rows, append([]any{at}, args...)...)
	return err
}
