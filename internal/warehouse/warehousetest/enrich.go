package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Enrichments judges whether a warehouse remembers who was asked about.
func Enrichments(t *testing.T, open Open) {
	t.Run("who is asked about", func(t *testing.T) {
		w, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, w)
		askedAbout(newShop(t, t.TempDir(), w))
	})
	t.Run("nobody is left out and nobody asked about twice", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "3")
		rapid.Check(t, func(rt *rapid.T) { askedOnce(rt, dir, open) })
	})
}

// waiting lists whom a request names, by customer, and checks that the short
// question has the same answer.
func (s *shop) waiting(r warehouse.EnrichmentRequest) (customers []string, all []warehouse.Enrichment) {
	s.t.Helper()
	if r.Limit == 0 {
		r.Limit = 100
	}
	all, err := s.ToEnrich(context.Background(), r)
	s.must(err)
	waits, err := s.WaitsEnrichment(context.Background(), r)
	s.must(err)
	if waits != (len(all) > 0) {
		s.t.Errorf("somebody waits: %v, and %d are named", waits, len(all))
	}
	for _, e := range all {
		if len(e.Identifiers) == 0 || e.Identifiers[0].Field != "customer" {
			s.t.Errorf("the identifiers of %d are %v", e.Profile, e.Identifiers)
			continue
		}
		customers = append(customers, e.Identifiers[0].Value)
	}
	return customers, all
}

func (s *shop) wantWaiting(what string, r warehouse.EnrichmentRequest, want string) {
	s.t.Helper()
	got, _ := s.waiting(r)
	slices.Sort(got)
	if strings.Join(got, " ") != want {
		s.t.Errorf("%s: %v wait, want %s", what, got, want)
	}
}

func askedAbout(s *shop) {
	ctx, t0 := context.Background(), shopNow
	s.identify("login")
	s.customers("a login=a-login country=DE orders=2", "b country=DE", "c country=AT login=c-login")
	s.must(s.declare("german: FILTER country = \"DE\""))
	all := warehouse.EnrichmentRequest{Job: "j"}
	s.wantWaiting("at first", all, "a b c")
	_, people := s.waiting(warehouse.EnrichmentRequest{Job: "j", Fields: []string{"orders", "country"}, Limit: 1})
	if len(people) != 1 || len(people[0].Values) != 2 || people[0].Values["orders"] != int64(2) || people[0].Values["country"] != "DE" ||
		fmt.Sprint(people[0].Identifiers) != "[{customer a} {login a-login}]" {
		s.t.Errorf("the first one is %+v", people)
	}
	if _, people = s.waiting(all); fmt.Sprint(people[0].Values) != "map[customer:a login:a-login]" {
		s.t.Errorf("without fields the values are %v, want the identifiers", people[0].Values)
	}
	german := all
	german.Audiences = []activation.AudienceID{idOf("german")}
	s.wantWaiting("of an audience", german, "a b")

	s.must(s.Enriched(ctx, "j", t0, []warehouse.Enriched{{Profile: s.profile("a"), Outcome: "reply"}, {Profile: s.profile("b"), Outcome: "failed"}}))
	s.wantWaiting("asked ones", all, "c")
	s.wantWaiting("another job", warehouse.EnrichmentRequest{Job: "k"}, "a b c")
	failed := all
	failed.FailedBefore = t0
	s.wantWaiting("failed in this pass", failed, "c")
	failed.FailedBefore = t0.Add(time.Microsecond)
	s.wantWaiting("failed before it", failed, "b c")
	again := all
	again.Before = t0.Add(time.Microsecond)
	s.wantWaiting("asked long ago", again, "a c")

	s.must(s.Enriched(ctx, "j", t0.Add(time.Hour), []warehouse.Enriched{{Profile: s.profile("a"), Outcome: "none"}, {Profile: s.profile("b"), Outcome: "reply"}, {Profile: 1 << 40, Outcome: "reply"}}))
	s.wantWaiting("the last answer counts", again, "c")
	s.must(s.ForgetEnrichment(ctx, "j"))
	s.must(s.ForgetEnrichment(ctx, "j"))
	s.wantWaiting("forgotten", all, "a b c")

	if err := s.Enriched(ctx, "j", t0, []warehouse.Enriched{{Profile: 1, Outcome: "perhaps"}}); err == nil {
		s.t.Errorf("an outcome that does not exist is remembered")
	}
	_, err := s.ToEnrich(ctx, warehouse.EnrichmentRequest{Job: "j", Fields: []string{"none"}, Limit: 1})
	s.wantInvalid(err, "none")
	unknown := warehouse.EnrichmentRequest{Job: "j", Audiences: []activation.AudienceID{"no-such"}, Limit: 1}
	if _, err := s.ToEnrich(ctx, unknown); !errors.Is(err, activation.ErrNotFound) {
		s.t.Errorf("an audience that is not there: %v", err)
	}
	if _, err := s.WaitsEnrichment(ctx, unknown); !errors.Is(err, activation.ErrNotFound) {
		s.t.Errorf("an audience that is not there: %v", err)
	}
}

// askedOnce asks about random people against a map of when each was asked about.
func askedOnce(rt *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		rt.Fatal(err)
	}
	defer closeStore(rt, w)
	s := newShop(rt, dir, w)
	ctx := context.Background()
	type asked struct {
		at      time.Time
		outcome string
	}
	model := map[string]asked{}
	people := map[string]bool{}
	for step := range 6 {
		now := shopNow.Add(time.Duration(step) * time.Hour)
		for range rapid.IntRange(0, 3).Draw(rt, "more") {
			name := fmt.Sprintf("p%02d", len(people))
			people[name] = true
			s.customers(name)
		}
		r := warehouse.EnrichmentRequest{Job: "j", Limit: rapid.IntRange(1, 4).Draw(rt, "limit")}
		if rapid.Bool().Draw(rt, "again") {
			r.Before = now.Add(-2 * time.Hour)
		}
		if rapid.Bool().Draw(rt, "failed too") {
			r.FailedBefore = now
		}
		var want []string
		for _, name := range slices.Sorted(maps.Keys(people)) {
			m, known := model[name]
			if !known || m.outcome == "failed" && m.at.Before(r.FailedBefore) || m.outcome != "failed" && m.at.Before(r.Before) {
				want = append(want, name)
			}
		}
		got, all := s.waiting(r)
		if len(got) != min(len(want), r.Limit) {
			rt.Fatalf("step %d: %v wait, want %d of %v", step, got, r.Limit, want)
		}
		var outcomes []warehouse.Enriched
		for i, name := range got {
			if !slices.Contains(want, name) {
				rt.Fatalf("step %d: %s is asked about again", step, name)
			}
			o := rapid.SampledFrom([]string{"reply", "none", "failed"}).Draw(rt, "outcome")
			model[name] = asked{now, o}
			outcomes = append(outcomes, warehouse.Enriched{Profile: all[i].Profile, Outcome: o})
		}
		s.must(s.Enriched(ctx, "j", now, outcomes))
	}
}
