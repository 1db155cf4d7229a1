package duckdb

import (
	"context"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// TestMovingKeysRemovesNobody: whoever lost all keys, or left, stays at the
// network until a run that does more than move keys.
func TestMovingKeysRemovesNobody(t *testing.T) {
	w := newWorld(t, 0)
	for pid := int64(1); pid <= 4; pid++ {
		w.person(pid, "", string(rune('0'+pid)))
	}
	w.members(1, 2, 3)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.person(1, "", "")
	w.person(2, "", "22")
	w.members(1, 2, 4)
	r := w.request("2")
	r.KeysOnly = true
	plan, err := w.d.Stage(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "rows", w.lines("2", plan), []string{"1 remove moved 2 PHONE=2", "2 readd moved 2 PHONE=22"})
	if c := plan.Counts; c.Deferred != 2 || c.Update != 1 || c.Eligible != 3 || c.Remove != 0 {
		t.Errorf("counts %+v, want the one without keys and the newcomer deferred", c)
	}
	w.fold("2", plan, activation.Accepted)
	same(t, "rows", w.lines("3", w.stage("3")), []string{"1 add 4 PHONE=4", "1 remove 1 PHONE=1", "1 remove 3 PHONE=3"})
}

// TestAReplacementTellsOfItselfOnce: an unknown run is no run that replaced
// nobody, and an old generation is left alone.
func TestAReplacementTellsOfItselfOnce(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "", "1")
	w.members(1)
	w.fold("1", w.stage("1"), activation.Accepted)
	if _, err := w.d.Replaced(t.Context(), "nobody's", worldTarget, 1); err == nil {
		t.Error("a run without staged rows replaced all members")
	}
	r := w.request("2")
	r.Replace = true
	if _, err := w.d.Stage(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.d.Reset(t.Context(), worldTarget, 2); err != nil {
		t.Fatal(err)
	}
	if left, err := w.d.Replaced(t.Context(), "2", worldTarget, 1); left != 0 || err != nil {
		t.Errorf("%d people left an old generation (%v)", left, err)
	}
}

// TestWhomARunWantsIsKeptUntilItIsUnstaged: what recheck asks goes with the rows.
func TestWhomARunWantsIsKeptUntilItIsUnstaged(t *testing.T) {
	w := newWorld(t, 0)
	r := w.request("1")
	r.Exclude, r.Holdout = []activation.AudienceID{worldAudience}, &warehouse.Holdout{Percent: 12.5, Salt: "it's"}
	kept := func() (n int64) {
		if err := queryRow(t.Context(), w.d.sql, "count", `SELECT count(*) FROM staged_wants`, nil, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 2 {
		if _, err := w.d.Stage(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
		if n := kept(); n != 1 {
			t.Errorf("%d rows say whom the run wants, want 1", n)
		}
	}
	got, err := stagedWants(t.Context(), w.d.sql, "1", 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "whom the run wants", []string{got.condition()}, []string{wanting{audience: 1, without: []int{1}, holdout: r.Holdout}.condition()})
	if err := w.d.Unstage(t.Context(), []activation.RunID{"1"}); err != nil {
		t.Fatal(err)
	}
	if n := kept(); n != 0 {
		t.Errorf("%d rows are left of a run that is unstaged", n)
	}
}
