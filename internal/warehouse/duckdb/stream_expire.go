package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// expireSome is how many messages are deleted in one transaction.
const expireSome = 200_000

// Expire deletes the messages that were received longer ago than their stream
// keeps them, and returns how many. Look-up rows stay. What profiles were made of
// them stays too, until something derives a profile from its messages anew.
func (d *DB) Expire(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	for _, st := range d.state.snapshot().sortedStreams() {
		if st.RetentionDays <= 0 || st.ReferenceKey != "" {
			continue
		}
		for {
			n, err := d.expireOf(ctx, st, now.AddDate(0, 0, -st.RetentionDays))
			total += n
			if err != nil {
				return total, fmt.Errorf("expire messages of stream %q: %w", st.Name, err)
			}
			if n < expireSome {
				break
			}
		}
	}
	return total, nil
}

func (d *DB) expireOf(ctx context.Context, st stream, before time.Time) (n int64, err error) {
	if err := d.lockIngest(ctx); err != nil {
		return 0, err
	}
	defer d.unlockIngest()
	chosen := fmt.Sprintf(`SELECT _seq FROM %s WHERE _received < %d ORDER BY _seq LIMIT %d`, st.table(), before.UnixMicro(), expireSome)
	err = d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := d.noteLost(ctx, tx, chosen); err != nil {
			return err
		}
		n, err = exec(ctx, tx, "delete messages", `DELETE FROM `+st.table()+` WHERE _seq IN (`+chosen+`)`)
		return err
	})
	return n, err
}
