package duckdb

import (
	"context"
	"slices"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// same compares two lists of texts.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// TestStageLines walks the lines of step 2 of the protocol: what the ledger
// says of a person, who is wanted now, and what is staged of it.
func TestStageLines(t *testing.T) {
	const old, present = "7@old", "7@new"
	gone := func(w *world) { w.members() }
	moved := func(w *world) { w.person(7, present, "") }
	nothing := func(*world) {}
	empty := func(w *world) { w.person(7, "", "") }
	for _, c := range []struct {
		name    string
		state   activation.Outcome // outcome of the first add; "" = never staged
		change  func(*world)
		refresh bool
		lines   []string
		counts  activation.Counts
	}{
		{"no row", "", nothing, false, []string{"1 add 7 EMAIL"}, activation.Counts{Selected: 1, Eligible: 1, Add: 1, Staged: 1}},
		{"no row, no usable key", "", empty, false, nil, activation.Counts{Selected: 1, Eligible: 1, Omitted: 1}},
		{"in", activation.Accepted, nothing, false, nil, activation.Counts{Selected: 1, Eligible: 1, Unchanged: 1}},
		{"in too long ago", activation.Accepted, nothing, true, []string{"1 add moved 7 EMAIL"}, activation.Counts{Selected: 1, Eligible: 1, Add: 1, Staged: 1, InBefore: 1}},
		{"maybe", activation.Unknown, nothing, false, []string{"1 add moved 7 EMAIL"}, activation.Counts{Selected: 1, Eligible: 1, Add: 1, Staged: 1}},
		{"refused", activation.Rejected, nothing, false, nil, activation.Counts{Selected: 1, Eligible: 1, Omitted: 1}},
		{"refused, other key", activation.Rejected, moved, false, []string{"1 add 7 EMAIL"}, activation.Counts{Selected: 1, Eligible: 1, Add: 1, Staged: 1}},
		{
			"in, other key", activation.Accepted, moved, false,
			[]string{"1 remove moved 7 EMAIL", "2 readd moved 7 EMAIL"},
			activation.Counts{Selected: 1, Eligible: 1, Update: 1, Staged: 2, InBefore: 1},
		},
		{
			"maybe, other key", activation.Unknown, moved, false,
			[]string{"1 remove moved 7 EMAIL", "2 readd moved 7 EMAIL"},
			activation.Counts{Selected: 1, Eligible: 1, Update: 1, Staged: 2},
		},
		{
			"in, no usable key", activation.Accepted, empty, false,
			[]string{"1 remove 7 EMAIL"},
			activation.Counts{Selected: 1, Eligible: 1, Omitted: 1, Remove: 1, Staged: 1, InBefore: 1},
		},
		{"in, left", activation.Accepted, gone, false, []string{"1 remove 7 EMAIL"}, activation.Counts{Remove: 1, Staged: 1, InBefore: 1}},
		{"maybe, left", activation.Unknown, gone, false, []string{"1 remove 7 EMAIL"}, activation.Counts{Remove: 1, Staged: 1}},
		{"refused, left", activation.Rejected, gone, false, nil, activation.Counts{}},
		{"unsent", activation.Unsent, nothing, false, []string{"1 add 7 EMAIL"}, activation.Counts{Selected: 1, Eligible: 1, Add: 1, Staged: 1}},
		{"superseded", activation.Superseded, gone, false, nil, activation.Counts{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 0)
			w.person(7, old, "")
			w.members(7)
			if c.state != "" {
				w.fold("first", w.stage("first"), c.state)
			}
			c.change(w)
			r := w.request("second")
			if c.refresh {
				r.RefreshBefore = w.now.Add(time.Second)
			}
			dry, err := w.d.DryRun(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := w.d.Stage(context.Background(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "staged", w.lines("second", plan), c.lines)
			if plan.Counts != c.counts {
				t.Errorf("counts:\n got %+v\nwant %+v", plan.Counts, c.counts)
			}
			if dry.Counts != plan.Counts || !slices.Equal(dry.Segments, plan.Segments) {
				t.Errorf("a dry run says %+v %+v, the run %+v %+v", dry.Counts, dry.Segments, plan.Counts, plan.Segments)
			}
		})
	}
}

func TestStageDropsWhatSaysNothingAnyMore(t *testing.T) {
	w := newWorld(t, 0)
	w.person(7, "refused@x", "")
	w.person(8, "stays@x", "8")
	w.members(7, 8)
	plan := w.stage("1")
	w.fold("1", plan, activation.Accepted, activation.Exception{Ordinal: 0, Outcome: activation.Rejected, Code: "BAD"})
	same(t, "ledger", w.ledger(), []string{"7 refused BAD", "8 in"})
	w.members(8)
	w.person(8, "stays@x", "") // its phone is to go, its e-mail stays
	w.fold("2", w.stage("2"), activation.Accepted)
	same(t, "ledger after the move", w.ledger(), []string{"8 shared:1", "8 in"})
	w.stage("3")
	same(t, "ledger after the next stage", w.ledger(), []string{"8 in"})
}

// TestSharedValue is two people with one e-mail: it goes with the last of them.
func TestSharedValue(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "family@x", "111")
	w.person(2, "family@x", "222")
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)

	w.members(2)
	plan := w.stage("2")
	same(t, "first leaves", w.lines("2", plan), []string{"1 remove 1 PHONE=111"})
	w.fold("2", plan, activation.Accepted)
	same(t, "ledger", w.ledger(), []string{"1 shared:1", "2 in"})
	if plan = w.stage("3"); plan.Counts.Staged != 0 {
		t.Errorf("with nothing changed %v is staged", w.lines("3", plan))
	}

	w.members()
	plan = w.stage("4")
	same(t, "second leaves", w.lines("4", plan), []string{"1 remove moved 1 EMAIL", "1 remove 2 EMAIL PHONE=222"})
	if plan.Counts.Remove != 1 {
		t.Errorf("%d people leave, want 1: the first left before", plan.Counts.Remove)
	}
	w.fold("4", plan, activation.Accepted)
	same(t, "ledger at the end", w.ledger(), nil)
}

// TestNothingToSend is somebody whose every value another member holds.
func TestNothingToSend(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "family@x", "")
	w.person(2, "family@x", "222")
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.members(2)
	plan := w.stage("2")
	if plan.Counts.Staged != 0 || plan.Counts.Unchanged != 1 {
		t.Errorf("staged %v, counts %+v", w.lines("2", plan), plan.Counts)
	}
	same(t, "ledger", w.ledger(), []string{"1 in", "2 in"})
	w.members()
	same(t, "both leave", w.lines("4", w.stage("4")), []string{"1 remove 1 EMAIL", "1 remove 2 EMAIL PHONE=222"})
}

// TestComingBackAfterSomebodyElsesRemoval: the removal of one who left takes a
// value along that another who left had too. The other's own removal fails, and
// they come back: the ledger has them in, yet the network lost them.
func TestComingBackAfterSomebodyElsesRemoval(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "family@x", "")
	w.person(2, "family@x", "222")
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.members()
	plan := w.stage("2")
	same(t, "both leave", w.lines("2", plan), []string{"1 remove 1 EMAIL", "1 remove 2 EMAIL PHONE=222"})
	w.fold("2", plan, activation.Accepted, activation.Exception{Ordinal: 0, Outcome: activation.Unsent})
	same(t, "ledger", w.ledger(), []string{"1 in"})
	w.members(1)
	plan = w.stage("3")
	same(t, "one comes back", w.lines("3", plan), []string{"1 add moved 1 EMAIL"})
	w.fold("3", plan, activation.Accepted)
	if plan = w.stage("4"); plan.Counts.Unchanged != 1 {
		t.Errorf("counts %+v", plan.Counts)
	}
}

// TestKeyMoveOfSharedValue changes an e-mail while the old one belongs to
// another member: it must not be removed before that one leaves.
func TestKeyMoveOfSharedValue(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "family@x", "111")
	w.person(2, "family@x", "222")
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)

	w.person(1, "own@x", "111")
	plan := w.stage("2")
	same(t, "move", w.lines("2", plan), []string{"2 readd moved 1 EMAIL PHONE=111"})
	if plan.Counts.Update != 1 || plan.Counts.Unchanged != 1 {
		t.Errorf("counts %+v", plan.Counts)
	}
	w.fold("2", plan, activation.Accepted)
	if plan = w.stage("3"); plan.Counts.Staged != 0 {
		t.Errorf("a move that is done stages %v", w.lines("3", plan))
	}

	w.members(1)
	plan = w.stage("4")
	same(t, "the other leaves", w.lines("4", plan), []string{
		"1 remove moved 1 EMAIL", // the old e-mail is free now
		"1 remove 2 EMAIL PHONE=222",
		"2 readd moved 1 EMAIL PHONE=111",
	})
	if plan.Counts.Unchanged != 0 || plan.Counts.Update != 1 || plan.Counts.Remove != 1 {
		t.Errorf("counts %+v", plan.Counts)
	}
}

func TestAwaitingIsDeferred(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "1@x", "")
	w.person(2, "2@x", "")
	w.members(1, 2)
	first := w.stage("1")
	w.fold("1", first, activation.Accepted)
	w.members(2)
	w.person(2, "2@y", "")
	removal := w.stage("2")
	s := removal.Segments[0]
	r := w.request("3")
	r.Awaiting = []warehouse.Range{{Run: "2", First: s.First, Last: removal.Segments[len(removal.Segments)-1].Last}}
	plan, err := w.d.Stage(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := activation.Counts{Selected: 1, Eligible: 1, Deferred: 1}
	if plan.Counts != want {
		t.Errorf("counts %+v, want %+v", plan.Counts, want)
	}
}

func TestStageOrderIsDense(t *testing.T) {
	w := newWorld(t, 0)
	w.d.state.audience.slice = 7_000
	w.write(`INSERT INTO profiles (_pid, _seq, email) SELECT i, 1, i || '@x' FROM range(1, 30001) t(i)`)
	w.enter(`SELECT i FROM range(1, 30001) t(i) ORDER BY hash(i)`)
	plan := w.stage("1")
	w.fold("1", plan, activation.Accepted)
	w.enter(`SELECT _pid FROM profiles WHERE _pid % 3 <> 0`)
	w.write(`UPDATE profiles SET _seq = 2, email = 'n' || email WHERE _pid % 3 = 1`)
	plan = w.stage("2")
	next := int64(1)
	for _, s := range plan.Segments {
		last := int64(0)
		if s.First != next {
			t.Errorf("segment begins at %d, want %d", s.First, next)
		}
		err := w.d.Rows(context.Background(), warehouse.Range{Run: "2", First: s.First, Last: s.Last}, false, func(r warehouse.KeyRow) error {
			if r.Ordinal != next || r.Profile <= last {
				t.Fatalf("row %d of person %d after row %d of person %d", r.Ordinal, r.Profile, next-1, last)
			}
			last = r.Profile
			next++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var disorder int64
	if err := w.d.sql.QueryRow(`SELECT count(*) FROM (SELECT n, row_number() OVER (ORDER BY phase, op, plain, pid) AS want FROM staging."run_2" WHERE n IS NOT NULL) WHERE n <> want`).Scan(&disorder); err != nil {
		t.Fatal(err)
	}
	if disorder != 0 {
		t.Errorf("%d rows are out of order", disorder)
	}
	if want := int64(30000); next-1 != want {
		t.Errorf("%d rows, want %d", next-1, want)
	}
}

func TestRecheck(t *testing.T) {
	w := newWorld(t, 0)
	for pid, email := range map[int64]string{1: "1@x", 2: "2@x", 3: "3@x", 4: "4@x"} {
		w.person(pid, email, "")
	}
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.members(3, 4)
	plan := w.stage("2") // add 3, 4; remove 1, 2
	stale := func() []string {
		var all []string
		r := warehouse.Range{Run: "2", First: 1, Last: plan.Counts.Staged}
		if err := w.d.Rows(context.Background(), r, true, func(r warehouse.KeyRow) error {
			if r.Stale {
				all = append(all, string(rune('0'+r.Profile)))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	same(t, "stale at once", stale(), nil)
	w.members(4, 1) // 3 left again, 1 came back
	same(t, "stale later", stale(), []string{"3", "1"})
	w.person(2, "2@other", "") // 2 comes back with another e-mail
	w.members(4, 2)
	w.stage("keys")
	same(t, "stale after coming back with another key", stale(), []string{"3", "2"})
	w.person(5, "2@x", "") // 2's e-mail belongs to a member now
	w.members(4, 5)
	w.stage("3")
	same(t, "stale after a new holder", stale(), []string{"3", "2"})
}
