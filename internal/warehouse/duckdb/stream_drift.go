package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/warehouse"
)

// What a stream brings is watched load by load, in the transaction of the slice:
//
//	stream_seen(stream, name, loads)   in how many loads each column was; name '' counts the loads
//	stream_drift(stream, kind, name, since, load, count, total, settled)   what changed
//
// A column that no load had before, and that nothing declared names, is new. One
// that every load had, that a mapping reads, and that a load comes without is
// missing; one that came and went before is optional. Values of a field that
// cannot be read are told when they are a share of unparsedShare or more, and
// again after they were accepted only where they have doubled. Loads that come in
// real time carry the columns their messages happen to have: they are asked for
// new ones alone.

// unparsedShare is the share of unreadable values from which on they are told.
const unparsedShare = 0.01

// noteColumns compares the columns of a load with those of the loads before it.
func (s *slice) noteColumns(ctx context.Context) error {
	if s.first != s.from.first {
		return nil
	}
	seen, err := s.columnsSeen(ctx)
	if err != nil {
		return err
	}
	loads := seen[""]
	if loads > 0 {
		declared := s.declaredColumns(false)
		for _, c := range s.load.Columns {
			if _, known := seen[c]; !known && !slices.Contains(declared, c) {
				if err := s.drifted(ctx, warehouse.Drifting{Kind: "new_column", Column: c}); err != nil {
					return err
				}
			}
		}
	}
	if !s.load.Urgent {
		for _, c := range s.declaredColumns(true) {
			if n, known := seen[c]; known && n == loads && loads > 0 && !slices.Contains(s.load.Columns, c) {
				if err := s.drifted(ctx, warehouse.Drifting{Kind: "missing_column", Column: c}); err != nil {
					return err
				}
			}
		}
	}
	return s.countColumns(ctx, seen)
}

func (s *slice) columnsSeen(ctx context.Context) (map[string]int64, error) {
	rows, err := s.tx.QueryContext(ctx, `SELECT name, loads FROM stream_seen WHERE stream = $1`, s.st.n)
	if err != nil {
		return nil, fmt.Errorf("read columns seen: %w", scrub(ctx, err))
	}
	defer rows.Close()
	seen := make(map[string]int64)
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, fmt.Errorf("read columns seen: %w", scrub(ctx, err))
		}
		seen[name] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read columns seen: %w", scrub(ctx, err))
	}
	return seen, nil
}

// countColumns counts a load and its columns. A load in real time only makes its
// columns known.
func (s *slice) countColumns(ctx context.Context, seen map[string]int64) error {
	var missing []string
	for _, c := range append([]string{""}, s.load.Columns...) {
		if _, known := seen[c]; !known {
			missing = append(missing, fmt.Sprintf("(%d, %s, 0)", s.st.n, literal(c)))
		}
	}
	if len(missing) > 0 {
		if _, err := s.exec(ctx, "count columns", `INSERT INTO stream_seen VALUES `+strings.Join(missing, ", ")); err != nil {
			return err
		}
	}
	if s.load.Urgent && seen[""] > 0 {
		return nil
	}
	names := []string{literal("")}
	for _, c := range s.load.Columns {
		names = append(names, literal(c))
	}
	which := fmt.Sprintf(`stream = %d AND name IN (%s)`, s.st.n, strings.Join(names, ", "))
	return replaceRows(ctx, s.tx, "count columns", `stream_seen`, which, `SELECT stream, name, loads + 1 FROM stream_seen WHERE `+which)
}

// declaredColumns are the columns that something declared names, or only those
// that mappings of the stream read.
func (s *slice) declaredColumns(mapped bool) []string {
	var columns []string
	if !mapped {
		columns = append(columns, s.st.MessageID...)
		columns = append(columns, s.st.TimestampField, s.st.ReferenceKey)
	}
	for _, m := range s.sc.Declared.Mappings {
		if !mapped || m.Stream == s.st.Name {
			columns = append(columns, columnsRead(m, s.st.Name)...)
		}
	}
	slices.Sort(columns)
	return slices.Compact(columns)
}

// noteUnparsed tells of fields whose values cannot be read.
func (s *slice) noteUnparsed(ctx context.Context) error {
	for _, m := range s.mappings.fields {
		n := s.result.Unparsed[m.field.Name]
		if n == 0 {
			continue
		}
		d := warehouse.Drifting{Kind: "unparsed", Field: m.field.Name, Count: n}
		if err := queryRow(ctx, s.tx, "count values", fmt.Sprintf(`SELECT %d + count(*) FILTER ((%s) IS NOT NULL) `, n, m.value)+newMessages.clause(s.mappings.joins()), nil, &d.Of); err != nil {
			return err
		}
		if float64(d.Count) < unparsedShare*float64(d.Of) {
			continue
		}
		if err := s.drifted(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// drifted records a change, unless it is known.
func (s *slice) drifted(ctx context.Context, d warehouse.Drifting) error {
	name := d.Column + d.Field
	var known bool
	if err := queryRow(ctx, s.tx, "record drift", `SELECT count(*) > 0 FROM stream_drift WHERE stream = $1 AND kind = $2 AND name = $3
		AND (NOT settled OR kind <> 'unparsed' OR $4::DOUBLE * total < 2 * count::DOUBLE * $5::DOUBLE)`,
		[]any{s.st.n, d.Kind, name, float64(d.Count), float64(d.Of)}, &known); err != nil || known {
		return err
	}
	d.Since, d.Load = s.now.UTC().Truncate(time.Microsecond), s.load.ID
	if _, err := s.exec(ctx, "record drift", `DELETE FROM stream_drift WHERE stream = $1 AND kind = $2 AND name = $3`, s.st.n, d.Kind, name); err != nil {
		return err
	}
	if _, err := s.exec(ctx, "record drift", `INSERT INTO stream_drift VALUES ($1, $2, $3, $4, $5, $6, $7, false)`,
		s.st.n, d.Kind, name, d.Since.UnixMicro(), d.Load, d.Count, d.Of); err != nil {
		return err
	}
	s.result.Drift = append(s.result.Drift, d)
	return nil
}

// StreamDrift returns what changed in what a stream brings, newest first.
func (d *DB) StreamDrift(ctx context.Context, name string) ([]warehouse.Drifting, error) {
	st, ok := d.state.snapshot().streams[name]
	if !ok {
		return nil, warehouse.NoStream()
	}
	rows, err := d.sql.QueryContext(ctx, `SELECT kind, name, since, load, count, total FROM stream_drift WHERE stream = $1 AND NOT settled ORDER BY since DESC, kind, name`, st.n)
	if err != nil {
		return nil, fmt.Errorf("read drift: %w", scrub(ctx, err))
	}
	defer rows.Close()
	var out []warehouse.Drifting
	for rows.Next() {
		var f warehouse.Drifting
		var what string
		var since int64
		if err := rows.Scan(&f.Kind, &what, &since, &f.Load, &f.Count, &f.Of); err != nil {
			return nil, fmt.Errorf("read drift: %w", scrub(ctx, err))
		}
		f.Since = time.UnixMicro(since).UTC()
		if f.Kind == "unparsed" {
			f.Field = what
		} else {
			f.Column = what
		}
		out = append(out, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read drift: %w", scrub(ctx, err))
	}
	return out, nil
}

// SettleDrift accepts what a stream brings now.
func (d *DB) SettleDrift(ctx context.Context, name string) error {
	st, ok := d.state.snapshot().streams[name]
	if !ok {
		return warehouse.NoStream()
	}
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := exec(ctx, tx, "settle drift", `DELETE FROM stream_drift WHERE stream = $1 AND kind <> 'unparsed'`, st.n); err != nil {
			return err
		}
		_, err := exec(ctx, tx, "settle drift", `UPDATE stream_drift SET settled = true WHERE stream = $1`, st.n)
		return err
	})
}
