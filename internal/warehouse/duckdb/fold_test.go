package duckdb

import (
	"context"
	"errors"
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// TestNextState walks step 9 of the protocol.
func TestNextState(t *testing.T) {
	const add, remove, readd = activation.OpAdd, activation.OpRemove, activation.OpReadd
	for _, c := range []struct {
		op      activation.Op
		prior   string
		outcome activation.Outcome
		held    bool
		want    string
	}{
		{add, stateNone, activation.Accepted, false, stateIn},
		{add, stateMaybe, activation.Accepted, false, stateIn},
		{add, stateShared, activation.Accepted, false, stateIn},
		{readd, stateNone, activation.Accepted, false, stateIn},
		{remove, stateIn, activation.Accepted, false, stateNone},
		{remove, stateMaybe, activation.Accepted, false, stateNone},
		{remove, stateIn, activation.Accepted, true, stateShared},
		{remove, stateShared, activation.Accepted, false, stateNone},
		{add, stateNone, activation.Unknown, false, stateMaybe},
		{add, stateIn, activation.Unknown, false, stateMaybe},
		{remove, stateIn, activation.Unknown, true, stateMaybe},
		{add, stateNone, activation.Rejected, false, stateRefused},
		{add, stateIn, activation.Rejected, false, stateIn},
		{add, stateMaybe, activation.Rejected, false, stateMaybe},
		{add, stateShared, activation.Rejected, false, stateShared},
		{readd, stateNone, activation.Rejected, false, stateRefused},
		{remove, stateIn, activation.Rejected, false, stateIn},
		{remove, stateMaybe, activation.Rejected, true, stateMaybe},
		{remove, stateShared, activation.Rejected, false, stateShared},
		{add, stateNone, activation.Unsent, false, stateNone},
		{add, stateIn, activation.Unsent, false, stateIn},
		{remove, stateIn, activation.Superseded, true, stateIn},
		{add, stateMaybe, activation.Superseded, false, stateMaybe},
		// Adds of a run that replaces all members.
		{add, stateIn, activation.Accepted, true, stateIn},
		{add, stateIn, activation.Unknown, true, stateMaybe},
		{add, stateIn, activation.Rejected, true, stateMaybe},
		{add, stateShared, activation.Rejected, true, stateMaybe},
		{add, stateNone, activation.Rejected, true, stateRefused},
		{add, stateRefused, activation.Rejected, true, stateRefused},
		{add, stateIn, activation.Superseded, true, stateMaybe},
		{add, stateNone, activation.Superseded, true, stateNone},
		{add, stateIn, activation.Unsent, true, stateIn},
	} {
		if got := nextState(c.op, c.prior, c.outcome, c.held); got != c.want {
			t.Errorf("%s %q %s held %t: %q, want %q", c.op, c.prior, c.outcome, c.held, got, c.want)
		}
	}
}

func TestFoldTwiceDoesNothing(t *testing.T) {
	w := newWorldFile(t, 0)
	w.person(1, "1@x", "")
	w.person(2, "2@x", "")
	w.members(1, 2)
	plan := w.stage("1")
	reject := activation.Exception{Ordinal: 1, Outcome: activation.Rejected, Code: "BAD"}
	first := w.fold("1", plan, activation.Accepted, reject)
	want := []warehouse.FoldResult{{Item: "1-0", BecameIn: 1}}
	if !slices.Equal(first, want) {
		t.Errorf("first fold %+v, want %+v", first, want)
	}
	w.members()
	w.fold("2", w.stage("2"), activation.Accepted)
	w.reopen()
	want[0].Skipped = true
	if again := w.fold("1", plan, activation.Accepted, reject); !slices.Equal(again, want) {
		t.Errorf("second fold %+v, want %+v", again, want)
	}
	same(t, "ledger", w.ledger(), nil)
}

func TestFoldOfAnotherAttemptCounts(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "1@x", "")
	w.members(1)
	plan := w.stage("1")
	it := w.item("1", "a", plan.Segments[0], activation.Unknown)
	again := it
	again.Attempt, again.Outcome = 2, activation.Accepted
	res, err := w.d.Fold(context.Background(), []warehouse.FoldItem{it, again, it})
	if err != nil {
		t.Fatal(err)
	}
	want := []warehouse.FoldResult{{Item: "1-a"}, {Item: "1-a", BecameIn: 1}, {Item: "1-a", Skipped: true}}
	if !slices.Equal(res, want) {
		t.Errorf("results %+v, want %+v", res, want)
	}
	in, err := w.d.InRows(context.Background(), "1", worldTarget, 1)
	if err != nil || in != 1 {
		t.Errorf("%d rows in (%v), want 1", in, err)
	}
}

func TestFoldOfAnOldGenerationChangesNothing(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "1@x", "")
	w.members(1)
	plan := w.stage("1")
	if err := w.d.Reset(context.Background(), worldTarget, 2); err != nil {
		t.Fatal(err)
	}
	if res := w.fold("1", plan, activation.Accepted); res[0].BecameIn != 0 {
		t.Errorf("result %+v", res)
	}
	same(t, "ledger", w.ledger(), nil)
	if _, err := w.d.Stage(context.Background(), w.request("2"), nil); !errors.Is(err, activation.ErrConflict) {
		t.Errorf("staging an old generation: %v, want a conflict", err)
	}
}

// TestFoldRefusesWhatDoesNotAddUp makes receipts that do not fit the rows, and
// a ledger that holds somebody twice: all is refused, and nothing is folded.
func TestFoldRefusesWhatDoesNotAddUp(t *testing.T) {
	setup := func(t *testing.T) (*world, warehouse.FoldItem) {
		w := newWorld(t, 0)
		w.person(1, "1@x", "")
		w.person(2, "2@x", "")
		w.members(1, 2)
		return w, w.item("1", "0", w.stage("1").Segments[0], activation.Accepted)
	}
	for name, spoil := range map[string]func(*world, *warehouse.FoldItem){
		"range too long": func(_ *world, it *warehouse.FoldItem) { it.Last++ },
		"exception outside": func(_ *world, it *warehouse.FoldItem) {
			it.Exceptions = []activation.Exception{{Ordinal: 2, Outcome: activation.Rejected}}
		},
		"one exception twice": func(_ *world, it *warehouse.FoldItem) {
			it.Exceptions = []activation.Exception{{Ordinal: 1, Outcome: activation.Rejected}, {Ordinal: 1, Outcome: activation.Unknown}}
		},
		"another operation": func(_ *world, it *warehouse.FoldItem) { it.Op = activation.OpRemove },
		"a person held twice": func(w *world, _ *warehouse.FoldItem) {
			w.write(`INSERT INTO ledger_1 SELECT 1, pid, keyset, version, fp, 'in', -1, NULL, 0 FROM staging."run_1", range(2) WHERE pid = 1`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, it := setup(t)
			good := it
			good.Item, good.Last = "good", good.First
			spoil(w, &it)
			before := w.ledger()
			_, err := w.d.Fold(context.Background(), []warehouse.FoldItem{good, it})
			if activation.CodeOf(err) != "COUNTS" {
				t.Fatalf("error %v, want COUNTS", err)
			}
			same(t, "ledger", w.ledger(), before)
		})
	}
}

func TestFoldKeepsCodes(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "1@x", "")
	w.members(1)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.members()
	plan := w.stage("2")
	w.fold("2", plan, activation.Accepted, activation.Exception{Ordinal: 0, Outcome: activation.Rejected, Code: "BUSY"})
	same(t, "ledger after a refused removal", w.ledger(), []string{"1 in BUSY"})
	plan = w.stage("3")
	same(t, "tried again", w.lines("3", plan), []string{"1 remove 1 EMAIL"})
	w.fold("3", plan, activation.Accepted)
	same(t, "ledger", w.ledger(), nil)
}

func TestHoldings(t *testing.T) {
	w := newWorld(t, 0)
	for pid := int64(1); pid <= 4; pid++ {
		w.person(pid, string(rune('0'+pid))+"@x", "")
	}
	w.members(1, 2, 3, 4)
	plan := w.stage("1")
	w.fold("1", plan, activation.Accepted, activation.Exception{Ordinal: 1, Outcome: activation.Rejected}, activation.Exception{Ordinal: 2, Outcome: activation.Unknown})
	h, err := w.d.Holdings(context.Background(), worldTarget, 1)
	if want := (warehouse.Holdings{In: 2, Maybe: 1, Refused: 1}); err != nil || h != want {
		t.Errorf("holdings %+v (%v), want %+v", h, err, want)
	}
	if plan = w.stage("2"); plan.Holding != 3 {
		t.Errorf("a plan says %d are held, want 3", plan.Holding)
	}
}
