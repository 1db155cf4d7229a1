package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"sync"

	driverduck "github.com/duckdb/duckdb-go/v2"

	"usher/internal/activation"
)

// Events that wait for their person: those that a staging looked at, whose person
// nobody knew or had no usable key. waiting_events has them, beside the cursor of
// their target:
//
//	target, stream, seq, happened   which event; stream is empty where an audience feeds the target
//	pid, looked    its person and the merge that had changed them last, when it was looked at last; 0 = nobody
//	keyset         the key set it was looked at with; 0 = it had keys, and more were not allowed to be staged
//	added, taken   the run that let it wait, and the one that staged or omitted it
//
// Which run did what is kept until it is known to have queued its rows, as with
// the cursor: what a run that never queued has added goes, since the next one
// looks at the same events, and what it has taken waits again. A row that was
// taken stays until nothing more can be lost of the run that took it.
//
// An event is looked at again when its message has another person or none any
// more, that person has changed, the columns of the target have changed, or it
// has become too old. One whose message was corrected goes: the correction is an
// event of its own.

// outcome is what became of one event that waited, or begins to.
type outcome struct {
	oneEvent
	fate string
}

const (
	fateWaits  = "waits"
	fateCapped = "capped"
	fateTaken  = "taken"
)

// defers lets an event wait.
func (w *eventWriter) defers(e oneEvent) { w.outcomes = append(w.outcomes, outcome{e, fateWaits}) }

// caps lets an event wait although it has keys.
func (w *eventWriter) caps(e oneEvent) { w.outcomes = append(w.outcomes, outcome{e, fateCapped}) }

// done notes that an event waits no longer.
func (w *eventWriter) done(e oneEvent) {
	if e.waits {
		w.outcomes = append(w.outcomes, outcome{e, fateTaken})
	}
}

// untaken is the condition on the rows of waiting_events that wait, for the run.
func (s *eventStager) untaken() string {
	if s.anew {
		return "false"
	}
	mine := "target = " + literal(string(s.r.Target))
	if s.undone == "" {
		return mine + " AND taken = ''"
	}
	undone := literal(string(s.undone))
	return fmt.Sprintf("%s AND taken IN ('', %s) AND added <> %s", mine, undone, undone)
}

// takeWaiting fills event_waits with what need not wait any longer, as much of it
// as there is room for, and returns how many are left.
func (s *eventStager) takeWaiting(ctx context.Context, room int64) (left int64, err error) {
	var there int64
	if err := queryRow(ctx, s.tx, "look for waiting events", `SELECT count(*) FROM waiting_events WHERE `+s.untaken(), nil, &there); err != nil || there == 0 || s.event.from == "" {
		return 0, err
	}
	since := int64(math.MinInt64)
	if !s.r.Since.IsZero() {
		since = s.r.Since.UnixMicro()
	}
	log := fmt.Sprintf(s.event.from, "seq IN (SELECT seq FROM waiting_events WHERE "+s.untaken()+")", int64(math.MaxInt64))
	if _, err := exec(ctx, s.tx, "find events that need not wait", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE event_waits AS
		SELECT DISTINCT w.seq, e.seq IS NULL AS gone FROM (SELECT * FROM waiting_events WHERE %s) w LEFT JOIN (%s) e ON e.seq = w.seq LEFT JOIN profiles p ON p._pid = e.pid
		WHERE e.seq IS NULL OR w.keyset <> %d OR w.pid <> coalesce(p._pid, 0) OR w.looked < coalesce(p._seq, 0) OR w.happened < %d`,
		s.untaken(), log, s.keys.n, since)); err != nil {
		return 0, err
	}
	s.waited = true
	if err := s.takeGone(ctx); err != nil {
		return 0, err
	}
	if err := queryRow(ctx, s.tx, "count events that need not wait", `SELECT count(*) FROM event_waits`, nil, &there); err != nil || there <= room {
		return 0, err
	}
	return there - room, execAll(ctx, s.tx, fmt.Sprintf(`DELETE FROM event_waits WHERE seq NOT IN (SELECT seq FROM event_waits ORDER BY seq LIMIT %d)`, room))
}

// takeGone takes those whose message is not there any more.
func (s *eventStager) takeGone(ctx context.Context) (err error) {
	rows, err := s.tx.QueryContext(ctx, `SELECT seq FROM event_waits WHERE gone`)
	if err != nil {
		return fmt.Errorf("find events that are gone: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e oneEvent
		if err := rows.Scan(&e.seq); err != nil {
			return fmt.Errorf("find events that are gone: %w", scrub(ctx, err))
		}
		s.outcomes = append(s.outcomes, outcome{e, fateTaken})
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("find events that are gone: %w", scrub(ctx, err))
	}
	if len(s.outcomes) == 0 {
		return nil
	}
	return execAll(ctx, s.tx, `DELETE FROM event_waits WHERE gone`)
}

// keepWaiting brings waiting_events in step with what the run has looked at. It
// belongs in the transaction that writes the rows.
func (s *eventStager) keepWaiting(ctx context.Context, conn *sql.Conn, tx *sql.Tx) error {
	target, run := literal(string(s.r.Target)), literal(string(s.r.Run))
	var there int64
	if err := queryRow(ctx, tx, "look for waiting events", `SELECT count(*) FROM waiting_events WHERE target = `+target, nil, &there); err != nil || there == 0 && len(s.outcomes) == 0 {
		return err
	}
	if err := s.settle(ctx, tx, target); err != nil || len(s.outcomes) == 0 {
		return err
	}
	if err := execAll(ctx, tx, `CREATE OR REPLACE TEMP TABLE event_outcomes (seq BIGINT, happened BIGINT, pid BIGINT, looked BIGINT, waits BOOLEAN, fate VARCHAR)`); err != nil {
		return err
	}
	if err := s.appendOutcomes(ctx, conn); err != nil {
		return err
	}
	return execAll(ctx, tx,
		fmt.Sprintf(`UPDATE waiting_events w SET taken = %s FROM event_outcomes o WHERE o.seq = w.seq AND o.fate = '%s' AND w.target = %s AND w.taken = ''`, run, fateTaken, target),
		fmt.Sprintf(`UPDATE waiting_events w SET pid = o.pid, looked = o.looked, keyset = CASE o.fate WHEN '%s' THEN 0 ELSE %d END FROM event_outcomes o
			WHERE o.seq = w.seq AND o.waits AND o.fate <> '%s' AND w.target = %s AND w.taken = ''`, fateCapped, s.keys.n, fateTaken, target),
		fmt.Sprintf(`INSERT INTO waiting_events (target, stream, seq, happened, pid, looked, keyset, added, taken)
			SELECT %s, %s, seq, happened, pid, looked, %d, %s, '' FROM event_outcomes WHERE NOT waits AND fate = '%s'
			  AND seq NOT IN (SELECT seq FROM waiting_events WHERE target = %[1]s AND taken = '')`, target, literal(s.r.Stream), s.keys.n, run, fateWaits),
		`DROP TABLE event_outcomes`)
}

// settle decides what the runs before did to the waiting events: it holds, or is
// taken back.
func (s *eventStager) settle(ctx context.Context, tx *sql.Tx, target string) error {
	if s.anew {
		_, err := exec(ctx, tx, "forget waiting events", `DELETE FROM waiting_events WHERE target = `+target)
		return err
	}
	var todo []string
	if s.undone != "" {
		undone := literal(string(s.undone))
		todo = append(todo, fmt.Sprintf(`DELETE FROM waiting_events WHERE target = %s AND added = %s`, target, undone),
			fmt.Sprintf(`UPDATE waiting_events SET taken = '' WHERE target = %s AND taken = %s`, target, undone))
	}
	keep := "''"
	for _, e := range s.cursor.earlier {
		keep += ", " + literal(string(e.Run))
	}
	return execAll(ctx, tx, append(todo,
		fmt.Sprintf(`UPDATE waiting_events SET added = '' WHERE target = %s AND added <> ''`, target),
		fmt.Sprintf(`DELETE FROM waiting_events WHERE target = %s AND taken NOT IN (%s)`, target, keep))...)
}

func (s *eventStager) appendOutcomes(ctx context.Context, conn *sql.Conn) error {
	return conn.Raw(func(c any) error {
		dc, ok := c.(driver.Conn)
		if !ok {
			return fmt.Errorf("unexpected connection type %T", c)
		}
		a, err := driverduck.NewAppenderFromConn(dc, "", "event_outcomes")
		if err != nil {
			return fmt.Errorf("append waiting events: %w", scrub(ctx, err))
		}
		for _, o := range s.outcomes {
			if err := a.AppendRow(o.seq, o.at, o.pid, o.changed, o.waits, o.fate); err != nil {
				return fmt.Errorf("append waiting events: %w", scrub(ctx, discard(err, a)))
			}
		}
		if err := a.CloseWithCancel(ctx); err != nil {
			return fmt.Errorf("append waiting events: %w", scrub(ctx, err))
		}
		return nil
	})
}

// readyEvents is up to which merge no waiting event was found ready; 0 = nobody
// has looked, or events began to wait since.
type readyEvents struct {
	mu    sync.Mutex
	merge int64
	// asked grows with every staging, so that one that ends while somebody looks
	// is not overlooked.
	asked int64
}

func (r *readyEvents) distrust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.merge = 0
	r.asked++
}

// ReadyEvents lists the targets at which an event waits whose person has changed
// since it was looked at, or is another one. It looks only when something was
// merged or staged since it found none.
func (d *DB) ReadyEvents(ctx context.Context) ([]activation.TargetID, error) {
	var merge int64
	if err := queryRow(ctx, d.sql, "read merge counter", `SELECT next FROM counters WHERE name = 'merge'`, nil, &merge); err != nil {
		return nil, err
	}
	seen := &d.state.ready
	seen.mu.Lock()
	known, asked := seen.merge == merge, seen.asked
	seen.mu.Unlock()
	if known {
		return nil, nil
	}
	ready, err := d.findReady(ctx)
	if err != nil || len(ready) > 0 {
		return ready, err
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.asked == asked {
		seen.merge = merge
	}
	return nil, nil
}

func (d *DB) findReady(ctx context.Context) ([]activation.TargetID, error) {
	// Of an audience's event the person is as it was, of a stream's as the
	// message says now.
	owners := []string{`SELECT w.target, w.pid, w.looked, coalesce(l.pid, w.pid) AS now FROM waiting_events w LEFT JOIN profile_merges l ON l.old = w.pid WHERE w.stream = '' AND w.taken = ''`}
	waiting, err := texts(ctx, d.sql, "list streams that events wait of", `SELECT DISTINCT stream FROM waiting_events WHERE taken = ''`)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	streams := d.state.snapshot().streams
	for _, name := range waiting {
		if st, ok := streams[name]; ok {
			owners = append(owners, fmt.Sprintf(`SELECT w.target, w.pid, w.looked, coalesce(l.pid, m._pid, 0) AS now FROM waiting_events w JOIN %s m ON m._seq = w.seq
				LEFT JOIN profile_merges l ON l.old = m._pid WHERE w.stream = %s AND w.taken = ''`, st.table(), literal(name)))
		}
	}
	query := ""
	for i, o := range owners {
		if i > 0 {
			query += " UNION ALL "
		}
		query += o
	}
	found, err := texts(ctx, d.sql, "find events that need not wait", `SELECT DISTINCT w.target FROM (`+query+`) w JOIN profiles p ON p._pid = w.now WHERE w.pid <> p._pid OR w.looked < p._seq ORDER BY w.target`)
	ready := make([]activation.TargetID, len(found))
	for i, t := range found {
		ready[i] = activation.TargetID(t)
	}
	return ready, err
}

// texts runs a query of one column of text.
func texts(ctx context.Context, q queryer, what, query string, args ...any) (all []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("%s: %w", what, scrub(ctx, err))
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, scrub(ctx, err))
	}
	return all, nil
}
