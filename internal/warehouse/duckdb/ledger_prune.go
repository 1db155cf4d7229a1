package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"usher/internal/activation"
)

// Unstage drops the staged rows of runs, and then the old versions of keys that
// neither a ledger nor any other run's staged row points to. Where a Stage is
// under way the versions wait for the next call.
func (d *DB) Unstage(ctx context.Context, runs []activation.RunID) error {
	err := d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, r := range runs {
			if _, err := exec(ctx, tx, "drop staged rows", "DROP TABLE IF EXISTS "+stagedTable(r)); err != nil {
				return err
			}
			if err := (wanting{}).keep(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !d.state.audience.staging.TryLock() {
		return err
	}
	defer d.state.audience.staging.Unlock()
	return d.write(ctx, prune)
}

// prune drops the old versions of keys that nothing points to.
func prune(ctx context.Context, tx *sql.Tx) error {
	pointing, err := pointingTables(ctx, tx)
	if err != nil {
		return err
	}
	sets, err := allKeySets(ctx, tx)
	if err != nil {
		return err
	}
	for _, s := range sets {
		if err := pruneSet(ctx, tx, s, pointing); err != nil {
			return err
		}
	}
	return nil
}

func pruneSet(ctx context.Context, tx *sql.Tx, s keySet, pointing []string) error {
	var old int64
	if err := queryRow(ctx, tx, "count old keys", fmt.Sprintf(`SELECT count(*) FROM %s`, s.oldTable()), nil, &old); err != nil || old == 0 {
		return err
	}
	if err := execAll(ctx, tx, `CREATE OR REPLACE TEMP TABLE keys_used (pid BIGINT, version INTEGER)`); err != nil {
		return err
	}
	for _, table := range pointing {
		if _, err := exec(ctx, tx, "find used keys", fmt.Sprintf(`INSERT INTO keys_used SELECT DISTINCT o.pid, o.version FROM %s o
			JOIN %s l ON l.pid = o.pid AND l.version = o.version WHERE l.keyset = %d`, s.oldTable(), table, s.n)); err != nil {
			return err
		}
	}
	return execAll(ctx, tx, fmt.Sprintf(`DELETE FROM %s o WHERE NOT EXISTS (SELECT 1 FROM keys_used u WHERE u.pid = o.pid AND u.version = o.version)`, s.oldTable()),
		`DROP TABLE keys_used`)
}

// pointingTables lists the ledgers and the staged runs.
func pointingTables(ctx context.Context, tx *sql.Tx) (tables []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database()
		AND ((schema_name = 'staging' AND starts_with(table_name, 'run_')) OR (schema_name = 'main' AND starts_with(table_name, 'ledger_')))`)
	if err != nil {
		return nil, fmt.Errorf("list ledgers and runs: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var schema, table string
		if err := rows.Scan(&schema, &table); err != nil {
			return nil, fmt.Errorf("list ledgers and runs: %w", scrub(ctx, err))
		}
		tables = append(tables, schema+"."+quote(table))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list ledgers and runs: %w", scrub(ctx, err))
	}
	slices.Sort(tables)
	return tables, nil
}
