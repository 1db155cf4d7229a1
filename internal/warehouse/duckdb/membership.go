package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// updateMembership brings all audiences in step for the people a merge touched.
// touched names a temporary table (pid, keys_changed, gone). It belongs in the
// transaction of the merge, so that nobody sees a profile without its audiences.
//
// All rules are evaluated by one SELECT over the touched profiles. What it finds
// is compared with membership and written as changes: enter, exit, and keys for
// members whose identifiers changed. Members that are given stay while they are
// somebody.
func (d *DB) updateMembership(ctx context.Context, tx *sql.Tx, touched string, _ int64, now time.Time) error {
	as, err := d.declared(ctx, tx)
	if err != nil || len(as.all) == 0 {
		return err
	}
	given := as.given()
	as.all = d.working(ctx, as, now)
	if len(as.all)+len(given.all) == 0 {
		return nil
	}
	member, args, err := as.memberOf(now)
	if err != nil {
		return err
	}
	if _, err := exec(ctx, tx, "evaluate audiences", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_now AS
		SELECT pid, audience FROM (
			SELECT p._pid AS pid, unnest(%s) AS audience FROM profiles p WHERE p._pid IN (SELECT pid FROM %s WHERE NOT gone)
		) WHERE audience IS NOT NULL`, member, touched), args...); err != nil {
		return err
	}
	if len(given.all) > 0 {
		if _, err := exec(ctx, tx, "keep given members", fmt.Sprintf(`INSERT INTO member_now
			SELECT pid, audience FROM membership WHERE audience IN (%s) AND pid IN (SELECT pid FROM %s WHERE NOT gone)`, given.numbers(), touched)); err != nil {
			return err
		}
		as.all = append(as.all, given.all...)
	}
	if err := execAll(ctx, tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_before AS
		SELECT m.audience, m.pid, t.keys_changed FROM membership m JOIN %s t ON t.pid = m.pid WHERE m.audience IN (%s)`, touched, as.numbers()),
		`CREATE OR REPLACE TEMP TABLE member_change AS
		SELECT coalesce(n.audience, b.audience) AS audience, coalesce(n.pid, b.pid) AS pid,
		       CASE WHEN b.pid IS NULL THEN 'enter' WHEN n.pid IS NULL THEN 'exit' ELSE 'keys' END AS event
		FROM member_now n FULL JOIN member_before b ON b.audience = n.audience AND b.pid = n.pid
		WHERE b.pid IS NULL OR n.pid IS NULL OR b.keys_changed`); err != nil {
		return err
	}
	if err := applyChanges(ctx, tx, now); err != nil {
		return err
	}
	return execAll(ctx, tx, `DROP TABLE member_now`, `DROP TABLE member_before`)
}

// given is the audiences whose members are given.
func (as *audiences) given() *audiences {
	return &audiences{all: slices.DeleteFunc(slices.Clone(as.all), func(a audience) bool { return !a.Given })}
}

// working is the audiences with rules whose rules compile against the present schema. One
// that a change of the schema broke keeps the members it has and stops no merge.
func (d *DB) working(ctx context.Context, as *audiences, now time.Time) []audience {
	var ok []audience
	for _, a := range as.all {
		if a.Given {
			continue
		}
		if _, err := as.compile(a.filter, a.Slug, now, 1); err != nil {
			d.log.WarnContext(ctx, "audience keeps its members: its rule does not fit the schema any more", "segment_id", string(a.ID))
			continue
		}
		ok = append(ok, a)
	}
	return ok
}

// numbers lists the audiences' numbers, as SQL.
func (as *audiences) numbers() string {
	var ns []string
	for _, a := range as.all {
		ns = append(ns, strconv.Itoa(a.n))
	}
	return strings.Join(ns, ", ")
}

// memberOf is a list, in SQL over profiles p, of the numbers of the audiences
// the profile is in.
func (as *audiences) memberOf(now time.Time) (string, []any, error) {
	var list []string
	var args []any
	for _, a := range as.all {
		c, err := as.compile(a.filter, a.Slug, now, len(args)+1)
		if err != nil {
			return "", nil, err
		}
		list = append(list, fmt.Sprintf("CASE WHEN %s THEN %d END", c.SQL, a.n))
		args = append(args, c.Args...)
	}
	return "[" + strings.Join(list, ", ") + "]::INTEGER[]", args, nil
}

// evaluate brings one audience in step in full.
func evaluate(ctx context.Context, tx *sql.Tx, as *audiences, a audience, now time.Time) error {
	c, err := as.compile(a.filter, a.Slug, now, 1)
	if err != nil {
		return err
	}
	if _, err := exec(ctx, tx, "evaluate audience", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_change AS
		SELECT %d AS audience, coalesce(p.pid, m.pid) AS pid, CASE WHEN m.pid IS NULL THEN 'enter' ELSE 'exit' END AS event
		FROM (SELECT p._pid AS pid FROM profiles p WHERE %s) p FULL JOIN (SELECT pid FROM membership WHERE audience = %d) m ON m.pid = p.pid
		WHERE p.pid IS NULL OR m.pid IS NULL`, a.n, c.SQL, a.n), c.Args...); err != nil {
		return err
	}
	return applyChanges(ctx, tx, now)
}

// dropAudience lets everybody leave an audience that is no longer declared.
func dropAudience(ctx context.Context, tx *sql.Tx, a audience, now time.Time) error {
	if err := execAll(ctx, tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_change AS
		SELECT audience, pid, 'exit' AS event FROM membership WHERE audience = %d`, a.n)); err != nil {
		return err
	}
	return applyChanges(ctx, tx, now)
}

// reevaluateAll brings all audiences in step after a rebuild. Anybody's keys may
// have changed by it, so every audience counts as changed even where nobody
// entered or left; there is no 'keys' change per member.
func (d *DB) reevaluateAll(ctx context.Context, tx *sql.Tx, now time.Time) error {
	as, err := d.declared(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := exec(ctx, tx, "distrust fresh keys", `DELETE FROM refreshed`); err != nil {
		return err
	}
	for _, a := range d.working(ctx, as, now) {
		if err := evaluate(ctx, tx, as, a, now); err != nil {
			return err
		}
		if err := markChanged(ctx, tx, a); err != nil {
			return err
		}
	}
	for _, a := range as.given().all {
		if err := dropGone(ctx, tx, a, now); err != nil {
			return err
		}
		if err := markChanged(ctx, tx, a); err != nil {
			return err
		}
	}
	return nil
}

// markChanged gives an audience a change number that no member's change has:
// anybody's membership or keys may have changed.
func markChanged(ctx context.Context, tx *sql.Tx, a audience) error {
	seq, err := take(ctx, tx, "change", 1)
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, "mark audience changed", `UPDATE audiences SET seq = $2, keys_seq = $2 WHERE n = $1`, a.n, seq)
	return err
}

// dropGone lets those leave an audience who are no more.
func dropGone(ctx context.Context, tx *sql.Tx, a audience, now time.Time) error {
	if err := execAll(ctx, tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_change AS
		SELECT audience, pid, 'exit' AS event FROM membership WHERE audience = %d AND pid NOT IN (SELECT _pid FROM profiles)`, a.n)); err != nil {
		return err
	}
	return applyChanges(ctx, tx, now)
}

// applyChanges numbers the rows of the temporary table member_change, logs them
// and brings membership in step with them.
func applyChanges(ctx context.Context, tx *sql.Tx, now time.Time) error {
	var n, enters, exits int64
	if err := queryRow(ctx, tx, "count changes", `SELECT count(*), count(*) FILTER (event = 'enter'), count(*) FILTER (event = 'exit') FROM member_change`,
		nil, &n, &enters, &exits); err != nil {
		return err
	}
	if n > 0 {
		first, err := take(ctx, tx, "change", n)
		if err != nil {
			return err
		}
		if err := execAll(ctx, tx, fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE member_log AS
			SELECT %d + row_number() OVER () - 1 AS seq, audience, pid, event FROM member_change`, first),
			fmt.Sprintf(`INSERT INTO membership_changes SELECT seq, audience, pid, event, %d FROM member_log`, now.UnixMicro())); err != nil {
			return err
		}
		if err := replaceRows(ctx, tx, "number audiences", `audiences`, `n IN (SELECT audience FROM member_log)`,
			`SELECT a.* REPLACE (c.seq AS seq, coalesce(c.keys, a.keys_seq) AS keys_seq) FROM audiences a
			JOIN (SELECT audience, max(seq) AS seq, max(seq) FILTER (event = 'keys') AS keys FROM member_log GROUP BY audience) c ON c.audience = a.n`); err != nil {
			return err
		}
		if err := execAll(ctx, tx, `DROP TABLE member_log`); err != nil {
			return err
		}
	}
	if exits > 0 {
		if err := execAll(ctx, tx, `DELETE FROM membership m USING member_change c WHERE c.event = 'exit' AND m.audience = c.audience AND m.pid = c.pid`); err != nil {
			return err
		}
	}
	if enters > 0 {
		if err := execAll(ctx, tx, `INSERT INTO membership SELECT audience, pid FROM member_change WHERE event = 'enter'`); err != nil {
			return err
		}
	}
	return execAll(ctx, tx, `DROP TABLE member_change`)
}
