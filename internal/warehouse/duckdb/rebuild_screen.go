package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"usher/internal/activation"
)

// The new mappings may find people in messages in which nobody was found before.
// A message that carries an identifier of somebody who was forgotten is deleted
// before it is replayed, and so are those that came, and who was forgotten, while
// the rebuild was under way: nobody comes back by a rebuild.

// screening is what was looked at already.
type screening struct {
	upTo       int64 // messages with lower numbers
	suppressed int64 // identifiers that were kept away then
	refused    []activation.ForgetID
}

// screen deletes the messages of who was forgotten. Merges go on while it looks.
func (r *rebuild) screen(ctx context.Context) error {
	if err := r.erasePending(ctx); err != nil {
		return err
	}
	found, err := r.findForgotten(ctx)
	if err != nil || found == 0 {
		return err
	}
	if err := r.d.lockIngest(ctx); err != nil {
		return err
	}
	defer r.d.unlockIngest()
	return r.dropForgotten(ctx)
}

// screenLast is screen with the ingest lock held. It reports whether somebody is
// still to be erased, for which the lock has to be free.
func (r *rebuild) screenLast(ctx context.Context) (pending bool, err error) {
	ids, err := r.pendingForgets(ctx)
	if err != nil || len(ids) > 0 {
		return len(ids) > 0, err
	}
	found, err := r.findForgotten(ctx)
	if err != nil || found == 0 {
		return false, err
	}
	return false, r.dropForgotten(ctx)
}

// erasePending erases who is suppressed and there: an erasure finds the person by
// messages, which must not be gone before it.
func (r *rebuild) erasePending(ctx context.Context) error {
	ids, err := r.pendingForgets(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		switch _, err := r.d.Erase(ctx, id); {
		case activation.KindOf(err) == activation.Invalid: // which it will be afterwards as well
			r.screened.refused = append(r.screened.refused, id)
		case err != nil && !errors.Is(err, activation.ErrNotFound):
			return err
		}
	}
	return nil
}

func (r *rebuild) pendingForgets(ctx context.Context) (ids []activation.ForgetID, err error) {
	rows, err := r.conn.QueryContext(ctx, `SELECT id FROM forgets WHERE result IS NULL ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list who is to be erased: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id activation.ForgetID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list who is to be erased: %w", scrub(ctx, err))
		}
		if !slices.Contains(r.screened.refused, id) {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}

// findForgotten collects the messages of who was forgotten: those that came since
// it last looked, or all where somebody was forgotten since.
func (r *rebuild) findForgotten(ctx context.Context) (found int64, err error) {
	at, err := readCounters(ctx, r.conn)
	if err != nil {
		return 0, err
	}
	known, err := r.d.Suppressed(ctx)
	if err != nil {
		return 0, err
	}
	from := r.screened.upTo
	if known != r.screened.suppressed {
		from = 0
	}
	if err := r.readSchema(); err != nil {
		return 0, err
	}
	if err := r.each(ctx, "find who was forgotten", `CREATE OR REPLACE TABLE forgotten_next (stream INTEGER, seq BIGINT)`); err != nil {
		return 0, err
	}
	for _, st := range r.sc.sortedStreams() {
		if st.ReferenceKey != "" {
			continue
		}
		query, args := r.d.suppressedMessages(r.compiled[st.Name], messages{from: st.table() + ` m`, where: fmt.Sprintf(`m._seq >= %d AND m._seq < %d`, from, at.message)})
		if query == "" {
			continue
		}
		n, err := exec(ctx, r.conn, "find who was forgotten", fmt.Sprintf(`INSERT INTO forgotten_next SELECT %d, seq FROM (%s)`, st.n, query), args...)
		if err != nil {
			return 0, err
		}
		found += n
	}
	r.screened.upTo, r.screened.suppressed = at.message, known
	return found, nil
}

// dropForgotten deletes what findForgotten found. The ingest lock must be held.
func (r *rebuild) dropForgotten(ctx context.Context) error {
	return r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := r.d.noteLost(ctx, tx, `SELECT seq FROM forgotten_next`); err != nil {
			return err
		}
		for _, st := range r.sc.sortedStreams() {
			if _, err := exec(ctx, tx, "drop who was forgotten", fmt.Sprintf(`DELETE FROM %s WHERE _seq IN (SELECT seq FROM forgotten_next WHERE stream = %d)`, st.table(), st.n)); err != nil {
				return err
			}
		}
		return nil
	})
}
