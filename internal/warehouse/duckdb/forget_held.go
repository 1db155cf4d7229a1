package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Held tells where a network may still hold a forgotten person.
func (d *DB) Held(ctx context.Context, id activation.ForgetID) ([]warehouse.HeldState, error) {
	return heldStates(ctx, d.sql, id)
}

func heldStates(ctx context.Context, q queryer, id activation.ForgetID) (states []warehouse.HeldState, err error) {
	targets, err := allTargets(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		rows, err := q.QueryContext(ctx, fmt.Sprintf(`SELECT generation, coalesce(max(code), '') FROM %s
			WHERE pid IN (SELECT pid FROM forgotten WHERE forget = $1) GROUP BY generation ORDER BY generation`, t.table()), string(id))
		if err != nil {
			return nil, fmt.Errorf("look for who was forgotten: %w", scrub(ctx, err))
		}
		found, err := readHeld(rows, t.id)
		if err != nil {
			return nil, fmt.Errorf("look for who was forgotten: %w", scrub(ctx, err))
		}
		states = append(states, found...)
	}
	return states, nil
}

func readHeld(rows *sql.Rows, id activation.TargetID) (states []warehouse.HeldState, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		s := warehouse.HeldState{Target: id, Held: true}
		if err := rows.Scan(&s.Generation, &s.Code); err != nil {
			return nil, err
		}
		states = append(states, s)
	}
	return states, rows.Err()
}

// namedTarget is a target's ledger with the target's id.
type namedTarget struct {
	target
	id activation.TargetID
}

func allTargets(ctx context.Context, q queryer) (targets []namedTarget, err error) {
	rows, err := q.QueryContext(ctx, `SELECT id, n, generation FROM targets ORDER BY n`)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t namedTarget
		if err := rows.Scan(&t.id, &t.n, &t.generation); err != nil {
			return nil, fmt.Errorf("list targets: %w", scrub(ctx, err))
		}
		targets = append(targets, t)
	}
	return targets, rows.Err()
}

// LetGo drops what the ledger of a target has of a forgotten person.
func (d *DB) LetGo(ctx context.Context, id activation.ForgetID, of activation.TargetID) error {
	t, err := findTarget(ctx, d.sql, of)
	if errors.Is(err, activation.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := exec(ctx, tx, "let go of who was forgotten", `DELETE FROM `+t.table()+` WHERE pid IN (SELECT pid FROM forgotten WHERE forget = $1)`, string(id))
		return err
	})
}

// Told drops the match keys of a forgotten person that were kept for telling
// networks: nothing is sent about them any more. ErrConflict while a ledger has
// them.
func (d *DB) Told(ctx context.Context, id activation.ForgetID) error {
	d.state.audience.staging.Lock()
	defer d.state.audience.staging.Unlock()
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		held, err := heldStates(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(held) > 0 {
			return fmt.Errorf("networks are to be told of who is forgotten: %w", activation.ErrConflict)
		}
		them := fmt.Sprintf(`pid IN (SELECT pid FROM forgotten WHERE forget = %s)`, literal(string(id)))
		tables, err := listTables(ctx, tx, `schema_name = 'staging' AND starts_with(table_name, 'run_')`)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if err := t.blank(ctx, tx, them); err != nil {
				return err
			}
			if _, err := exec(ctx, tx, "blank staged rows", fmt.Sprintf(`UPDATE %s SET fp = %s WHERE fp <> %[2]s AND %[3]s`, t.quoted(), noKeys, them)); err != nil {
				return err
			}
		}
		sets, err := allKeySets(ctx, tx)
		if err != nil {
			return err
		}
		for _, s := range sets {
			if _, err := exec(ctx, tx, "drop keys", `DELETE FROM `+s.oldTable()+` WHERE `+them); err != nil {
				return err
			}
		}
		return nil
	})
}
