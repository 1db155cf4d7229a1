package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	driverduck "github.com/duckdb/duckdb-go/v2"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// rowSlice is how many staged rows are read at a time: a result is in memory as
// a whole, and a slice of 16,384 rows of a few keys is a few megabytes.
const rowSlice = 16_384

// Rows reads staged rows in order. The rows of a range lie together, so a read
// touches only them. With recheck each row is compared with who is wanted now.
func (d *DB) Rows(ctx context.Context, r warehouse.Range, recheck bool, fn func(warehouse.KeyRow) error) error {
	s, err := d.stagedRun(ctx, r)
	if err != nil {
		return err
	}
	var wants wanting
	if recheck {
		if wants, err = stagedWants(ctx, d.sql, r.Run, s.audience); err != nil {
			return err
		}
	}
	read := int64(0)
	for first := r.First; first <= r.Last; first += rowSlice {
		query := s.plainQuery(first, min(r.Last, first+rowSlice-1))
		if recheck {
			query = s.recheckQuery(wants, first, min(r.Last, first+rowSlice-1))
		}
		n, err := d.readRows(ctx, query, len(s.keys.columns), fn)
		if err != nil {
			return err
		}
		read += n
	}
	if want := r.Last - r.First + 1; read != want {
		return countsError("%d of %d staged rows are there", read, want)
	}
	return nil
}

// stagedRun is what all rows of a run have in common.
type stagedRun struct {
	table    string
	keys     keySet
	audience int
}

func (d *DB) stagedRun(ctx context.Context, r warehouse.Range) (stagedRun, error) {
	s := stagedRun{table: stagedTable(r.Run)}
	var present int
	err := d.sql.QueryRowContext(ctx, fmt.Sprintf(`SELECT present, audience FROM %s WHERE n = $1`, s.table), r.First).Scan(&present, &s.audience)
	switch {
	case errors.Is(err, sql.ErrNoRows) || missingTable(err):
		return s, fmt.Errorf("staged rows of run %q: %w", r.Run, activation.ErrNotFound)
	case err != nil:
		return s, fmt.Errorf("read staged rows: %w", scrub(ctx, err))
	}
	sets, err := allKeySets(ctx, d.sql)
	s.keys = sets[present]
	return s, err
}

func (s stagedRun) plainQuery(first, last int64) string {
	return fmt.Sprintf(`SELECT n, pid, false, %s FROM %s WHERE n BETWEEN %d AND %d ORDER BY n`, s.keys.each("k%d", ", "), s.table, first, last)
}

// recheckQuery marks rows that are no longer wanted: an add of somebody who is
// not wanted any more; the removal of somebody who is again and has keys; a
// removal of a value that somebody wanted holds now.
func (s stagedRun) recheckQuery(wants wanting, first, last int64) string {
	members := fmt.Sprintf(`(SELECT pid FROM membership WHERE audience = %d AND %s)`, wants.audience, wants.condition())
	with := fmt.Sprintf(`WITH s AS MATERIALIZED (SELECT * FROM %s WHERE n BETWEEN %d AND %d),
		m AS MATERIALIZED (SELECT pid FROM %s WHERE pid IN (SELECT pid FROM s)),
		u AS MATERIALIZED (SELECT pid FROM %s WHERE fp <> %s AND pid IN (SELECT pid FROM m))`,
		s.table, first, last, members, s.keys.table(), noKeys)
	stale := []string{`(plain AND pid IN (SELECT pid FROM u))`}
	for _, i := range s.keys.identifying() {
		with += fmt.Sprintf(`,
		h%[1]d AS MATERIALIZED (SELECT DISTINCT k.k%[1]d AS v FROM %[2]s k
			JOIN (SELECT DISTINCT k%[1]d AS v FROM s WHERE op = 'remove' AND k%[1]d IS NOT NULL) o ON o.v = k.k%[1]d WHERE k.pid IN %[3]s)`,
			i, s.keys.table(), members)
		stale = append(stale, fmt.Sprintf(`coalesce(k%[1]d IN (SELECT v FROM h%[1]d), false)`, i))
	}
	return fmt.Sprintf(`%s SELECT n, pid, CASE WHEN op = 'remove' THEN %s ELSE pid NOT IN (SELECT pid FROM m) END, %s FROM s ORDER BY n`,
		with, strings.Join(stale, " OR "), s.keys.each("k%d", ", "))
}

func (d *DB) readRows(ctx context.Context, query string, keys int, fn func(warehouse.KeyRow) error) (read int64, err error) {
	rows, err := d.sql.QueryContext(ctx, query)
	if err != nil {
		return 0, fmt.Errorf("read staged rows: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := warehouse.KeyRow{Values: make([][]byte, keys)}
	raw := make([]sql.RawBytes, keys)
	dest := []any{&row.Ordinal, &row.Profile, &row.Stale}
	for i := range raw {
		dest = append(dest, &raw[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return read, fmt.Errorf("read staged rows: %w", scrub(ctx, err))
		}
		for i, v := range raw {
			row.Values[i] = v
		}
		if err := fn(row); err != nil {
			return read, err
		}
		read++
	}
	if err := rows.Err(); err != nil {
		return read, fmt.Errorf("read staged rows: %w", scrub(ctx, err))
	}
	return read, nil
}

// missingTable reports whether err says that a table is not there.
func missingTable(err error) bool {
	var e *driverduck.Error
	return errors.As(err, &e) && e.Type == driverduck.ErrorTypeCatalog
}
