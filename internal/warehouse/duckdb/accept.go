package duckdb

import (
	"context"
	"database/sql"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Accept puts the people of the accepted rows into an audience whose members are
// given. Who was merged into somebody since is that person now; who is no more
// is left out. Those in it stay, so that telling it again changes nothing.
func (d *DB) Accept(ctx context.Context, id activation.AudienceID, items []warehouse.FoldItem) (entered int64, err error) {
	err = d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		as, err := d.declared(ctx, tx)
		if err != nil {
			return err
		}
		a, err := as.givenOne(id)
		if err != nil {
			return err
		}
		if err := execAll(ctx, tx, `CREATE OR REPLACE TEMP TABLE accepted (pid BIGINT)`); err != nil {
			return err
		}
		todo := make([]int, len(items))
		for i := range items {
			todo[i] = i
		}
		for len(todo) > 0 {
			batch := foldable(items, todo)
			if err := acceptBatch(ctx, tx, items, batch); err != nil {
				return err
			}
			todo = todo[len(batch):]
		}
		if err := execAll(ctx, tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_change AS
			SELECT %[1]d AS audience, pid, 'enter' AS event FROM (SELECT DISTINCT coalesce(m.pid, a.pid) AS pid FROM accepted a LEFT JOIN profile_merges m ON m.old = a.pid)
			WHERE pid IN (SELECT _pid FROM profiles) AND pid NOT IN (SELECT pid FROM membership WHERE audience = %[1]d)`, a.n)); err != nil {
			return err
		}
		if err := queryRow(ctx, tx, "count who enters", `SELECT count(*) FROM member_change`, nil, &entered); err != nil {
			return err
		}
		if err := applyChanges(ctx, tx, d.now()); err != nil {
			return err
		}
		return execAll(ctx, tx, `DROP TABLE accepted`)
	})
	return entered, err
}

// acceptBatch collects the people of the accepted rows of items of one run.
func acceptBatch(ctx context.Context, tx *sql.Tx, items []warehouse.FoldItem, batch []int) error {
	run := items[batch[0]].Run
	if err := haveStaged(ctx, tx, run); err != nil {
		return err
	}
	f := folder{tx: tx, staged: stagedTable(run), items: items, batch: batch}
	if err := f.sent(ctx); err != nil {
		return err
	}
	return execAll(ctx, tx, `INSERT INTO accepted SELECT pid FROM fold_sent WHERE outcome = 'accepted' AND op <> 'remove'`,
		`DROP TABLE fold_items`, `DROP TABLE fold_exceptions`, `DROP TABLE fold_sent`)
}
