package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/filterql"
	"usher/internal/warehouse"
)

// decider decides for people at one level, by one SELECT over the profiles with
// all choices in it, and finds who moves by it:
//
//	decide_now(pid, audience)             whom it considers, with the choice; NULL = none
//	decide_change(audience, pid, event)   who enters and who exits an audience of the level
//
// A decision about everybody is made on a connection of its own and only what
// changes is written. Who was decided anew meanwhile keeps that decision, which
// is the later one, and who is no more moves nowhere. A decision about few is
// made once to look, and where somebody moves again by the writer.
type decider struct {
	d       *DB
	request warehouse.DecideRequest
	level   []int // the audiences' numbers, in order
	ids     map[int]activation.AudienceID
	choose  string // over profiles p
	args    []any
	// tell says that people are to be told of, one by one.
	tell bool

	sums   warehouse.Decided
	chosen []chosen         // by profile id; empty unless tell
	moves  map[int64][]move // nil unless tell
}

// chosen is what was decided for somebody; audience 0 = none.
type chosen struct {
	pid      int64
	audience int
}

// move is one change of the level's membership.
type move struct {
	audience int
	enters   bool
}

// Decide decides for people and moves them among the audiences of the level.
func (d *DB) Decide(ctx context.Context, r warehouse.DecideRequest, fn func(warehouse.Decision)) (warehouse.Decided, error) {
	x, err := d.newDecider(ctx, r)
	if err != nil {
		return warehouse.Decided{}, err
	}
	x.tell = fn != nil
	if r.Profiles == nil {
		err = x.everybody(ctx)
	} else {
		err = x.few(ctx)
	}
	if err != nil {
		return warehouse.Decided{}, err
	}
	if fn != nil {
		x.report(fn)
	}
	return x.sums, nil
}

func (d *DB) newDecider(ctx context.Context, r warehouse.DecideRequest) (*decider, error) {
	as, err := d.declared(ctx, d.sql)
	if err != nil {
		return nil, err
	}
	x := &decider{d: d, request: r, ids: map[int]activation.AudienceID{}}
	for _, id := range r.Level {
		a, err := as.givenOne(id)
		if err != nil {
			return nil, err
		}
		x.level, x.ids[a.n] = append(x.level, a.n), a.ID
	}
	var cases strings.Builder
	for _, c := range r.Choices {
		if !slices.Contains(r.Level, c.Audience) {
			return nil, misuse("choices", "audience %q is no audience of the level", c.Audience)
		}
		a, err := as.givenOne(c.Audience)
		if err != nil {
			return nil, err
		}
		f, err := filterql.Parse(c.Eligible)
		if err != nil {
			return nil, ruleError(a.Slug, err)
		}
		rule, err := as.compile(f, a.Slug, r.Now, len(x.args)+1)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&cases, " WHEN %s THEN %d", rule.SQL, a.n)
		x.args = append(x.args, rule.Args...)
	}
	if x.choose = "NULL"; cases.Len() > 0 {
		x.choose = "CASE" + cases.String() + " END"
	}
	return x, nil
}

// givenOne finds a declared audience whose members are given.
func (as *audiences) givenOne(id activation.AudienceID) (audience, error) {
	a, ok := as.find(id)
	switch {
	case !ok:
		return a, fmt.Errorf("audience %q: %w", id, activation.ErrNotFound)
	case !a.Given:
		return a, misuse("segment_id", "audience %q has a rule, so nobody can be put in", a.Slug)
	}
	return a, nil
}

func misuse(field, format string, args ...any) error {
	return &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: field, Message: fmt.Sprintf(format, args...)}
}

// everybody decides for all people there are.
func (x *decider) everybody(ctx context.Context) error {
	table := fmt.Sprintf("scratch.decide_%d", x.d.stagings.Add(1))
	return x.d.onOwnConnection(ctx, func(conn *sql.Conn) (err error) {
		defer func() {
			_, dropped := exec(context.WithoutCancel(ctx), conn, "drop changes", `DROP TABLE IF EXISTS temp.decide_now; DROP TABLE IF EXISTS `+table)
			err = errors.Join(err, dropped)
		}()
		var seen int64
		if err := inTx(ctx, conn, func(tx *sql.Tx) error {
			if err := queryRow(ctx, tx, "read change number", `SELECT next FROM counters WHERE name = 'change'`, nil, &seen); err != nil {
				return err
			}
			if err := x.decide(ctx, tx, "true"); err != nil {
				return err
			}
			if err := x.compare(ctx, tx, "TABLE "+table); err != nil {
				return err
			}
			return x.sum(ctx, tx, table)
		}); err != nil {
			return err
		}
		if x.request.Dry || x.sums.Entered+x.sums.Left == 0 {
			return nil
		}
		return x.move(ctx, fmt.Sprintf(`SELECT audience, pid, event FROM %s WHERE pid IN (SELECT _pid FROM profiles)
			AND pid NOT IN (SELECT pid FROM membership_changes WHERE seq >= %d AND event <> 'keys' AND audience IN (%s))`, table, seen, x.numbers()), nil)
	})
}

// few decides for the people named.
func (x *decider) few(ctx context.Context) error {
	var list []string
	for _, pid := range x.request.Profiles {
		list = append(list, fmt.Sprint(pid))
	}
	if len(list) == 0 {
		list = append(list, "NULL")
	}
	which := fmt.Sprintf("p._pid IN (%s)", strings.Join(list, ", "))
	decide := func(ctx context.Context, tx *sql.Tx) error {
		if err := x.decide(ctx, tx, which); err != nil {
			return err
		}
		if err := x.compare(ctx, tx, "TEMP TABLE decide_change"); err != nil {
			return err
		}
		return x.sum(ctx, tx, "decide_change")
	}
	drop := []string{`DROP TABLE decide_now`, `DROP TABLE decide_change`}
	if err := x.d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			if err := decide(ctx, tx); err != nil {
				return err
			}
			return execAll(ctx, tx, drop...)
		})
	}); err != nil {
		return err
	}
	if x.request.Dry || x.sums.Entered+x.sums.Left == 0 {
		return nil
	}
	return x.move(ctx, `SELECT audience, pid, event FROM decide_change`, decide, drop...)
}

// decide fills decide_now.
func (x *decider) decide(ctx context.Context, tx *sql.Tx, which string) error {
	_, err := exec(ctx, tx, "decide", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE decide_now AS
		SELECT p._pid AS pid, (%s)::INTEGER AS audience FROM profiles p WHERE %s`, x.choose, which), x.args...)
	return err
}

// compare fills a table with who moves.
func (x *decider) compare(ctx context.Context, tx *sql.Tx, table string) error {
	leavers := `SELECT pid FROM decide_now`
	if x.request.Stay {
		leavers += ` WHERE audience IS NOT NULL`
	}
	_, err := exec(ctx, tx, "find who moves", fmt.Sprintf(`CREATE OR REPLACE %s AS
		SELECT coalesce(n.audience, m.audience) AS audience, coalesce(n.pid, m.pid) AS pid, CASE WHEN m.pid IS NULL THEN 'enter' ELSE 'exit' END AS event
		FROM (SELECT pid, audience FROM decide_now WHERE audience IS NOT NULL) n
		FULL JOIN (SELECT pid, audience FROM membership WHERE audience IN (%s) AND pid IN (%s)) m ON m.audience = n.audience AND m.pid = n.pid
		WHERE n.pid IS NULL OR m.pid IS NULL`, table, x.numbers(), leavers))
	return err
}

func (x *decider) numbers() string {
	if len(x.level) == 0 {
		return "NULL"
	}
	return joinNumbers(x.level)
}

// sum counts what was decided, and notes it where people are to be told of.
func (x *decider) sum(ctx context.Context, tx *sql.Tx, changes string) error {
	x.sums = warehouse.Decided{Chosen: map[activation.AudienceID]int64{}}
	for _, c := range x.request.Choices {
		x.sums.Chosen[c.Audience] = 0
	}
	if err := eachRow(ctx, tx, "count decisions", `SELECT coalesce(audience, 0), count(*) FROM decide_now GROUP BY 1`, func(audience, n int64) {
		x.sums.Considered += n
		if id, is := x.ids[int(audience)]; is {
			x.sums.Chosen[id] += n
		} else {
			x.sums.Nothing += n
		}
	}); err != nil {
		return err
	}
	if x.tell {
		x.chosen = nil
		if err := eachRow(ctx, tx, "list decisions", `SELECT pid, coalesce(audience, 0) FROM decide_now ORDER BY pid`, func(pid, audience int64) {
			x.chosen = append(x.chosen, chosen{pid, int(audience)})
		}); err != nil {
			return err
		}
	}
	return x.sumMoves(ctx, tx, changes)
}

// sumMoves counts who moves, and notes it where people are to be told of.
func (x *decider) sumMoves(ctx context.Context, tx *sql.Tx, changes string) error {
	if err := queryRow(ctx, tx, "count who moves", `SELECT count(*) FILTER (event = 'enter'), count(*) FILTER (event = 'exit') FROM `+changes, nil, &x.sums.Entered, &x.sums.Left); err != nil || !x.tell {
		return err
	}
	x.moves = map[int64][]move{}
	return eachRow(ctx, tx, "list who moves", `SELECT pid, CASE WHEN event = 'enter' THEN audience ELSE -audience END FROM `+changes, func(pid, audience int64) {
		x.moves[pid] = append(x.moves[pid], move{audience: int(max(audience, -audience)), enters: audience > 0})
	})
}

// move writes the changes that a query selects, after a step in the same
// transaction and before statements that end it.
func (x *decider) move(ctx context.Context, query string, before func(context.Context, *sql.Tx) error, after ...string) error {
	return x.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var declared int
		if err := queryRow(ctx, tx, "look for the level", fmt.Sprintf(`SELECT count(*) FROM audiences WHERE given AND n IN (%s)`, x.numbers()), nil, &declared); err != nil {
			return err
		}
		if declared != len(x.ids) {
			return fmt.Errorf("decide at a level that has changed meanwhile: %w", activation.ErrConflict)
		}
		if before != nil {
			if err := before(ctx, tx); err != nil {
				return err
			}
		}
		if err := execAll(ctx, tx, `CREATE OR REPLACE TEMP TABLE member_change AS `+query); err != nil {
			return err
		}
		if err := x.sumMoves(ctx, tx, "member_change"); err != nil {
			return err
		}
		if err := applyChanges(ctx, tx, x.at()); err != nil {
			return err
		}
		return execAll(ctx, tx, after...)
	})
}

// at is when people move.
func (x *decider) at() time.Time {
	if x.request.Now.IsZero() {
		return x.d.now()
	}
	return x.request.Now
}

// report tells of each person.
func (x *decider) report(fn func(warehouse.Decision)) {
	pids, audience := x.request.Profiles, map[int64]int{}
	for _, c := range x.chosen {
		audience[c.pid] = c.audience
		if x.request.Profiles == nil {
			pids = append(pids, c.pid)
		}
	}
	for _, pid := range pids {
		d := warehouse.Decision{Profile: pid, Audience: x.ids[audience[pid]]}
		for _, n := range x.level {
			switch {
			case slices.Contains(x.moves[pid], move{audience: n}):
				d.Left = append(d.Left, x.ids[n])
			case slices.Contains(x.moves[pid], move{audience: n, enters: true}):
				d.Entered = true
			}
		}
		fn(d)
	}
}

// eachRow runs a query of two numbers.
func eachRow(ctx context.Context, q queryer, what, query string, fn func(a, b int64)) (err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", what, scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a, b int64
		if err := rows.Scan(&a, &b); err != nil {
			return fmt.Errorf("%s: %w", what, scrub(ctx, err))
		}
		fn(a, b)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, scrub(ctx, err))
	}
	return nil
}
