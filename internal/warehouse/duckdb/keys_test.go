package duckdb

import (
	"context"
	"testing"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// stageWith stages a run under a mapping of these keys.
func (w *world) stageWith(run string, keys ...string) (warehouse.Plan, error) {
	r := w.request(run)
	r.Keys = worldKeys(w.t, keys...)
	return w.d.Stage(context.Background(), r, nil)
}

func (w *world) number(query string) (n int64) {
	w.t.Helper()
	if err := w.d.sql.QueryRow(query).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestKeysAreComputedOncePerChange(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "1@x", "")
	w.members(1)
	w.stage("1")
	w.person(1, "1@x", "") // the profile changed, its keys did not
	w.stage("2")
	if v, seq := w.number(`SELECT version FROM keys_1`), w.number(`SELECT src_seq FROM keys_1`); v != 1 || seq != w.seq {
		t.Errorf("version %d of profile change %d, want 1 of %d", v, seq, w.seq)
	}
	w.person(1, "1@y", "")
	w.stage("3")
	w.person(1, "", "")
	w.stage("4")
	if v, old := w.number(`SELECT version FROM keys_1`), w.number(`SELECT count(*) FROM keys_1_old`); v != 3 || old != 2 {
		t.Errorf("version %d and %d old ones, want 3 and 2", v, old)
	}
	if plan := w.stage("5"); plan.Counts.Omitted != 1 {
		t.Errorf("counts %+v", plan.Counts)
	}
}

func TestOldKeysAreKeptWhilePointedTo(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "1@x", "")
	w.members(1)
	w.fold("1", w.stage("1"), activation.Accepted) // the ledger points to version 1
	w.person(1, "1@y", "")
	w.stage("2") // staged rows point to version 2
	w.person(1, "1@z", "")
	last := w.stage("3")
	unstage := func(runs ...activation.RunID) {
		t.Helper()
		if err := w.d.Unstage(context.Background(), runs); err != nil {
			t.Fatal(err)
		}
	}
	unstage("1")
	if n := w.number(`SELECT count(*) FROM keys_1_old`); n != 2 {
		t.Errorf("%d old versions, want those of ledger and run", n)
	}
	unstage("2")
	if n := w.number(`SELECT min(version) FROM keys_1_old`); n != 1 {
		t.Errorf("version %d is left, want 1", n)
	}
	w.fold("3", last, activation.Accepted)
	unstage("3")
	if n := w.number(`SELECT count(*) FROM keys_1_old`); n != 0 {
		t.Errorf("%d old versions are left", n)
	}
	if err := w.d.Rows(context.Background(), warehouse.Range{Run: "3", First: 1, Last: 1}, false, nil); err == nil {
		t.Error("staged rows are still there")
	}
}

// TestAnotherMapping takes away by name what was sent under an older mapping.
func TestAnotherMapping(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "1@x", "111")
	w.person(2, "", "222")
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)

	if _, err := w.stageWith("2", "EMAIL"); activation.KindOf(err) != activation.Invalid || activation.CodeOf(err) != "KEYSET" {
		t.Errorf("a mapping that can't remove person 2: %v, want an invalid one", err)
	}
	plan, err := w.stageWith("3", "EMAIL", "PHONE")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "same values under another mapping", w.lines("3", plan), []string{"2 readd moved 1 EMAIL PHONE=111", "2 readd moved 2 PHONE=222"})
	w.fold("3", plan, activation.Accepted)
	w.members(1)
	if plan, err = w.stageWith("4", "PHONE"); err != nil {
		t.Fatal(err)
	}
	// Both mappings' rows of person 2 go; those of person 1 keep the phone.
	var got []string
	for _, s := range plan.Segments {
		view, err := w.d.StagedView(context.Background(), "4", s.First, s.Last, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range view {
			line := string(r.Op)
			for _, k := range r.Keys {
				line += " " + k
			}
			got = append(got, line)
		}
	}
	same(t, "a smaller mapping", got, []string{"remove PHONE", "remove PHONE", "readd PHONE"})
}

func TestMappingOfAFieldThatIsNotThere(t *testing.T) {
	w := newWorld(t, 0)
	r := w.request("1")
	r.Keys.Fields = []string{"email", "phone", "nickname"}
	_, err := w.d.Stage(context.Background(), r, nil)
	if activation.KindOf(err) != activation.Invalid {
		t.Errorf("error %v, want an invalid one", err)
	}
}

func TestStagedViewShowsNoValue(t *testing.T) {
	w := newWorld(t, 0)
	w.person(1, "family@x", "111")
	w.person(2, "family@x", "222")
	w.members(1, 2)
	w.fold("1", w.stage("1"), activation.Accepted)
	w.members(2)
	w.stage("2")
	view, err := w.d.StagedView(context.Background(), "2", 1, 1, 10)
	if err != nil || len(view) != 1 {
		t.Fatalf("view %+v (%v)", view, err)
	}
	r := view[0]
	if r.Ordinal != 1 || r.Profile != 1 || r.Op != activation.OpRemove {
		t.Errorf("row %+v", r)
	}
	same(t, "keys", r.Keys, []string{"PHONE"})
	same(t, "held", r.Held, []string{"EMAIL"})
}
