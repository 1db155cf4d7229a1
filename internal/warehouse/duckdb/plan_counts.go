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
	heldOut, excluded, outranked, capped := `SELECT 0`, `SELECT 0`, `SELECT 0`, `SELECT 0`
	if p.choosy() {
		heldOut = `SELECT count(*) FROM plan_heldout`
		excluded = `SELECT (SELECT count(*) FROM plan_excluded) + (SELECT count(*) FROM plan_begun
			WHERE pid NOT IN (SELECT pid FROM plan_heldout) AND pid NOT IN (SELECT pid FROM plan_excluded))`
		outranked = `SELECT count(*) FROM plan_excluded WHERE outranked`
		capped = `SELECT count(*) FROM plan_capped`
	}
	from := p.sources()
	for _, q := range []struct {
		into  *int64
		what  string
		query string
	}{
		{&c.Selected, "count members", fmt.Sprintf(`SELECT count(*) FROM %s`, p.all())},
		{&c.HeldOut, "count held out", heldOut},
		{&c.Excluded, "count excluded", excluded},
		{&c.Outranked, "count outranked", outranked},
		{&c.Capped, "count capped", capped},
		{&c.Deferred, "count deferred", from.deferred},
		{&c.Omitted, "count omitted", from.omitted},
		{&c.Unchanged, "count unchanged", from.unchanged},
		{&plan.Holding, "count held people", from.holding},
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
	if p.replace {
		if err := queryRow(ctx, p.tx, "count who is dropped", p.dropped(), nil, &c.Remove); err != nil {
			return plan, err
		}
	}
	c.Eligible = c.Selected - c.HeldOut - c.Excluded - c.Capped
	return plan, planLaws(*c)
}

// countSources are the queries that count some of the people.
type countSources struct{ deferred, omitted, unchanged, holding string }

func (p *planner) sources() countSources {
	if p.replace {
		return p.replaceSources()
	}
	return countSources{
		deferred: fmt.Sprintf(`SELECT count(*) FROM %s WHERE pid IN (SELECT pid FROM plan_awaiting)`, p.members()),
		omitted: fmt.Sprintf(`SELECT count(*) FROM plan_diff
			WHERE wanted AND pid NOT IN (SELECT pid FROM plan_awaiting) AND (fp = %s OR state = 'refused')`, noKeys),
		unchanged: p.unchanged(),
		holding:   p.holding(),
	}
}

// unchanged counts people whose present keys are in and stay in, and who take
// no part in this run. It counts in the ledger, where selected counts in the
// audience: all rows that would stay, less those of keys that are not wanted,
// of people who await, and of people who are added again after a removal.
func (p *planner) unchanged() string {
	return fmt.Sprintf(`SELECT (SELECT count(*) FROM %s l WHERE %s)
		- (SELECT count(*) FROM plan_diff l WHERE NOT wanted AND %s)
		- (SELECT count(*) FROM %s WHERE pid IN (SELECT pid FROM plan_awaiting) AND pid NOT IN (SELECT pid FROM plan_diff WHERE wanted))
		- (SELECT count(*) FROM plan_rows WHERE op = 'readd' AND pid NOT IN (SELECT pid FROM plan_diff WHERE wanted))`,
		p.ledger(), p.stays(), p.stays(), p.members())
}

// holding counts the people the ledger holds: its rows, less those that are not
// the only one of their person. Who has several has one that is not wanted.
func (p *planner) holding() string {
	const holds = `state IN ('in', 'maybe')`
	return fmt.Sprintf(`SELECT (SELECT count(*) FROM %[1]s WHERE %[2]s)
		- (SELECT count(*) - count(DISTINCT pid) FROM %[1]s WHERE %[2]s AND pid IN (SELECT pid FROM plan_diff WHERE NOT wanted AND %[2]s))`, p.ledger(), holds)
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
