package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Forgets judges how a warehouse erases people.
func Forgets(t *testing.T, open Open) {
	for _, c := range forgetCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			s := newShop(t, t.TempDir(), w)
			s.must(s.declare(`danes: FILTER country = "DK"`))
			c.run(t, &account{shop: s, generation: 1})
		})
	}
	for name, judge := range map[string]func(*testing.T, warehouse.Warehouse){"identifiers": otherSpellings, "what others carry": sparing} {
		t.Run(name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			judge(t, w)
		})
	}
	t.Run("whoever comes", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "5")
		rapid.Check(t, func(rt *rapid.T) { forgetting(rt, dir, open) })
	})
}

// forget suppresses and erases, twice.
func (a *account) forget(id, customer string) warehouse.Erasure {
	a.t.Helper()
	return forgetOne(a.t, a.Warehouse, activation.ForgetID(id), "customer", customer)
}

func forgetOne(t T, w warehouse.Forgets, id activation.ForgetID, field, value string) warehouse.Erasure {
	t.Helper()
	var first warehouse.Erasure
	for n := range 2 {
		if err := w.Suppress(context.Background(), id, field, value); err != nil {
			t.Fatalf("suppress: %v", err)
		}
		e, err := w.Erase(context.Background(), id)
		if err != nil {
			t.Fatalf("erase: %v", err)
		}
		if n == 1 && !reflect.DeepEqual(e, first) {
			t.Fatalf("erased again, it says %+v after %+v", e, first)
		}
		first = e
	}
	return first
}

// forgetRun plans a run that forgets, wants these rows and folds them.
func (a *account) forgetRun(outcome activation.Outcome, want ...string) {
	a.t.Helper()
	with := a.with
	defer func() { a.with = with }()
	a.with = func(r *warehouse.PlanRequest) {
		if with != nil {
			with(r)
		}
		r.Forget = true
	}
	a.deliver(outcome, want...)
}

func (a *account) wantHeld(id string, want ...warehouse.HeldState) {
	a.t.Helper()
	got, err := a.Held(context.Background(), activation.ForgetID(id))
	a.must(err)
	if !slices.Equal(got, want) {
		a.t.Errorf("held %+v, want %+v", got, want)
	}
}

func (a *account) unknownTo(customer string) {
	a.t.Helper()
	if _, err := a.Find(context.Background(), "customer", customer); !errors.Is(err, activation.ErrNotFound) {
		a.t.Errorf("customer %s is there: %v", customer, err)
	}
}

var atTarget = warehouse.HeldState{Target: accountTarget, Generation: 1, Held: true}

var forgetCases = []ledgerCase{
	{"who is held is removed, and what others hold is theirs", func(t *testing.T, a *account) {
		a.customers("ann country=DK email=family@example.com phone=1", "bob country=DK email=family@example.com phone=2")
		a.deliver(activation.Accepted, "add EMAIL PHONE=1 COUNTRY=DK", "add EMAIL PHONE=2 COUNTRY=DK")
		seq := a.seq("danes")
		e := a.forget("f", "ann")
		if e.Profiles != 1 || e.Messages != 1 || e.Identifiers != 1 || e.Memberships != 1 || !slices.Equal(e.Held, []activation.TargetID{accountTarget}) {
			t.Errorf("erased %+v", e)
		}
		a.unknownTo("ann")
		if got := a.members("danes"); !slices.Equal(got, []string{"bob"}) {
			t.Errorf("members %q", got)
		}
		if a.seq("danes") <= seq {
			t.Error("nobody is told that the audience has changed")
		}
		a.wantHeld("f", atTarget)
		if err := a.Told(context.Background(), "f"); !errors.Is(err, activation.ErrConflict) {
			t.Errorf("told while the network holds the person: %v", err)
		}
		a.customers("bob phone=3", "eve country=DK phone=4") // not this run's business
		a.forgetRun(activation.Accepted, "remove PHONE=1")
		a.wantHeld("f")
		a.wantHoldings(warehouse.Holdings{In: 1})
		a.must(a.Told(context.Background(), "f"))
		a.deliver(activation.Accepted, "add PHONE=4 COUNTRY=DK", "remove PHONE=2", "readd EMAIL PHONE=3 COUNTRY=DK")
	}},
	{"whose every value others hold needs no removal", func(t *testing.T, a *account) {
		a.customers("ann country=DK email=family@example.com", "bob country=DK email=family@example.com phone=2")
		a.deliver(activation.Accepted, "add EMAIL COUNTRY=DK", "add EMAIL PHONE=2 COUNTRY=DK")
		a.forget("f", "ann")
		a.forgetRun(activation.Accepted)
		a.wantHeld("f")
		a.wantHoldings(warehouse.Holdings{In: 1})
	}},
	{"an ordinary run takes the person out as well", func(t *testing.T, a *account) {
		a.customers("ann country=DK email=family@example.com phone=1", "bob country=DK email=family@example.com phone=2")
		a.deliver(activation.Accepted, "add EMAIL PHONE=1 COUNTRY=DK", "add EMAIL PHONE=2 COUNTRY=DK")
		a.forget("f", "ann")
		a.deliver(activation.Accepted, "remove PHONE=1")
		a.wantHeld("f")
		a.wantHoldings(warehouse.Holdings{In: 1})
	}},
	{"nobody comes back, and who is like them stays", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.forget("f", "ann")
		a.forget("never seen", "zoe")
		r := a.loader.Load(t, "again", "customers", Row{Values: map[string]string{"customer": "ann", "country": "DK"}},
			Row{Values: map[string]string{"customer": "zoe", "country": "DK"}}, Row{Values: map[string]string{"customer": "Ann", "country": "DK"}})
		if r.Suppressed != 2 || r.NewProfile != 1 || r.Rows != 3 {
			t.Errorf("loaded %+v", r)
		}
		if got := a.members("danes"); !slices.Equal(got, []string{"Ann"}) {
			t.Errorf("members %q", got)
		}
		n, err := a.Suppressed(context.Background())
		if err != nil || n != 2 {
			t.Errorf("%d identifiers are kept away (%v)", n, err)
		}
		for _, value := range []string{"", "none", " NULL "} {
			if err := a.Suppress(context.Background(), "x", "customer", value); activation.KindOf(err) != activation.Invalid {
				t.Errorf("%q is suppressed: %v", value, err)
			}
		}
		if err := a.Suppress(context.Background(), "x", "country", "DK"); activation.KindOf(err) != activation.Invalid {
			t.Errorf("a country is suppressed: %v", err)
		}
		if _, err := a.Erase(context.Background(), "x"); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("nobody asked for that: %v", err)
		}
	}},
	{"what is staged of the person is not sent", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1", "bob country=DK phone=2")
		plan := a.stage("run")
		e := a.forget("f", "ann")
		if want := []warehouse.PersonStaged{{Run: "run", Ordinal: 1, Op: activation.OpAdd, Phase: 1}}; !slices.Equal(e.Staged, want) || e.StagedRows != 1 {
			t.Errorf("staged %+v", e.Staged)
		}
		if got, want := a.rows("run", plan), []string{"add", "add PHONE=2 COUNTRY=DK"}; !slices.Equal(got, want) {
			t.Errorf("rows %q, want %q", got, want)
		}
		items := a.items("run", plan, activation.Accepted)
		items[0].Exceptions = []activation.Exception{{Outcome: activation.Superseded}}
		_, err := a.Fold(context.Background(), items)
		a.must(err)
		a.wantHeld("f")
		a.wantHoldings(warehouse.Holdings{In: 1})
	}},
	{"what was under way is removed once it is known", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		plan := a.stage("run")
		a.forget("f", "ann")
		a.wantHeld("f")
		a.fold("run", plan, activation.Accepted) // it had been sent before
		a.wantHeld("f", atTarget)
		a.with = func(r *warehouse.PlanRequest) {
			r.Awaiting = []warehouse.Range{{Run: "run", First: 1, Last: 1}}
		}
		a.forgetRun(activation.Accepted) // deferred
		a.with = nil
		a.forgetRun(activation.Accepted, "remove PHONE=1")
		a.wantHeld("f")
		a.must(a.Told(context.Background(), "f"))
	}},
	{"a remove that is refused says why, and may be let go", func(t *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.forget("f", "ann")
		a.with = func(r *warehouse.PlanRequest) { r.Forget = true }
		plan := a.stage("refused")
		items := a.items("refused", plan, activation.Accepted)
		items[0].Exceptions = []activation.Exception{{Outcome: activation.Rejected, Code: "NET-9"}}
		_, err := a.Fold(context.Background(), items)
		a.must(err)
		refused := atTarget
		refused.Code = "NET-9"
		a.wantHeld("f", refused)
		for range 2 {
			a.must(a.LetGo(context.Background(), "f", accountTarget))
		}
		a.must(a.LetGo(context.Background(), "f", "never staged"))
		a.wantHeld("f")
		a.must(a.Told(context.Background(), "f"))
	}},
	{"the audience is gone", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.forget("f", "ann")
		a.must(a.declare())
		a.forgetRun(activation.Accepted, "remove PHONE=1")
		a.wantHeld("f")
	}},
	{"old keys go too", func(_ *testing.T, a *account) {
		a.customers("ann country=DK phone=1")
		a.deliver(activation.Accepted, "add PHONE=1 COUNTRY=DK")
		a.customers("ann phone=2")
		a.stage("moves") // not sent
		a.forget("f", "ann")
		a.forgetRun(activation.Accepted, "remove PHONE=1")
		a.wantHeld("f")
		a.must(a.Told(context.Background(), "f"))
	}},
}

// otherSpellings: an address is one however it is written, and a message that
// names the person without belonging to anybody goes too.
func otherSpellings(t *testing.T, w warehouse.Warehouse) {
	l := NewLoader(t.TempDir(), w)
	l.Apply(t, warehouse.Schema{
		Fields: []warehouse.Field{
			{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1, PII: true},
			{Name: "customer", Type: warehouse.Integer, Merge: warehouse.Latest, Rank: 2},
		},
		Streams:  []warehouse.Stream{{Name: "people"}, {Name: "calls"}},
		Mappings: []warehouse.Mapping{{Stream: "people", Field: "email", Expression: "email"}, {Stream: "people", Field: "customer", Expression: "customer"}},
	})
	person := func(email, customer string) Row {
		return Row{Values: map[string]string{"email": email, "customer": customer}}
	}
	l.Load(t, "1", "people", person("Ann@X.org", "7"), person("ann@x.org", ""), person("bob@x.org", "8"), person("", "9"))
	l.Load(t, "2", "calls", Row{Values: map[string]string{"who": " ANN@x.org"}}, Row{Values: map[string]string{"who": "7"}}, Row{Values: map[string]string{"who": "bob@x.org"}})
	if e := forgetOne(t, w, "f", "email", "ann@X.ORG"); e.Profiles != 2 || e.Messages != 3 {
		t.Errorf("erased %+v", e)
	}
	for _, s := range []struct {
		name string
		want int64
	}{{"people", 2}, {"calls", 2}} {
		streams, err := w.Streams(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range streams {
			if st.Name == s.name && st.Messages != s.want {
				t.Errorf("stream %s has %d messages, want %d", s.name, st.Messages, s.want)
			}
		}
	}
	r := l.Load(t, "3", "people", person("aNN@x.org", ""), person("", "7"), person("", "07"), person("bob@x.org", "7"))
	if r.Suppressed != 4 {
		t.Errorf("loaded %+v", r)
	}
	if n, err := w.CountProfiles(context.Background()); err != nil || n != 2 {
		t.Errorf("%d people (%v)", n, err)
	}
	if err := w.Suppress(context.Background(), "g", "customer", "seven"); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a word is suppressed as a number: %v", err)
	}
}

// forgetting is the property that whoever was forgotten is nobody, whatever
// comes: the people are those of a model that drops what names them.
func forgetting(t *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer closeStore(t, w)
	l := NewLoader(dir, w)
	schema := drawSchema(t)
	l.Apply(t, schema)
	m := NewModel(schema)
	for n := range rapid.IntRange(2, 6).Draw(t, "loads") {
		mergeDrawn(t, l, m, n)
		if rapid.IntRange(0, 1).Draw(t, "forget") == 0 {
			forgetDrawn(t, w, m, n)
		}
		l.Compare(t, m)
	}
	l.Rebuild(t)
	l.Compare(t, m)
	m.Schema.Fields, m.Schema.Mappings = drawFields(t)
	l.Apply(t, m.Schema)
	m.DropForgotten()
	l.Rebuild(t)
	l.Compare(t, m)
	mergeDrawn(t, l, m, 100)
	l.Compare(t, m)
}

// forgetDrawn forgets somebody of the pools, whether they are there or not.
func forgetDrawn(t *rapid.T, w warehouse.Warehouse, m *Model, n int) {
	who := rapid.SampledFrom([]identifier{{"email", "ann@x.org"}, {"email", "dee@x.org"}, {"customer", "1"}, {"customer", "3"}, {"customer", "7"}}).Draw(t, "who")
	before := len(m.Profiles())
	e := forgetOne(t, w, activation.ForgetID(fmt.Sprint("forget-", n)), who.field, who.value)
	messages, known := m.Forget(who.field, who.value)
	if known != (e.Profiles == 1) || len(m.Profiles()) != before-int(e.Profiles) || e.Messages != messages {
		t.Fatalf("forgetting %v erased %+v; the model knows them: %t, and loses %d messages", who, e, known, messages)
	}
	for k := range maps.Keys(m.gone) {
		if _, err := w.Find(context.Background(), k.field, k.value); !errors.Is(err, activation.ErrNotFound) {
			t.Fatalf("%v is somebody: %v", k, err)
		}
	}
}
