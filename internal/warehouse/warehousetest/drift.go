package warehousetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Drifts judges how a warehouse compares ledgers with networks and mends them.
func Drifts(t *testing.T, open Open) {
	for _, c := range driftCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(newFarSide(t, t.TempDir(), w))
		})
	}
	t.Run("repairing converges", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "3")
		rapid.Check(t, func(rt *rapid.T) { converges(rt, dir, open) })
	})
}

// farSide is the shop's account at a network that can be looked into and be
// changed behind Usher's back. A member is what it was sent as; a removal takes
// away who has any of its values.
type farSide struct {
	*account
	remote [][][]byte
}

func newFarSide(t T, dir string, w warehouse.Warehouse) *farSide {
	t.Helper()
	s := newShop(t, dir, w)
	s.must(s.declare(`danes: FILTER country = "DK"`))
	return &farSide{account: &account{shop: s, generation: 1}}
}

// sync stages a run, has the far side take it all and folds it. It returns the
// rows.
func (f *farSide) sync() []string {
	f.t.Helper()
	f.runs++
	run := fmt.Sprintf("run%d", f.runs)
	plan := f.stage(run)
	for _, s := range plan.Segments {
		f.must(f.Rows(context.Background(), warehouse.Range{Run: activation.RunID(run), First: s.First, Last: s.Last}, false, func(r warehouse.KeyRow) error {
			if s.Op == activation.OpRemove {
				f.remote = slices.DeleteFunc(f.remote, func(m [][]byte) bool { return sharesKey(m, r.Values) })
				return nil
			}
			if slices.ContainsFunc(f.remote, func(m [][]byte) bool { return slices.EqualFunc(m, r.Values, equalBytes) }) {
				return nil
			}
			member := make([][]byte, len(r.Values))
			for i, v := range r.Values {
				if v != nil {
					member[i] = slices.Clone(v)
				}
			}
			f.remote = append(f.remote, member)
			return nil
		}))
	}
	rows := f.rows(run, plan)
	f.check(run, plan, f.fold(run, plan, activation.Accepted), activation.Accepted)
	return rows
}

func equalBytes(a, b []byte) bool { return string(a) == string(b) && (a == nil) == (b == nil) }

// sharesKey: the first two keys identify.
func sharesKey(a, b [][]byte) bool {
	for i := range 2 {
		if a[i] != nil && b[i] != nil && string(a[i]) == string(b[i]) {
			return true
		}
	}
	return false
}

// member is one of the far side, written "email phone"; "-" = none.
func member(email, phone string) [][]byte {
	m := make([][]byte, 3)
	if email != "-" {
		sum := sha256.Sum256([]byte(email))
		m[0] = sum[:]
	}
	if phone != "-" {
		m[1] = []byte(phone)
	}
	return m
}

// leave has the far side lose who has this phone.
func (f *farSide) leave(phones ...string) {
	f.remote = slices.DeleteFunc(f.remote, func(m [][]byte) bool { return m[1] != nil && slices.Contains(phones, string(m[1])) })
}

func (f *farSide) compareRequest() warehouse.CompareRequest {
	return warehouse.CompareRequest{Target: accountTarget, Generation: f.generation, Keys: f.request("compare").Keys, Read: func(_ context.Context, yield func([][]byte) error) error {
		values := make([][]byte, 3) // reused, as a network's reader does
		for _, m := range f.remote {
			for i := range values {
				values[i] = slices.Clone(m[i])
			}
			if err := yield(values); err != nil {
				return err
			}
			for i := range values {
				for j := range values[i] {
					values[i][j] = 0
				}
			}
		}
		return nil
	}}
}

// compare wants these differences, each written "kind KEY KEY", and returns their
// rows.
func (f *farSide) compare(want warehouse.Drift, rows ...string) []warehouse.DriftRow {
	f.t.Helper()
	got, err := f.Compare(context.Background(), f.compareRequest())
	f.must(err)
	if got != want {
		f.t.Errorf("differences %+v, want %+v", got, want)
	}
	var all []warehouse.DriftRow
	var lines []string
	after := int64(0)
	for {
		page, err := f.DriftRows(context.Background(), accountTarget, after, 2)
		f.must(err)
		for _, r := range page {
			if r.N <= after {
				f.t.Fatalf("row %d comes behind %d", r.N, after)
			}
			after = r.N
			all, lines = append(all, r), append(lines, string(r.Kind)+" "+strings.Join(r.Keys, " "))
		}
		if len(page) == 0 {
			break
		}
	}
	if !slices.Equal(lines, rows) {
		f.t.Errorf("rows %q, want %q", lines, rows)
	}
	return all
}

func (f *farSide) repair(missing, extra int64) {
	f.t.Helper()
	m, x, err := f.Repair(context.Background(), accountTarget, f.generation)
	f.must(err)
	if m != missing || x != extra {
		f.t.Errorf("repaired %d missing and %d extra, want %d and %d", m, x, missing, extra)
	}
}

func (f *farSide) syncs(want ...string) {
	f.t.Helper()
	if got := f.sync(); !slices.Equal(got, want) {
		f.t.Errorf("the run stages %q, want %q", got, want)
	}
}

func (f *farSide) id(customer string) int64 {
	f.t.Helper()
	p, err := f.Find(context.Background(), "customer", customer)
	f.must(err)
	return p.ID
}

var driftCases = []struct {
	name string
	run  func(f *farSide)
}{
	{"three were deleted and two added behind our back", func(f *farSide) {
		f.customers("ann country=DK email=ann@x phone=1", "bob country=DK phone=2", "eve country=DK email=eve@x phone=3", "kim country=DK phone=4", "liv country=SE email=liv@x phone=5")
		f.sync()
		f.compare(warehouse.Drift{Ledger: 4, Remote: 4})
		f.leave("1", "2", "3")
		f.remote = append(f.remote, member("nobody@x", "-"), member("liv@x", "5"))
		for range 2 { // comparing again replaces
			rows := f.compare(warehouse.Drift{Ledger: 4, Remote: 3, Missing: 3, Extra: 2}, "missing EMAIL PHONE", "missing PHONE", "missing EMAIL PHONE", "extra EMAIL", "extra EMAIL PHONE")
			for i, want := range []int64{f.id("ann"), f.id("bob"), f.id("eve"), 0, 0} {
				if rows[i].Profile != want {
					f.t.Errorf("row %+v, want profile %d", rows[i], want)
				}
			}
		}
		f.repair(3, 2)
		f.wantHoldings(warehouse.Holdings{In: 1, Maybe: 5})
		f.repair(0, 0)
		if rows, err := f.DriftRows(context.Background(), accountTarget, 0, 10); err != nil || len(rows) != 0 {
			f.t.Errorf("%d differences are kept after a repair (%v)", len(rows), err)
		}
		plan, err := f.DryRun(context.Background(), f.request("dry"))
		f.must(err)
		if c := plan.Counts; c.Add != 3 || c.Remove != 2 || c.Unchanged != 1 || plan.Holding != 6 {
			f.t.Errorf("the plan counts %+v, holding %d", c, plan.Holding)
		}
		rows := f.sync()
		if want := []string{"add EMAIL PHONE=1 COUNTRY=DK", "add PHONE=2 COUNTRY=DK", "add EMAIL PHONE=3 COUNTRY=DK", "remove EMAIL", "remove EMAIL PHONE=5"}; !equalSets(rows, want) {
			f.t.Errorf("the run stages %q, want %q", rows, want)
		}
		f.compare(warehouse.Drift{Ledger: 4, Remote: 4})
		f.wantHoldings(warehouse.Holdings{In: 4})
		f.syncs()
	}},
	{"one value is enough to be the same person", func(f *farSide) {
		f.customers("ann country=DK email=home@x phone=1", "bob country=DK email=home@x phone=2")
		f.sync()
		f.remote = [][][]byte{member("home@x", "-"), member("-", "1"), member("home@x", "9")}
		f.compare(warehouse.Drift{Ledger: 2, Remote: 3})
	}},
	{"an old key that was not taken away yet is known", func(f *farSide) {
		f.customers("ann country=DK phone=1")
		f.sync()
		f.customers("ann phone=11")
		plan := f.stage("unsent") // the old version of her keys is kept aside
		f.fold("unsent", plan, activation.Unsent)
		f.compare(warehouse.Drift{Ledger: 1, Remote: 1})
	}},
	{"what may be there is no difference", func(f *farSide) {
		f.customers("ann country=DK phone=1", "bob country=DK email=family@x phone=2", "eve country=DK email=family@x phone=3")
		f.deliver(activation.Unknown, "add PHONE=1 COUNTRY=DK", "add EMAIL PHONE=2 COUNTRY=DK", "add EMAIL PHONE=3 COUNTRY=DK")
		f.remote = [][][]byte{member("-", "1")}
		f.compare(warehouse.Drift{Remote: 1})
		f.sync()
		f.customers("bob country=SE")
		f.sync()
		f.wantHoldings(warehouse.Holdings{In: 2, Shared: 1})
		f.remote = [][][]byte{member("family@x", "-"), member("-", "1"), member("-", "2")}
		rows := f.compare(warehouse.Drift{Ledger: 2, Remote: 3, Extra: 1}, "extra PHONE") // bob's phone was taken away
		if len(rows) == 1 && rows[0].Profile != f.id("bob") {
			f.t.Errorf("%+v, want bob", rows)
		}
		f.repair(0, 1)
		f.syncs("remove PHONE=2")
		f.compare(warehouse.Drift{Ledger: 2, Remote: 2})
	}},
	{"a member who waits is added and not removed", func(f *farSide) {
		f.customers("ann country=DK phone=1")
		f.sync()
		f.customers("bob country=DK phone=2")
		f.must(f.Unstage(context.Background(), []activation.RunID{"nothing"}))
		f.stage("known") // his keys are computed, and nothing was sent
		f.remote = append(f.remote, member("-", "2"))
		rows := f.compare(warehouse.Drift{Ledger: 1, Remote: 2, Extra: 1}, "extra PHONE")
		if len(rows) == 1 && rows[0].Profile != f.id("bob") {
			f.t.Errorf("%+v, want bob", rows)
		}
		f.repair(0, 1)
		f.syncs("add PHONE=2 COUNTRY=DK")
		f.wantHoldings(warehouse.Holdings{In: 2})
	}},
	{"who was refused and is there is removed with the next change", func(f *farSide) {
		f.customers("ann country=DK phone=1")
		f.deliver(activation.Rejected, "add PHONE=1 COUNTRY=DK")
		f.remote = append(f.remote, member("-", "1"))
		f.compare(warehouse.Drift{Remote: 1, Extra: 1}, "extra PHONE")
		f.customers("ann country=SE")
		f.repair(0, 1)
		f.syncs("remove PHONE=1")
	}},
	{"a stranger's keys are forgotten with them", func(f *farSide) {
		f.remote = [][][]byte{member("nobody@x", "7"), member("nobody@x", "7"), member("-", "-")}
		f.compare(warehouse.Drift{Remote: 3, Extra: 1}, "extra EMAIL PHONE") // told twice, and one that nothing identifies
		f.repair(0, 1)
		f.syncs("remove EMAIL PHONE=7")
		f.must(f.Unstage(context.Background(), []activation.RunID{"run1"}))
		f.syncs()
		f.customers("ann country=DK email=nobody@x") // takes no profile id that was a stranger's
		f.syncs("add EMAIL COUNTRY=DK")
	}},
	{"what a stranger has in common with a member stays", func(f *farSide) {
		f.customers("ann country=DK email=ann@x")
		f.sync()
		f.remote = [][][]byte{member("other@x", "8")}
		f.compare(warehouse.Drift{Ledger: 1, Remote: 1, Missing: 1, Extra: 1}, "missing EMAIL", "extra EMAIL PHONE")
		f.customers("ann phone=8")
		f.repair(1, 1)
		got := f.sync()
		if !slices.Contains(got, "remove EMAIL") || slices.ContainsFunc(got, func(row string) bool { return strings.Contains(row, "remove") && strings.Contains(row, "PHONE=8") }) {
			f.t.Errorf("the run stages %q", got)
		}
	}},
	{"another generation", func(f *farSide) {
		f.customers("ann country=DK phone=1")
		f.sync()
		f.remote = nil
		f.compare(warehouse.Drift{Ledger: 1, Missing: 1}, "missing PHONE")
		m, x, err := f.Repair(context.Background(), accountTarget, 2)
		f.must(err)
		if m != 0 || x != 0 {
			f.t.Errorf("the differences of another generation were repaired")
		}
		f.generation = 2
		f.must(f.Reset(context.Background(), accountTarget, 2))
		if rows, err := f.DriftRows(context.Background(), accountTarget, 0, 10); err != nil || len(rows) != 0 {
			f.t.Errorf("%d differences of a generation that is over (%v)", len(rows), err)
		}
		r := f.compareRequest()
		r.Generation = 1
		if _, err := f.Compare(context.Background(), r); !errors.Is(err, activation.ErrConflict) {
			f.t.Errorf("comparing a generation that is over: %v", err)
		}
	}},
	{"a network that stops in the middle", func(f *farSide) {
		f.customers("ann country=DK phone=1")
		f.sync()
		f.leave("1")
		f.compare(warehouse.Drift{Ledger: 1, Missing: 1}, "missing PHONE")
		cut := errors.New("cut")
		r := f.compareRequest()
		r.Read = func(_ context.Context, yield func([][]byte) error) error {
			return errors.Join(yield(member("-", "1")), cut)
		}
		if _, err := f.Compare(context.Background(), r); !errors.Is(err, cut) {
			f.t.Errorf("%v, want the network's error", err)
		}
		rows, err := f.DriftRows(context.Background(), accountTarget, 0, 10)
		f.must(err)
		if len(rows) != 1 {
			f.t.Errorf("%d differences are left of the comparison before, want 1", len(rows))
		}
	}},
	{"nothing was ever staged", func(f *farSide) {
		rows, err := f.DriftRows(context.Background(), "never seen", 0, 10)
		f.must(err)
		m, x, err := f.Repair(context.Background(), "never seen", 1)
		f.must(err)
		if len(rows) != 0 || m != 0 || x != 0 {
			f.t.Errorf("%d differences, %d and %d repaired", len(rows), m, x)
		}
		f.compare(warehouse.Drift{})
	}},
}

func equalSets(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// converges: whatever happens to the far side and to the audience, a repair and
// a run make both sides equal.
func converges(rt *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		rt.Fatalf("%v", err)
	}
	defer closeStore(rt, w)
	f := newFarSide(rt, dir, w)
	for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
		var lines []string
		for i := range 6 {
			if rapid.Bool().Draw(rt, "changes") {
				lines = append(lines, fmt.Sprintf("c%d country=%s phone=%d", i, rapid.SampledFrom([]string{"DK", "DK", "SE"}).Draw(rt, "country"), i*10+rapid.IntRange(0, 1).Draw(rt, "phone")))
			}
		}
		f.customers(append(lines, "c9 country=DK phone=99")...)
		if rapid.Bool().Draw(rt, "run first") {
			f.sync()
		}
		for i := len(f.remote) - 1; i >= 0; i-- {
			if rapid.Bool().Draw(rt, "lost") {
				f.remote = slices.Delete(f.remote, i, i+1)
			}
		}
		for i := range 4 {
			if m := member("-", fmt.Sprint(rapid.IntRange(0, 3).Draw(rt, "who")*10+i%2)); rapid.Bool().Draw(rt, "added") && !slices.ContainsFunc(f.remote, func(r [][]byte) bool { return sharesKey(r, m) }) {
				f.remote = append(f.remote, m)
			}
		}
		drift, err := f.Compare(context.Background(), f.compareRequest())
		f.must(err)
		missing, extra, err := f.Repair(context.Background(), accountTarget, f.generation)
		f.must(err)
		if missing != drift.Missing || extra != drift.Extra {
			rt.Fatalf("%d and %d were repaired of %+v", missing, extra, drift)
		}
		f.sync()
		f.sync() // a value that was withheld for somebody who left meanwhile
		drift, err = f.Compare(context.Background(), f.compareRequest())
		f.must(err)
		if drift.Missing != 0 || drift.Extra != 0 {
			rt.Fatalf("%+v after a repair and a run", drift)
		}
		var want []string
		for _, c := range f.members("danes") {
			p, err := f.Find(context.Background(), "customer", c)
			f.must(err)
			want = append(want, p.Values["phone"].(string))
		}
		var have []string
		for _, m := range f.remote {
			have = append(have, string(m[1]))
		}
		slices.Sort(have)
		if have = slices.Compact(have); !equalSets(have, want) { // a network may have somebody twice
			rt.Fatalf("the network has %q, want %q", have, want)
		}
	}
}
