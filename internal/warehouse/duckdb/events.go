package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// Events are staged from an append-only log: the messages of a stream by their
// _seq, or the changes of an audience by their seq. How far a target has come is
// its cursor:
//
//	seq      the last event that was looked at
//	began    up to here only what is still there counts: the beginning with a backfill
//	run      who staged last, behind the place before
//	earlier  the runs before it of which rows may be lost yet, as JSON
//	job      whose beginning it is; another job begins anew
//	start    where it began: all up to here is from before the job
//
// It advances in the transaction that writes the rows, so that an event is in
// the rows of one run or waits, whatever crashes. A run that was staged and
// never queued is found by Again, and the next one begins where that one did.
// Rows that were queued and will never be sent are found by it too, whichever run
// they are of: the next run begins with them. Events that wait for their person
// lie beside the cursor (events_wait.go).

// event is the relation a run reads: what waits behind a place in the log.
type event struct {
	// from is a SELECT of seq, happened, received, pid and what of the event the
	// sources name, with a %s for the condition on seq and a %d for the most rows;
	// rest counts what waits, with a %s for the condition.
	from, rest string
	// seq is the highest number in the log.
	seq int64
	// source is what a setting names, as SQL over e (from) and p (profiles).
	source func(name string, key matchkey.Key) (string, error)
}

// cursor is how far the events of a target were staged.
type cursor struct {
	known      bool
	job        string
	seq, began int64
	run        activation.RunID
	before     int64
	earlier    []earlier
	// start is unknown of a cursor that was made before it was kept.
	start sql.NullInt64
}

func findCursor(ctx context.Context, q queryer, t activation.TargetID) (c cursor, err error) {
	var runs string
	err = q.QueryRowContext(ctx, `SELECT job, seq, began, run, before, earlier, start FROM event_cursors WHERE target = $1`, string(t)).
		Scan(&c.job, &c.seq, &c.began, &c.run, &c.before, &runs, &c.start)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, nil
	case err != nil:
		return c, fmt.Errorf("read event cursor: %w", scrub(ctx, err))
	}
	c.known = true
	c.earlier, err = readEarlier(runs)
	return c, err
}

func (c cursor) save(ctx context.Context, q queryer, t activation.TargetID) error {
	if _, err := exec(ctx, q, "advance event cursor", `DELETE FROM event_cursors WHERE target = $1`, string(t)); err != nil {
		return err
	}
	runs, err := writeEarlier(c.earlier)
	if err != nil {
		return fmt.Errorf("advance event cursor: %w", err)
	}
	_, err = exec(ctx, q, "advance event cursor", `INSERT INTO event_cursors (target, job, seq, began, run, before, earlier, start) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		string(t), c.job, c.seq, c.began, string(c.run), c.before, runs, c.start)
	return err
}

// StageEvents reads what waits in one snapshot, computes its keys and writes the
// rows on a connection of its own, so that merges go on meanwhile.
func (d *DB) StageEvents(ctx context.Context, r warehouse.EventRequest, stage func(activation.Stage)) (warehouse.Plan, error) {
	if stage == nil {
		stage = func(activation.Stage) {}
	}
	d.state.audience.staging.RLock() // nobody is forgotten meanwhile, nor the file exchanged
	defer d.state.audience.staging.RUnlock()
	stage(activation.StagePayload)
	s, err := d.eventStager(ctx, r)
	if err != nil {
		return warehouse.Plan{}, err
	}
	s.stage = stage
	if r.Wait {
		defer d.state.ready.distrust()
	}
	err = s.reading(ctx, func() error {
		return d.onOwnConnection(ctx, func(conn *sql.Conn) error {
			return inTx(ctx, conn, func(tx *sql.Tx) error {
				stage(activation.StageStaging)
				if err := s.write(ctx, conn, tx, "TABLE "+stagedTable(r.Run), "staging", "run_"+string(r.Run)); err != nil {
					return err
				}
				if s.history() {
					return nil
				}
				if err := s.keepWaiting(ctx, conn, tx); err != nil {
					return err
				}
				return s.next().save(ctx, tx, r.Target)
			})
		})
	})
	if err != nil {
		return warehouse.Plan{}, err
	}
	d.staged(ctx)
	return s.plan, nil
}

// DryRunEvents stages into a temporary table.
func (d *DB) DryRunEvents(ctx context.Context, r warehouse.EventRequest) (warehouse.Plan, error) {
	s, err := d.eventStager(ctx, r)
	if err != nil {
		return warehouse.Plan{}, err
	}
	err = s.reading(ctx, func() error {
		return d.onOwnConnection(ctx, func(conn *sql.Conn) error {
			return inTx(ctx, conn, func(tx *sql.Tx) error {
				if err := s.write(ctx, conn, tx, "TEMP TABLE plan_staged", "", "plan_staged"); err != nil {
					return err
				}
				if s.plan.Counts.Staged > 0 {
					if s.plan.Sample, err = viewRows(ctx, tx, s.keys, map[int]keySet{s.keys.n: s.keys}, "plan_staged", 1, s.plan.Counts.Staged, sampleRows); err != nil {
						return err
					}
				}
				return execAll(ctx, tx, "DROP TABLE plan_staged")
			})
		})
	})
	if err != nil {
		return warehouse.Plan{}, err
	}
	return s.plan, nil
}

// StreamSeq returns the highest message number per stream. It looks only when a
// message has come since it looked last.
func (d *DB) StreamSeq(ctx context.Context) (map[string]int64, error) {
	seen := &d.state.streamSeq
	seen.mu.Lock()
	defer seen.mu.Unlock()
	var next int64
	if err := queryRow(ctx, d.sql, "read message counter", `SELECT next FROM counters WHERE name = 'message'`, nil, &next); err != nil {
		return nil, err
	}
	if next != seen.next {
		all := map[string]int64{}
		for _, st := range d.state.snapshot().sortedStreams() {
			var seq int64
			if err := queryRow(ctx, d.sql, "read message numbers", `SELECT coalesce(max(_seq), 0) FROM `+st.table(), nil, &seq); err != nil {
				return nil, err
			}
			all[st.Name] = seq
		}
		seen.next, seen.all = next, all
	}
	out := make(map[string]int64, len(seen.all))
	for name, seq := range seen.all {
		out[name] = seq
	}
	return out, nil
}

// ForgetEvents forgets how far the events of a target were staged, and those
// that wait there.
func (d *DB) ForgetEvents(ctx context.Context, t activation.TargetID) error {
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := exec(ctx, tx, "forget event cursor", `DELETE FROM event_cursors WHERE target = $1`, string(t)); err != nil {
			return err
		}
		_, err := exec(ctx, tx, "forget waiting events", `DELETE FROM waiting_events WHERE target = $1`, string(t))
		return err
	})
}
