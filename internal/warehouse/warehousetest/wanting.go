package warehousetest

import (
	"context"
	"crypto/md5" //nolint:gosec // the method that divides people, no secret
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// wantingCases are about members who are held out, excluded or go elsewhere, and
// about runs that do less or more than an ordinary one.
var wantingCases = []ledgerCase{
	{"members of excluded audiences and of those first in a list leave", func(t *testing.T, a *account) {
		a.must(a.declare(`danes: FILTER country = "DK"`, `buyers: FILTER orders > 0`, `fans: FILTER orders > 5`))
		a.customers("ann country=DK phone=1", "bob country=DK phone=2 orders=1", "eve country=DK phone=3 orders=6", "kim country=SE phone=4 orders=9")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK", "add PHONE=3 COUNTRY=DK")
		a.with = func(r *warehouse.PlanRequest) {
			r.Exclude, r.Above = []activation.AudienceID{idOf("buyers")}, []activation.AudienceID{idOf("fans")}
		}
		a.wantCounts(activation.Counts{Selected: 3, Excluded: 2, Outranked: 1, Eligible: 1, Unchanged: 1, Remove: 2, Staged: 2, InBefore: 2})
		a.deliver(activation.Accepted, "remove PHONE=2", "remove PHONE=3")
		a.customers("bob orders=0", "ann orders=7")
		a.deliver(activation.Accepted, "add PHONE=2 COUNTRY=DK", "remove PHONE=1")
		a.with = func(r *warehouse.PlanRequest) { r.Exclude = []activation.AudienceID{idOf("danes")} }
		a.deliver(activation.Accepted, "remove PHONE=2")
	}},
	{"a removal of somebody excluded is wanted until they are not", func(t *testing.T, a *account) {
		a.must(a.declare(`danes: FILTER country = "DK"`, `buyers: FILTER orders > 0`))
		a.customers("ann country=DK phone=1", "bob country=DK phone=2")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
		a.with = func(r *warehouse.PlanRequest) { r.Exclude = []activation.AudienceID{idOf("buyers")} }
		a.customers("ann orders=1", "eve country=DK phone=3")
		plan := a.stage("run")
		a.wantStale("run", plan)
		a.customers("ann orders=0", "eve orders=2")
		a.wantStale("run", plan, "add PHONE=3 COUNTRY=DK", "remove PHONE=1")
		a.must(a.Unstage(context.Background(), []activation.RunID{"run"}))
		if err := a.Rows(context.Background(), warehouse.Range{Run: "run", First: 1, Last: 1}, true, nil); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("rows of a run that is unstaged: %v, want not found", err)
		}
	}},
	{"a plan has seen every change of the audiences it looks at", func(t *testing.T, a *account) {
		a.must(a.declare(`danes: FILTER country = "DK"`, `buyers: FILTER orders > 0`, `fans: FILTER orders > 5`))
		a.customers("ann country=DK phone=1")
		for _, slug := range []string{"buyers", "fans"} {
			a.customers("ann orders=0")
			a.customers("ann orders=6")
			a.with = func(r *warehouse.PlanRequest) { r.Exclude = []activation.AudienceID{idOf(slug)} }
			if plan := a.stage(slug); plan.Seq != a.seq(slug) || plan.Seq <= a.seq("danes") {
				t.Errorf("the plan has seen change %d, the last one of %s is %d", plan.Seq, slug, a.seq(slug))
			}
			a.with = func(r *warehouse.PlanRequest) { r.Above = []activation.AudienceID{idOf(slug)} }
			if plan := a.stage(slug); plan.Seq != a.seq(slug) {
				t.Errorf("the plan has seen change %d, the last one of %s is %d", plan.Seq, slug, a.seq(slug))
			}
		}
		a.with = func(r *warehouse.PlanRequest) { r.Exclude = []activation.AudienceID{"nobody's"} }
		if _, err := a.DryRun(context.Background(), a.request("run")); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("an excluded audience that is not declared: %v, want not found", err)
		}
	}},
	{"a holdout is the same people everywhere, and fewer are among more", holdouts},
	{"the first reason not to be wanted counts", func(_ *testing.T, a *account) {
		a.must(a.declare(`danes: FILTER country = "DK"`, `buyers: FILTER orders > 0`, `fans: FILTER orders > 5`))
		a.customers("ann country=DK phone=1 orders=6", "bob country=DK phone=2", "eve country=DK phone=3 orders=1")
		one := int64(0)
		a.with = func(r *warehouse.PlanRequest) {
			r.Begun, r.Limit = "job", &one
			r.Exclude, r.Above = []activation.AudienceID{idOf("buyers")}, []activation.AudienceID{idOf("fans")}
		}
		a.wantCounts(activation.Counts{Selected: 3, Excluded: 3, Outranked: 1})
		a.deliver(activation.Accepted)
		a.wantBaseline(3) // excluded or not, they were there
		a.customers("eve orders=0", "kim country=DK phone=4", "liv country=DK phone=5 orders=2")
		a.wantCounts(activation.Counts{Selected: 5, Excluded: 4, Outranked: 1, Capped: 1})
		with := a.with
		a.with = func(r *warehouse.PlanRequest) { with(r); r.Holdout = &warehouse.Holdout{Percent: 100, Salt: "any"} }
		a.wantCounts(activation.Counts{Selected: 5, HeldOut: 5})
		a.deliver(activation.Accepted)
		a.wantBaseline(3)
	}},
	{"keys alone are moved", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1", "bob country=DK phone=2", "eve country=DK phone=3", "kim country=DK phone=4")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK", "add PHONE=3 COUNTRY=DK", "add PHONE=4 COUNTRY=DK")
		a.customers("ann phone=11", "bob country=SE", "liv country=DK phone=5")
		a.customers("eve phone=3")
		a.with = func(r *warehouse.PlanRequest) { r.KeysOnly = true }
		a.wantCounts(activation.Counts{Selected: 4, Eligible: 4, Update: 1, Unchanged: 2, Deferred: 1, Staged: 2, InBefore: 1})
		a.deliver(activation.Accepted, "remove PHONE=1", "readd PHONE=11 COUNTRY=DK")
		a.deliver(activation.Accepted)
		a.wantHoldings(warehouse.Holdings{In: 4})
		a.with = nil
		a.deliver(activation.Accepted, "add PHONE=5 COUNTRY=DK", "remove PHONE=2")
	}},
	{"all members are replaced", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1", "bob country=DK phone=2", "eve country=DK phone=3")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK", "add PHONE=3 COUNTRY=DK")
		a.customers("ann country=SE", "bob phone=22", "kim country=DK phone=4", "liv country=DK")
		a.with = func(r *warehouse.PlanRequest) { r.Replace = true }
		a.wantCounts(activation.Counts{Selected: 4, Eligible: 4, Add: 3, Omitted: 1, Remove: 1, Staged: 3, InBefore: 1})
		plan := a.stage("all")
		if len(plan.Segments) != 1 || !plan.Segments[0].Plain || plan.Segments[0].Op != activation.OpAdd || plan.Holding != 3 {
			t.Errorf("the plan is %+v, want one segment of plain adds and 3 held", plan)
		}
		a.check("all", plan, a.fold("all", plan, activation.Accepted), activation.Accepted)
		a.wantHoldings(warehouse.Holdings{In: 4})
		a.wantReplaced("all", 1)
		a.wantHoldings(warehouse.Holdings{In: 3})
		a.with = nil
		a.deliver(activation.Accepted)
		a.customers("bob country=SE")
		a.deliver(activation.Accepted, "remove PHONE=22") // and not 2, which the network dropped
		a.customers("ann country=DK")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.wantReplaced("all", 1) // told again long after
		a.wantHoldings(warehouse.Holdings{In: 3})
	}},
	{"who was not taken by a replacement is added again, or removed no more", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1", "bob country=DK phone=2", "eve country=DK phone=3")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK", "add PHONE=3 COUNTRY=DK")
		a.with = func(r *warehouse.PlanRequest) { r.Replace = true }
		plan := a.stage("all")
		items := a.items("all", plan, activation.Accepted)
		items[0].Exceptions = []activation.Exception{{Ordinal: 0, Outcome: activation.Rejected}, {Ordinal: 1, Outcome: activation.Superseded}}
		_, err := a.Fold(context.Background(), items)
		a.must(err)
		a.wantHoldings(warehouse.Holdings{In: 1, Maybe: 2})
		a.wantReplaced("all", 2)
		a.wantHoldings(warehouse.Holdings{In: 1})
		a.customers("bob country=SE")
		a.with = nil
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
	}},
	{"a replacement that is cut leaves all in doubt", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1", "bob country=DK phone=2")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
		a.customers("bob country=SE", "eve country=DK phone=3")
		a.with = func(r *warehouse.PlanRequest) { r.Replace = true }
		plan := a.stage("all")
		items := a.items("all", plan, activation.Accepted)
		items[0].Exceptions = []activation.Exception{{Ordinal: 1, Outcome: activation.Unsent}}
		_, err := a.Fold(context.Background(), items)
		a.must(err)
		for range 2 {
			a.must(a.Doubt(context.Background(), accountTarget, a.generation))
			a.wantHoldings(warehouse.Holdings{Maybe: 2})
		}
		a.with = nil
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=3 COUNTRY=DK", "remove PHONE=2")
		a.wantHoldings(warehouse.Holdings{In: 2})
	}},
	{"a replacement asks again about the refused, within the limit for newcomers", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1", "bob country=DK phone=2")
		a.deliver(activation.Rejected, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
		most := int64(1)
		a.with = func(r *warehouse.PlanRequest) { r.Replace, r.Limit = true, &most }
		a.wantCounts(activation.Counts{Selected: 2, Capped: 1, Eligible: 1, Add: 1, Staged: 1})
		most = 2
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
		a.wantHoldings(warehouse.Holdings{In: 2})
	}},
}

// holdouts compares whom holdouts keep out with what anybody can compute.
func holdouts(t *testing.T, a *account) {
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf("c%d country=DK phone=%d", i, i))
	}
	a.customers(lines...)
	page, err := a.Members(context.Background(), idOf("danes"), 0, 100)
	a.must(err)
	before := map[string]int{}
	for _, salt := range []string{"one", "it's two"} {
		for _, percent := range []float64{0, 5.25, 33.33} {
			want := []string{}
			for _, p := range page {
				h := md5.Sum(fmt.Appendf(nil, "%s/%d", salt, p.ID)) //nolint:gosec // the method that divides people, no secret
				if float64(binary.LittleEndian.Uint64(h[:8])%10_000) >= percent*100 {
					want = append(want, fmt.Sprintf("add PHONE=%s COUNTRY=DK", p.Values["phone"]))
				}
			}
			a.with = func(r *warehouse.PlanRequest) {
				r.Target, r.Holdout = activation.TargetID(fmt.Sprint(percent)), &warehouse.Holdout{Percent: percent, Salt: salt}
			}
			plan := a.stage("run")
			if got := a.rows("run", plan); !slices.Equal(got, want) {
				t.Errorf("%v %% held out by %q leaves %d people, want %d", percent, salt, len(got), len(want))
			}
			if out := int64(len(page) - len(want)); plan.Counts.HeldOut != out || plan.Counts.Selected != int64(len(page)) {
				t.Errorf("%v %% held out by %q counts %+v, want %d held out", percent, salt, plan.Counts, out)
			}
			if n, is := before[salt]; is && len(want) > n {
				t.Errorf("%v %% leave more people than a smaller share", percent)
			}
			before[salt] = len(want)
		}
	}
}

// wantStale wants these staged rows, and no others, to be called unwanted.
func (a *account) wantStale(run string, plan warehouse.Plan, want ...string) {
	a.t.Helper()
	lines := a.rows(run, plan)
	var got []string
	for _, s := range plan.Segments {
		a.must(a.Rows(context.Background(), warehouse.Range{Run: activation.RunID(run), First: s.First, Last: s.Last}, true, func(r warehouse.KeyRow) error {
			if r.Stale {
				got = append(got, lines[r.Ordinal-1])
			}
			return nil
		}))
	}
	if !slices.Equal(got, want) {
		a.t.Errorf("unwanted are %q, want %q", got, want)
	}
}

// wantReplaced tells, twice, of a run that replaced all members.
func (a *account) wantReplaced(run activation.RunID, want int64) {
	a.t.Helper()
	for range 2 {
		if left, err := a.Replaced(context.Background(), run, accountTarget, a.generation); left != want || err != nil {
			a.t.Errorf("%d people left by the replacement (%v), want %d", left, err, want)
		}
	}
}
