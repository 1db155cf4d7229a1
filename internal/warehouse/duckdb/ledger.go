package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// The states of a ledger row. A row is one version of one person's keys at one
// target: people whose keys moved may have an old row beside the present one
// until every value of it is taken away.
const (
	stateNone    = ""        // no row
	stateIn      = "in"      // a receipt says the network has it
	stateMaybe   = "maybe"   // sent, outcome unknown
	stateRefused = "refused" // the network refused these keys
	stateShared  = "shared"  // taken away but for the values in held, which others needed
)

// doubted is the delivery time of a row that a plan saw unwanted since it was
// delivered: older than any time that members stay for.
const doubted = -1

// target is the ledger of one target. A fingerprint says which key set it is of
// (keySet.fingerprint), so rows are found by person and fingerprint.
type target struct {
	n int
	// generation is the oldest generation that may still change.
	generation int
}

func (t target) table() string { return fmt.Sprintf("ledger_%d", t.n) }

// findTarget returns a target's ledger, or ErrNotFound when nothing was ever
// staged for it.
func findTarget(ctx context.Context, q queryer, id activation.TargetID) (target, error) {
	var t target
	err := q.QueryRowContext(ctx, `SELECT n, generation FROM targets WHERE id = $1`, string(id)).Scan(&t.n, &t.generation)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, fmt.Errorf("ledger of target %q: %w", id, activation.ErrNotFound)
	case err != nil:
		return t, fmt.Errorf("read target: %w", scrub(ctx, err))
	}
	return t, nil
}

// declareTarget returns a target's ledger, and makes it the first time.
func (d *DB) declareTarget(ctx context.Context, id activation.TargetID) (target, error) {
	t, err := findTarget(ctx, d.sql, id)
	if !errors.Is(err, activation.ErrNotFound) {
		return t, err
	}
	err = d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if t, err = findTarget(ctx, tx, id); !errors.Is(err, activation.ErrNotFound) {
			return err
		}
		n, err := take(ctx, tx, "target", 1)
		if err != nil {
			return err
		}
		t = target{n: int(n)}
		if _, err := exec(ctx, tx, "declare target", `INSERT INTO targets VALUES ($1, $2, 0)`, string(id), t.n); err != nil {
			return err
		}
		return execAll(ctx, tx, fmt.Sprintf(`CREATE TABLE %s (generation INTEGER, pid BIGINT, keyset INTEGER, version INTEGER, fp UUID,
			state VARCHAR, held BIGINT, code VARCHAR, delivered_at BIGINT)`, t.table()))
	})
	return t, err
}

// Holdings counts the people in the ledger of a target's generation, each once
// under the strongest state that any version of their keys has.
func (d *DB) Holdings(ctx context.Context, id activation.TargetID, generation int) (warehouse.Holdings, error) {
	var h warehouse.Holdings
	t, err := findTarget(ctx, d.sql, id)
	if errors.Is(err, activation.ErrNotFound) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	err = d.sql.QueryRowContext(ctx, fmt.Sprintf(`
		SELECT count(*) FILTER (rank = 1), count(*) FILTER (rank = 2), count(*) FILTER (rank = 4), count(*) FILTER (rank = 3)
		FROM (SELECT min(CASE state WHEN 'in' THEN 1 WHEN 'maybe' THEN 2 WHEN 'shared' THEN 3 ELSE 4 END) AS rank
		      FROM %s WHERE generation = $1 GROUP BY pid)`, t.table()), generation).Scan(&h.In, &h.Maybe, &h.Refused, &h.Shared)
	if err != nil {
		return h, fmt.Errorf("count ledger: %w", scrub(ctx, err))
	}
	return h, nil
}

// InRows counts the run's staged rows whose version of the person's keys the
// ledger holds as in.
func (d *DB) InRows(ctx context.Context, run activation.RunID, id activation.TargetID, generation int) (int64, error) {
	t, err := findTarget(ctx, d.sql, id)
	if err != nil {
		return 0, err
	}
	var n int64
	err = d.sql.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM %s l JOIN %s s ON s.pid = l.pid AND s.fp = l.fp
		WHERE l.generation = $1 AND l.state = 'in' AND s.n IS NOT NULL`, t.table(), stagedTable(run)), generation).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count rows of the run in the ledger: %w", scrub(ctx, err))
	}
	return n, nil
}

// Reset forgets the ledger of generations older than this one; late folds of
// them change nothing any more.
func (d *DB) Reset(ctx context.Context, id activation.TargetID, generation int) error {
	t, err := d.declareTarget(ctx, id)
	if err != nil {
		return err
	}
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := exec(ctx, tx, "raise generation", `UPDATE targets SET generation = greatest(generation, $2) WHERE n = $1`, t.n, generation); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "forget old generations", fmt.Sprintf(`DELETE FROM %s WHERE generation < $1`, t.table()), generation); err != nil {
			return err
		}
		return forgetDrift(ctx, tx, t, generation)
	})
}

// countsError says that a count law does not hold.
func countsError(format string, args ...any) error {
	return &activation.Error{Kind: activation.Internal, Code: "COUNTS", Message: fmt.Sprintf(format, args...)}
}
