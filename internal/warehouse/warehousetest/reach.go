package warehousetest

import (
	"context"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// reachCases are about plans that do not want every member.
var reachCases = []ledgerCase{
	{"who was there at the beginning is left out until they come back", func(t *testing.T, a *account) {
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "job" }
		a.customers("ann country=DK phone=1", "bob country=DK phone=2")
		a.wantCounts(activation.Counts{Selected: 2, Excluded: 2})
		a.wantBaseline(0) // a dry run begins nothing
		a.deliver(activation.Accepted)
		a.wantBaseline(2)
		a.customers("kim country=DK phone=3")
		a.deliver(activation.Accepted, "add PHONE=3 COUNTRY=DK")
		a.customers("ann phone=11") // other keys, the same beginning
		a.deliver(activation.Accepted)
		a.wantCounts(activation.Counts{Selected: 3, Excluded: 2, Eligible: 1, Unchanged: 1})
		a.customers("ann country=SE")
		a.customers("ann country=DK") // between two plans
		a.deliver(activation.Accepted, "add PHONE=11 COUNTRY=DK")
		a.wantBaseline(1)
		a.customers("bob country=SE")
		a.deliver(activation.Accepted)
		a.customers("bob country=DK")
		a.deliver(activation.Accepted, "add PHONE=2 COUNTRY=DK")
		a.wantBaseline(0)
		a.wantHoldings(warehouse.Holdings{In: 3})
	}},
	{"a beginning outlives a rebuild and a new generation", func(_ *testing.T, a *account) {
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "job" }
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Accepted)
		a.customers("bob country=DK phone=2")
		a.deliver(activation.Accepted, "add PHONE=2 COUNTRY=DK")
		_, err := a.Rebuild(context.Background(), nil)
		a.must(err)
		a.deliver(activation.Accepted)
		a.generation = 2
		a.must(a.Reset(context.Background(), accountTarget, 2))
		a.deliver(activation.Accepted, "add PHONE=2 COUNTRY=DK")
		a.wantBaseline(1)
	}},
	{"whom the ledger holds is never left out", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.customers("bob country=DK phone=2")
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "job" }
		a.deliver(activation.Accepted)
		a.wantCounts(activation.Counts{Selected: 2, Excluded: 1, Eligible: 1, Unchanged: 1})
		a.customers("ann country=SE")
		a.deliver(activation.Accepted, "remove PHONE=1")
		a.customers("ann country=DK")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
	}},
	{"another job begins anew", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "first" }
		a.deliver(activation.Accepted)
		a.customers("bob country=DK phone=2")
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "second" }
		a.deliver(activation.Accepted)
		a.wantBaseline(0)
		if n, err := a.Baseline(context.Background(), accountTarget, "second"); n != 2 || err != nil {
			a.t.Errorf("%d people are left of the second beginning (%v), want 2", n, err)
		}
		a.with = nil
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
	}},
	{"a value of somebody left out does not stay for their sake", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "job" }
		a.deliver(activation.Accepted)
		a.customers("bob country=DK phone=1")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.customers("bob country=SE")
		a.deliver(activation.Accepted, "remove PHONE=1")
		a.wantHoldings(warehouse.Holdings{})
	}},
	{"newcomers beyond the limit wait for a later run", func(_ *testing.T, a *account) {
		most := int64(2)
		a.with = func(r *warehouse.PlanRequest) { r.Limit = &most }
		a.customers("ann country=DK phone=1", "bob country=DK phone=2", "eve country=DK", "kim country=DK phone=3", "liv country=DK phone=4")
		a.wantCounts(activation.Counts{Selected: 5, Capped: 2, Eligible: 3, Add: 2, Omitted: 1, Staged: 2})
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
		most = 0
		a.customers("ann phone=11")
		a.deliver(activation.Accepted, "remove PHONE=1", "readd PHONE=11 COUNTRY=DK") // no newcomer
		a.customers("bob country=SE")
		a.deliver(activation.Accepted, "remove PHONE=2")
		most = 1
		a.deliver(activation.Unknown, "add PHONE=3 COUNTRY=DK")
		most = 0
		a.deliver(activation.Accepted, "add PHONE=3 COUNTRY=DK") // may be there already
		most = 9
		a.deliver(activation.Accepted, "add PHONE=4 COUNTRY=DK")
		a.wantHoldings(warehouse.Holdings{In: 3})
	}},
	{"newcomers are plain, others are not", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Unknown, "add PHONE=1 COUNTRY=DK")
		a.customers("bob country=DK phone=2")
		plan := a.stage("run")
		if len(plan.Segments) != 2 || plan.Segments[0].Plain == plan.Segments[1].Plain {
			t.Errorf("segments %+v, want a plain add and one that is not", plan.Segments)
		}
	}},
	{"nobody is removed from what is kept", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1", "bob country=DK phone=2")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
		a.customers("ann country=SE", "bob phone=22", "kim country=DK phone=3")
		a.with = func(r *warehouse.PlanRequest) { r.Keep = true }
		a.deliver(activation.Accepted, "add PHONE=22 COUNTRY=DK", "add PHONE=3 COUNTRY=DK")
		a.deliver(activation.Accepted)
	}},
	{"where nobody is wanted all goes", func(t *testing.T, a *account) {
		a.customers("ann country=DK email=home@example.com phone=1", "bob country=DK email=home@example.com phone=2", "kim country=DK phone=3")
		a.deliver(activation.Accepted, "add EMAIL PHONE=1 COUNTRY=DK", "add EMAIL PHONE=2 COUNTRY=DK", "add PHONE=3 COUNTRY=DK")
		a.customers("bob country=SE")
		a.deliver(activation.Accepted, "remove PHONE=2")
		a.with = func(r *warehouse.PlanRequest) { r.Nobody = true }
		a.runs++
		plan := a.stage("all")
		if plan.Counts.Selected != 0 || plan.Counts.Remove != 2 || plan.Holding != 2 {
			t.Errorf("the plan selects %d and removes %d of %d", plan.Counts.Selected, plan.Counts.Remove, plan.Holding)
		}
		for _, s := range plan.Segments {
			a.must(a.Rows(context.Background(), warehouse.Range{Run: "all", First: s.First, Last: s.Last}, true, func(r warehouse.KeyRow) error {
				if r.Stale {
					t.Errorf("row %d is called unwanted although nobody is wanted", r.Ordinal)
				}
				return nil
			}))
		}
		a.check("all", plan, a.fold("all", plan, activation.Accepted), activation.Accepted)
		a.wantHoldings(warehouse.Holdings{})
		a.with = nil
		a.deliver(activation.Accepted, "add EMAIL PHONE=1 COUNTRY=DK", "add PHONE=3 COUNTRY=DK")
	}},
	{"a released target is forgotten", func(_ *testing.T, a *account) {
		a.must(a.Forget(context.Background(), "never seen", 2, "job"))
		a.customers("ann country=DK phone=1")
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "job" }
		a.deliver(activation.Accepted)
		a.customers("bob country=DK phone=2")
		a.deliver(activation.Accepted, "add PHONE=2 COUNTRY=DK")
		a.must(a.Forget(context.Background(), accountTarget, 2, "another"))
		a.wantHoldings(warehouse.Holdings{})
		a.wantBaseline(1)
		a.must(a.Forget(context.Background(), accountTarget, 2, "job"))
		a.wantBaseline(0)
		a.must(a.Forget(context.Background(), accountTarget, 2, "job"))
		a.generation, a.with = 2, nil
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
	}},
}

// wantCounts checks what a dry run counts of people and rows.
func (a *account) wantCounts(want activation.Counts) {
	a.t.Helper()
	plan, err := a.DryRun(context.Background(), a.request("dry"))
	a.must(err)
	if plan.Counts != want {
		a.t.Errorf("the plan counts %+v, want %+v", plan.Counts, want)
	}
}

func (a *account) wantBaseline(want int64) {
	a.t.Helper()
	got, err := a.Baseline(context.Background(), accountTarget, "job")
	a.must(err)
	if got != want {
		a.t.Errorf("%d people are left of the beginning, want %d", got, want)
	}
}
