package duckdb

import (
	"context"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// StagedView shows up to limit staged rows of a range without any value: which
// person, what is asked of the network, and which keys the row carries. Held
// names the keys that a removal leaves out because another member holds them.
func (d *DB) StagedView(ctx context.Context, run activation.RunID, first, last int64, limit int) (view []warehouse.StagedRow, err error) {
	s, err := d.stagedRun(ctx, warehouse.Range{Run: run, First: first, Last: last})
	if err != nil {
		return nil, err
	}
	sets, err := allKeySets(ctx, d.sql)
	if err != nil {
		return nil, err
	}
	return viewRows(ctx, d.sql, s.keys, sets, s.table, first, last, limit)
}

// sampleRows is how many rows of a segment a dry run shows.
const sampleRows = 5

// sample shows the first rows of each segment.
func (p *planner) sample(ctx context.Context, table string, segments []warehouse.Segment) (view []warehouse.StagedRow, err error) {
	for _, s := range segments {
		rows, err := viewRows(ctx, p.tx, p.keys, p.sets, table, s.First, s.Last, sampleRows)
		if err != nil {
			return nil, err
		}
		view = append(view, rows...)
	}
	return view, nil
}

func viewRows(ctx context.Context, q queryer, keys keySet, sets map[int]keySet, table string, first, last int64, limit int) (view []warehouse.StagedRow, err error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf(`SELECT n, op, pid, keyset, held, %s FROM %s WHERE n BETWEEN $1 AND $2 ORDER BY n LIMIT $3`,
		keys.each("k%d IS NOT NULL", ", "), table), first, last, limit)
	if err != nil {
		return nil, fmt.Errorf("view staged rows: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r warehouse.StagedRow
		present := make([]bool, len(keys.columns))
		var set, held int
		dest := []any{&r.Ordinal, &r.Op, &r.Profile, &set, &held}
		for i := range present {
			dest = append(dest, &present[i])
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, fmt.Errorf("view staged rows: %w", scrub(ctx, err))
		}
		for i, c := range keys.columns {
			if present[i] {
				r.Keys = append(r.Keys, c.Name)
			}
			// A mask counts the columns of the set that the row was sent with.
			if held&bit(sets[set].column(c.Name)) != 0 {
				r.Held = append(r.Held, c.Name)
			}
		}
		view = append(view, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("view staged rows: %w", scrub(ctx, err))
	}
	return view, nil
}
