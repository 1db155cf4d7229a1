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

// planner makes the plan of one run in one snapshot (delivery.md, step 2). Its
// intermediate results are temporary tables of its own connection:
//
//	plan_heldout, plan_excluded, plan_begun, plan_capped, plan_wanted   who of the members is not wanted, and who is (reach.go)
//	plan_awaiting   people whose outcome the network still owes, and holders of values it may yet take away;
//	                where keys alone are moved, all others too
//	plan_diff       audience against ledger, without what is in and stays in
//	plan_old        ledger rows of keys that are to go, with their values
//	plan_now        the present keys of those of plan_old who are wanted
//	plan_held_<i>   values of key i in plan_old that a wanted person holds
//	plan_remove     plan_old less what others hold
//	plan_kept       wanted people who have an identifier that a removal keeps back (plan_kept.go)
//	plan_rows       all that is to be staged
type planner struct {
	tx         *sql.Tx
	refresh    *refresh
	target     target
	generation int
	wants      wanting
	above      []int // those of wants.without that come first in a priority list
	keys       keySet
	sets       map[int]keySet // all, by number
	names      []int          // the keys made from identifiers
	// present is the relation of present keys: the key set's own table, or for
	// a dry run that table with fresh keys laid over it.
	present       string
	refreshBefore int64 // Unix microseconds; 0 = never
	// nobody, keep, begun and limit are Nobody, Keep, Begun and Limit of the
	// request (reach.go).
	nobody, keep bool
	// keysOnly and replace are KeysOnly and Replace; replace is the stronger.
	keysOnly, replace bool
	// forgets is Forget: only those who were forgotten are looked at.
	forgets bool
	begun   string
	limit   *int64
	since   int64 // what beginning found
}

// plan fills plan_rows.
func (p *planner) plan(ctx context.Context, awaiting []warehouse.Range) error {
	if err := p.choose(ctx); err != nil {
		return err
	}
	if err := p.await(ctx, awaiting); err != nil {
		return err
	}
	if err := p.cap(ctx); err != nil {
		return err
	}
	if p.replace {
		return p.replaceRows(ctx)
	}
	if err := p.diff(ctx); err != nil {
		return err
	}
	if err := p.old(ctx); err != nil {
		return err
	}
	if err := p.removals(ctx); err != nil {
		return err
	}
	if err := p.keepers(ctx); err != nil {
		return err
	}
	return p.rows(ctx)
}

// exec runs one statement of the plan.
func (p *planner) exec(ctx context.Context, what, format string, args ...any) error {
	_, err := exec(ctx, p.tx, what, fmt.Sprintf(format, args...))
	return err
}

// count runs a query of one number.
func (p *planner) count(ctx context.Context, what, format string, args ...any) (n int64, err error) {
	err = queryRow(ctx, p.tx, what, fmt.Sprintf(format, args...), nil, &n)
	return n, err
}

// ledger is the ledger of the target's generation, as SQL.
func (p *planner) ledger() string {
	return fmt.Sprintf(`(SELECT * FROM %s WHERE generation = %d)`, p.target.table(), p.generation)
}

// stays is the condition on a ledger row l of the present keys of a wanted
// person that leaves nothing to do.
func (p *planner) stays() string {
	return fmt.Sprintf(`(l.state = 'in' AND l.delivered_at >= %d)`, p.refreshBefore)
}

func (p *planner) await(ctx context.Context, awaiting []warehouse.Range) error {
	if err := p.exec(ctx, "list awaiting people", `CREATE OR REPLACE TEMP TABLE plan_awaiting (pid BIGINT)`); err != nil {
		return err
	}
	if p.replace { // who is not sent is dropped, so nobody can wait
		return nil
	}
	for _, r := range awaiting {
		if err := p.exec(ctx, "list awaiting people", `INSERT INTO plan_awaiting SELECT DISTINCT pid FROM %s WHERE n BETWEEN %d AND %d`,
			stagedTable(r.Run), r.First, r.Last); err != nil {
			return err
		}
		if err := p.awaitValues(ctx, r); err != nil {
			return err
		}
	}
	if p.forgets {
		return p.awaitRemembered(ctx)
	}
	if p.keysOnly {
		return p.awaitOthers(ctx)
	}
	return nil
}

// forgotten is the condition on a pid that its person was forgotten.
const forgotten = `pid IN (SELECT pid FROM forgotten)`

// awaitRemembered defers everybody but those who were forgotten.
func (p *planner) awaitRemembered(ctx context.Context) error {
	return p.exec(ctx, "defer who is not forgotten", `INSERT INTO plan_awaiting SELECT pid FROM (SELECT pid FROM %s UNION SELECT pid FROM %s) WHERE NOT %s`,
		p.members(), p.ledger(), forgotten)
}

// awaitOthers defers all but those wanted who are held and have keys, for a run
// that moves keys and does nothing else.
func (p *planner) awaitOthers(ctx context.Context) error {
	return p.exec(ctx, "defer who has no keys to move", `INSERT INTO plan_awaiting
		SELECT pid FROM (SELECT pid FROM %[1]s UNION SELECT pid FROM %[2]s) WHERE pid NOT IN (
			SELECT k.pid FROM %[3]s k WHERE k.fp <> %[4]s AND k.pid IN %[1]s AND k.pid IN %[5]s)`,
		p.members(), p.ledger(), p.present, noKeys, p.held())
}

// awaitValues defers the members who hold a value that the network may yet take
// away from somebody else: added now, they would lose it when the answer to
// that removal takes effect.
func (p *planner) awaitValues(ctx context.Context, r warehouse.Range) error {
	sets, err := p.numbers(ctx, fmt.Sprintf(`SELECT DISTINCT present FROM %s WHERE n BETWEEN %d AND %d AND op = 'remove'`, stagedTable(r.Run), r.First, r.Last))
	if err != nil {
		return err
	}
	for _, n := range sets {
		for _, i := range p.keys.identifying() {
			was := p.sets[n].column(p.keys.columns[i-1].Name)
			if was == 0 {
				continue
			}
			if err := p.exec(ctx, "list holders of values that may go", `INSERT INTO plan_awaiting SELECT DISTINCT k.pid FROM %s k
				JOIN (SELECT k%d AS v FROM %s WHERE n BETWEEN %d AND %d AND op = 'remove') o ON o.v = k.k%d WHERE k.pid IN %s`,
				p.present, was, stagedTable(r.Run), r.First, r.Last, i, p.members()); err != nil {
				return err
			}
		}
	}
	return p.awaitKept(ctx, fmt.Sprintf(`%s WHERE n BETWEEN %d AND %d`, stagedTable(r.Run), r.First, r.Last))
}

// diff joins who is wanted with what the ledger holds, by person and
// fingerprint: rows on both sides are the present keys; rows of the ledger
// alone are keys of people who left, or old keys of people who stay.
//
// Members who came after the keys were refreshed have none yet. Their change is
// newer than the plan, so they are deferred with those who await.
func (p *planner) diff(ctx context.Context) error {
	err := p.exec(ctx, "compare audience and ledger", `CREATE OR REPLACE TEMP TABLE plan_diff AS
		SELECT coalesce(d.pid, l.pid) AS pid, d.pid IS NOT NULL AS wanted, d.fp, d.version,
		       l.keyset, l.fp AS old_fp, l.version AS old_version, l.state, l.held, l.delivered_at
		FROM (SELECT m.pid, k.fp, k.version FROM %s m LEFT JOIN %s k ON k.pid = m.pid) d
		FULL JOIN %s l ON d.pid = l.pid AND d.fp = l.fp
		WHERE d.pid IS NULL OR l.pid IS NULL OR NOT %s`,
		p.members(), p.present, p.ledger(), p.stays())
	if err != nil {
		return err
	}
	return p.exec(ctx, "defer people without keys", `INSERT INTO plan_awaiting SELECT pid FROM plan_diff WHERE wanted AND fp IS NULL`)
}

// old finds the ledger rows whose keys are to go, and their values: only keys
// that identify, and only those not taken away before.
func (p *planner) old(ctx context.Context) error {
	if err := p.exec(ctx, "create plan_old", `CREATE OR REPLACE TEMP TABLE plan_old
		(pid BIGINT, keyset INTEGER, version INTEGER, fp UUID, state VARCHAR, held BIGINT, lost BOOLEAN, %s)`, p.keys.each("k%d BLOB", ", ")); err != nil {
		return err
	}
	going := `NOT wanted AND state IN ('in', 'maybe', 'shared') AND pid NOT IN (SELECT pid FROM plan_awaiting)`
	if p.keep {
		going = `false`
	}
	sets, err := p.numbers(ctx, `SELECT DISTINCT keyset FROM plan_diff WHERE `+going)
	if err != nil {
		return err
	}
	for _, n := range sets {
		if err := p.oldOf(ctx, p.sets[n], going); err != nil {
			return err
		}
	}
	unknown, err := p.count(ctx, "look for old keys", `SELECT (SELECT count(*) FROM plan_diff WHERE %s) - (SELECT count(*) FROM plan_old)`, going)
	if err != nil {
		return err
	}
	if unknown != 0 {
		return &activation.Error{
			Kind: activation.Internal, Code: "KEYS-LOST",
			Message: fmt.Sprintf("the keys that %d people were sent with are not known any more, so they can't be removed", unknown),
		}
	}
	if err := p.removable(ctx); err != nil {
		return err
	}
	return p.exec(ctx, "find present keys", `CREATE OR REPLACE TEMP TABLE plan_now AS
		SELECT k.* FROM %s k WHERE k.pid IN (SELECT pid FROM plan_old) AND k.pid IN %s AND k.fp <> %s`, p.present, p.members(), noKeys)
}

// oldOf adds the rows that were sent with key set was. Keys are matched by
// name, since an older mapping has other columns.
func (p *planner) oldOf(ctx context.Context, was keySet, going string) error {
	var values []string
	carried := 0
	for _, c := range p.keys.columns {
		i := was.column(c.Name)
		if i == 0 || !c.Identifies {
			values = append(values, "NULL")
			continue
		}
		carried |= bit(i)
		values = append(values, fmt.Sprintf("CASE WHEN d.held & %d <> 0 THEN v.k%d END", bit(i), i))
	}
	lost := []string{"false"} // values that were sent and that no present key can carry
	for i, c := range was.columns {
		if c.Identifies && carried&bit(i+1) == 0 {
			lost = append(lost, fmt.Sprintf("(d.held & %d <> 0 AND v.k%d IS NOT NULL)", bit(i+1), i+1))
		}
	}
	return p.exec(ctx, "find old keys", `INSERT INTO plan_old
		SELECT d.pid, d.keyset, d.old_version, d.old_fp, d.state, d.held, %s, %s
		FROM (SELECT * FROM plan_diff WHERE keyset = %d AND %s) d
		JOIN (SELECT pid, version, %s FROM %s UNION ALL SELECT pid, version, %s FROM %s) v ON v.pid = d.pid AND v.version = d.old_version`,
		strings.Join(lost, " OR "), strings.Join(values, ", "), was.n, going, was.each("k%d", ", "), was.table(), was.each("k%d", ", "), was.oldTable())
}

// removable refuses people whose every old key is of a kind that the mapping no
// longer has: nothing could take them away.
func (p *planner) removable(ctx context.Context) error {
	n, err := p.count(ctx, "look for keys without a column", `SELECT count(*) FROM plan_old WHERE lost AND %s`, p.keys.each("k%d IS NULL", " AND "))
	if err != nil || n == 0 {
		return err
	}
	return &activation.Error{
		Kind: activation.Invalid, Code: "KEYSET", Field: "mapping",
		Message: fmt.Sprintf("%d people were sent with match keys that the mapping no longer has: map them until those people are removed, or start a new remote audience", n),
	}
}

// removals takes from the old keys what a wanted person holds, the person's
// own present keys among them.
func (p *planner) removals(ctx context.Context) error {
	values, held, joins := make([]string, len(p.keys.columns)), []string{"0"}, ""
	for i := range p.keys.columns {
		values[i] = fmt.Sprintf("NULL AS k%d", i+1)
	}
	for _, i := range p.keys.identifying() {
		if err := p.exec(ctx, "find values others hold", `CREATE OR REPLACE TEMP TABLE plan_held_%[1]d AS
			SELECT DISTINCT k.k%[1]d AS v FROM %[2]s k JOIN (SELECT DISTINCT k%[1]d AS v FROM plan_old WHERE k%[1]d IS NOT NULL) o ON o.v = k.k%[1]d
			WHERE k.pid IN %[3]s`, i, p.present, p.members()); err != nil {
			return err
		}
		values[i-1] = fmt.Sprintf("CASE WHEN h%[1]d.v IS NULL THEN o.k%[1]d END AS k%[1]d", i)
		held = append(held, fmt.Sprintf("(CASE WHEN h%d.v IS NULL THEN 0 ELSE %s END)", i, p.mask(i)))
		joins += fmt.Sprintf(" LEFT JOIN plan_held_%[1]d h%[1]d ON h%[1]d.v = o.k%[1]d", i)
	}
	// A row all of whose values are among those of the person's present row,
	// which is in, tells nothing more.
	return p.exec(ctx, "find removals", `CREATE OR REPLACE TEMP TABLE plan_remove AS
		SELECT o.pid, o.keyset, o.version, o.fp, o.state, o.held AS before, %s AS held, c.pid IS NOT NULL AS wanted,
		       coalesce(%s AND NOT EXISTS (SELECT 1 FROM plan_diff x WHERE x.pid = o.pid AND x.wanted AND x.state IS DISTINCT FROM 'in'), false) AS covered,
		       %s
		FROM plan_old o LEFT JOIN plan_now c ON c.pid = o.pid%s`,
		strings.Join(held, " + "), p.keys.each("(o.k%[1]d IS NULL OR o.k%[1]d = c.k%[1]d)", " AND "), strings.Join(values, ", "), joins)
}

// mask is the bit, in SQL, that present key i has in the masks of a row o: its
// place in the key set that the row was sent with.
func (p *planner) mask(i int) string {
	mask := "CASE o.keyset"
	for n, was := range p.sets {
		mask += fmt.Sprintf(" WHEN %d THEN %d", n, bit(was.column(p.keys.columns[i-1].Name)))
	}
	return mask + " END"
}

// rows collects what is to be staged, and what of the ledger is to be tidied:
// drops are rows that say nothing any more, doubts are rows that are in and not
// wanted, or that a removal may take along. Those two get no ordinal and are never sent. What others hold of
// somebody who was forgotten is theirs alone: no row waits for it.
func (p *planner) rows(ctx context.Context) error {
	none, sent := p.keys.each("NULL::BLOB AS k%d", ", "), p.keys.each("k%d IS NOT NULL", " OR ")
	keys := p.keys.each("k.k%d", ", ")
	const awaiting = `(SELECT pid FROM plan_awaiting)`
	moved := fmt.Sprintf(`(SELECT pid FROM plan_remove WHERE wanted AND (state IN ('in', 'maybe') OR %s))`, sent)
	return p.exec(ctx, "collect rows", `CREATE OR REPLACE TEMP TABLE plan_rows AS
		SELECT 1 AS phase, 'remove' AS op, NOT wanted AND state IN ('in', 'maybe') AND before = %[1]d AS plain,
		       pid, keyset, version, fp, state AS prior, CASE WHEN %[13]s THEN 0 ELSE held END AS held, %[2]s
		FROM plan_remove WHERE %[3]s
		UNION ALL
		SELECT CASE WHEN d.moved OR d.pid IN (SELECT pid FROM plan_kept) THEN 2 ELSE 1 END, CASE WHEN d.moved THEN 'readd' ELSE 'add' END, %[12]s,
		       d.pid, %[4]d, d.version, d.fp, d.state, 0, %[5]s
		FROM (SELECT *, pid IN %[6]s AS moved FROM plan_diff WHERE wanted AND fp <> %[7]s AND state IS DISTINCT FROM 'refused' AND pid NOT IN %[8]s) d
		JOIN %[9]s k ON k.pid = d.pid
		UNION ALL
		SELECT 2, 'readd', false, k.pid, %[4]d, k.version, k.fp, 'in', 0, %[5]s
		FROM %[9]s k WHERE k.pid IN (SELECT pid FROM plan_remove WHERE wanted AND (%[3]s) UNION SELECT pid FROM plan_kept WHERE pid NOT IN %[8]s)
			AND k.pid NOT IN (SELECT pid FROM plan_diff WHERE wanted)
		UNION ALL
		SELECT NULL, 'drop', NULL, pid, keyset, old_version, old_fp, state, 0, %[10]s FROM plan_diff WHERE NOT wanted AND state = 'refused' AND pid NOT IN %[8]s
		UNION ALL
		SELECT NULL, 'drop', NULL, pid, keyset, version, fp, state, 0, %[10]s FROM plan_remove WHERE covered OR (%[13]s AND NOT (%[3]s))
		UNION ALL
		SELECT NULL, 'doubt', NULL, pid, keyset, old_version, old_fp, state, 0, %[10]s FROM plan_diff WHERE NOT wanted AND state = 'in' AND delivered_at > %[11]d
		UNION ALL
		SELECT NULL, 'doubt', NULL, k.pid, %[4]d, k.version, k.fp, 'in', 0, %[10]s
		FROM %[9]s k WHERE k.pid IN (SELECT pid FROM plan_kept) AND k.pid NOT IN (SELECT pid FROM plan_diff WHERE wanted)`,
		allKeys, p.keys.each("k%d", ", "), sent, p.keys.n, keys, moved, noKeys, awaiting, p.present, none, doubted, newcomer, forgotten)
}

// numbers runs a query of one column of numbers.
func (p *planner) numbers(ctx context.Context, query string) (ns []int, err error) {
	rows, err := p.tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list key sets: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("list key sets: %w", scrub(ctx, err))
		}
		ns = append(ns, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list key sets: %w", scrub(ctx, err))
	}
	return ns, nil
}

// bit is the bit of column i, from 1, in a mask of keys; 0 for no column.
func bit(i int) int {
	if i == 0 {
		return 0
	}
	return 1 << (i - 1)
}
