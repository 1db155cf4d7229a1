package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/warehouse"
)

// Explains judges what a warehouse tells of one person.
func Explains(t *testing.T, open Open) {
	for _, c := range explainCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			s := newShop(t, t.TempDir(), w)
			s.must(s.declare(`danes: FILTER country = "DK"`, `busy: FILTER orders > 5`, `idle: FILTER orders = 0`))
			c.run(&account{shop: s, generation: 1})
		})
	}
	t.Run("it says what the plan does", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "3")
		rapid.Check(t, func(rt *rapid.T) { asPlanned(rt, dir, open) })
	})
}

// explain looks a customer up.
func (a *account) explain(customer string, runs ...activation.RunID) warehouse.Person {
	a.t.Helper()
	p, err := a.Find(context.Background(), "customer", customer)
	a.must(err)
	got, err := a.Explain(context.Background(), a.request("asked"), p.ID, runs)
	a.must(err)
	if got.Profile != p.ID {
		a.t.Errorf("%s is profile %d and not %d", customer, p.ID, got.Profile)
	}
	return got
}

func (a *account) wants(what string, got, want any) {
	a.t.Helper()
	if !reflect.DeepEqual(got, want) {
		a.t.Errorf("%s is %+v, want %+v", what, got, want)
	}
}

var explainCases = []struct {
	name string
	run  func(a *account)
}{
	{"from the message to the ledger", func(a *account) {
		a.customers("ann country=DK email=ann@x phone=1")
		a.customers("ann orders=1", "eve country=SE")
		p := a.explain("ann", "run1")
		if len(p.Messages) != 1 || p.Messages[0].Stream != "customers" || p.Messages[0].Messages != 2 || p.Messages[0].LastTime.UnixMicro() != 2 || p.Messages[0].LastReceived.IsZero() {
			a.t.Errorf("messages %+v", p.Messages)
		}
		a.wants("membership", p.Member && p.Usable && !p.HeldOut && !p.Begun && p.Ledger == nil && p.Staged == nil, true)
		a.wants("the change", p.Changed.IsZero(), false)
		a.wants("the keys", p.Keys, []warehouse.PersonKey{
			{Name: "EMAIL", Field: "email", Present: true, HasValue: true, Identifies: true},
			{Name: "PHONE", Field: "phone", Present: true, HasValue: true, Identifies: true},
			{Name: "COUNTRY", Field: "country", Present: true, HasValue: true},
		})
		a.deliver(activation.Accepted, "add EMAIL PHONE=1 COUNTRY=DK")
		p = a.explain("ann", "run0", "run1")
		a.wants("the staged rows", p.Staged, []warehouse.PersonStaged{{Run: "run1", Ordinal: 1, Op: activation.OpAdd, Phase: 1}})
		a.wants("the ledger", p.Ledger, []warehouse.PersonLedger{{State: "in", Current: true, DeliveredAt: shopNow}})
		a.customers("ann phone=2")
		p = a.explain("ann")
		a.wants("the ledger", p.Ledger, []warehouse.PersonLedger{{State: "in", DeliveredAt: shopNow}})
		a.customers("ann country=SE")
		p = a.explain("ann")
		a.wants("membership", p.Member, false)
		a.wants("the change", p.Changed.IsZero(), false)
		a.deliver(activation.Accepted, "remove EMAIL PHONE=1")
		p = a.explain("ann", "run2", "run1")
		a.wants("the ledger", len(p.Ledger), 0)
		a.wants("the staged rows", p.Staged, []warehouse.PersonStaged{
			{Run: "run2", Ordinal: 1, Op: activation.OpRemove, Phase: 1},
			{Run: "run1", Ordinal: 1, Op: activation.OpAdd, Phase: 1},
		})
	}},
	{"keys that are not usable", func(a *account) {
		a.customers("ann country=DK", "bob country=DK phone=_")
		a.with = func(r *warehouse.PlanRequest) {
			r.Keys.Keys = slices.Clone(r.Keys.Keys)
			for i := range r.Keys.Keys {
				normalize := r.Keys.Keys[i].Normalize
				r.Keys.Keys[i].Normalize = func(v string, row matchkey.Row) string {
					if v == "_" {
						return ""
					}
					return normalize(v, row)
				}
			}
		}
		p := a.explain("ann")
		a.wants("the keys", p.Usable || p.Keys[0].HasValue || p.Keys[1].HasValue || !p.Keys[2].Present, false)
		p = a.explain("bob")
		a.wants("the phone", p.Keys[1], warehouse.PersonKey{Name: "PHONE", Field: "phone", HasValue: true, Identifies: true})
		a.wants("usable", p.Usable, false)
	}},
	{"a member who is not wanted", func(a *account) {
		a.customers("ann country=DK phone=1 orders=9", "bob country=DK phone=2", "eve country=SE orders=9")
		a.with = func(r *warehouse.PlanRequest) {
			r.Exclude, r.Above = []activation.AudienceID{idOf("idle"), idOf("busy")}, []activation.AudienceID{idOf("busy")}
		}
		p := a.explain("ann")
		a.wants("excluded by", p.ExcludedBy, []activation.AudienceID{idOf("busy")})
		a.wants("outranked by", p.OutrankedBy, []activation.AudienceID{idOf("busy")})
		p = a.explain("bob")
		a.wants("excluded by", len(p.ExcludedBy)+len(p.OutrankedBy), 0)
		p = a.explain("eve") // no member, so nothing else matters
		a.wants("eve", p.Member || len(p.ExcludedBy) > 0, false)
		a.with = func(r *warehouse.PlanRequest) { r.Holdout = &warehouse.Holdout{Percent: 100, Salt: "s"} }
		a.wants("held out", a.explain("ann").HeldOut, true)
		a.wants("held out", a.explain("eve").HeldOut, false)
	}},
	{"who was there when the job began", func(a *account) {
		a.customers("ann country=DK phone=1")
		a.with = func(r *warehouse.PlanRequest) { r.Begun = "job" }
		a.wants("before anything was staged", a.explain("ann").Begun, true)
		a.deliver(activation.Accepted)
		a.customers("bob country=DK phone=2")
		a.wants("ann", a.explain("ann").Begun, true)
		a.wants("bob", a.explain("bob").Begun, false)
		a.customers("ann country=SE")
		a.customers("ann country=DK")
		a.wants("ann who came back", a.explain("ann").Begun, false)
	}},
	{"refused, doubtful, and somebody who is not there", func(a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Rejected, "add PHONE=1 COUNTRY=DK")
		a.wants("the ledger", a.explain("ann").Ledger, []warehouse.PersonLedger{{State: "refused", Current: true, DeliveredAt: shopNow}})
		a.customers("bob country=DK phone=2")
		a.deliver(activation.Unknown, "add PHONE=2 COUNTRY=DK")
		a.wants("the ledger", a.explain("bob").Ledger, []warehouse.PersonLedger{{State: "maybe", Current: true, DeliveredAt: shopNow}})
		if _, err := a.Explain(context.Background(), a.request("asked"), 4711, nil); !errors.Is(err, activation.ErrNotFound) {
			a.t.Errorf("nobody: %v", err)
		}
	}},
	{"a target of events", func(a *account) {
		a.customers("ann country=DK phone=1")
		a.with = func(r *warehouse.PlanRequest) { r.Audience, r.Target = "", "events" }
		p := a.explain("ann")
		a.wants("membership", p.Member, false)
		a.wants("usable", p.Usable, true)
	}},
}

// asPlanned: what is told of each person is what a dry run counts.
func asPlanned(rt *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		rt.Fatalf("%v", err)
	}
	defer closeStore(rt, w)
	s := newShop(rt, dir, w)
	s.must(s.declare(`danes: FILTER country = "DK"`, `busy: FILTER orders > 5`, `idle: FILTER orders = 0`))
	a := &account{shop: s, generation: 1}
	var exclude, above []activation.AudienceID
	if rapid.Bool().Draw(rt, "exclude") {
		exclude = append(exclude, idOf("busy"))
	}
	if rapid.Bool().Draw(rt, "above") {
		above = append(above, idOf("idle"))
	}
	percent := rapid.SampledFrom([]float64{0, 30, 60}).Draw(rt, "percent")
	a.with = func(r *warehouse.PlanRequest) {
		r.Exclude, r.Above, r.Holdout = exclude, above, &warehouse.Holdout{Percent: percent, Salt: "s"}
	}
	const people = 8
	for range 2 {
		var lines []string
		for i := range people {
			line := fmt.Sprintf("c%d country=%s orders=%d", i, rapid.SampledFrom([]string{"DK", "SE"}).Draw(rt, "country"), rapid.SampledFrom([]int{0, 3, 9}).Draw(rt, "orders"))
			if rapid.Bool().Draw(rt, "has keys") {
				line += fmt.Sprintf(" phone=%d", i)
			}
			lines = append(lines, line)
		}
		a.customers(lines...)
		plan, err := a.DryRun(context.Background(), a.request("dry"))
		a.must(err)
		var got activation.Counts
		for i := range people {
			p := a.explain(fmt.Sprint("c", i))
			switch {
			case !p.Member:
				continue
			case p.HeldOut:
				got.HeldOut++
			case len(p.ExcludedBy)+len(p.OutrankedBy) > 0:
				got.Excluded++
				if len(p.OutrankedBy) > 0 {
					got.Outranked++
				}
			case !p.Usable:
				got.Omitted++
			case len(p.Ledger) > 0 && p.Ledger[0].State == "in" && p.Ledger[0].Current:
				got.Unchanged++
			}
			got.Selected++
		}
		c := plan.Counts
		if want := (activation.Counts{Selected: c.Selected, HeldOut: c.HeldOut, Excluded: c.Excluded, Outranked: c.Outranked, Omitted: c.Omitted, Unchanged: c.Unchanged}); got != want {
			rt.Fatalf("the people add up to %+v, the plan to %+v", got, want)
		}
		a.runs++
		run := fmt.Sprint("run", a.runs)
		plan = a.stage(run)
		a.fold(run, plan, activation.Accepted)
	}
}
