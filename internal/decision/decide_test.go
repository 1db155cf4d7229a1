package decision_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/decision"
	"usher/internal/provider/usher"
)

// shop has three people and three actions at two groups.
func shop(t *testing.T) *world {
	t.Helper()
	f := newFake()
	f.add("young", 17)
	f.add("old", 40)
	f.add("unknown", -1)
	w := newWorld(f)
	sales := w.issue(t, "Sales")
	offers, gifts := w.group(t, sales, "Offers"), w.group(t, sales, "Gifts")
	w.action(t, offers, "Loan", "FILTER age >= 18", 10)
	w.action(t, offers, "Card", "FILTER EXISTS age", 5)
	w.action(t, gifts, "Mug", "FILTER age >= 18", 1)
	w.action(t, gifts, "Card", "FILTER age < 18", 1)
	w.said()
	return w
}

// decide decides for customers, each written "id level" or "id level action",
// and returns "status action" of each, with what they left.
func (w *world) decide(t *testing.T, lines ...string) []string {
	t.Helper()
	var customers []decision.Customer
	for _, line := range lines {
		parts := strings.SplitN(line, " ", 3)
		c := decision.Customer{ID: parts[0], Level: activation.Level(parts[1])}
		if len(parts) > 2 {
			c.Action = parts[2]
		}
		customers = append(customers, c)
	}
	outcomes, err := w.Decide(t.Context(), customers, "ann")
	if err != nil {
		t.Fatalf("decide: %v", err)
	}
	var out []string
	for i, o := range outcomes {
		if o.ID != customers[i].ID || o.Level != customers[i].Level {
			t.Errorf("the outcome of %q is told for %q", customers[i].ID, o.ID)
		}
		text := strings.TrimSpace(string(o.Status) + " " + o.Action)
		for _, left := range o.Left {
			text += ", left " + left
		}
		out = append(out, text)
	}
	return out
}

func TestOutcomes(t *testing.T) {
	w := shop(t)
	loan := string(w.h.Actions[0].ID)
	for _, c := range []struct {
		what  string
		lines []string
		want  []string
	}{
		{"usher decides", []string{"old Sales", "young Sales", "unknown Sales"}, []string{"decided Sales/Offers/Loan", "decided Sales/Offers/Card", "nothing"}},
		{"again", []string{"old Sales"}, []string{"unchanged Sales/Offers/Loan"}},
		{"by name", []string{"old Sales/Offers Card"}, []string{"decided Sales/Offers/Card, left Sales/Offers/Loan"}},
		{"by id", []string{"old all " + loan}, []string{"decided Sales/Offers/Loan, left Sales/Offers/Card"}},
		{"by path", []string{"young Sales Sales/Gifts/Card"}, []string{"decided Sales/Gifts/Card, left Sales/Offers/Card"}},
		{"not eligible, and stays", []string{"young Sales Loan", "young Sales/Gifts"}, []string{"not_eligible", "unchanged Sales/Gifts/Card"}},
		{"nobody and nothing of the name", []string{"nobody Sales", "old Care", "old Sales/", "old Sales Cap", "old Sales/Gifts Loan", "old Sales Card"}, []string{"unknown_customer", "unknown_level", "unknown_level", "unknown_action", "unknown_action", "ambiguous_action"}},
		{"another group keeps the first", []string{"old Sales/Gifts"}, []string{"decided Sales/Gifts/Mug"}},
		{"the issue moves among both", []string{"old Sales"}, []string{"decided Sales/Offers/Loan, left Sales/Gifts/Mug"}},
		{"the last wins", []string{"old Sales Loan", "old Sales Mug", "young Sales", "old Sales Loan"}, []string{"unchanged Sales/Offers/Loan", "decided Sales/Gifts/Mug, left Sales/Offers/Loan", "decided Sales/Offers/Card, left Sales/Gifts/Card", "decided Sales/Offers/Loan, left Sales/Gifts/Mug"}},
	} {
		got := w.decide(t, c.lines...)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// TestDisabledActionsTakeNoPart: nobody is decided for one, and who was leaves at
// the next decision.
func TestDisabledActionsTakeNoPart(t *testing.T) {
	w := shop(t)
	w.decide(t, "old Sales")
	loan := w.h.Actions[0]
	loan.Enabled = false
	if _, err := w.Decisions.UpdateAction(t.Context(), loan, "ann"); err != nil {
		t.Fatal(err)
	}
	if got := w.members(t, loan.Audience); len(got) != 1 {
		t.Errorf("switching off alone moved somebody: %v", got)
	}
	if got, want := w.decide(t, "old Sales/Offers Loan", "old Sales/Offers"), []string{"disabled_action", "decided Sales/Offers/Card, left Sales/Offers/Loan"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOneTransactionPerGroup: customers of one level and action are decided for
// together, and the call wakes whoever sends once for each that moved somebody.
func TestOneTransactionPerGroup(t *testing.T) {
	w := shop(t)
	w.decide(t, "old Sales", "young Sales/Offers Card", "young Sales", "unknown Sales", "old Sales/Offers Card", "nobody Sales")
	f := w.plane.(*fake)
	if got := w.said(); len(got) != 2 || f.decisions != 3 {
		t.Errorf("%d decisions were made, and what was done is %q", f.decisions, got)
	}
	w.decide(t, "unknown Sales")
	if got := w.said(); len(got) > 0 {
		t.Errorf("nobody moved, and what was done is %q", got)
	}
}

func TestWrongCustomersAreNamed(t *testing.T) {
	w := shop(t)
	many := make([]decision.Customer, 1001)
	for _, c := range []struct {
		customers []decision.Customer
		fields    string
	}{
		{nil, "customers"},
		{many, "customers"},
		{[]decision.Customer{{ID: "secret", Level: "Sales"}, {Level: "Sales"}, {ID: strings.Repeat("secret", 200)}}, "customers[1].id customers[2].id customers[2].level"},
	} {
		_, err := w.Decide(t.Context(), c.customers, "ann")
		if err == nil {
			t.Errorf("%d customers were taken", len(c.customers))
			continue
		}
		if got := wrongFields(t, err); got != c.fields || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %s, want %s: %v", got, c.fields, err)
		}
	}
	w.decide(t, "old Sales", "nobody Sales")
	if strings.Contains(w.log.String(), "old") || strings.Contains(w.log.String(), "nobody") {
		t.Errorf("the log tells of customers: %s", w.log)
	}
}

// TestCustomerField: customers are found by the strongest identifier, or by the
// one that is set.
func TestCustomerField(t *testing.T) {
	w := shop(t)
	f := w.plane.(*fake)
	f.people[1]["email"] = "young@example.com"
	if got := w.decide(t, "young@example.com Sales"); got[0] != "unknown_customer" {
		t.Errorf("found by another field: %q", got)
	}
	w.Decisions.CustomerField = "email"
	if got := w.decide(t, "young@example.com Sales"); got[0] != "decided Sales/Offers/Card" {
		t.Errorf("not found by the field: %q", got)
	}
	w.Decisions.CustomerField = "age"
	if _, err := w.Decide(t.Context(), []decision.Customer{{ID: "x", Level: "all"}}, "ann"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a field that is no identifier: %v", err)
	}
}

// TestDecideStopsAtAnError: what the data plane does not do is no outcome.
func TestDecideStopsAtAnError(t *testing.T) {
	w := shop(t)
	w.fail["hierarchy"] = errors.New("disk full")
	if out, err := w.Decide(t.Context(), []decision.Customer{{ID: "old", Level: "all"}}, "ann"); err == nil || out != nil {
		t.Errorf("got %v, %v", out, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Decide(ctx, []decision.Customer{{ID: "old", Level: "all"}}, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up answers %v", err)
	}
}

func TestPreviewMovesNobody(t *testing.T) {
	w := shop(t)
	w.decide(t, "young Sales/Gifts")
	w.said()
	got, err := w.Preview(t.Context(), "Sales")
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, a := range got.Actions {
		actions = append(actions, fmt.Sprintf("%s %d of %d", a.Path, a.Chosen, a.Members))
	}
	if want := []string{"Sales/Offers/Loan 1 of 0", "Sales/Offers/Card 1 of 0", "Sales/Gifts/Card 0 of 1", "Sales/Gifts/Mug 0 of 0"}; !slices.Equal(actions, want) {
		t.Errorf("got %q, want %q", actions, want)
	}
	got.Actions = nil
	if want := (decision.Preview{Level: "Sales", Considered: 3, Nothing: 1, Entered: 2, Left: 1}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if done := w.said(); len(done) > 0 || len(w.members(t, w.h.Actions[0].Audience)) > 0 {
		t.Errorf("something was done: %q", done)
	}
	if _, err := w.Preview(t.Context(), "Sales/Nothing"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a level that is not there: %v", err)
	}
}

// progress is how a pass tells what it has done.
type progress struct{ counts, before map[string]int64 }

func (p *progress) Pass() activation.Pass { return activation.Pass{Counts: p.before} }
func (p *progress) Count(name string, n int64) {
	p.counts[name] += n
}
func (*progress) Moved()                                             {}
func (*progress) Save(context.Context) error                         { return nil }
func (*progress) Note(context.Context, string, string, string) error { return nil }

func TestPass(t *testing.T) {
	w := shop(t)
	a := w.h.Actions[0]
	w.targets = []activation.Target{
		{ID: "yes", Audience: a.Audience, Job: "j"},
		{ID: "no", Audience: a.Negative, Job: "j"},
		{ID: "free", Audience: a.Audience},
		{ID: "going", Audience: a.Audience, Job: "j", Release: activation.EndEmpty},
		{ID: "gift", Audience: w.h.Actions[2].Audience, Job: "j"},
	}
	r := w.Runner()
	if got := r.Workflows(); !slices.Equal(got, []string{usher.Workflow}) {
		t.Errorf("it does %v", got)
	}
	job := activation.Job{Config: map[string]string{"level": "Sales/Offers"}}
	if due, err := r.Due(t.Context(), job); due || err != nil {
		t.Errorf("due: %v, %v", due, err)
	}
	// It ends after it has decided, and is done again with the counts it had.
	w.fail["due"] = errors.New("database locked")
	p := &progress{counts: map[string]int64{}}
	if err := r.Pass(t.Context(), job, p); err == nil || len(p.counts) > 0 {
		t.Errorf("got %v, and %v", err, p.counts)
	}
	delete(w.fail, "due")
	w.said()
	p.before = map[string]int64{"considered": 3, "chosen": 2, "nothing": 1, "entered": 2, "left": 0}
	p.counts = map[string]int64{"considered": 3, "chosen": 2, "nothing": 1, "entered": 2}
	if err := r.Pass(t.Context(), job, p); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int64{"considered": 3, "chosen": 2, "nothing": 1, "entered": 2, "left": 0}; !reflect.DeepEqual(p.counts, want) {
		t.Errorf("done twice the counts are %v, want %v", p.counts, want)
	}
	if got, want := w.said(), []string{"due [yes no] by outbound"}; !slices.Equal(got, want) {
		t.Errorf("what was done is %q, want %q", got, want)
	}
	job.Config["level"] = "Sales/Loans"
	if err := r.Pass(t.Context(), job, p); activation.KindOf(err) != activation.Invalid || !strings.Contains(activation.SafeMessage(err), "Sales/Loans") {
		t.Errorf("a level that is no more: %v", err)
	}
	w.issue(t, "Empty")
	job.Config["level"] = "Empty"
	if err := r.Pass(t.Context(), job, p); err != nil {
		t.Errorf("a level without actions: %v", err)
	}
}
