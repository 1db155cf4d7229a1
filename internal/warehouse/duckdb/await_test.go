package duckdb

import (
	"context"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// TestHoldersOfAnAwaitedValueWait: a person with a value that is being taken
// away from another is not added before the network has answered.
func TestHoldersOfAnAwaitedValueWait(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "shared@x", "1")
	w.person(2, "shared@x", "2")
	w.person(3, "other@x", "3")
	w.members(1)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.members()
	removal := w.stage("2") // sent, not answered
	w.members(2, 3)
	r := w.request("3")
	r.Awaiting = []warehouse.Range{{Run: "2", First: removal.Segments[0].First, Last: removal.Segments[0].Last}}
	plan, err := w.d.Stage(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := plan.Counts; c.Deferred != 1 || c.Add != 1 || c.Eligible != 2 {
		t.Fatalf("counts %+v, want the holder of the value deferred and the other added", c)
	}
	w.fold("3", plan, activation.Accepted)
	w.fold("2", removal, activation.Accepted)
	if plan = w.stage("4"); plan.Counts.Add != 1 || plan.Counts.Unchanged != 1 {
		t.Fatalf("counts %+v once the network has answered", plan.Counts)
	}
}

// TestDryRunShowsASample: what a run would do is shown by example, masked.
func TestDryRunShowsASample(t *testing.T) {
	w := newWorld(t, 0)
	for pid := range int64(20) {
		w.person(pid+1, "a", "")
	}
	w.members(1, 2, 3, 4, 5, 6, 7)
	plan, err := w.d.DryRun(context.Background(), w.request("1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Sample) != sampleRows || plan.Sample[0].Op != activation.OpAdd || len(plan.Sample[0].Keys) == 0 {
		t.Fatalf("sample %+v", plan.Sample)
	}
}
