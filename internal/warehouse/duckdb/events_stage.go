package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	driverduck "github.com/duckdb/duckdb-go/v2"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// eventSlice is how many events are read at a time: a result is in memory as a
// whole.
const eventSlice = 16_384

// eventStager stages the events of one run. It reads on one connection, in one
// snapshot, where what waits lies in the temporary table event_rows, in order:
//
//	n, seq, happened, received, pid, changed, waits, s1, s2 …   s<i> is the raw value of key i
//
// changed is the merge that changed its person last, and waits says that it is
// one of those that waited for their person (events_wait.go),
//
// and writes on another, which may be rolled back.
type eventStager struct {
	d     *DB
	r     warehouse.EventRequest
	keys  keySet
	stage func(activation.Stage)

	tx     *sql.Tx          // of the reading
	cursor cursor           // as the run leaves it; its seq is set in the end
	undone activation.RunID // whose part in the waiting events is taken back
	anew   bool             // another job begins
	event  event
	begins string // the condition on seq of what the run looks at
	found  int64  // rows of event_rows

	last int64 // number of the last event looked at
	plan warehouse.Plan

	waited   bool // event_waits has those that need not wait any longer
	outcomes []outcome
}

func (d *DB) eventStager(ctx context.Context, r warehouse.EventRequest) (*eventStager, error) {
	keys, err := d.declareKeySet(ctx, r.Keys)
	if err != nil {
		return nil, err
	}
	return &eventStager{d: d, r: r, keys: keys, stage: func(activation.Stage) {}}, nil
}

// reading finds what waits and calls fn while it can be read.
func (s *eventStager) reading(ctx context.Context, fn func() error) error {
	return s.d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			s.tx = tx
			if err := s.find(ctx); err != nil {
				return err
			}
			if err := fn(); err != nil {
				return err
			}
			return execAll(ctx, tx, `DROP TABLE event_rows`, `DROP TABLE IF EXISTS event_waits`, `DROP TABLE IF EXISTS event_known`)
		})
	})
}

// find fills event_rows.
func (s *eventStager) find(ctx context.Context) (err error) {
	if s.cursor, err = findCursor(ctx, s.tx, s.r.Target); err != nil {
		return err
	}
	locate := s.locate
	if s.history() {
		locate = s.locatePeriod
	}
	if err := locate(ctx); err != nil {
		return err
	}
	s.stage(activation.StageAudiences)
	var waiting int64
	if s.event.from != "" {
		if err := queryRow(ctx, s.tx, "count waiting events", fmt.Sprintf(s.event.rest, s.begins), nil, &waiting); err != nil {
			return err
		}
	}
	if waiting == 0 {
		return execAll(ctx, s.tx, `CREATE OR REPLACE TEMP TABLE event_rows (n BIGINT)`)
	}
	limit := s.limit()
	s.found = min(waiting, limit)
	s.plan.Counts.Left += max(0, waiting-limit)
	sources, err := s.d.sources(s.r, s.event)
	if err != nil {
		return err
	}
	columns := ", false AS waits"
	if s.waited {
		columns = ", e.seq IN (SELECT seq FROM event_waits) AS waits"
	}
	for i, source := range sources {
		columns += fmt.Sprintf(", %s AS s%d", source, i+1)
	}
	log, known := fmt.Sprintf(s.event.from, s.begins, limit), ""
	if s.r.Wait && s.r.Stream != "" {
		if err := s.acquaint(ctx, log); err != nil {
			return err
		}
		known = " AND p._pid IN (SELECT pid FROM event_known)"
	}
	_, err = exec(ctx, s.tx, "find waiting events", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE event_rows AS
		SELECT row_number() OVER (ORDER BY e.seq) AS n, e.seq, e.happened, e.received, coalesce(w._pid, 0) AS pid, coalesce(w._seq, 0) AS changed%s
		FROM (%s) e LEFT JOIN profiles w ON w._pid = e.pid LEFT JOIN profiles p ON p._pid = e.pid%s ORDER BY e.seq`, columns, log, known))
	return err
}

// acquaint fills event_known with the people of the log of whom another stream
// has told too: who is known by the events themselves alone is nobody yet.
func (s *eventStager) acquaint(ctx context.Context, log string) error {
	people := []string{`SELECT NULL::BIGINT AS _pid WHERE false`}
	for _, st := range s.d.state.snapshot().sortedStreams() {
		if st.Name != s.r.Stream && st.ReferenceKey == "" {
			people = append(people, `SELECT _pid FROM `+st.table())
		}
	}
	return execAll(ctx, s.tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE event_known AS SELECT DISTINCT coalesce(l.pid, m._pid) AS pid
		FROM (%s) m LEFT JOIN profile_merges l ON l.old = m._pid WHERE coalesce(l.pid, m._pid) IN (SELECT pid FROM (%s))`,
		strings.Join(people, " UNION ALL "), log))
}

// locate finds the log and where in it the run begins.
func (s *eventStager) locate(ctx context.Context) (err error) {
	c := s.cursor
	switch {
	case !c.known || c.job != s.r.Job:
		if err := s.open(ctx, 0); err != nil {
			return err
		}
		c = cursor{job: s.r.Job, run: s.r.Run, began: s.event.seq}
		if !s.r.Backfill {
			c.before = s.event.seq
		}
		c.start = sql.NullInt64{Int64: c.before, Valid: true}
		s.anew = true
	case c.run != s.r.Run:
		again, err := s.again(ctx, c.run)
		if err != nil {
			return err
		}
		if again.All {
			s.undone = c.run
		} else {
			c.queued()
		}
		c.run = s.r.Run
	default:
		s.undone = c.run
	}
	s.cursor = c
	if err := s.open(ctx, c.began); err != nil {
		return err
	}
	s.begins, err = s.beginning(ctx)
	return err
}

// beginning is the condition on seq of what the run looks at: all that comes
// behind the place where it begins, what earlier runs will never send, and what
// need not wait any longer.
func (s *eventStager) beginning(ctx context.Context) (string, error) {
	begins := fmt.Sprintf("seq > %d", s.cursor.before)
	lost, left, room, err := s.takeLost(ctx)
	if err != nil {
		return "", err
	}
	if lost != "" {
		begins += " OR " + lost
	}
	more, err := s.takeWaiting(ctx, room)
	s.plan.Counts.Left = left + more
	if s.waited {
		begins += " OR seq IN (SELECT seq FROM event_waits)"
	}
	return begins, err
}

// limit is the most events that the run looks at.
func (s *eventStager) limit() int64 {
	if s.r.Limit <= 0 {
		return math.MaxInt64
	}
	return s.r.Limit
}

func (s *eventStager) again(ctx context.Context, run activation.RunID) (warehouse.Again, error) {
	if s.r.Again == nil {
		return warehouse.Again{}, nil
	}
	return s.r.Again(ctx, run)
}

func (s *eventStager) open(ctx context.Context, began int64) (err error) {
	if s.r.Stream != "" {
		s.event, err = s.d.streamEvents(ctx, s.tx, s.r.Stream)
	} else {
		s.event, err = s.d.audienceEvents(ctx, s.tx, s.r, began)
	}
	return err
}

// next is the cursor once the rows are written.
func (s *eventStager) next() cursor {
	c := s.cursor
	c.seq = max(c.before, s.last)
	if s.plan.Counts.Left == 0 && s.plan.Counts.Capped == 0 {
		c.seq = max(c.seq, s.event.seq)
	}
	return c
}

// write makes the table of staged rows and fills it.
func (s *eventStager) write(ctx context.Context, conn *sql.Conn, tx *sql.Tx, what, schema, table string) error {
	if _, err := exec(ctx, tx, "stage events", fmt.Sprintf(`CREATE OR REPLACE %s (n BIGINT, phase INTEGER, op VARCHAR, plain BOOLEAN, pid BIGINT, keyset INTEGER,
		version INTEGER, fp UUID, prior VARCHAR, held BIGINT, present INTEGER, audience INTEGER, %s, seq BIGINT)`, what, s.keys.each("k%d BLOB", ", "))); err != nil {
		return err
	}
	if s.found > 0 {
		if err := s.append(ctx, conn, schema, table); err != nil {
			return err
		}
	}
	c := &s.plan.Counts
	c.Staged, c.Eligible = c.Add, c.Add+c.Omitted+c.Deferred
	c.Selected = c.Eligible + c.Capped
	if c.Add > 0 {
		s.plan.Segments = []warehouse.Segment{{Phase: 1, Op: activation.OpAdd, Plain: true, First: 1, Last: c.Add}}
	}
	if !s.history() {
		s.plan.Seq = s.event.seq
	}
	return nil
}

func (s *eventStager) append(ctx context.Context, conn *sql.Conn, schema, table string) error {
	return conn.Raw(func(c any) error {
		dc, ok := c.(driver.Conn)
		if !ok {
			return fmt.Errorf("unexpected connection type %T", c)
		}
		a, err := driverduck.NewAppenderFromConn(dc, schema, table)
		if err != nil {
			return fmt.Errorf("append events: %w", scrub(ctx, err))
		}
		if err := s.slices(ctx, a); err != nil {
			return fmt.Errorf("append events: %w", scrub(ctx, discard(err, a)))
		}
		if err := a.CloseWithCancel(ctx); err != nil {
			return fmt.Errorf("append events: %w", scrub(ctx, err))
		}
		return nil
	})
}

func (s *eventStager) slices(ctx context.Context, a *driverduck.Appender) error {
	query := `SELECT seq, happened, received, pid, changed, waits`
	for i := range s.r.Keys.Keys {
		query += fmt.Sprintf(", s%d", i+1)
	}
	query += ` FROM event_rows WHERE n BETWEEN $1 AND $2 ORDER BY n`
	w := newEventWriter(s, a)
	for first := int64(1); first <= s.found; first += eventSlice {
		full, err := w.slice(ctx, query, first)
		if err != nil {
			return err
		}
		if full {
			break
		}
	}
	s.plan.Counts.Capped = s.found - w.looked
	return nil
}

// eventWriter turns events into staged rows.
type eventWriter struct {
	*eventStager
	a       *driverduck.Appender
	looked  int64
	allowed int64 // rows that are staged for the first time
	values  []string
	out     [][]byte
	buf     []byte
	each    matchkey.Set // the keys, of which each is enough for the others to be told
	raw     []sql.RawBytes
	line    []driver.Value
}

func newEventWriter(s *eventStager, a *driverduck.Appender) *eventWriter {
	n := len(s.r.Keys.Keys)
	return &eventWriter{eventStager: s, a: a, each: eachEnough(s.r.Keys), values: make([]string, n), out: make([][]byte, n), raw: make([]sql.RawBytes, n), line: make([]driver.Value, 13+n)}
}

// slice stages some events. full says that no more may be staged.
func (w *eventWriter) slice(ctx context.Context, query string, first int64) (full bool, err error) {
	rows, err := w.tx.QueryContext(ctx, query, first, first+eventSlice-1)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var e oneEvent
	dest := []any{&e.seq, &e.at, &e.received, &e.pid, &e.changed, &e.waits}
	for i := range w.raw {
		dest = append(dest, &w.raw[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return false, err
		}
		for i, v := range w.raw {
			w.values[i] = string(v)
		}
		staged, err := w.one(e)
		if err != nil {
			return false, err
		}
		if !staged {
			return true, nil
		}
	}
	return false, rows.Err()
}

// oneEvent is what is known of an event beside its values.
type oneEvent struct {
	seq, at, received, pid, changed int64
	waits                           bool
}

// one stages an event, omits it or lets it wait; false = it is left, for no more
// may be staged.
func (w *eventWriter) one(e oneEvent) (bool, error) {
	c := &w.plan.Counts
	usable := (w.r.Since.IsZero() || e.at >= w.r.Since.UnixMicro()) && (w.r.Drop == nil || !w.r.Drop(time.UnixMicro(e.received).UTC()))
	patient := usable && w.r.Wait && !w.history()
	var fp matchkey.Fingerprint
	if usable {
		fp, w.buf = w.r.Keys.Compute(w.values, w.out, w.buf)
		usable = fp != matchkey.Fingerprint{} && w.complete(w.out)
	}
	if !usable {
		w.looked, w.last = w.looked+1, e.seq
		if patient && w.ofEvent() {
			c.Deferred++
			w.defers(e)
			return true, nil
		}
		c.Omitted++
		w.done(e)
		return true, nil
	}
	first := e.waits || e.seq > w.cursor.before
	if first && w.r.Allowance != nil && w.allowed >= *w.r.Allowance {
		if e.waits { // it goes on waiting; what was lost may come behind it
			w.caps(e)
		}
		return e.waits, nil
	}
	if first {
		w.allowed++
	}
	c.Add++
	w.looked, w.last = w.looked+1, e.seq
	w.done(e)
	fp = w.keys.fingerprint(fp)
	copy(w.line, []driver.Value{c.Add, int32(1), string(activation.OpAdd), true, e.pid, int32(w.keys.n), nil, fp[:], nil, int64(0), int32(w.keys.n), int32(0)})
	for i, v := range w.out {
		w.line[12+i] = nil
		if v != nil {
			w.line[12+i] = v
		}
	}
	w.line[12+len(w.out)] = e.seq
	return true, w.a.AppendRow(w.line...)
}

// ofEvent reports whether all required keys that are the event's own came out,
// of one that is not staged: then it lacks nothing but its person.
func (w *eventWriter) ofEvent() bool {
	_, w.buf = w.each.Compute(w.values, w.out, w.buf)
	return w.complete(w.out[:w.r.Columns])
}

// complete reports whether all required keys of the first ones came out.
func (w *eventWriter) complete(out [][]byte) bool {
	for i := range out {
		if w.r.Keys.Keys[i].Required && out[i] == nil {
			return false
		}
	}
	return true
}
