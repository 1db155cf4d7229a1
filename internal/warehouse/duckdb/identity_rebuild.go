package duckdb

import (
	"context"
	"database/sql"
	"fmt"
)

// What a rebuild keeps of how people are told apart, beside the live tables:
//
//	capped_next(key, pid)   takes the place of capped
//	merge_log_next(…)       what the swap adds to the merge history
//
// On the rebuild's connection a temporary view of capped_next hides capped.

// beginIdentity makes capped_next.
func (r *rebuild) beginIdentity(ctx context.Context) error {
	return r.each(ctx, "note capped values",
		`CREATE OR REPLACE TABLE capped_next (key UHUGEINT, pid BIGINT)`,
		`CREATE OR REPLACE TEMP VIEW capped AS SELECT key, pid FROM capped_next`)
}

// settleCapped brings capped_next in step with what resolve found.
func (r *rebuild) settleCapped(ctx context.Context) error {
	return r.each(ctx, "note capped values",
		`DELETE FROM capped_next WHERE pid IN (SELECT old FROM moved)`,
		`INSERT INTO capped_next SELECT key, pid FROM carried`)
}

// tellIdentity fills merge_log_next with who is merged with and parted from whom
// by the swap. The ingest lock must be held.
func (r *rebuild) tellIdentity(ctx context.Context) error {
	live := quote(r.live) + ".main."
	if err := r.each(ctx, "tell merges", `CREATE OR REPLACE TABLE merge_log_next `+eventColumns, `CREATE OR REPLACE TEMP TABLE events `+eventColumns,
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE person AS
			WITH shifted AS (SELECT i.pid FROM %[1]sidentifiers i JOIN identifiers_next n ON n.key = i.key WHERE n.pid <> i.pid)
			SELECT i.key, i.pid AS known, n.pid FROM %[1]sidentifiers i JOIN identifiers_next n ON n.key = i.key WHERE i.pid IN (SELECT pid FROM shifted)`, live),
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE carried AS SELECT key, pid FROM capped_next WHERE key NOT IN (SELECT key FROM %scapped)`, live),
		`CREATE OR REPLACE TEMP TABLE link AS `+noLinks); err != nil {
		return err
	}
	var told int64
	if err := queryRow(ctx, r.conn, "tell merges", `SELECT (SELECT count(*) FROM person) + (SELECT count(*) FROM carried)`, nil, &told); err != nil || told == 0 {
		return err
	}
	if err := fillRaw(ctx, r.conn, `SELECT DISTINCT known AS pid FROM person`); err != nil {
		return err
	}
	for _, st := range r.sc.sortedStreams() {
		for _, of := range []messages{
			messagesOfRaw(st),
			{from: st.table() + ` m JOIN message_owners_next g ON g.seq = m._seq`, where: `g.pid IN (SELECT pid FROM carried)`},
		} {
			if err := r.link(ctx, st, of); err != nil {
				return err
			}
		}
	}
	if err := tellMerges(ctx, r.conn, r.sc); err != nil {
		return err
	}
	if err := tellCapped(ctx, r.conn, r.sc, live+"capped"); err != nil {
		return err
	}
	return r.each(ctx, "tell merges", `INSERT INTO merge_log_next SELECT * FROM events`)
}

// swapIdentity puts identifiers and capped values in the place of the old ones
// and adds to the merge history, in the transaction of the swap.
func (r *rebuild) swapIdentity(ctx context.Context, tx *sql.Tx) error {
	for _, query := range []string{
		`DROP TABLE identifiers`, `ALTER TABLE identifiers_next RENAME TO identifiers`,
		`DROP TABLE capped`, `ALTER TABLE capped_next RENAME TO capped`,
	} {
		if _, err := exec(ctx, tx, "swap identifiers", query); err != nil {
			return err
		}
	}
	return remember(ctx, tx, "merge_log_next", mergeOrigin{at: r.d.now()})
}
