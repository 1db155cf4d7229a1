package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"usher/internal/warehouse"
)

// A rebuild resolves every message and derives every profile anew under what is
// declared, into tables beside the live ones, on a connection of its own. Then
// one transaction of the writer swaps them in. Reading, audiences, plans and
// receipts go on meanwhile; loads wait, for they would change what is replayed.

// rebuildChunk is how many profiles are derived at a time: the aggregates of so
// many fit in memory.
const rebuildChunk = 500_000

type rebuild struct {
	d        *DB
	conn     *sql.Conn
	sc       *schema // with everything declared active
	compiled map[string]*streamMappings
	merge    int64
	total    int64
	progress func(done, total int64)
}

// Rebuild replays every raw message into fresh profiles under the declared
// schema and swaps them in; people keep their profile ids.
func (d *DB) Rebuild(ctx context.Context, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if err := d.lockIngest(ctx); err != nil {
		return err
	}
	defer d.unlockIngest()
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	defer conn.Close()
	r := &rebuild{d: d, conn: conn, sc: d.state.snapshot().clone(), progress: progress}
	r.sc.Active = cloneSchema(r.sc.Declared)
	if r.compiled, err = compileAll(r.sc, r.sc.Active); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	err = r.run(ctx)
	if cleared := r.clear(context.WithoutCancel(ctx)); err == nil {
		err = cleared
	}
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return nil
}

func (r *rebuild) run(ctx context.Context) error {
	if err := r.count(ctx); err != nil {
		return err
	}
	var err error
	if r.merge, err = r.take(ctx, "merge", 1); err != nil {
		return err
	}
	if err := r.resolve(ctx); err != nil {
		return err
	}
	if err := r.derive(ctx); err != nil {
		return err
	}
	return r.swap(ctx)
}

// take reserves numbers on the writer.
func (r *rebuild) take(ctx context.Context, counter string, n int64) (first int64, err error) {
	err = r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		first, err = take(ctx, tx, counter, n)
		return err
	})
	return first, err
}

// clear drops what is left on the connection and beside the live tables.
func (r *rebuild) clear(ctx context.Context) error {
	if err := dropTemporary(ctx, r.conn); err != nil {
		return err
	}
	return dropBeside(ctx, r.conn)
}

// dropBeside drops the tables of a rebuild that did not come to its end.
func dropBeside(ctx context.Context, q queryer) error {
	for _, t := range []string{"profiles_next", "identifiers_next", "owners_next"} {
		if _, err := exec(ctx, q, "drop unfinished rebuild", `DROP TABLE IF EXISTS `+t); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuild) count(ctx context.Context) error {
	for _, st := range r.sc.sortedStreams() {
		var n int64
		if err := queryRow(ctx, r.conn, "count messages", `SELECT count(*) FROM `+st.table(), nil, &n); err != nil {
			return err
		}
		r.total += n
	}
	r.progress(0, r.total)
	return nil
}

// resolve works out whose every message is, with every profile dirty.
func (r *rebuild) resolve(ctx context.Context) error {
	links := []string{`SELECT NULL::BIGINT AS seq, NULL::UHUGEINT AS key WHERE false`}
	for _, st := range r.sc.sortedStreams() {
		if l := linkSQL(r.compiled[st.Name], messages{from: st.table() + ` m`}); l != "" {
			links = append(links, l)
		}
	}
	for _, query := range []string{
		`CREATE OR REPLACE TEMP TABLE link AS ` + strings.Join(links, ` UNION ALL `),
		`CREATE OR REPLACE TEMP TABLE dirty AS SELECT _pid AS pid FROM profiles`,
	} {
		if _, err := exec(ctx, r.conn, "link messages", query); err != nil {
			return err
		}
	}
	res := &resolver{q: r.conn, newIDs: func(ctx context.Context, n int64) (int64, error) {
		return r.take(ctx, "profile", n)
	}}
	if _, _, err := res.resolve(ctx); err != nil {
		return err
	}
	_, err := exec(ctx, r.conn, "store identifiers", `CREATE OR REPLACE TABLE identifiers_next AS SELECT key, pid FROM person`)
	return err
}

// derive fills profiles_next, some profiles at a time.
func (r *rebuild) derive(ctx context.Context) error {
	fields := r.sc.fields()
	var columns strings.Builder
	for _, f := range fields {
		for _, c := range fieldColumns(f) {
			fmt.Fprintf(&columns, ", %s %s", quote(c.name), c.sqlType)
		}
	}
	if _, err := exec(ctx, r.conn, "derive profiles", `CREATE OR REPLACE TABLE profiles_next (_pid BIGINT, _seq BIGINT`+columns.String()+`)`); err != nil {
		return err
	}
	var first, last, people int64
	if err := queryRow(ctx, r.conn, "derive profiles", `SELECT coalesce(min(pid), 0), coalesce(max(pid), -1), count(DISTINCT pid) FROM msg`, nil, &first, &last, &people); err != nil || people == 0 {
		return err
	}
	chunks := (people + rebuildChunk - 1) / rebuildChunk
	width := (last-first)/chunks + 1
	for n := range chunks {
		if err := r.deriveRange(ctx, fields, first+n*width, first+(n+1)*width); err != nil {
			return err
		}
		r.progress(r.total*(n+1)/chunks, r.total)
	}
	return nil
}

// deriveRange derives the profiles first ≤ pid < end.
func (r *rebuild) deriveRange(ctx context.Context, fields []warehouse.Field, first, end int64) error {
	var parts []string
	for _, st := range r.sc.sortedStreams() {
		if m := r.compiled[st.Name]; len(m.fields) > 0 {
			parts = append(parts, contribution(fields, m, messages{
				from:  st.table() + ` m JOIN msg g ON g.seq = m._seq`,
				where: fmt.Sprintf(`g.pid >= %d AND g.pid < %d`, first, end),
			}))
		}
	}
	columns := columnList(fields, "")
	_, err := exec(ctx, r.conn, "derive profiles", fmt.Sprintf(`INSERT INTO profiles_next (_pid, _seq%s) SELECT pid, %d%s FROM (%s)`,
		columns, r.merge, columns, combine(fields, parts)))
	return err
}

// swap puts the new tables in the place of the old ones and has every audience
// evaluated anew.
func (r *rebuild) swap(ctx context.Context) error {
	before := r.d.state.snapshot()
	changed, err := r.changedOwners(ctx)
	if err != nil {
		return err
	}
	err = r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := r.reassign(ctx, tx, changed); err != nil {
			return err
		}
		for _, query := range []string{
			`DROP TABLE profiles`, `ALTER TABLE profiles_next RENAME TO profiles`,
			`DROP TABLE identifiers`, `ALTER TABLE identifiers_next RENAME TO identifiers`,
			// Who is gone leads nowhere; every message of theirs was reassigned.
			`DELETE FROM profile_merges WHERE pid NOT IN (SELECT _pid FROM profiles)`,
			`DELETE FROM stale`,
		} {
			if _, err := exec(ctx, tx, "swap profiles", query); err != nil {
				return err
			}
		}
		if err := saveDocument(ctx, tx, r.sc); err != nil {
			return err
		}
		r.d.state.setSchema(r.sc)
		return r.d.reevaluateAll(ctx, tx, r.d.now())
	})
	if err != nil {
		r.d.state.setSchema(before)
	}
	return err
}

// changedOwners writes, beside the live tables, whose the messages are that
// belong to somebody else now, or to nobody, and returns the streams that have any.
func (r *rebuild) changedOwners(ctx context.Context) ([]stream, error) {
	if _, err := exec(ctx, r.conn, "compare owners", `CREATE OR REPLACE TABLE owners_next (stream INTEGER, seq BIGINT, pid BIGINT)`); err != nil {
		return nil, err
	}
	var changed []stream
	for _, st := range r.sc.sortedStreams() {
		n, err := exec(ctx, r.conn, "compare owners", fmt.Sprintf(`INSERT INTO owners_next
			SELECT %d, m._seq, g.pid FROM %s m LEFT JOIN msg g ON g.seq = m._seq LEFT JOIN profile_merges l ON l.old = m._pid
			WHERE coalesce(l.pid, m._pid) IS DISTINCT FROM g.pid`, st.n, st.table()))
		if err != nil {
			return nil, err
		}
		if n > 0 {
			changed = append(changed, st)
		}
	}
	return changed, nil
}

// reassign gives messages to their new owners.
func (r *rebuild) reassign(ctx context.Context, tx *sql.Tx, changed []stream) error {
	for _, st := range changed {
		if _, err := exec(ctx, tx, "reassign messages", fmt.Sprintf(`UPDATE %s AS t SET _pid = o.pid FROM owners_next o
			WHERE o.stream = %d AND o.seq = t._seq`, st.table(), st.n)); err != nil {
			return err
		}
	}
	return nil
}
