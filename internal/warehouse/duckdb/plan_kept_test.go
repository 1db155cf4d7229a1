package duckdb

import (
	"context"
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// parted is a person of two with all keys delivered, who then becomes another
// profile: the e-mail, by which people are told apart, goes from 2 to 3.
func parted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 0)
	sc := *w.d.state.snapshot()
	sc.Active.Fields = slices.Clone(sc.Active.Fields)
	sc.Active.Fields[0].Rank = 1
	w.d.state.setSchema(&sc)
	w.person(1, "one@x", "111")
	w.person(2, "two@x", "222")
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.person(3, "two@x", "333")
	w.members(1, 3)
	return w
}

// TestIdentifierThatWentToAnother: to the network, 2 and 3 are one member. The
// removal of the old phone takes that member away, so 3 comes after it.
func TestIdentifierThatWentToAnother(t *testing.T) {
	w := parted(t)
	plan := w.stage("2")
	same(t, "parted", w.lines("2", plan), []string{"1 remove 2 PHONE=222", "2 add 3 EMAIL PHONE=333"})
	if c := plan.Counts; c.Add != 1 || c.Update != 0 || c.Unchanged != 1 || c.Remove != 1 {
		t.Errorf("counts %+v", c)
	}
	w.fold("2", plan, activation.Accepted)
	same(t, "ledger", w.ledger(), []string{"1 in", "2 shared:1", "3 in"})
	if plan = w.stage("3"); plan.Counts.Staged != 0 {
		t.Errorf("with nothing changed %v is staged", w.lines("3", plan))
	}
}

// TestIdentifierOfSomebodyDelivered: where the removal comes only when 3 is there
// already, 3 is sent once more, and if that fails by the next run.
func TestIdentifierOfSomebodyDelivered(t *testing.T) {
	w := parted(t)
	w.fold("2", w.stage("2"), activation.Accepted, activation.Exception{Ordinal: 0, Outcome: activation.Rejected, Code: "X"})
	same(t, "ledger", w.ledger(), []string{"1 in", "2 in X", "3 in"})
	plan := w.stage("3")
	same(t, "removed later", w.lines("3", plan), []string{"1 remove 2 PHONE=222", "2 readd moved 3 EMAIL PHONE=333"})
	if t.Failed() {
		t.FailNow()
	}
	if c := plan.Counts; c.Update != 1 || c.Unchanged != 1 {
		t.Errorf("counts %+v", c)
	}
	var removal warehouse.Plan
	removal.Segments = plan.Segments[:1]
	w.fold("3", removal, activation.Accepted) // and is stopped before the rest
	same(t, "stopped", w.lines("4", w.stage("4")), []string{"1 add moved 3 EMAIL PHONE=333"})
}

// TestIdentifierOfAnAwaitedRemoval: 3 waits until the network has answered about
// the phone, because the removal may take effect only then.
func TestIdentifierOfAnAwaitedRemoval(t *testing.T) {
	w := parted(t)
	first := w.stage("2").Segments[0]
	r := w.request("3")
	r.Awaiting = []warehouse.Range{{Run: "2", First: first.First, Last: first.Last}}
	plan, err := w.d.Stage(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := plan.Counts; c.Deferred != 1 || c.Staged != 0 {
		t.Errorf("staged %v, counts %+v", w.lines("3", plan), c)
	}
}
