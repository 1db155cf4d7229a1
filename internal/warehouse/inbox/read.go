package inbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"usher/internal/activation"
)

// Load returns one load, or ErrNotFound.
func (b *Inbox) Load(ctx context.Context, id string) (Load, error) {
	l, err := b.listedLoad(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		l, err = b.waitingLoad(ctx, id)
	}
	if errors.Is(err, sql.ErrNoRows) { // it may have been merged between the two
		l, err = b.listedLoad(ctx, id)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return Load{}, fmt.Errorf("load %q: %w", id, activation.ErrNotFound)
	}
	if err != nil {
		return Load{}, fmt.Errorf("read load: %w", err)
	}
	return l, nil
}

func (b *Inbox) listedLoad(ctx context.Context, id string) (Load, error) {
	return b.scan(b.db.QueryRowContext(ctx, `SELECT `+columns+` FROM loads WHERE id = $1`, id))
}

// Pending returns up to limit loads that wait to be merged, in the order of
// acceptance.
func (b *Inbox) Pending(ctx context.Context, limit int) ([]Load, error) {
	return b.list(ctx, `SELECT `+columns+` FROM loads WHERE status = 'pending' ORDER BY n LIMIT $1`, limit)
}

// Next returns the first pending load of a stream that is not in except; ok is
// false when there is none.
func (b *Inbox) Next(ctx context.Context, except []string) (l Load, ok bool, err error) {
	list, err := json.Marshal(append([]string{}, except...))
	if err != nil {
		return Load{}, false, fmt.Errorf("next load: %w", err)
	}
	l, err = b.scan(b.db.QueryRowContext(ctx, `SELECT `+columns+` FROM loads
		WHERE status = 'pending' AND stream NOT IN (SELECT value FROM json_each($1)) ORDER BY n LIMIT 1`, string(list)))
	if errors.Is(err, sql.ErrNoRows) {
		return Load{}, false, nil
	}
	if err != nil {
		return Load{}, false, fmt.Errorf("next load: %w", err)
	}
	return l, true, nil
}

// Recent returns up to limit loads of a stream, newest first; an empty stream
// means all of them.
func (b *Inbox) Recent(ctx context.Context, stream string, limit int) ([]Load, error) {
	if stream == "" {
		return b.list(ctx, `SELECT `+columns+` FROM loads ORDER BY n DESC LIMIT $1`, limit)
	}
	return b.list(ctx, `SELECT `+columns+` FROM loads WHERE stream = $1 ORDER BY n DESC LIMIT $2`, stream, limit)
}

// Backlog returns how many loads and rows wait to be merged.
func (b *Inbox) Backlog(ctx context.Context) (loads, rows int64, err error) {
	err = b.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(row_count), 0) FROM loads WHERE status = 'pending'`).Scan(&loads, &rows)
	if err != nil {
		return 0, 0, fmt.Errorf("count pending loads: %w", err)
	}
	return loads, rows, nil
}

func (b *Inbox) list(ctx context.Context, query string, args ...any) (out []Load, err error) {
	rows, err := b.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list loads: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		l, err := b.scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list loads: %w", err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

func (b *Inbox) scan(row interface{ Scan(dest ...any) error }) (Load, error) {
	var (
		l                  Load
		file, cols, result string
		received           int64
		finished           sql.NullInt64
	)
	err := row.Scan(&l.Number, &l.ID, &l.Stream, &file, &cols, &l.Rows, &l.Rejected, &l.Bytes, &l.Filename, &l.ContentType,
		&received, &l.Status, &l.Attempts, &l.ErrorCode, &l.Error, &result, &finished)
	if err != nil {
		return Load{}, err
	}
	if err := json.Unmarshal([]byte(cols), &l.Columns); err != nil {
		return Load{}, err
	}
	if err := json.Unmarshal([]byte(result), &l.Result); err != nil {
		return Load{}, err
	}
	if file != "" {
		l.Path = filepath.Join(b.spool, file)
	}
	l.ReceivedAt = time.UnixMicro(received).UTC()
	if finished.Valid {
		l.FinishedAt = time.UnixMicro(finished.Int64).UTC()
	}
	return l, nil
}

// files returns the spool files that a load still needs.
func (b *Inbox) files(ctx context.Context) (names map[string]bool, err error) {
	rows, err := b.db.QueryContext(ctx, `SELECT file FROM loads WHERE status <> 'merged' AND file <> ''`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names = map[string]bool{}
	for rows.Next() {
		var f string
		if err := rows.Scan(&f); err != nil {
			return nil, err
		}
		names[f] = true
	}
	return names, rows.Err()
}
