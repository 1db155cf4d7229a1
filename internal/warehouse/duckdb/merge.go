package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// A slice is a range of line numbers. Its width follows the time the last one
// took, so that nobody waits for the writer longer than about sliceAim. While
// nobody waits slices may take longer, because each costs a good part of a
// second whatever its width: 1,000,000 rows of ten columns cost 15.8 CPU-s in
// slices of 0.4 s and 8.4 in wide ones. Who comes then waits once: the next slice
// is narrow.
const (
	sliceAim   = 250 * time.Millisecond
	quietAim   = 2 * time.Second
	firstSlice = 50_000
	minSlice   = 10_000 // below this the fixed cost of a slice outweighs its rows
	maxSlice   = 250_000
)

// Merge brings one load into streams and profiles, exactly once. Loads may be
// merged side by side: each slice of each is one transaction on the writer, and
// what was merged is recorded in it.
func (d *DB) Merge(ctx context.Context, l warehouse.Load, progress func(rows int64)) (warehouse.LoadResult, error) {
	if progress == nil {
		progress = func(int64) {}
	}
	if err := validateLoad(l); err != nil {
		return warehouse.LoadResult{}, err
	}
	done, err := readLoad(ctx, d.sql, l.ID)
	if err != nil || done.finished {
		return done.result, err
	}
	for l.Rows > 0 {
		opened := d.opened.Load()
		err := d.mergeRows(ctx, l, progress)
		if err == nil {
			break
		}
		if d.opened.Load() == opened || context.Cause(ctx) != nil {
			return warehouse.LoadResult{}, err
		}
		// The file was exchanged, and what was staged of the load went with it.
	}
	return d.finishLoad(ctx, l)
}

func validateLoad(l warehouse.Load) error {
	if l.ID == "" {
		return refuse("id", "a load needs an id")
	}
	for i, c := range l.Columns {
		if c == "" || slices.Contains(l.Columns[:i], c) {
			return refuse(l.Stream, "load %q: its columns must be named and differ", l.ID)
		}
	}
	return nil
}

// mergeRows stages the spool and merges it slice by slice.
func (d *DB) mergeRows(ctx context.Context, l warehouse.Load, progress func(int64)) error {
	st, err := d.loadStream(ctx, l)
	if err != nil {
		return err
	}
	from, err := d.stage(ctx, st, l)
	if err != nil {
		return err
	}
	defer d.unstage(ctx, from)
	var last pace
	for {
		rows, more, this, err := d.mergeSlice(ctx, l, from, last)
		if err != nil {
			return fmt.Errorf("merge load %q: %w", l.ID, err)
		}
		progress(rows)
		if !more {
			return nil
		}
		last = this
	}
}

// pace is how long a slice of some width took. The zero value is that of a load
// that has not had one.
type pace struct {
	width int64
	took  time.Duration
}

// nextWidth is the width of the slice after last. It aims at sliceAim while the
// writer has somebody else to serve, and otherwise at quietAim, where the width
// changes at most twofold: one slow slice says little on a busy machine.
func (d *DB) nextWidth(last pace, urgent bool) int64 {
	hurried := d.hurried() && !urgent
	if last.width == 0 {
		if hurried {
			return min(minSlice, d.maxSlice)
		}
		return min(firstSlice, d.maxSlice)
	}
	aim, least := quietAim, last.width/2
	if hurried {
		aim, least = sliceAim, minSlice
	}
	next := int64(float64(last.width) * float64(aim) / float64(max(last.took, time.Millisecond)))
	next = max(least, min(next, 2*last.width))
	return min(max(minSlice, next), d.maxSlice)
}

// loadStream returns the stream of a load with all its columns. Only where one is
// missing does it wait for the lock.
func (d *DB) loadStream(ctx context.Context, l warehouse.Load) (stream, error) {
	if st, ok := d.state.snapshot().streams[l.Stream]; ok && !slices.ContainsFunc(l.Columns, func(c string) bool { return st.column(c) == "" }) {
		return st, nil
	}
	if err := d.lockIngestAs(ctx, l.Urgent); err != nil {
		return stream{}, err
	}
	defer d.unlockIngest()
	return d.ensureStream(ctx, l.Stream, l.Columns)
}

// mergeSlice merges the next lines. It returns the rows merged so far of the
// whole load, whether there are more, and how long it held the lock.
func (d *DB) mergeSlice(ctx context.Context, l warehouse.Load, from staged, last pace) (rows int64, more bool, this pace, err error) {
	if err := d.lockIngestAs(ctx, l.Urgent); err != nil {
		return 0, false, pace{}, err
	}
	defer d.unlockIngest()
	start, width := d.now(), d.nextWidth(last, l.Urgent) // by who waits now
	err = d.writeAs(ctx, l.Urgent, func(ctx context.Context, tx *sql.Tx) error {
		done, err := readLoad(ctx, tx, l.ID)
		if err != nil {
			return err
		}
		first := max(done.nextLine, from.first)
		rows = done.result.Rows
		if done.finished || first > from.last {
			return nil
		}
		s := slice{d: d, tx: tx, sc: d.state.snapshot(), load: l, from: from, first: first, end: min(first+width, from.last+1), now: d.now()}
		if err := s.run(ctx); err != nil {
			return err
		}
		done.result = done.result.Plus(s.result)
		done.nextLine = s.end
		rows, more = done.result.Rows, s.end <= from.last
		if !more {
			if done.finished, err = s.finishes(ctx, done); err != nil {
				return err
			}
		}
		return done.save(ctx, tx, l.ID)
	})
	return rows, more, pace{width, d.now().Sub(start)}, err
}

// finishes reports whether the load is done with its last slice: all its rows are
// merged, and nobody was made stale, as only reference streams do. It drops the
// record of the load that this one says is settled.
func (s *slice) finishes(ctx context.Context, done loadRecord) (bool, error) {
	if err := settle(ctx, s.tx, s.load); err != nil {
		return false, err
	}
	var stale bool
	if s.st.ReferenceKey != "" {
		if err := queryRow(ctx, s.tx, "look for stale profiles", `SELECT count(*) > 0 FROM stale`, nil, &stale); err != nil {
			return false, err
		}
	}
	return !stale && done.result.Rows == s.load.Rows, nil
}

// settle drops the record of the load that l says is settled.
func settle(ctx context.Context, tx *sql.Tx, l warehouse.Load) error {
	if l.Settled == "" {
		return nil
	}
	_, err := exec(ctx, tx, "settle load", `DELETE FROM loads WHERE id = $1 AND finished`, l.Settled)
	return err
}

// finishLoad derives anew the profiles that look-ups made stale and closes the
// load, unless its last slice has done that.
func (d *DB) finishLoad(ctx context.Context, l warehouse.Load) (warehouse.LoadResult, error) {
	done, err := readLoad(ctx, d.sql, l.ID)
	if err != nil || done.finished {
		return done.result, err
	}
	if err := d.refreshStale(ctx); err != nil {
		return warehouse.LoadResult{}, fmt.Errorf("merge load %q: %w", l.ID, err)
	}
	err = d.writeAs(ctx, l.Urgent, func(ctx context.Context, tx *sql.Tx) error {
		var err error
		if done, err = readLoad(ctx, tx, l.ID); err != nil || done.finished {
			return err
		}
		if done.result.Rows != l.Rows {
			return &activation.Error{Kind: activation.Internal, Code: codeSpool, Message: fmt.Sprintf("load %q merged %d of %d rows", l.ID, done.result.Rows, l.Rows)}
		}
		if err := settle(ctx, tx, l); err != nil { // without rows there was no slice that did
			return err
		}
		done.finished = true
		return done.save(ctx, tx, l.ID)
	})
	return done.result, err
}

// loadRecord is how far a load has come.
type loadRecord struct {
	known    bool
	nextLine int64
	finished bool
	result   warehouse.LoadResult
}

func readLoad(ctx context.Context, q queryer, id string) (loadRecord, error) {
	var r loadRecord
	var result string
	err := q.QueryRowContext(ctx, `SELECT next_line, finished, result FROM loads WHERE id = $1`, id).Scan(&r.nextLine, &r.finished, &result)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read load: %w", scrub(ctx, err))
	}
	if err := json.Unmarshal([]byte(result), &r.result); err != nil {
		return r, fmt.Errorf("read load: %w", err)
	}
	r.known = true
	return r, nil
}

func (r loadRecord) save(ctx context.Context, tx *sql.Tx, id string) error {
	result, err := json.Marshal(r.result)
	if err != nil {
		return fmt.Errorf("record load: %w", err)
	}
	if r.known { // an UPDATE would wait for a save
		if _, err := exec(ctx, tx, "record load", `DELETE FROM loads WHERE id = $1`, id); err != nil {
			return err
		}
	}
	_, err = exec(ctx, tx, "record load", `INSERT INTO loads (id, next_line, finished, result) VALUES ($1, $2, $3, $4)`, id, r.nextLine, r.finished, string(result))
	return err
}
