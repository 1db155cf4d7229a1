package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// RebuildPeople judges what a rebuild does to audiences, and to those who are
// forgotten or whose messages expire while it replays.
func RebuildPeople(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *shop)
	}{
		{"only those who moved enter and leave", movedAlone},
		{"who is forgotten meanwhile does not come back", forgottenMeanwhile},
		{"who is still to be erased is erased first", erasedFirst},
		{"what expires meanwhile does not come back", expiredMeanwhile},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(t, newShop(t, t.TempDir(), w))
		})
	}
}

// summed declares that the orders of a customer are added up, by the next rebuild.
func (s *shop) summed() {
	s.t.Helper()
	s.loader.Apply(s.t, warehouse.Schema{Fields: []warehouse.Field{{Name: "orders", Type: warehouse.Integer, Merge: warehouse.Sum}}})
}

// rebuilt rebuilds, with meanwhile called at each step of it.
func (s *shop) rebuilt(meanwhile func(step int)) warehouse.RebuildResult {
	s.t.Helper()
	step := 0
	return rebuilt(s.t, s.loader, func() {
		step++
		meanwhile(step)
	})
}

func movedAlone(_ *testing.T, s *shop) {
	s.must(s.declare(`big: FILTER orders > 5`, `small: FILTER orders < 5`, `danes: FILTER country = "DK"`))
	s.customers("ann country=DK orders=3", "bob country=DK orders=1", "cat orders=9", "ann orders=4", "dan orders=4")
	s.wantMembers("big", "cat")
	s.wantMembers("small", "ann", "bob", "dan")
	seqs := map[string]int64{"big": s.seq("big"), "small": s.seq("small"), "danes": s.seq("danes")}
	s.summed()
	got := s.rebuilt(func(step int) {
		if step == 3 { // after all was compared
			s.customers("dan orders=2")
		}
	})
	if want := (warehouse.RebuildResult{Messages: 6, Profiles: 4, Changed: 2}); got != want {
		s.t.Errorf("the rebuild says %+v, want %+v", got, want)
	}
	s.wantMembers("big", "ann", "cat", "dan")
	s.wantMembers("small", "bob")
	s.wantMembers("danes", "ann", "bob")
	for slug, want := range map[string]warehouse.Waiting{"big": {Enters: 2}, "small": {Exits: 2}, "danes": {}} {
		w, err := s.Waits(context.Background(), []activation.AudienceID{idOf(slug)}, seqs[slug])
		s.must(err)
		if w.Enters != want.Enters || w.Exits != want.Exits {
			s.t.Errorf("of %s waits %+v, want %d entering and %d leaving", slug, w, want.Enters, want.Exits)
		}
	}
}

// visits declares a stream that tells of customers by their e-mail; messages of
// before and those during the rebuild find them only after it.
func (s *shop) visits() {
	s.t.Helper()
	s.loader.Apply(s.t, warehouse.Schema{Streams: []warehouse.Stream{{Name: "visits"}}})
	s.visit("first", "ann@example.com", "bob@example.com")
	s.loader.Apply(s.t, warehouse.Schema{
		Fields: []warehouse.Field{{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, PII: true, Rank: 2}},
		// Under what was declared before, no column of it is anybody's.
		Mappings: []warehouse.Mapping{{Stream: "visits", Field: "email", Expression: `concat(name, "@example.com")`}},
	})
}

// visit loads visits of people by the first half of their addresses.
func (s *shop) visit(id string, emails ...string) warehouse.LoadResult {
	s.t.Helper()
	var rows []Row
	for _, e := range emails {
		s.clock++
		rows = append(rows, Row{Time: s.clock, Values: map[string]string{"name": e[:3]}})
	}
	return s.loader.Load(s.t, id, "visits", rows...)
}

func (s *shop) wantUnknown(field, value string) {
	s.t.Helper()
	if p, err := s.Find(context.Background(), field, value); !errors.Is(err, activation.ErrNotFound) {
		s.t.Errorf("somebody is found by their %s: %v (%v)", field, p.Values, err)
	}
}

func (s *shop) wantMessages(stream string, want int) {
	s.t.Helper()
	all, err := s.Messages(context.Background(), stream, 100)
	s.must(err)
	if len(all) != want {
		s.t.Errorf("%s has %d messages, want %d", stream, len(all), want)
	}
}

func forgottenMeanwhile(_ *testing.T, s *shop) {
	s.customers("ann email=ann@example.com orders=1", "bob email=bob@example.com orders=1")
	s.visits()
	for step := range 3 {
		id := activation.ForgetID(fmt.Sprint("f", step))
		who := []string{"cat", "dan", "eve"}[step]
		s.customers(who+" email="+who+"@example.com", who+" orders=2")
		s.visit("before "+who, who+"@example.com")
		s.rebuilt(func(at int) {
			if at != step+1 {
				return
			}
			if e := forgetOne(s.t, s.Warehouse, id, "customer", who); e.Profiles != 1 {
				s.t.Errorf("erased %+v", e)
			}
			if err := s.Suppress(context.Background(), id+" by e-mail", "email", who+"@example.com"); err != nil && activation.KindOf(err) != activation.Invalid {
				s.must(err) // before the first rebuild an e-mail identifies nobody
			}
			s.customers(who+" orders=9", "bob orders=2")
			s.visit("meanwhile "+who, who+"@example.com", "bob@example.com")
		})
		s.wantUnknown("customer", who)
	}
	s.wantUnknown("email", "eve@example.com")
	if r := s.visit("later", "eve@example.com"); r.Suppressed != 1 {
		s.t.Errorf("a visit of somebody forgotten: %+v", r)
	}
	if n, err := s.CountProfiles(context.Background()); err != nil || n != 3 {
		s.t.Errorf("%d profiles (%v), want ann, bob and the visitor of whom only the address was never said", n, err)
	}
}

// erasedFirst: a person who is to be forgotten is erased with everything they
// were, also where the rebuild ends between the asking and the erasing.
func erasedFirst(_ *testing.T, s *shop) {
	for step := range 4 {
		who := fmt.Sprint("ann", step)
		s.customers(who+" email="+who+"@example.com", "bob orders=1")
		id := activation.ForgetID(fmt.Sprint("f", step))
		ask := func() { s.must(s.Suppress(context.Background(), id, "customer", who)) }
		if step == 0 {
			ask()
		}
		s.rebuilt(func(at int) {
			if at == step {
				ask()
			}
		})
		s.wantUnknown("customer", who)
		e, err := s.Erase(context.Background(), id)
		s.must(err)
		if e.Profiles != 1 || e.Messages != 1 || e.Identifiers != 1 {
			s.t.Errorf("asked for at step %d, it erased %+v", step, e)
		}
	}
	s.wantMessages("customers", 4)
}

func expiredMeanwhile(t *testing.T, s *shop) {
	s.loader.Apply(s.t, warehouse.Schema{
		Fields:   []warehouse.Field{{Name: "orders", Type: warehouse.Integer, Merge: warehouse.Sum}},
		Streams:  []warehouse.Stream{{Name: "customers", RetentionDays: 30}},
		Mappings: mapAll("customers", map[string]string{"customer": "customer", "orders": "orders"}),
	})
	old := s.loader.Spool(s.t, "old", "customers", nil, []Row{{Time: 1, Values: map[string]string{"customer": "ann", "orders": "1"}}, {Time: 1, Values: map[string]string{"customer": "zoe", "orders": "1"}}})
	old.ReceivedAt = shopNow.AddDate(0, 0, -31)
	s.loader.Merge(s.t, old)
	recent := s.loader.Spool(s.t, "recent", "customers", nil, []Row{{Time: 2, Values: map[string]string{"customer": "ann", "orders": "2"}}})
	recent.ReceivedAt = shopNow
	s.loader.Merge(s.t, recent)
	result := s.rebuilt(func(step int) {
		if step != 3 {
			return
		}
		n, err := s.Expire(context.Background(), shopNow.Add(time.Hour))
		s.must(err)
		if n != 2 {
			s.t.Errorf("%d messages expired, want 2", n)
		}
		p, err := s.Find(context.Background(), "customer", "ann")
		s.must(err)
		wantValues(t, p, map[string]any{"customer": "ann", "orders": int64(3)})
	})
	if want := (warehouse.RebuildResult{Messages: 1, Profiles: 1, Changed: 1, Gone: 1}); result != want {
		s.t.Errorf("the rebuild says %+v, want %+v", result, want)
	}
	p, err := s.Find(context.Background(), "customer", "ann")
	s.must(err)
	wantValues(t, p, map[string]any{"customer": "ann", "orders": int64(2)})
	s.wantUnknown("customer", "zoe")
}
