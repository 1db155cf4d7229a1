package duckdb

import (
	"context"
	"database/sql"
	"fmt"

	"usher/internal/activation"
)

// A run that replaces all members stages everybody wanted as an add, whatever
// the ledger says, because the network drops whom it is not sent. Its rows carry
// replacing where a removal carries the mask of what it holds back. What of them
// is not accepted is not at the network any more once the run is through: the
// fold makes such rows maybe and doubted (nextState), and Replaced drops them.
// When the run is cut, Doubt leaves all to the next ordinary run.

// replacing marks the staged rows of a run that replaces all members; no key has
// this bit in a mask.
const replacing = 1 << 62

// replaceRows collects what a run that replaces all members stages.
func (p *planner) replaceRows(ctx context.Context) error {
	return p.exec(ctx, "collect rows", `CREATE OR REPLACE TEMP TABLE plan_rows AS
		SELECT 1 AS phase, 'add' AS op, true AS plain, k.pid, %d AS keyset, k.version, k.fp, l.state AS prior, %d::BIGINT AS held, %s
		FROM %s k LEFT JOIN %s l ON l.pid = k.pid AND l.fp = k.fp WHERE k.fp <> %s AND k.pid IN %s`,
		p.keys.n, replacing, p.keys.each("k.k%d", ", "), p.present, p.ledger(), noKeys, p.members())
}

// replaceSources count the people of a run that replaces all members. Those who
// came after the keys were refreshed have none yet: they are left to the next run.
func (p *planner) replaceSources() countSources {
	return countSources{
		deferred:  fmt.Sprintf(`SELECT count(*) FROM %s WHERE pid NOT IN (SELECT pid FROM %s)`, p.members(), p.present),
		omitted:   fmt.Sprintf(`SELECT count(*) FROM %s WHERE fp = %s AND pid IN %s`, p.present, noKeys, p.members()),
		unchanged: `SELECT 0`,
		holding:   fmt.Sprintf(`SELECT count(DISTINCT pid) FROM %s`, p.held()),
	}
}

// dropped counts the people whom the network may hold and is not sent.
func (p *planner) dropped() string {
	return fmt.Sprintf(`SELECT count(DISTINCT pid) FROM %s WHERE pid NOT IN (SELECT pid FROM plan_rows)`, p.held())
}

// Replaced drops the ledger rows of everybody whom the run did not stage, or
// whom the network did not take. It is recorded like a fold, so that a run told
// of again cannot drop whom a later one added.
func (d *DB) Replaced(ctx context.Context, run activation.RunID, id activation.TargetID, generation int) (left int64, err error) {
	err = d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		left, err = replaced(ctx, tx, run, id, generation)
		return err
	})
	return left, err
}

func replaced(ctx context.Context, tx *sql.Tx, run activation.RunID, id activation.TargetID, generation int) (left int64, err error) {
	record := "replaced:" + string(run)
	var done int64
	if err := queryRow(ctx, tx, "look for a replacement", `SELECT count(*), coalesce(max(left_in), 0) FROM folded WHERE item = $1`, []any{record}, &done, &left); err != nil || done > 0 {
		return left, err
	}
	t, err := findTarget(ctx, tx, id)
	if err != nil {
		return 0, err
	}
	if generation >= t.generation {
		if left, err = t.dropUnsent(ctx, tx, run, generation); err != nil {
			return 0, err
		}
	}
	_, err = exec(ctx, tx, "record a replacement", `INSERT INTO folded VALUES ($1, 0, 0, $2)`, record, left)
	return left, err
}

// dropUnsent drops what the network dropped, and counts the people who left.
func (t target) dropUnsent(ctx context.Context, tx *sql.Tx, run activation.RunID, generation int) (left int64, err error) {
	if err := haveStaged(ctx, tx, run); err != nil {
		return 0, err
	}
	var before, after int64
	count := fmt.Sprintf(`SELECT count(DISTINCT pid) FROM %s WHERE generation = %d AND state IN ('in', 'maybe')`, t.table(), generation)
	if err := queryRow(ctx, tx, "count the ledger", count, nil, &before); err != nil {
		return 0, err
	}
	if _, err := exec(ctx, tx, "drop who was not sent", fmt.Sprintf(`DELETE FROM %[1]s l WHERE l.generation = %[2]d AND (
		(l.state = 'maybe' AND l.delivered_at = %[3]d)
		OR NOT EXISTS (SELECT 1 FROM %[4]s s WHERE s.n IS NOT NULL AND s.pid = l.pid AND s.fp = l.fp))`, t.table(), generation, doubted, stagedTable(run))); err != nil {
		return 0, err
	}
	err = queryRow(ctx, tx, "count the ledger", count, nil, &after)
	return before - after, err
}

// haveStaged returns ErrNotFound where the staged rows of a run are gone.
func haveStaged(ctx context.Context, q queryer, run activation.RunID) error {
	var n int64
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+stagedTable(run)).Scan(&n)
	switch {
	case missingTable(err):
		return fmt.Errorf("staged rows of run %q: %w", run, activation.ErrNotFound)
	case err != nil:
		return fmt.Errorf("look for staged rows: %w", scrub(ctx, err))
	}
	return nil
}

// Doubt makes every row that is in a maybe.
func (d *DB) Doubt(ctx context.Context, id activation.TargetID, generation int) error {
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		t, err := findTarget(ctx, tx, id)
		if err != nil {
			return err
		}
		_, err = exec(ctx, tx, "doubt the ledger", fmt.Sprintf(`UPDATE %s SET state = 'maybe' WHERE generation = $1 AND state = 'in'`, t.table()), generation)
		return err
	})
}
