package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// A rebuild resolves every message and derives every profile anew under what is
// declared, into tables beside the live ones, on a connection of its own:
//
//	message_owners_next(seq, pid)   whose each message is
//	identifiers_next, profiles_next  what takes the place of the live tables
//	owners_next(stream, seq, pid)    messages that belong to somebody else than now
//	changed_next(pid, kind)          people who are changed, new or gone
//	forgotten_next(stream, seq)     messages of who was forgotten (rebuild_screen.go)
//	rebuild_log(told_at, kind, stream, seq, key)   what merges did to what was replayed
//
// Everything else goes on meanwhile, merges too; only the declaration stays as it
// is. What merges bring is caught up in rounds (rebuild_round.go), the last of
// them under the ingest lock, and one transaction of the writer swaps the tables
// (rebuild_swap.go). A rebuild that does not come to its end leaves nothing.

// rebuildChunk is how many profiles are derived at a time: the aggregates of so
// many fit in memory.
const rebuildChunk = 500_000

// The last round is made under the ingest lock, once no more than littleLeft came
// during the one before it, or after mostRounds where loads come as fast as they
// are caught up.
const (
	littleLeft = 5_000
	mostRounds = 6
)

type rebuild struct {
	d        *DB
	conn     *sql.Conn
	live     string  // the live database's name, for tables that are hidden on conn
	sc       *schema // with everything declared active
	compiled map[string]*streamMappings
	merge    int64
	// upTo is what was replayed: messages with lower numbers.
	upTo counters
	// compared is what was replayed when the live tables were last compared in full;
	// its message is 0 before.
	compared counters
	screened screening
	total    int64
	progress func(done, total int64)
	result   warehouse.RebuildResult
}

// counters are the next numbers of messages, merges and profiles.
type counters struct{ message, merge, profile int64 }

func readCounters(ctx context.Context, q queryer) (c counters, err error) {
	err = queryRow(ctx, q, "read counters", `SELECT max(next) FILTER (name = 'message'), max(next) FILTER (name = 'merge'), max(next) FILTER (name = 'profile') FROM counters`,
		nil, &c.message, &c.merge, &c.profile)
	return c, err
}

// errRebuilding refuses what cannot be done while a rebuild is under way.
func errRebuilding(what string) error {
	return &activation.Error{
		Kind: activation.Invalid, Code: "CONFLICT", Message: "a rebuild is under way: " + what + " once it is done, or cancel it",
		Err: activation.ErrConflict,
	}
}

// Rebuild replays every raw message into fresh profiles under the declared
// schema and swaps them in; people keep their profile ids. Loads are merged
// meanwhile.
func (d *DB) Rebuild(ctx context.Context, progress func(done, total int64)) (warehouse.RebuildResult, error) {
	if !d.rebuilding.CompareAndSwap(false, true) {
		return warehouse.RebuildResult{}, errRebuilding("ask for another")
	}
	defer d.rebuilding.Store(false)
	r, err := d.newRebuild(ctx, progress)
	if err != nil {
		return warehouse.RebuildResult{}, fmt.Errorf("rebuild: %w", err)
	}
	if err = r.prepare(ctx); err == nil {
		err = r.finish(ctx)
	}
	if cleared := r.clear(context.WithoutCancel(ctx)); err == nil {
		err = cleared
	}
	if err != nil {
		return warehouse.RebuildResult{}, fmt.Errorf("rebuild: %w", err)
	}
	return r.result, nil
}

func (d *DB) newRebuild(ctx context.Context, progress func(done, total int64)) (*rebuild, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	conn, err := d.sql.Conn(ctx)
	return &rebuild{d: d, conn: conn, progress: progress}, scrub(ctx, err)
}

// prepare does all but the swap.
func (r *rebuild) prepare(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.screen, r.count, r.resolve, r.derive, r.catchUp, r.compare, r.screen, r.catchUp} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin makes merges tell what they do to messages that are replayed, and notes
// which messages those are.
func (r *rebuild) begin(ctx context.Context) error {
	if err := r.d.lockIngest(ctx); err != nil {
		return err
	}
	defer r.d.unlockIngest()
	if err := r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if r.merge, err = take(ctx, tx, "merge", 1); err != nil {
			return err
		}
		_, err = exec(ctx, tx, "begin rebuild", `CREATE OR REPLACE TABLE rebuild_log (told_at BIGINT, kind VARCHAR, stream INTEGER, seq BIGINT, key VARCHAR)`)
		return err
	}); err != nil {
		return err
	}
	var err error
	if r.upTo, err = readCounters(ctx, r.conn); err != nil {
		return err
	}
	if err := queryRow(ctx, r.conn, "begin rebuild", `SELECT current_database()`, nil, &r.live); err != nil {
		return err
	}
	if err := r.readSchema(); err != nil {
		return err
	}
	r.d.logging.Store(true)
	return nil
}

// readSchema takes the present declaration; loads may bring new streams and columns.
func (r *rebuild) readSchema() (err error) {
	r.sc = r.d.state.snapshot().clone()
	r.sc.Active = cloneSchema(r.sc.Declared)
	r.compiled, err = compileAll(r.sc, r.sc.Active)
	return err
}

// take reserves numbers on the writer.
func (r *rebuild) take(ctx context.Context, counter string, n int64) (first int64, err error) {
	err = r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		first, err = take(ctx, tx, counter, n)
		return err
	})
	return first, err
}

// newIDs reserves profile ids.
func (r *rebuild) newIDs(ctx context.Context, n int64) (int64, error) {
	return r.take(ctx, "profile", n)
}

// clear drops what is left beside the live tables, and the connection with all
// its temporary tables.
func (r *rebuild) clear(ctx context.Context) error {
	spoil(r.conn)
	if err := r.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	if err := r.d.lockIngest(ctx); err != nil {
		return err
	}
	defer r.d.unlockIngest()
	r.d.logging.Store(false)
	return dropBeside(ctx, r.d.sql)
}

// dropBeside drops the tables of a rebuild that did not come to its end.
func dropBeside(ctx context.Context, q queryer) error {
	for _, t := range []string{"profiles_next", "identifiers_next", "owners_next", "message_owners_next", "changed_next", "rebuild_log", "capped_next", "merge_log_next", "forgotten_next"} {
		if _, err := exec(ctx, q, "drop unfinished rebuild", `DROP TABLE IF EXISTS `+t); err != nil {
			return err
		}
	}
	return nil
}

// each runs statements on the rebuild's connection.
func (r *rebuild) each(ctx context.Context, what string, statements ...string) error {
	for _, s := range statements {
		if _, err := exec(ctx, r.conn, what, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuild) count(ctx context.Context) error {
	for _, st := range r.sc.sortedStreams() {
		var n int64
		if err := queryRow(ctx, r.conn, "count messages", fmt.Sprintf(`SELECT count(*) FROM %s WHERE _seq < %d`, st.table(), r.upTo.message), nil, &n); err != nil {
			return err
		}
		r.total += n
	}
	r.progress(0, r.total)
	return nil
}

// resolveShare is the part of a rebuild's work that working out whose the messages
// are takes; deriving the profiles is the rest.
const resolveShare = 0.4

// resolve works out whose every message is, with every profile dirty. People who
// come to be while it does are not known to it: they keep their ids in a round.
func (r *rebuild) resolve(ctx context.Context) error {
	if err := r.each(ctx, "link messages",
		`CREATE OR REPLACE TEMP TABLE link AS `+noLinks,
		`CREATE OR REPLACE TEMP TABLE dirty AS SELECT _pid AS pid FROM profiles`,
		fmt.Sprintf(`CREATE OR REPLACE TEMP VIEW identifiers AS SELECT key, pid FROM %s.main.identifiers WHERE pid < %d`, quote(r.live), r.upTo.profile)); err != nil {
		return err
	}
	for _, st := range r.sc.sortedStreams() {
		if err := r.link(ctx, st, messages{from: st.table() + ` m`, where: fmt.Sprintf(`m._seq < %d`, r.upTo.message)}); err != nil {
			return err
		}
	}
	res := &resolver{q: r.conn, sc: r.sc, newIDs: r.newIDs}
	if err := r.beginIdentity(ctx); err != nil {
		return err
	}
	if _, _, err := res.resolve(ctx); err != nil {
		return err
	}
	if err := r.settleCapped(ctx); err != nil {
		return err
	}
	if err := r.each(ctx, "store identifiers",
		`CREATE OR REPLACE TABLE identifiers_next AS SELECT key, pid FROM person`,
		`CREATE OR REPLACE TABLE message_owners_next AS SELECT seq, pid FROM msg`,
		`DROP VIEW temp.identifiers`); err != nil {
		return err
	}
	r.progress(int64(resolveShare*float64(r.total)), r.total)
	return dropTemporary(ctx, r.conn)
}

// link adds the identifier values of some messages of a stream to link.
func (r *rebuild) link(ctx context.Context, st stream, of messages) error {
	l := linkSQL(r.sc, r.compiled[st.Name], of)
	if l == "" {
		return nil
	}
	return r.each(ctx, "link messages", `INSERT INTO link SELECT seq, key, field FROM (`+l+`)`)
}

// derive fills profiles_next, some profiles at a time.
func (r *rebuild) derive(ctx context.Context) error {
	var columns strings.Builder
	for _, f := range r.sc.fields() {
		for _, c := range fieldColumns(f) {
			fmt.Fprintf(&columns, ", %s %s", quote(c.name), c.sqlType)
		}
	}
	if err := r.each(ctx, "derive profiles", `CREATE OR REPLACE TABLE profiles_next (_pid BIGINT, _seq BIGINT`+columns.String()+`)`); err != nil {
		return err
	}
	var first, last, people int64
	if err := queryRow(ctx, r.conn, "derive profiles", `SELECT coalesce(min(pid), 0), coalesce(max(pid), -1), count(DISTINCT pid) FROM message_owners_next`, nil, &first, &last, &people); err != nil || people == 0 {
		return err
	}
	chunks := (people + rebuildChunk - 1) / rebuildChunk
	width := (last-first)/chunks + 1
	for n := range chunks {
		if err := r.deriveSome(ctx, fmt.Sprintf(`g.pid >= %d AND g.pid < %d`, first+n*width, first+(n+1)*width)); err != nil {
			return err
		}
		part := resolveShare + (1-resolveShare)*float64(n+1)/float64(chunks)
		r.progress(int64(part*float64(r.total)), r.total)
	}
	return nil
}

// deriveSome derives the profiles of the messages' owners g that a condition chooses.
func (r *rebuild) deriveSome(ctx context.Context, where string) error {
	fields := r.sc.fields()
	var parts []string
	for _, st := range r.sc.sortedStreams() {
		if m := r.compiled[st.Name]; len(m.fields) > 0 {
			parts = append(parts, contribution(fields, m, messages{from: st.table() + ` m JOIN message_owners_next g ON g.seq = m._seq`, where: where}))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	columns := columnList(fields, "")
	return r.each(ctx, "derive profiles", fmt.Sprintf(`INSERT INTO profiles_next (_pid, _seq%s) SELECT pid, %d%s FROM (%s)`,
		columns, r.merge, columns, combine(fields, parts)))
}
