package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usher/internal/activation"
)

// Whom a plan wants, where that is not simply the audience's members. Of each
// member the first that fits is counted:
//
//	plan_heldout    members whom the holdout keeps out
//	plan_excluded   members of excluded audiences, or of those first in a priority list (outranked)
//	plan_begun      members who were there when the job began, and have not left since
//	plan_capped     members who would be newly added beyond the limit
//	plan_wanted     members without those
//
// The beginning of a job at a target is written once, in the transaction of the
// first plan that asks for it: baselines(target, job, seq) says whose it is and
// up to which membership change it was looked through, baseline_<n>(pid) who is
// left of it, held out and excluded or not. Nobody comes to it later; who leaves
// is dropped by the next plan, and so is who the ledger turns out to hold.
// Another job begins anew.

func (t target) baseline() string { return fmt.Sprintf("baseline_%d", t.n) }

// nobody is the relation without people, as SQL.
const nobody = `(SELECT NULL::BIGINT AS pid WHERE false)`

// choosy reports whether some members are not wanted.
func (p *planner) choosy() bool {
	return !p.nobody && (p.begun != "" || p.limit != nil || p.wants.choosy())
}

// all is the audience's members, wanted or not, as SQL.
func (p *planner) all() string {
	if p.nobody {
		return nobody
	}
	return p.wants.all()
}

// members is who is wanted, as SQL.
func (p *planner) members() string {
	if p.choosy() {
		return `(SELECT pid FROM plan_wanted)`
	}
	return p.all()
}

// choose takes those out who are held out or excluded, or were members when the
// job began.
func (p *planner) choose(ctx context.Context) error {
	if !p.choosy() {
		return nil
	}
	if err := p.exec(ctx, "list people held out", `CREATE OR REPLACE TEMP TABLE plan_heldout AS
		SELECT pid FROM %s WHERE %s`, p.all(), heldOut("pid", p.wants.holdout)); err != nil {
		return err
	}
	if err := p.exec(ctx, "list excluded people", `CREATE OR REPLACE TEMP TABLE plan_excluded AS
		SELECT pid, pid IN (%s) AS outranked FROM %s WHERE pid IN (%s) AND pid NOT IN (SELECT pid FROM plan_heldout)`,
		membersOf(p.above), p.all(), membersOf(p.wants.without)); err != nil {
		return err
	}
	if err := p.begins(ctx); err != nil {
		return err
	}
	return p.exec(ctx, "list wanted people", `CREATE OR REPLACE TEMP TABLE plan_wanted AS SELECT pid FROM %s
		WHERE pid NOT IN (SELECT pid FROM plan_heldout) AND pid NOT IN (SELECT pid FROM plan_excluded) AND pid NOT IN (SELECT pid FROM plan_begun)`, p.all())
}

// held is the people that the network may hold by the ledger, as SQL.
func (p *planner) held() string {
	return fmt.Sprintf(`(SELECT pid FROM %s WHERE state IN ('in', 'maybe'))`, p.ledger())
}

// begins finds who is left of the job's beginning.
func (p *planner) begins(ctx context.Context) (err error) {
	if p.begun == "" {
		return p.exec(ctx, "list who was there", `CREATE OR REPLACE TEMP TABLE plan_begun (pid BIGINT)`)
	}
	if p.since, err = p.beginning(ctx); err != nil {
		return err
	}
	from := p.all()
	if p.since != noBeginning {
		from = fmt.Sprintf(`(SELECT pid FROM %s WHERE pid IN %s AND pid NOT IN (
			SELECT pid FROM membership_changes WHERE seq > %d AND audience = %d AND event = 'exit'))`, p.target.baseline(), p.all(), p.since, p.wants.audience)
	}
	return p.exec(ctx, "list who was there", `CREATE OR REPLACE TEMP TABLE plan_begun AS SELECT pid FROM %s WHERE pid NOT IN %s`, from, p.held())
}

// noBeginning: the job has none at this target yet.
const noBeginning = -1

// beginning is the change up to which the job's beginning was looked through.
func (p *planner) beginning(ctx context.Context) (int64, error) {
	var seq int64
	err := p.tx.QueryRowContext(ctx, `SELECT seq FROM baselines WHERE target = $1 AND job = $2`, p.target.n, p.begun).Scan(&seq)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return noBeginning, nil
	case err != nil:
		return 0, fmt.Errorf("read baseline: %w", scrub(ctx, err))
	}
	return seq, nil
}

// begin writes the beginning down, or brings it in step. It belongs in the
// transaction that stages the rows.
func (p *planner) begin(ctx context.Context) error {
	if p.nobody || p.begun == "" {
		return nil
	}
	var seq int64
	if err := queryRow(ctx, p.tx, "read change number", fmt.Sprintf(`SELECT seq FROM audiences WHERE n = %d`, p.wants.audience), nil, &seq); err != nil {
		return err
	}
	if p.since == noBeginning {
		return execAll(ctx, p.tx, fmt.Sprintf(`CREATE OR REPLACE TABLE %s AS SELECT pid FROM plan_begun`, p.target.baseline()),
			fmt.Sprintf(`DELETE FROM baselines WHERE target = %d`, p.target.n),
			fmt.Sprintf(`INSERT INTO baselines VALUES (%d, %s, %d)`, p.target.n, literal(p.begun), seq))
	}
	gone, err := p.count(ctx, "count who left", `SELECT (SELECT count(*) FROM %s) - (SELECT count(*) FROM plan_begun)`, p.target.baseline())
	if err != nil {
		return err
	}
	var todo []string
	if gone > 0 {
		todo = append(todo, fmt.Sprintf(`DELETE FROM %s WHERE pid NOT IN (SELECT pid FROM plan_begun)`, p.target.baseline()))
	}
	if seq != p.since {
		todo = append(todo, fmt.Sprintf(`UPDATE baselines SET seq = %d WHERE target = %d`, seq, p.target.n))
	}
	return execAll(ctx, p.tx, todo...)
}

// cap leaves newcomers beyond the limit to later runs: the highest profile ids.
// A newcomer has keys to be sent by and is not held by the ledger.
func (p *planner) cap(ctx context.Context) error {
	if !p.choosy() {
		return nil
	}
	if p.limit == nil {
		return p.exec(ctx, "list capped people", `CREATE OR REPLACE TEMP TABLE plan_capped (pid BIGINT)`)
	}
	refused := fmt.Sprintf(`SELECT 1 FROM %s l WHERE l.pid = m.pid AND l.fp = k.fp AND l.state = 'refused'`, p.ledger())
	if p.replace { // asks again about the refused
		refused = `SELECT 1 WHERE false`
	}
	if err := p.exec(ctx, "list capped people", `CREATE OR REPLACE TEMP TABLE plan_capped AS
		SELECT pid FROM (
			SELECT m.pid, row_number() OVER (ORDER BY m.pid) AS place FROM plan_wanted m JOIN %s k ON k.pid = m.pid
			WHERE k.fp <> %s AND m.pid NOT IN (SELECT pid FROM plan_awaiting) AND m.pid NOT IN %s AND NOT EXISTS (%s)
		) WHERE place > %d`, p.present, noKeys, p.held(), refused, max(0, *p.limit)); err != nil {
		return err
	}
	return p.exec(ctx, "leave out capped people", `DELETE FROM plan_wanted WHERE pid IN (SELECT pid FROM plan_capped)`)
}

// newcomer is the condition on a row d of plan_diff that its person is newly
// added: no version of their keys is at the network, as far as the ledger knows.
const newcomer = `(d.state IS NULL OR d.state NOT IN ('in', 'maybe')) AND d.pid NOT IN (SELECT pid FROM plan_diff WHERE NOT wanted AND state IN ('in', 'maybe'))`

// Baseline is how many people are left of a job's beginning at a target.
func (d *DB) Baseline(ctx context.Context, id activation.TargetID, job string) (int64, error) {
	t, err := findTarget(ctx, d.sql, id)
	if errors.Is(err, activation.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var begun, n int64
	if err := queryRow(ctx, d.sql, "look for a baseline", `SELECT count(*) FROM baselines WHERE target = $1 AND job = $2`, []any{t.n, job}, &begun); err != nil || begun == 0 {
		return 0, err
	}
	err = queryRow(ctx, d.sql, "count the baseline", "SELECT count(*) FROM "+t.baseline(), nil, &n)
	return n, err
}

// Forget drops the ledger of generations older than this one, and the beginning
// of the job that had the target; that of another job stays.
func (d *DB) Forget(ctx context.Context, id activation.TargetID, generation int, job string) error {
	if _, err := findTarget(ctx, d.sql, id); errors.Is(err, activation.ErrNotFound) {
		return nil // nothing was ever staged for it
	}
	if err := d.Reset(ctx, id, generation); err != nil {
		return err
	}
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		t, err := findTarget(ctx, tx, id)
		if err != nil {
			return err
		}
		n, err := exec(ctx, tx, "forget the beginning", `DELETE FROM baselines WHERE target = $1 AND job = $2`, t.n, job)
		if err != nil || n == 0 {
			return err
		}
		return execAll(ctx, tx, `DROP TABLE `+t.baseline())
	})
}
