package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// Ledger judges how a warehouse plans, stages and folds runs. The audience is
// everybody from Denmark.
func Ledger(t *testing.T, open Open) {
	for _, c := range slices.Concat(ledgerCases, reachCases, wantingCases) {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			s := newShop(t, t.TempDir(), w)
			s.must(s.declare(`danes: FILTER country = "DK"`))
			c.run(t, &account{shop: s, generation: 1})
		})
	}
}

// account is the shop's account at a network.
type account struct {
	*shop
	generation int
	runs       int
	// with says more about each plan; may be nil.
	with func(*warehouse.PlanRequest)
}

const accountTarget activation.TargetID = "target"

// accountRules is a rule set of two keys that identify and one that only helps.
var accountRules = matchkey.RuleSet{Name: "suite/1", Keys: []matchkey.Key{
	{Name: "EMAIL", Hash: true, Identifies: true, Normalize: trimmed},
	{Name: "PHONE", Identifies: true, Normalize: trimmed},
	{Name: "COUNTRY", Normalize: trimmed},
}}

func trimmed(v string, _ matchkey.Row) string { return strings.TrimSpace(v) }

func (a *account) request(run string) warehouse.PlanRequest {
	a.t.Helper()
	set, err := matchkey.NewSet(accountRules, map[string]string{"EMAIL": "email", "PHONE": "phone", "COUNTRY": "country"}, "")
	a.must(err)
	r := warehouse.PlanRequest{Run: activation.RunID(run), Target: accountTarget, Generation: a.generation, Audience: idOf("danes"), Keys: set}
	if a.with != nil {
		a.with(&r)
	}
	return r
}

func (a *account) stage(run string) warehouse.Plan {
	a.t.Helper()
	plan, err := a.Stage(context.Background(), a.request(run), nil)
	a.must(err)
	return plan
}

// rows shows staged rows: "remove PHONE=2"; hashed values are only named.
func (a *account) rows(run string, plan warehouse.Plan) []string {
	a.t.Helper()
	var all []string
	keys := a.request(run).Keys.Keys
	for _, s := range plan.Segments {
		a.must(a.Rows(context.Background(), warehouse.Range{Run: activation.RunID(run), First: s.First, Last: s.Last}, false, func(r warehouse.KeyRow) error {
			line := string(s.Op)
			for i, v := range r.Values {
				switch {
				case v != nil && keys[i].Hash:
					line += " " + keys[i].Name
				case v != nil:
					line += fmt.Sprintf(" %s=%s", keys[i].Name, v)
				}
			}
			all = append(all, line)
			return nil
		}))
	}
	return all
}

// deliver stages a run, wants these rows, folds them with an outcome and checks
// the laws.
func (a *account) deliver(outcome activation.Outcome, want ...string) {
	a.t.Helper()
	a.runs++
	run := fmt.Sprintf("run%d", a.runs)
	plan := a.stage(run)
	if got := a.rows(run, plan); !slices.Equal(got, want) {
		a.t.Errorf("%s stages %q, want %q", run, got, want)
	}
	a.check(run, plan, a.fold(run, plan, outcome), outcome)
}

func (a *account) fold(run string, plan warehouse.Plan, outcome activation.Outcome) []warehouse.FoldResult {
	a.t.Helper()
	results, err := a.Fold(context.Background(), a.items(run, plan, outcome))
	a.must(err)
	return results
}

// items are one per segment, all with one outcome.
func (a *account) items(run string, plan warehouse.Plan, outcome activation.Outcome) []warehouse.FoldItem {
	var items []warehouse.FoldItem
	for i, s := range plan.Segments {
		items = append(items, warehouse.FoldItem{
			Item: activation.ItemID(fmt.Sprint(run, "-", i)), Attempt: 1, Run: activation.RunID(run), Target: accountTarget,
			Generation: a.generation, Op: s.Op, First: s.First, Last: s.Last, Outcome: outcome, At: shopNow,
		})
	}
	return items
}

func (a *account) check(run string, plan warehouse.Plan, results []warehouse.FoldResult, outcome activation.Outcome) {
	a.t.Helper()
	c := plan.Counts
	for _, r := range results {
		c.BecameIn += r.BecameIn
		c.LeftIn += r.LeftIn
	}
	c.Sent = c.Staged
	switch outcome {
	case activation.Accepted:
		c.Accepted = c.Staged
	case activation.Rejected:
		c.Rejected = c.Staged
	case activation.Unknown:
		c.Unknown = c.Staged
	default:
		c.Sent, c.Unsent = 0, c.Staged
	}
	var err error
	c.InAfter, err = a.InRows(context.Background(), activation.RunID(run), accountTarget, a.generation)
	a.must(err)
	a.must(c.CheckLaws())
}

func (a *account) wantHoldings(want warehouse.Holdings) {
	a.t.Helper()
	got, err := a.Holdings(context.Background(), accountTarget, a.generation)
	a.must(err)
	if got != want {
		a.t.Errorf("holdings %+v, want %+v", got, want)
	}
}

type ledgerCase struct {
	name string
	run  func(t *testing.T, a *account)
}

var ledgerCases = []ledgerCase{
	{"people are added, kept and removed", func(_ *testing.T, a *account) {
		a.customers("ann country=DK email=ann@example.com", "bob country=DK phone=2", "eve country=DK", "kim country=SE phone=4")
		a.deliver(activation.Accepted, "add EMAIL COUNTRY=DK", "add PHONE=2 COUNTRY=DK")
		a.wantHoldings(warehouse.Holdings{In: 2})
		a.deliver(activation.Accepted)
		a.customers("bob country=SE", "kim country=DK")
		a.deliver(activation.Accepted, "add PHONE=4 COUNTRY=DK", "remove PHONE=2")
		a.wantHoldings(warehouse.Holdings{In: 2})
	}},
	{"a changed key is removed and added anew", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.customers("ann phone=2")
		a.deliver(activation.Accepted, "remove PHONE=1", "readd PHONE=2 COUNTRY=DK")
		a.deliver(activation.Accepted)
		a.wantHoldings(warehouse.Holdings{In: 1})
	}},
	{"what another member needs is not removed", func(_ *testing.T, a *account) {
		a.customers("ann country=DK email=family@example.com phone=1", "bob country=DK email=family@example.com phone=2")
		a.deliver(activation.Accepted, "add EMAIL PHONE=1 COUNTRY=DK", "add EMAIL PHONE=2 COUNTRY=DK")
		a.customers("ann country=SE")
		a.deliver(activation.Accepted, "remove PHONE=1")
		a.wantHoldings(warehouse.Holdings{In: 1, Shared: 1})
		a.deliver(activation.Accepted)
		a.customers("bob country=SE")
		a.deliver(activation.Accepted, "remove EMAIL", "remove EMAIL PHONE=2")
		a.wantHoldings(warehouse.Holdings{})
	}},
	{"what is not known is tried again, what is refused is not", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Unknown, "add PHONE=1 COUNTRY=DK")
		a.wantHoldings(warehouse.Holdings{Maybe: 1})
		a.deliver(activation.Unsent, "add PHONE=1 COUNTRY=DK")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.customers("bob country=DK phone=2")
		a.deliver(activation.Rejected, "add PHONE=2 COUNTRY=DK")
		a.wantHoldings(warehouse.Holdings{In: 1, Refused: 1})
		a.deliver(activation.Accepted)
		a.customers("bob phone=3")
		a.deliver(activation.Accepted, "add PHONE=3 COUNTRY=DK")
		a.wantHoldings(warehouse.Holdings{In: 2})
	}},
	{"a new generation begins with nothing", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.generation = 2
		a.must(a.Reset(context.Background(), accountTarget, 2))
		a.wantHoldings(warehouse.Holdings{})
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
	}},
	{"a dry run says the same and leaves nothing", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		dry, err := a.DryRun(context.Background(), a.request("dry"))
		a.must(err)
		if err := a.Rows(context.Background(), warehouse.Range{Run: "dry", First: 1, Last: 1}, false, nil); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("rows of a dry run: %v, want not found", err)
		}
		if plan := a.stage("real"); plan.Counts != dry.Counts || !slices.Equal(plan.Segments, dry.Segments) {
			t.Errorf("the dry run said %+v, the run %+v", dry, plan)
		}
	}},
	{"staging again replaces the rows of the run", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.stage("run")
		a.customers("bob country=DK phone=2")
		plan := a.stage("run")
		if got, want := a.rows("run", plan), []string{"add PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK"}; !slices.Equal(got, want) {
			t.Errorf("rows %q, want %q", got, want)
		}
		a.must(a.Unstage(context.Background(), []activation.RunID{"run"}))
		if err := a.Rows(context.Background(), warehouse.Range{Run: "run", First: 1, Last: 1}, false, nil); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("rows of a run that is unstaged: %v, want not found", err)
		}
	}},
	{"the plan covers all changes up to its number", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		if plan := a.stage("run"); plan.Seq != a.seq("danes") {
			t.Errorf("the plan has seen change %d, the last one is %d", plan.Seq, a.seq("danes"))
		}
	}},
	{"runs are staged and folded while loads come", whileLoadsCome},
}

// whileLoadsCome runs three accounts' work at once with a stream of loads; in
// the end nothing is missing.
func whileLoadsCome(t *testing.T, a *account) {
	const loads = 6
	stop := make(chan struct{})
	var work sync.WaitGroup
	for i := range 2 {
		work.Go(func() {
			other := account{shop: a.shop, generation: 1}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r := other.request(fmt.Sprintf("other%d-%d", i, n))
				r.Target = activation.TargetID(fmt.Sprint("other", i))
				if _, err := a.Stage(context.Background(), r, nil); err != nil {
					t.Errorf("stage beside loads: %v", err)
					return
				}
				if err := a.Unstage(context.Background(), []activation.RunID{r.Run}); err != nil {
					t.Errorf("unstage beside loads: %v", err)
					return
				}
			}
		})
	}
	for n := range loads {
		var lines []string
		for i := range 20 {
			lines = append(lines, fmt.Sprintf("customer%d country=DK phone=%d-%d", i+n, i, n%3))
		}
		a.customers(lines...)
		a.runs++
		run := fmt.Sprintf("run%d", a.runs)
		plan := a.stage(run)
		a.check(run, plan, a.fold(run, plan, activation.Accepted), activation.Accepted)
	}
	close(stop)
	work.Wait()
	a.deliver(activation.Accepted)
	a.wantHoldings(warehouse.Holdings{In: 20 + loads - 1})
}
