package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// The fixed tables. Streams, profiles and key sets have tables of their own
// whose columns follow what is declared:
//
//	profiles(_pid, _seq, <field>, <field>__at, <field>__seq …)   one row a person; _seq is the merge that changed it last
//	stream_<n>(_seq, _pid, _mid, _hash, _time, _received, c1, c2 …)   raw messages; columns named in stream_columns
//	reference_<n>(_key, c1, c2 …)                     the present row per key of a reference stream
//	keys_<n>(pid, version, src_seq, fp, k1, k2 …)    present match keys; keys_<n>_old holds earlier versions
//	ledger_<n>(generation, pid, keyset, version, fp, state, held, code, delivered_at)   what a network holds of one target
//	baseline_<n>(pid)                                 who was there when the job of a target began (reach.go)
//	drift_<n>(n, generation, keyset, kind, pid, …)    how that ledger and its network differ (drift.go)
//	staging.run_<id>(…)                              staged rows of one run
//	staged_wants(run, without, holdout, salt)         whom of the members a staged run did not want (wanting.go)
//	event_cursors(target, job, seq, began, run, …)   how far the events of a target were staged (events.go)
//	waiting_events(target, stream, seq, pid, …)      events that wait for their person (events_wait.go)
//
// Columns that begin with an underscore, or hold two of them, are ours: field
// names can't. <field>__at and <field>__seq are the time and number of the message
// that a latest or first value is of (see ordSQL). Raw messages keep the profile id they were given; where
// that profile was merged into another since, profile_merges says which
// (always the living one: chains are kept flat). identifiers holds digests, see
// keySQL; capped says who carries values that link nobody (identity_cap.go), and
// merge_log who was merged (identity_history.go). stale names profiles to derive anew from their messages. Big tables have no keys or indexes:
// an index triples import time.
var migrations = []string{
	`CREATE SCHEMA IF NOT EXISTS staging;
	CREATE TABLE counters (name VARCHAR, next BIGINT);
	INSERT INTO counters VALUES ('profile', 1), ('message', 1), ('merge', 1), ('change', 1), ('stream', 1), ('audience', 1), ('keyset', 1), ('target', 1);
	CREATE TABLE settings (name VARCHAR, value VARCHAR);
	CREATE TABLE streams (name VARCHAR, n INTEGER);
	CREATE TABLE stream_columns (stream INTEGER, n INTEGER, name VARCHAR);
	CREATE TABLE profiles (_pid BIGINT, _seq BIGINT);
	CREATE TABLE identifiers (key UHUGEINT, pid BIGINT);
	CREATE TABLE profile_merges (old BIGINT, pid BIGINT);
	CREATE TABLE stale (pid BIGINT);
	CREATE TABLE loads (id VARCHAR, next_line BIGINT, finished BOOLEAN, result VARCHAR);
	CREATE TABLE audiences (id VARCHAR, n INTEGER, slug VARCHAR, rule VARCHAR, version INTEGER, seq BIGINT);
	CREATE TABLE membership (audience INTEGER, pid BIGINT);
	CREATE TABLE membership_changes (seq BIGINT, audience INTEGER, pid BIGINT, event VARCHAR, changed_at BIGINT);
	CREATE TABLE keysets (id VARCHAR, n INTEGER, keys VARCHAR);
	CREATE TABLE refreshed (keyset INTEGER, audience INTEGER, profile_seq BIGINT, change_seq BIGINT);
	CREATE TABLE targets (id VARCHAR, n INTEGER, generation INTEGER);
	CREATE TABLE folded (item VARCHAR, attempt INTEGER, became_in BIGINT, left_in BIGINT);`,
	`CREATE TABLE baselines (target INTEGER, job VARCHAR, seq BIGINT);`,
	`CREATE TABLE event_cursors (target VARCHAR, job VARCHAR, seq BIGINT, began BIGINT, run VARCHAR, before BIGINT, prior VARCHAR, prior_before BIGINT);`,
	`ALTER TABLE event_cursors DROP prior;
	ALTER TABLE event_cursors DROP prior_before;
	ALTER TABLE event_cursors ADD COLUMN earlier VARCHAR DEFAULT '';`,
	`ALTER TABLE event_cursors ADD COLUMN start BIGINT;
	CREATE TABLE waiting_events (target VARCHAR, stream VARCHAR, seq BIGINT, happened BIGINT, pid BIGINT, looked BIGINT, keyset INTEGER, added VARCHAR, taken VARCHAR);`,
	`CREATE TABLE audiences_next AS SELECT *, false AS given, 0::BIGINT AS keys_seq FROM audiences;
	DROP TABLE audiences;
	ALTER TABLE audiences_next RENAME TO audiences;
	CREATE TABLE staged_wants (run VARCHAR, without VARCHAR, holdout INTEGER, salt VARCHAR);`,
	`CREATE TABLE suppressed (digest BLOB);
	CREATE TABLE forgets (id VARCHAR, field VARCHAR, sealed BLOB, result VARCHAR);
	CREATE TABLE forgotten (pid BIGINT, forget VARCHAR);`,
	`CREATE TABLE capped (key UHUGEINT, pid BIGINT);
	CREATE TABLE undecided (pid BIGINT);
	CREATE TABLE merge_log (happened BIGINT, survivor BIGINT, gone BIGINT, parted BIGINT, fields VARCHAR[], stream VARCHAR, load VARCHAR, kind VARCHAR);`,
	`CREATE TABLE enriched (job VARCHAR, pid BIGINT, asked BIGINT, outcome VARCHAR);`,
	`CREATE TABLE stream_seen (stream INTEGER, name VARCHAR, loads BIGINT);
	INSERT INTO stream_seen SELECT stream, name, 0 FROM stream_columns;
	INSERT INTO stream_seen SELECT DISTINCT stream, '', 0 FROM stream_columns;
	CREATE TABLE stream_drift (stream INTEGER, kind VARCHAR, name VARCHAR, since BIGINT, load VARCHAR, count BIGINT, total BIGINT, settled BOOLEAN);`,
	// Time and number were one number, __ord. COLUMNS wants one column to be there.
	`ALTER TABLE profiles ADD COLUMN __ord HUGEINT;
	CREATE TABLE profiles_split AS SELECT COLUMNS(lambda c: NOT ends_with(c, '__ord')), ` + split("__at", "(o - n) // 18446744073709551616") + `, ` + split("__seq", "n") + ` FROM profiles;
	ALTER TABLE profiles_split DROP COLUMN __at;
	ALTER TABLE profiles_split DROP COLUMN __seq;
	DROP TABLE profiles;
	ALTER TABLE profiles_split RENAME TO profiles;`,
}

// split makes of each column that ends with __ord one with another end: what is
// said of o, its value, and n, the number in it. Times before 1970 are negative.
func split(end, of string) string {
	column := `COLUMNS('(.*)__ord')`
	n := `((` + column + ` % 18446744073709551616 + 18446744073709551616) % 18446744073709551616)`
	return `(` + strings.NewReplacer("o", column, "n", n).Replace(of) + `)::BIGINT AS '\1` + end + `'`
}

// migrate brings the fixed tables up to date, each step in a transaction of its
// own. A step may add one column with a default to a table that has rows; a
// second one fails at the commit, so a step that needs more copies the table.
func (d *DB) migrate(ctx context.Context) error {
	var done int
	if err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (n INTEGER)`); err != nil {
			return fmt.Errorf("create migrations: %w", err)
		}
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM migrations`).Scan(&done); err != nil {
			return fmt.Errorf("read migrations: %w", err)
		}
		return nil
	}); err != nil {
		return err
	}
	for n := done; n < len(migrations); n++ {
		if err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, migrations[n]); err != nil {
				return fmt.Errorf("migration %d: %w", n+1, err)
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO migrations VALUES ($1)`, n+1); err != nil {
				return fmt.Errorf("record migration %d: %w", n+1, err)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// take reserves n numbers of a counter and returns the first.
func take(ctx context.Context, tx *sql.Tx, counter string, n int64) (int64, error) {
	var first int64
	if err := tx.QueryRowContext(ctx, `SELECT next FROM counters WHERE name = $1`, counter).Scan(&first); err != nil {
		return 0, fmt.Errorf("read counter %s: %w", counter, err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM counters WHERE name = $1`, counter); err != nil { // an UPDATE would wait for a save
		return 0, fmt.Errorf("advance counter %s: %w", counter, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO counters VALUES ($1, $2)`, counter, first+n); err != nil {
		return 0, fmt.Errorf("advance counter %s: %w", counter, err)
	}
	return first, nil
}
