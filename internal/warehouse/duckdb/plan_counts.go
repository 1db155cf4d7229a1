package duckdb

import (
	"context"
	"fmt"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// counts fills the counts of a finished plan, each from its own source, so
// that the laws they must obey mean something.
func (p *planner) counts(ctx context.Context) (warehouse.Plan, error) {
	var plan warehouse.Plan
	c := &plan.Counts
	const omitted = `wanted AND pid NOT IN (SELECT pid FROM plan_awaiting) AND (fp = %s OR state = 'refused')`
	for _, q := range []struct {
		into  *int64
		what  string
		query string
	}{
		{&c.Selected, "count members", fmt.Sprintf(`SELECT count(*) FROM %s`, p.members())},
		{&c.Deferred, "count deferred", fmt.Sprintf(`SELECT count(*) FROM %s WHERE pid IN (SELECT pid FROM plan_awaiting)`, p.members())},
		{&c.Omitted, "count omitted", fmt.Sprintf(`SELECT count(*) FROM plan_diff WHERE `+omitted, noKeys)},
		{&c.Unchanged, "count unchanged", p.unchanged()},
		{&plan.Holding, "count held people", fmt.Sprintf(`SELECT count(DISTINCT pid) FROM %s WHERE state IN ('in', 'maybe')`, p.ledger())},
	} {
		if err := queryRow(ctx, p.tx, q.what, q.query, nil, q.into); err != nil {
			return plan, err
		}
	}
	err := queryRow(ctx, p.tx, "count rows", `SELECT count(*) FILTER (op = 'add'), count(*) FILTER (op = 'readd'),
		count(DISTINCT pid) FILTER (op = 'remove' AND plain), count(*), count(*) FILTER (prior = 'in')
		FROM plan_rows WHERE phase IS NOT NULL`, nil, &c.Add, &c.Update, &c.Remove, &c.Staged, &c.InBefore)
	if err != nil {
		return plan, err
	}
	c.Eligible = c.Selected - c.HeldOut - c.Excluded - c.Capped
	return plan, planLaws(*c)
}

// unchanged counts people whose present keys are in and stay in, and who take
// no part in this run.
func (p *planner) unchanged() string {
	return fmt.Sprintf(`SELECT count(*) FROM %s k JOIN %s l ON l.pid = k.pid AND l.fp = k.fp AND l.keyset = %d
		WHERE %s AND k.pid IN %s AND k.pid NOT IN (SELECT pid FROM plan_awaiting) AND k.pid NOT IN (SELECT pid FROM plan_rows WHERE op = 'readd')`,
		p.present, p.ledger(), p.keys.n, p.stays(), p.members())
}

// planLaws checks the laws that a plan must obey before anything is sent.
func planLaws(c activation.Counts) error {
	for _, l := range c.Laws() {
		if (l.Name == "selected" || l.Name == "eligible") && !l.Holds() {
			return countsError("the plan's counts do not add up: %s (%d is not %d)", l.Text, l.Left, l.Right)
		}
	}
	return nil
}
