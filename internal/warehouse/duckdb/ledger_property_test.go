package duckdb

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// voyage is one random history of a target: people change and come and go, are
// excluded and held out, runs are staged, crash, and are delivered to a far side
// with any outcome, known at once, late or twice. Some runs move keys alone, and
// some replace all members.
type voyage struct {
	*testing.T
	rt      *rapid.T
	w       *world
	people  map[int64]values
	member  map[int64]bool
	wishes  modelWishes
	holdout *warehouse.Holdout
	ledger  modelLedger
	network *modelNetwork
	run     int
	late    []modelItem // delivered, outcome known to the far side only
	done    []modelItem // folded before
	calm    bool        // everything is accepted and known at once
}

// modelItem is one delivered item.
type modelItem struct {
	fold     warehouse.FoldItem
	rows     []modelStaged
	outcomes []activation.Outcome
	// effects are what the far side does only when it answers.
	effects []modelStaged
}

func TestRandomHistoriesEndWithTheWantedPeople(t *testing.T) {
	few(t, "10")
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorldFile(t, 0)
		v := &voyage{T: t, rt: rt, w: w, people: map[int64]values{}, member: map[int64]bool{}, ledger: modelLedger{}, network: newModelNetwork()}
		w.write(`INSERT INTO audiences (id, n, slug, rule, version, seq, given, keys_seq)
			VALUES ('excluded', 2, 'excluded', 'FILTER *', 1, 0, false, 0), ('first', 3, 'first', 'FILTER *', 1, 0, false, 0)`)
		for range rapid.IntRange(2, 9).Draw(rt, "runs") {
			v.change()
			if rapid.IntRange(0, 9).Draw(rt, "reopen") == 0 {
				w.reopen()
			}
			v.once()
		}
		v.settle()
		if err := w.d.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// few lowers rapid's number of checks unless the command line sets it.
func few(t *testing.T, checks string) {
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(checks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Value.Set(f.DefValue) })
}

// change gives some people other keys and draws who is a member.
func (v *voyage) change() {
	for pid := int64(1); pid <= 6; pid++ {
		if _, known := v.people[pid]; known && rapid.IntRange(0, 2).Draw(v.rt, "changes") > 0 {
			continue
		}
		email := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(v.rt, "email")
		phone := rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(v.rt, "phone")
		var now values
		if email != "" {
			now = append(now, "EMAIL "+email)
		}
		if phone != "" {
			now = append(now, "PHONE "+phone)
		}
		v.people[pid] = now
		v.w.person(pid, email, phone)
	}
	v.member = v.drawn("member", 1, rapid.Bool())
	seldom := rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 4).Draw(t, "one in five") == 0 })
	v.wishes = modelWishes{heldOut: map[int64]bool{}, excluded: v.drawn("excluded", 2, seldom), outranked: v.drawn("outranked", 3, seldom)}
	v.holdout = nil
	if rapid.Bool().Draw(v.rt, "holdout") {
		v.holdout = &warehouse.Holdout{Percent: rapid.SampledFrom([]float64{0, 12.5, 40}).Draw(v.rt, "percent"), Salt: rapid.SampledFrom([]string{"a", "b"}).Draw(v.rt, "salt")}
		for pid := range v.people {
			v.wishes.heldOut[pid] = float64(place(v.holdout.Salt, pid)) < v.holdout.Percent*100
		}
	}
}

// drawn draws who is in an audience.
func (v *voyage) drawn(what string, audience int, in *rapid.Generator[bool]) map[int64]bool {
	all := map[int64]bool{}
	var pids []int64
	for pid := int64(1); pid <= 6; pid++ {
		if all[pid] = in.Draw(v.rt, what); all[pid] {
			pids = append(pids, pid)
		}
	}
	v.w.membersOf(audience, pids...)
	return all
}

// wanted is the members who are wanted, with what of them is counted.
func (v *voyage) wanted() (map[int64]values, activation.Counts) { return v.wishes.wanted(v.members()) }

func (v *voyage) members() map[int64]values {
	m := map[int64]values{}
	for pid, in := range v.member {
		if in {
			m[pid] = v.people[pid]
		}
	}
	return m
}

// once makes one run and returns how many rows it staged.
func (v *voyage) once() int {
	v.run++
	v.w.now = v.w.now.Add(time.Hour)
	r := v.w.request(fmt.Sprintf("run%d", v.run))
	for _, it := range v.late {
		r.Awaiting = append(r.Awaiting, warehouse.Range{Run: it.fold.Run, First: it.fold.First, Last: it.fold.Last})
	}
	awaiting := v.awaiting()
	if !v.calm && rapid.IntRange(0, 4).Draw(v.rt, "refresh") == 0 {
		r.RefreshBefore = v.w.now.Add(-90 * time.Minute)
	}
	r.Exclude, r.Above, r.Holdout = []activation.AudienceID{"excluded"}, []activation.AudienceID{"first"}, v.holdout
	if !v.calm {
		r.KeysOnly = rapid.IntRange(0, 4).Draw(v.rt, "keys only") == 0
		r.Replace = len(v.late) == 0 && rapid.IntRange(0, 3).Draw(v.rt, "replace") == 0
	}
	plan := v.plan(r, awaiting)
	staged := v.read(r, plan)
	v.exclusive(staged)
	if r.Replace {
		v.replace(r, plan, staged)
	} else {
		v.deliver(r, plan, staged)
	}
	return len(staged)
}

// awaiting is who must wait for an answer: those it is about, and members who
// hold a value that it may take away.
func (v *voyage) awaiting() map[int64]bool {
	all := map[int64]bool{}
	for _, it := range v.late {
		for _, s := range it.rows {
			all[s.pid] = true
			wanted, _ := v.wanted()
			for pid, now := range wanted {
				if s.op == activation.OpRemove && len(now.minus(s.sends.set())) < len(now) {
					all[pid] = true
				}
			}
		}
	}
	return all
}

// plan stages the run, twice where it crashed in between, and compares with the model.
func (v *voyage) plan(r warehouse.PlanRequest, awaiting map[int64]bool) warehouse.Plan {
	refresh := int64(0)
	if !r.RefreshBefore.IsZero() {
		refresh = r.RefreshBefore.UnixMicro()
	}
	wanted, counted := v.wanted()
	var want modelPlan
	if r.Replace {
		want = v.ledger.replace(wanted, counted)
	} else {
		if r.KeysOnly {
			awaiting = v.ledger.others(wanted, awaiting)
		}
		want = v.ledger.plan(wanted, counted, awaiting, refresh)
		v.ledger.tidy(wanted, awaiting)
	}
	times := 1
	if !v.calm && rapid.IntRange(0, 3).Draw(v.rt, "crash after staging") == 0 {
		times = 2
	}
	var plan warehouse.Plan
	for range times {
		var err error
		if plan, err = v.w.d.Stage(context.Background(), r, nil); err != nil {
			v.rt.Fatal(err)
		}
	}
	if plan.Counts != want.counts {
		v.rt.Fatalf("counts:\n got %+v\nwant %+v", plan.Counts, want.counts)
	}
	v.sameLedger("after staging")
	v.sameSeq(plan)
	var got, lines []string
	for _, s := range v.read(r, plan) {
		got = append(got, s.String())
	}
	for _, s := range want.rows {
		lines = append(lines, s.String())
	}
	slices.Sort(got)
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		v.rt.Fatalf("staged:\n got %q\nwant %q", got, lines)
	}
	return plan
}

// read returns the staged rows by ordinal, as the model sees them.
func (v *voyage) read(r warehouse.PlanRequest, plan warehouse.Plan) []modelStaged {
	var all []modelStaged
	versions := v.versions(r)
	for _, s := range plan.Segments {
		err := v.w.d.Rows(context.Background(), warehouse.Range{Run: r.Run, First: s.First, Last: s.Last}, true, func(row warehouse.KeyRow) error {
			if row.Stale {
				v.rt.Fatalf("row %d of person %d is called unwanted although nothing has changed", row.Ordinal, row.Profile)
			}
			staged := modelStaged{phase: s.Phase, op: s.Op, plain: s.Plain, pid: row.Profile, replacing: r.Replace}
			for i, value := range row.Values {
				if value != nil && r.Keys.Keys[i].Identifies {
					staged.sends = append(staged.sends, v.name(r, i, value))
				}
			}
			staged.all = versions[row.Ordinal]
			all = append(all, staged)
			return nil
		})
		if err != nil {
			v.rt.Fatal(err)
		}
	}
	return all
}

// name gives a value the name the model has for it.
func (v *voyage) name(r warehouse.PlanRequest, i int, value []byte) string {
	if !r.Keys.Keys[i].Hash {
		return r.Keys.Keys[i].Name + " " + string(value)
	}
	for _, plain := range []string{"a", "b", "c"} {
		out := make([][]byte, len(r.Keys.Keys))
		in := make([]string, len(out))
		in[i] = plain
		if r.Keys.Compute(in, out, nil); string(out[i]) == string(value) {
			return r.Keys.Keys[i].Name + " " + plain
		}
	}
	v.rt.Fatal("a hash of nothing known")
	return ""
}

// versions returns, by ordinal, the keys of the version that each staged row is about.
func (v *voyage) versions(r warehouse.PlanRequest) map[int64]values {
	return v.keysOf(r, `SELECT s.n, -1, hex(k.k1), k.k2, '' FROM `+stagedTable(r.Run)+` s JOIN versions k ON k.pid = s.pid AND k.version = s.version WHERE s.n IS NOT NULL`,
		func(all map[int64]values, n int64, _ string, keys values) { all[n] = keys })
}

// keysOf runs a query of number, mask, e-mail, phone and text over all versions
// of keys, and gives each row with its values of the mask to fn.
func (v *voyage) keysOf(r warehouse.PlanRequest, query string, fn func(all map[int64]values, n int64, text string, keys values)) map[int64]values {
	rows, err := v.w.d.sql.Query(`WITH versions AS (SELECT pid, version, k1, decode(k2) AS k2 FROM keys_1 UNION ALL SELECT pid, version, k1, decode(k2) FROM keys_1_old) ` + query)
	if err != nil {
		v.rt.Fatal(err)
	}
	defer rows.Close()
	all := map[int64]values{}
	for rows.Next() {
		var n, mask int64
		var text string
		var email, phone *string
		if err := rows.Scan(&n, &mask, &email, &phone, &text); err != nil {
			v.rt.Fatal(err)
		}
		var keys values
		if email != nil && mask&1 != 0 {
			hash, err := hex.DecodeString(*email)
			if err != nil {
				v.rt.Fatal(err)
			}
			keys = append(keys, v.name(r, 0, hash))
		}
		if phone != nil && mask&2 != 0 {
			keys = append(keys, "PHONE "+*phone)
		}
		fn(all, n, text, keys)
	}
	if err := rows.Err(); err != nil {
		v.rt.Fatal(err)
	}
	return all
}

// exclusive checks that no value is both added and removed.
func (v *voyage) exclusive(staged []modelStaged) {
	added := map[string]bool{}
	for _, s := range staged {
		if s.op != activation.OpRemove {
			for _, x := range s.sends {
				added[x] = true
			}
		}
	}
	for _, s := range staged {
		for _, x := range s.sends {
			if s.op == activation.OpRemove && added[x] {
				v.rt.Fatalf("%s is added and removed in one run", x)
			}
		}
	}
}

// deliver cuts items, sends them and folds what is known.
func (v *voyage) deliver(r warehouse.PlanRequest, plan warehouse.Plan, staged []modelStaged) {
	blocked := false
	var known []modelItem
	for _, s := range plan.Segments {
		for first := s.First; first <= s.Last; {
			last := s.Last
			if !v.calm {
				last = min(last, first+int64(rapid.IntRange(0, 2).Draw(v.rt, "item")))
			}
			it := modelItem{fold: v.w.item(string(r.Run), fmt.Sprint(first), s, activation.Accepted), rows: staged[first-1 : last]}
			it.fold.First, it.fold.Last = first, last
			withdrawn := blocked && s.Phase == 2
			waits := !withdrawn && !v.calm && rapid.IntRange(0, 5).Draw(v.rt, "awaiting") == 0
			slow := waits && rapid.Bool().Draw(v.rt, "slow")
			for i, row := range it.rows {
				outcome, applied := v.outcome(row, withdrawn)
				it.outcomes = append(it.outcomes, outcome)
				switch {
				case applied && slow:
					it.effects = append(it.effects, row)
				case applied:
					v.network.apply(row)
				}
				if it.outcomes[i] != it.fold.Outcome {
					it.fold.Exceptions = append(it.fold.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: it.outcomes[i], Code: "X"})
				}
			}
			if waits {
				v.late = append(v.late, it)
				blocked = blocked || s.Phase == 1
			} else {
				known = append(known, it)
			}
			first = last + 1
		}
	}
	v.fold(known)
	if len(v.late) > 0 && rapid.Bool().Draw(v.rt, "answers come") {
		v.fold(v.late)
		v.late = nil
	}
}

// replace sends the rows of a run that replaces all members. Where one of them is
// not sent the far side may keep what it had, what it got, or both.
func (v *voyage) replace(r warehouse.PlanRequest, plan warehouse.Plan, staged []modelStaged) {
	if len(staged) == 0 {
		return
	}
	it := modelItem{fold: v.w.item(string(r.Run), "all", plan.Segments[0], activation.Accepted), rows: staged}
	cut := false
	var got []modelStaged
	for i, row := range staged {
		outcome, applied := v.outcome(row, cut)
		cut = cut || outcome == activation.Unsent
		if it.outcomes = append(it.outcomes, outcome); applied {
			got = append(got, row)
		}
		if outcome != it.fold.Outcome {
			it.fold.Exceptions = append(it.fold.Exceptions, activation.Exception{Ordinal: int64(i), Outcome: outcome, Code: "X"})
		}
	}
	v.fold([]modelItem{it})
	if cut {
		switch rapid.IntRange(0, 2).Draw(v.rt, "left at the far side") {
		case 0:
			v.network.replace(got)
		case 1:
			for _, row := range got {
				v.network.apply(row)
			}
		}
		v.ledger.doubt()
		if err := v.w.d.Doubt(context.Background(), worldTarget, 1); err != nil {
			v.rt.Fatal(err)
		}
		v.sameLedger("after a replacement that was cut")
		return
	}
	v.network.replace(got)
	want := v.ledger.replaced(staged)
	for range 2 {
		if left, err := v.w.d.Replaced(context.Background(), r.Run, worldTarget, 1); left != want || err != nil {
			v.rt.Fatalf("%d people left by the replacement (%v), want %d", left, err, want)
		}
	}
	v.sameLedger("after a replacement")
}

// outcome draws what becomes of a row, and whether the far side does it.
func (v *voyage) outcome(row modelStaged, withdrawn bool) (outcome activation.Outcome, applied bool) {
	switch {
	case withdrawn:
		return activation.Unsent, false
	case v.calm:
		v.rt.Logf("run %d: %s accepted", v.run, row)
		return activation.Accepted, true
	}
	v.rt.Logf("run %d: %s", v.run, row)
	outcome = rapid.SampledFrom([]activation.Outcome{
		activation.Accepted, activation.Accepted, activation.Accepted,
		activation.Rejected, activation.Unknown, activation.Unsent, activation.Superseded,
	}).Draw(v.rt, "outcome")
	return outcome, outcome == activation.Accepted || (outcome == activation.Unknown && rapid.Bool().Draw(v.rt, "applied"))
}

// fold folds items, and some that were folded before.
func (v *voyage) fold(items []modelItem) {
	var folds []warehouse.FoldItem
	for _, it := range items {
		it.fold.At = v.w.now
		folds = append(folds, it.fold)
		for _, row := range it.effects {
			v.network.apply(row)
		}
		for i, row := range it.rows {
			v.ledger.fold(row, it.outcomes[i], v.w.now.UnixMicro())
		}
	}
	if len(v.done) > 0 && rapid.Bool().Draw(v.rt, "fold again") {
		folds = append(folds, rapid.SampledFrom(v.done).Draw(v.rt, "which").fold)
	}
	v.done = append(v.done, items...)
	if _, err := v.w.d.Fold(context.Background(), folds); err != nil {
		v.rt.Fatal(err)
	}
	v.sameLedger("after folding")
}

// sameLedger compares the ledger with the model's.
func (v *voyage) sameLedger(when string) {
	var lines []string
	v.keysOf(v.w.request(""), `SELECT l.pid, l.held, hex(k.k1), k.k2, l.state FROM ledger_1 l JOIN versions k ON k.pid = l.pid AND k.version = l.version`,
		func(_ map[int64]values, pid int64, state string, remaining values) {
			lines = append(lines, fmt.Sprintf("%d %s %s", pid, state, remaining.key()))
		})
	slices.Sort(lines)
	if got, want := strings.Join(lines, "\n"), v.ledger.String(); got != want {
		v.rt.Fatalf("ledger %s:\n%s\nwant:\n%s", when, got, want)
	}
}

// sameSeq checks that a plan has seen the last change of every audience it looks at.
func (v *voyage) sameSeq(plan warehouse.Plan) {
	all, err := v.w.d.Seq(context.Background())
	if err != nil {
		v.rt.Fatal(err)
	}
	if want := max(all[worldAudience], all["excluded"], all["first"]); plan.Seq != want {
		v.rt.Fatalf("the plan has seen change %d, the last one is %d", plan.Seq, want)
	}
}

// settle lets all answers come and runs until nothing is left to do.
func (v *voyage) settle() {
	v.fold(v.late)
	v.late, v.calm = nil, true
	for range 6 {
		if v.once() == 0 {
			break
		}
	}
	if n := v.once(); n != 0 {
		v.rt.Fatalf("%d rows are staged though all was delivered", n)
	}
	wanted, _ := v.wanted()
	if how := v.network.differs(wanted, v.ledger); how != "" {
		v.rt.Fatalf("the far side differs: %s\nledger:\n%s", how, v.ledger)
	}
}
