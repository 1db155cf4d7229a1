package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Given judges audiences whose members are put in one by one.
func Given(t *testing.T, open Open) {
	for _, c := range givenCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			s := newShop(t, t.TempDir(), w)
			s.must(s.declare(offers...))
			c.run(t, s)
		})
	}
	t.Run("random decisions are those of a plain model", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "8")
		rapid.Check(t, func(rt *rapid.T) { randomDecisions(rt, dir, open) })
	})
}

// offers are three actions of one level, one that is not of it, and a rule.
var offers = []string{"big: given", "small: given", "none: given", "other: given", `danes: FILTER country = "DK"`}

// decide decides among the offers: big for four orders, small for one.
func (s *shop) decide(with func(*warehouse.DecideRequest), fn func(warehouse.Decision)) (warehouse.Decided, error) {
	s.t.Helper()
	r := warehouse.DecideRequest{
		Level: []activation.AudienceID{idOf("big"), idOf("small"), idOf("none")}, Now: shopNow,
		Choices: []warehouse.Choice{{Audience: idOf("big"), Eligible: `FILTER orders >= 4`}, {Audience: idOf("small"), Eligible: `FILTER orders >= 1`}},
	}
	if with != nil {
		with(&r)
	}
	return s.Decide(context.Background(), r, fn)
}

// wantDecided decides and wants these numbers: chosen for big and small, nothing,
// entered and left.
func (s *shop) wantDecided(with func(*warehouse.DecideRequest), big, small, nothing, entered, left int64) {
	s.t.Helper()
	got, err := s.decide(with, nil)
	s.must(err)
	want := warehouse.Decided{
		Considered: big + small + nothing, Nothing: nothing, Entered: entered, Left: left,
		Chosen: map[activation.AudienceID]int64{idOf("big"): big, idOf("small"): small},
	}
	if !maps.Equal(got.Chosen, want.Chosen) {
		s.t.Errorf("chosen %v, want %v", got.Chosen, want.Chosen)
	}
	if got.Chosen = want.Chosen; fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("decided %+v, want %+v", got, want)
	}
}

// profile is the profile id of a customer.
func (s *shop) profile(customer string) int64 {
	s.t.Helper()
	return s.loader.Find(s.t, "customer", customer).ID
}

// only limits a decision to customers.
func (s *shop) only(customers ...string) func(*warehouse.DecideRequest) {
	s.t.Helper()
	pids := []int64{}
	for _, c := range customers {
		pids = append(pids, s.profile(c))
	}
	return func(r *warehouse.DecideRequest) { r.Profiles = pids }
}

var givenCases = []struct {
	name string
	run  func(t *testing.T, s *shop)
}{
	{"the first choice somebody is eligible for wins, and a new decision moves them", func(t *testing.T, s *shop) {
		s.customers("ann orders=5", "bob orders=1", "eve orders=0")
		s.wantDecided(nil, 1, 1, 1, 2, 0)
		s.wantMembers("big", "ann")
		s.wantMembers("small", "bob")
		s.wantMembers("none")
		before := s.seq("big")
		s.wantDecided(nil, 1, 1, 1, 0, 0)
		if s.seq("big") != before {
			t.Error("a decision that moves nobody is a change")
		}
		s.customers("ann orders=0", "bob orders=4", "eve orders=2")
		s.wantMembers("big", "ann") // until the next decision
		s.wantDecided(nil, 1, 1, 1, 2, 2)
		s.wantMembers("big", "bob")
		s.wantMembers("small", "eve")
		if s.seq("big") <= before {
			t.Error("people who entered are no change")
		}
	}},
	{"a decision leaves audiences of other levels alone", func(_ *testing.T, s *shop) {
		s.customers("ann orders=5")
		_, err := s.decide(func(r *warehouse.DecideRequest) {
			r.Level, r.Choices = []activation.AudienceID{idOf("other")}, []warehouse.Choice{{Audience: idOf("other"), Eligible: `FILTER *`}}
		}, nil)
		s.must(err)
		s.wantDecided(nil, 1, 0, 0, 1, 0)
		s.wantMembers("other", "ann")
		s.wantMembers("big", "ann")
	}},
	{"a dry decision moves nobody", func(_ *testing.T, s *shop) {
		s.customers("ann orders=5")
		s.wantDecided(func(r *warehouse.DecideRequest) { r.Dry = true }, 1, 0, 0, 1, 0)
		s.wantMembers("big")
		with := s.only("ann")
		s.wantDecided(func(r *warehouse.DecideRequest) { with(r); r.Dry = true }, 1, 0, 0, 1, 0)
		s.wantMembers("big")
	}},
	{"some are decided for and told of in order", func(t *testing.T, s *shop) {
		s.customers("ann orders=5", "bob orders=5", "eve orders=0")
		s.wantDecided(s.only("ann"), 1, 0, 0, 1, 0)
		s.wantMembers("big", "ann")
		s.wantDecided(s.only(), 0, 0, 0, 0, 0)
		s.customers("ann orders=1")
		names := map[int64]string{0: "nobody", s.profile("ann"): "ann", s.profile("bob"): "bob", s.profile("eve"): "eve"}
		tell := func(told *[]string) func(warehouse.Decision) {
			return func(d warehouse.Decision) {
				*told = append(*told, fmt.Sprintf("%s %s %t %v", names[d.Profile], strings.TrimPrefix(string(d.Audience), "id-of-"), d.Entered, d.Left))
			}
		}
		var told, again, all []string
		with := s.only("eve", "bob", "ann")
		_, err := s.decide(func(r *warehouse.DecideRequest) { with(r); r.Profiles = append(r.Profiles, 0) }, tell(&told))
		s.must(err)
		if want := []string{"eve  false []", "bob big true []", "ann small true [id-of-big]", "nobody  false []"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		_, err = s.decide(with, tell(&again))
		s.must(err)
		if want := []string{"eve  false []", "bob big false []", "ann small false []"}; !slices.Equal(again, want) {
			t.Errorf("told again %q, want %q", again, want)
		}
		_, err = s.decide(nil, tell(&all))
		s.must(err)
		if want := []string{"ann small false []", "bob big false []", "eve  false []"}; !slices.Equal(all, want) {
			t.Errorf("told of everybody %q, want %q", all, want)
		}
	}},
	{"who is eligible for nothing stays where that is asked for", func(_ *testing.T, s *shop) {
		s.customers("ann orders=5", "bob orders=5")
		s.wantDecided(nil, 2, 0, 0, 2, 0)
		s.customers("ann orders=0", "bob orders=1")
		s.wantDecided(func(r *warehouse.DecideRequest) { r.Stay = true }, 0, 1, 1, 1, 1)
		s.wantMembers("big", "ann")
		s.wantMembers("small", "bob")
	}},
	{"without choices everybody leaves", func(_ *testing.T, s *shop) {
		s.customers("ann orders=5")
		s.wantDecided(nil, 1, 0, 0, 1, 0)
		got, err := s.decide(func(r *warehouse.DecideRequest) { r.Choices = nil }, nil)
		s.must(err)
		if got.Left != 1 || got.Nothing != 1 {
			s.t.Errorf("decided %+v, want one who left", got)
		}
		s.wantMembers("big")
	}},
	{"what is wrong is refused", func(t *testing.T, s *shop) {
		for _, c := range []struct {
			words []string
			with  func(*warehouse.DecideRequest)
		}{
			{[]string{"big", "colour"}, func(r *warehouse.DecideRequest) { r.Choices[0].Eligible = `FILTER colour = "red"` }},
			{[]string{"big", "line 1"}, func(r *warehouse.DecideRequest) { r.Choices[0].Eligible = `` }},
			{[]string{"other"}, func(r *warehouse.DecideRequest) { r.Choices[0].Audience = idOf("other") }},
			{[]string{"danes", "rule"}, func(r *warehouse.DecideRequest) { r.Level = append(r.Level, idOf("danes")) }},
		} {
			_, err := s.decide(c.with, nil)
			s.wantInvalid(err, c.words...)
		}
		if _, err := s.decide(func(r *warehouse.DecideRequest) { r.Level = append(r.Level, "nobody's") }, nil); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("an audience that is not declared: %v, want not found", err)
		}
		s.wantInvalid(s.declare(append(offers, `fans: FILTER AND (INCLUDE big, orders > 1)`)...), "fans", "big", "no rule can include it")
		_, err := s.Try(context.Background(), `FILTER NOT INCLUDE "id-of-big"`, shopNow)
		s.wantInvalid(err, `"big"`, "no rule can include it")
	}},
	{"no load, rebuild or declaration moves members that are given", func(t *testing.T, s *shop) {
		s.customers("ann orders=5", "bob orders=5")
		s.wantDecided(nil, 2, 0, 0, 2, 0)
		s.customers("ann orders=0", "kim orders=9")
		s.must(s.declare(offers...))
		s.must(s.Evaluate(context.Background(), idOf("big"), shopNow))
		s.wantMembers("big", "ann", "bob")
		before := s.seq("big")
		s.loader.Rebuild(s.t)
		s.wantMembers("big", "ann", "bob")
		if s.seq("big") <= before {
			t.Error("nobody would look for keys that the rebuild changed")
		}
		if depends, err := s.TimeDependent(context.Background(), idOf("big")); depends || err != nil {
			t.Errorf("given members depend on time: %t (%v)", depends, err)
		}
		s.must(s.declare(`big: FILTER orders > 8`)) // given no more
		s.wantMembers("big", "kim")
		s.must(s.declare(`big: given`))
		s.wantMembers("big", "kim")
	}},
	{"who is merged into somebody leaves", func(_ *testing.T, s *shop) {
		s.identify("login")
		s.customers("ann orders=5", "bob orders=1 login=b")
		s.wantDecided(nil, 1, 1, 0, 2, 0)
		s.customers("ann login=b orders=5") // bob is ann
		s.wantMembers("big", "ann")
		s.wantMembers("small")
	}},
	{"changed identifiers of a member are changes of keys", func(t *testing.T, s *shop) {
		s.customers("ann orders=5 email=a@example.com country=DK", "bob orders=1")
		s.wantDecided(nil, 1, 1, 0, 2, 0)
		s.wantKeys(t, "big", 0)
		s.wantWaits(t, warehouse.Waiting{Enters: 1}, 0, "big")
		s.wantWaits(t, warehouse.Waiting{Enters: 2}, 0, "big", "small", "gone")
		s.wantWaits(t, warehouse.Waiting{}, 0)
		first := s.seq("big")
		s.wantWaits(t, warehouse.Waiting{}, first, "big")
		s.customers("ann email=b@example.com")
		s.wantWaits(t, warehouse.Waiting{Keys: 1}, first, "big")
		s.wantKeys(t, "big", s.seq("big"))
		s.wantKeys(t, "danes", s.seq("danes"))
		s.wantKeys(t, "small", 0)
		keys := s.seq("big")
		s.customers("ann orders=0 country=SE")
		s.wantDecided(nil, 0, 1, 1, 0, 1)
		s.wantWaits(t, warehouse.Waiting{Keys: 1, Exits: 1}, first, "big")
		s.wantKeys(t, "big", keys)
		s.must(s.declare(offers...))
		s.wantKeys(t, "big", keys)
		last := s.seq("small")
		s.loader.Rebuild(s.t)
		s.wantKeys(t, "small", s.seq("small"))
		s.wantWaits(t, warehouse.Waiting{Keys: 1}, last, "small")
	}},
	{"people of accepted rows enter", func(t *testing.T, s *shop) {
		s.identify("login")
		s.customers("liv", "ann country=DK phone=1", "bob country=DK phone=2", "eve country=DK phone=3", "kim country=DK phone=4 login=k")
		a := &account{shop: s, generation: 1}
		plan := a.stage("run")
		items := a.items("run", plan, activation.Accepted)
		items[0].Exceptions = []activation.Exception{{Ordinal: 1, Outcome: activation.Rejected}, {Ordinal: 2, Outcome: activation.Unknown}}
		s.customers("liv login=k") // kim is liv, who was there first
		for _, want := range []int64{2, 0} {
			if n, err := s.Accept(context.Background(), idOf("other"), items); n != want || err != nil {
				t.Errorf("%d people entered (%v), want %d", n, err, want)
			}
		}
		s.wantMembers("other", "ann", "liv")
		items[0].Outcome, items[0].Exceptions = activation.Rejected, []activation.Exception{{Ordinal: 1, Outcome: activation.Accepted}}
		items = append(items, a.items("run", plan, activation.Unsent)...)
		if n, err := s.Accept(context.Background(), idOf("other"), items); n != 1 || err != nil {
			t.Errorf("%d people entered (%v), want 1", n, err)
		}
		s.wantMembers("other", "ann", "bob", "liv")
		_, err := s.Accept(context.Background(), idOf("danes"), items)
		s.wantInvalid(err, "danes", "rule")
		s.must(a.Unstage(context.Background(), []activation.RunID{"run"}))
		if _, err := s.Accept(context.Background(), idOf("other"), items); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("rows that are gone: %v, want not found", err)
		}
	}},
}

// identify adds an identifier besides the customer.
func (s *shop) identify(field string) {
	s.t.Helper()
	sc, err := s.Schema(context.Background())
	s.must(err)
	sc.Fields = append(sc.Fields, warehouse.Field{Name: field, Type: warehouse.Text, Merge: warehouse.Latest, Rank: 2})
	sc.Mappings = append(sc.Mappings, warehouse.Mapping{Stream: "customers", Field: field, Expression: field})
	s.loader.Apply(s.t, sc)
	s.loader.Rebuild(s.t)
}

func (s *shop) wantKeys(t *testing.T, slug string, want int64) {
	t.Helper()
	all, err := s.KeySeq(context.Background())
	s.must(err)
	if got := all[idOf(slug)]; got != want {
		t.Errorf("the last change of keys in %s is %d, want %d", slug, got, want)
	}
}

func (s *shop) wantWaits(t *testing.T, want warehouse.Waiting, above int64, slugs ...string) {
	t.Helper()
	var ids []activation.AudienceID
	for _, slug := range slugs {
		ids = append(ids, idOf(slug))
	}
	got, err := s.Waits(context.Background(), ids, above)
	s.must(err)
	if got != want {
		t.Errorf("%+v waits in %v above %d, want %+v", got, slugs, above, want)
	}
}

// randomDecisions loads people and decides at random, for everybody or for some,
// and compares with a model that is two maps.
func randomDecisions(t *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer closeStore(t, w)
	s := newShop(t, dir, w)
	s.must(s.declare(offers...))
	orders, in := map[string]int{}, map[string]string{}
	who := []string{"ann", "bob", "eve", "kim", "lea"}
	thresholds := map[string]int{"big": 4, "small": 2, "none": 0}
	for range rapid.IntRange(1, 6).Draw(t, "rounds") {
		for range rapid.IntRange(0, 3).Draw(t, "customers") {
			name, n := rapid.SampledFrom(who).Draw(t, "who"), rapid.IntRange(-1, 5).Draw(t, "orders")
			orders[name] = n
			s.customers(fmt.Sprintf("%s orders=%d", name, n))
		}
		level := rapid.SampledFrom([][]string{{"big", "small", "none"}, {"big", "small"}, {"none"}}).Draw(t, "level")
		choices := rapid.SliceOfNDistinct(rapid.SampledFrom(level), 0, len(level), rapid.ID).Draw(t, "choices")
		r := warehouse.DecideRequest{Now: shopNow, Dry: rapid.IntRange(0, 4).Draw(t, "dry") == 0, Stay: rapid.Bool().Draw(t, "stay")}
		for _, slug := range level {
			r.Level = append(r.Level, idOf(slug))
		}
		for _, slug := range choices {
			r.Choices = append(r.Choices, warehouse.Choice{Audience: idOf(slug), Eligible: fmt.Sprintf("FILTER orders >= %d", thresholds[slug])})
		}
		about := slices.Sorted(maps.Keys(orders))
		if len(about) > 0 && rapid.Bool().Draw(t, "some") {
			about = rapid.SliceOfNDistinct(rapid.SampledFrom(about), 0, -1, rapid.ID).Draw(t, "about")
			s.only(about...)(&r)
		}
		want := decideModel(level, choices, thresholds, about, orders, in, r)
		var told []string
		names := map[int64]string{}
		for _, name := range about {
			names[s.profile(name)] = name
		}
		got, err := s.Decide(context.Background(), r, func(d warehouse.Decision) {
			told = append(told, fmt.Sprint(names[d.Profile], " ", strings.TrimPrefix(string(d.Audience), "id-of-"), " ", d.Entered, " ", d.Left))
		})
		s.must(err)
		slices.Sort(told)
		if sums := fmt.Sprint(got.Considered, got.Nothing, got.Entered, got.Left); sums != want.sums || !slices.Equal(told, want.told) {
			t.Fatalf("decided %s %q, want %s %q", sums, told, want.sums, want.told)
		}
		for slug := range thresholds {
			var members []string
			for name, audiences := range in {
				if slices.Contains(strings.Fields(audiences), slug) {
					members = append(members, name)
				}
			}
			slices.Sort(members)
			if got := s.members(slug); !slices.Equal(got, members) {
				t.Fatalf("members of %s: %v, want %v", slug, got, members)
			}
		}
	}
}

type modelDecided struct {
	sums string
	told []string
}

// decideModel decides in plain Go; in has the audiences of each person.
func decideModel(level, choices []string, thresholds map[string]int, about []string, orders map[string]int, in map[string]string, r warehouse.DecideRequest) modelDecided {
	var out modelDecided
	var nothing, entered, exits int
	for _, name := range about {
		choice := ""
		for _, slug := range choices {
			if choice == "" && orders[name] >= thresholds[slug] {
				choice = slug
			}
		}
		if choice == "" {
			nothing++
		}
		var stays []string
		left := []activation.AudienceID{}
		for _, slug := range strings.Fields(in[name]) {
			if slices.Contains(level, slug) && slug != choice && (choice != "" || !r.Stay) {
				left = append(left, idOf(slug))
			} else {
				stays = append(stays, slug)
			}
		}
		enters := choice != "" && !slices.Contains(stays, choice)
		if enters {
			stays = append(stays, choice)
			entered++
		}
		exits += len(left)
		slices.SortFunc(left, func(a, b activation.AudienceID) int {
			return slices.IndexFunc(level, func(s string) bool { return idOf(s) == a }) - slices.IndexFunc(level, func(s string) bool { return idOf(s) == b })
		})
		out.told = append(out.told, fmt.Sprint(name, " ", choice, " ", enters, " ", left))
		if !r.Dry {
			in[name] = strings.Join(stays, " ")
		}
	}
	slices.Sort(out.told)
	out.sums = fmt.Sprint(len(about), nothing, entered, exits)
	return out
}
