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

// slice merges one range of lines of a staged load in one transaction:
// messages, then whose they are, then what the profiles are made of, then who
// is in which audience.
type slice struct {
	d    *DB
	tx   *sql.Tx
	sc   *schema
	load warehouse.Load
	from staged
	// first and end are the lines: first ≤ line < end.
	first, end int64
	now        time.Time

	st       stream
	compiled map[string]*streamMappings
	mappings *streamMappings // of st
	seq      int64           // number of the message on line first
	merge    int64
	dirty    int64 // profiles that are resolved anew
	// again selects the profiles that are derived anew from all their messages; "" = none.
	again string
	// identified counts the new messages that have an owner.
	identified int64
	result     warehouse.LoadResult
}

// newMessages are the messages of the slice.
var newMessages = messages{from: `rows m`}

func (s *slice) run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{s.readRows, s.dropSuppressed, s.matchMessages, s.countUnparsed, s.noteColumns, s.noteUnparsed}
	if s.st.ReferenceKey != "" {
		steps = append(steps, s.storeReference)
	} else {
		steps = append(steps, s.storeMessages)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return dropTemporary(ctx, s.tx)
}

// prepare compiles the stream's mappings and reserves numbers.
func (s *slice) prepare(ctx context.Context) (err error) {
	s.st = s.sc.streams[s.load.Stream]
	if s.compiled, err = compileAll(s.sc, s.sc.Active); err != nil {
		return err
	}
	s.mappings = s.compiled[s.st.Name]
	if s.seq, err = take(ctx, s.tx, "message", s.end-s.first); err != nil {
		return err
	}
	s.merge, err = take(ctx, s.tx, "merge", 1)
	return err
}

// readRows copies the lines into rows, numbered in the order of the source.
func (s *slice) readRows(ctx context.Context) error {
	columns := make([]string, len(s.load.Columns))
	for i, c := range s.load.Columns {
		columns[i] = ", " + s.st.column(c)
	}
	absent := make([]string, 0)
	for i, c := range s.st.columns {
		if !slices.Contains(s.load.Columns, c) {
			absent = append(absent, fmt.Sprintf(", NULL::VARCHAR AS c%d", i+1))
		}
	}
	n, err := s.exec(ctx, "read slice", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE rows AS
		SELECT %d + _line AS _seq, _time, %s AS _mid, %s AS _hash%s%s FROM %s m WHERE _line >= %d AND _line < %d`,
		s.seq-s.first, s.messageID(), s.contentHash(), strings.Join(columns, ""), strings.Join(absent, ""), s.from.table, s.first, s.end))
	if err != nil {
		return err
	}
	if err := queryRow(ctx, s.tx, "count slice", `SELECT count(*) FROM rows`, nil, &n); err != nil {
		return err
	}
	s.result.Rows = n
	return nil
}

// storeMessages appends the messages to the stream, works out whose they are
// and brings the profiles in step.
func (s *slice) storeMessages(ctx context.Context) error {
	if err := s.takeUndecided(ctx); err != nil {
		return err
	}
	r := &resolver{q: s.tx, sc: s.sc, load: s.link, single: s.dirty == 0 && len(s.mappings.identifiers()) <= 1, newIDs: func(ctx context.Context, n int64) (int64, error) {
		return take(ctx, s.tx, "profile", n)
	}}
	created, known, err := r.resolve(ctx)
	if err != nil {
		return err
	}
	if err := r.settle(ctx, mergeOrigin{stream: s.st.Name, load: s.load.ID, at: s.now}); err != nil {
		return err
	}
	s.result.NewProfile = created
	if err := s.appendRaw(ctx); err != nil {
		return err
	}
	if s.dirty > 0 {
		if s.again, err = s.unaffected(ctx); err != nil {
			return err
		}
		if err := s.reassign(ctx); err != nil {
			return err
		}
	}
	p := profileStep{d: s.d, tx: s.tx, sc: s.sc, compiled: s.compiled, merge: s.merge, now: s.now}
	s.result.Touched, err = p.run(ctx, s.sources(known > 0))
	return err
}

// link fills link from the new messages and the other messages of dirty profiles.
func (s *slice) link(ctx context.Context) error {
	if err := queryRow(ctx, s.tx, "link messages", `SELECT count(*) FROM dirty`, nil, &s.dirty); err != nil {
		return err
	}
	parts := []string{noLinks}
	if l := linkSQL(s.sc, s.mappings, newMessages); l != "" {
		parts = append(parts, l)
	}
	if s.dirty > 0 {
		if err := fillRaw(ctx, s.tx, `SELECT pid FROM dirty`); err != nil {
			return err
		}
		for _, st := range s.sc.sortedStreams() {
			if l := linkSQL(s.sc, s.compiled[st.Name], messagesOfRaw(st)); l != "" {
				parts = append(parts, l)
			}
		}
	}
	_, err := s.exec(ctx, "link messages", `CREATE OR REPLACE TEMP TABLE link AS `+strings.Join(parts, " UNION ALL "))
	return err
}

// appendRaw stores the messages.
func (s *slice) appendRaw(ctx context.Context) error {
	columns := rawColumns(s.st)
	_, err := s.exec(ctx, "append messages", fmt.Sprintf(`INSERT INTO %s (_seq, _pid, _mid, _hash, _time, _received%s)
		SELECT r._seq, g.pid, r._mid, r._hash, r._time, %d%s FROM rows r LEFT JOIN msg g ON g.seq = r._seq`,
		s.st.table(), columns, s.load.ReceivedAt.UnixMicro(), columns))
	if err != nil {
		return err
	}
	var rows int64
	err = queryRow(ctx, s.tx, "count unidentified", `SELECT (SELECT count(*) FROM rows), (SELECT count(*) FROM msg WHERE seq >= $1)`, []any{s.seq}, &rows, &s.identified)
	s.result.Unidentified = rows - s.identified
	return err
}

// reassign gives the stored messages of dirty profiles to whom they belong now.
func (s *slice) reassign(ctx context.Context) error {
	if err := s.d.noteMoved(ctx, s.tx, fmt.Sprintf(`SELECT seq FROM msg WHERE seq < %d`, s.seq)); err != nil {
		return err
	}
	for _, st := range s.sc.sortedStreams() {
		if _, err := s.exec(ctx, "reassign messages", fmt.Sprintf(`UPDATE %s AS t SET _pid = g.pid FROM msg g
			WHERE g.seq = t._seq AND g.seq < %d AND t._pid IS DISTINCT FROM g.pid`, st.table(), s.seq)); err != nil {
			return err
		}
	}
	return nil
}

// sources are what the profiles concerned are combined from. Those that a dirty
// profile has to do with are derived from all their messages, the others from
// what they were and the new messages.
func (s *slice) sources(known bool) sources {
	src := sources{messages: messages{from: `rows m JOIN msg g ON g.seq = m._seq`}, stream: s.st.Name, stored: known}
	src.alone = s.result.NewProfile == s.identified
	src.again = s.again
	return src
}

// countUnparsed counts the values that could not become their field's type.
func (s *slice) countUnparsed(ctx context.Context) error {
	var names, counts []string
	for _, m := range s.mappings.fields {
		if m.unparsed != "false" {
			names = append(names, m.field.Name)
			counts = append(counts, `count(*) FILTER (`+m.unparsed+`)`)
		}
	}
	if len(names) == 0 {
		return nil
	}
	n := make([]int64, len(names))
	dest := make([]any, len(names))
	for i := range n {
		dest[i] = &n[i]
	}
	if err := queryRow(ctx, s.tx, "count unparsed values", `SELECT `+strings.Join(counts, ", ")+` `+newMessages.clause(s.mappings.joins()), nil, dest...); err != nil {
		return err
	}
	s.result.Unparsed = make(map[string]int64)
	for i, name := range names {
		if n[i] > 0 {
			s.result.Unparsed[name] = n[i]
		}
	}
	return nil
}

// temporaryTables are all that a slice, a refresh or a rebuild may make.
var temporaryTables = []string{
	"rows", "seen", "verdict", "dirty", "lost", "link", "node", "edge", "root", "hook", "value", "component", "person",
	"msg", "moved", "raw", "again", "old", "fresh", "touched", "changed", "present", "differing", "taken",
	"told", "identifiers", "lives",
	"drawn", "shared", "carried", "bound", "linking", "part", "over", "reached", "carrier", "ranked", "events", "went", "bridge", "shifted", "leads",
}

// dropTemporary drops the temporary tables of a connection, for they take memory.
func dropTemporary(ctx context.Context, q queryer) error {
	statements := make([]string, len(temporaryTables))
	for i, t := range temporaryTables {
		statements[i] = `DROP TABLE IF EXISTS temp.` + t
	}
	_, err := exec(ctx, q, "drop temporary tables", strings.Join(statements, "; "))
	return err
}

func (s *slice) exec(ctx context.Context, what, query string, args ...any) (int64, error) {
	return exec(ctx, s.tx, what, query, args...)
}

// rawColumns lists the source columns of a stream, each after a comma.
func rawColumns(st stream) string {
	var b strings.Builder
	for i := range st.columns {
		fmt.Fprintf(&b, ", c%d", i+1)
	}
	return b.String()
}
