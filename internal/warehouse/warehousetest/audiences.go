package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Open makes an empty warehouse. The suite closes it.
type Open func() (warehouse.Warehouse, error)

// Audiences judges how a warehouse decides who is in which audience.
func Audiences(t *testing.T, open Open) {
	for _, c := range audienceCases {
		t.Run(c.name, func(t *testing.T) {
			w, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, w)
			c.run(t, newShop(t, t.TempDir(), w))
		})
	}
	t.Run("step by step is as in full", func(t *testing.T) {
		dir := t.TempDir()
		few(t, "8")
		rapid.Check(t, func(rt *rapid.T) { stepByStep(rt, dir, open) })
	})
}

// shop is a warehouse of a small shop's customers.
type shop struct {
	warehouse.Warehouse
	t      T
	loader *Loader
	loads  int
	clock  int64
}

// shopFields are the fields of a customer; each is mapped from the column of
// the same name.
var shopFields = []warehouse.Field{
	{Name: "customer", Type: warehouse.Text, Merge: warehouse.Latest, Rank: 1},
	{Name: "email", Type: warehouse.Text, Merge: warehouse.Latest, PII: true},
	{Name: "phone", Type: warehouse.Text, Merge: warehouse.Latest, PII: true},
	{Name: "country", Type: warehouse.Text, Merge: warehouse.Latest},
	{Name: "orders", Type: warehouse.Integer, Merge: warehouse.Latest},
	{Name: "seen", Type: warehouse.Time, Merge: warehouse.Latest},
}

var shopNow = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func newShop(t T, dir string, w warehouse.Warehouse) *shop {
	t.Helper()
	s := &shop{Warehouse: w, t: t, loader: NewLoader(dir, w)}
	schema := warehouse.Schema{Fields: shopFields, Streams: []warehouse.Stream{{Name: "customers"}}}
	for _, f := range shopFields {
		schema.Mappings = append(schema.Mappings, warehouse.Mapping{Stream: "customers", Field: f.Name, Expression: f.Name})
	}
	s.loader.Apply(t, schema)
	return s
}

// customers loads customers, each written "id field=value field=value".
func (s *shop) customers(lines ...string) {
	s.t.Helper()
	var rows []Row
	for _, line := range lines {
		s.clock++
		id, rest, _ := strings.Cut(line, " ")
		values := map[string]string{"customer": id}
		for _, pair := range strings.Fields(rest) {
			name, value, _ := strings.Cut(pair, "=")
			values[name] = value
		}
		rows = append(rows, Row{Time: s.clock, Values: values})
	}
	s.loads++
	s.loader.Load(s.t, fmt.Sprintf("load-%d", s.loads), "customers", rows...)
}

// declare sets the audiences, each written "slug: rule", or "slug: given".
func (s *shop) declare(lines ...string) error {
	var rules []warehouse.Rule
	for _, line := range lines {
		slug, text, _ := strings.Cut(line, ": ")
		rule := warehouse.Rule{ID: idOf(slug), Slug: slug, Text: text, Version: 1}
		if rule.Given = text == "given"; rule.Given {
			rule.Text = ""
		}
		rules = append(rules, rule)
	}
	return s.SetAudiences(context.Background(), rules, shopNow)
}

func idOf(slug string) activation.AudienceID { return activation.AudienceID("id-of-" + slug) }

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v", err)
	}
}

// members lists who is in an audience, by customer, page by page.
func (s *shop) members(slug string) []string {
	s.t.Helper()
	var ids []string
	after := int64(0)
	for {
		page, err := s.Members(context.Background(), idOf(slug), after, 2)
		s.must(err)
		for _, p := range page {
			after = p.ID
			ids = append(ids, p.Values["customer"].(string))
			if !slices.Contains(p.Audiences, slug) {
				s.t.Errorf("the profile of a member of %s names %v", slug, p.Audiences)
			}
		}
		if len(page) < 2 {
			break
		}
	}
	size, err := s.Size(context.Background(), idOf(slug))
	s.must(err)
	if size != int64(len(ids)) {
		s.t.Errorf("the size of %s is %d and it lists %d", slug, size, len(ids))
	}
	slices.Sort(ids)
	return ids
}

func (s *shop) wantMembers(slug string, want ...string) {
	s.t.Helper()
	if got := s.members(slug); !slices.Equal(got, want) {
		s.t.Errorf("members of %s: %v, want %v", slug, got, want)
	}
}

func (s *shop) seq(slug string) int64 {
	s.t.Helper()
	all, err := s.Seq(context.Background())
	s.must(err)
	return all[idOf(slug)]
}

// wantInvalid wants an Invalid error that says all of these words.
func (s *shop) wantInvalid(err error, words ...string) {
	s.t.Helper()
	if activation.KindOf(err) != activation.Invalid {
		s.t.Fatalf("error %v, want an invalid one", err)
	}
	for _, w := range words {
		if !strings.Contains(activation.SafeMessage(err), w) {
			s.t.Errorf("error %q says nothing of %q", activation.SafeMessage(err), w)
		}
	}
}

var audienceCases = []struct {
	name string
	run  func(t *testing.T, s *shop)
}{
	{"people enter and leave as loads come", func(t *testing.T, s *shop) {
		s.must(s.declare(`danes: FILTER country = "DK"`, `buyers: FILTER orders > 0`))
		s.customers("ann country=DK orders=2", "bob country=SE orders=0")
		s.wantMembers("danes", "ann")
		s.wantMembers("buyers", "ann")
		before := s.seq("buyers")
		s.customers("ann country=NO", "bob country=DK")
		s.wantMembers("danes", "bob")
		s.wantMembers("buyers", "ann")
		if s.seq("buyers") != before {
			t.Error("an audience nobody entered or left counts as changed")
		}
	}},
	{"a missing field makes a comparison false, and NOT of it true", func(_ *testing.T, s *shop) {
		s.customers("ann country=DK", "bob orders=1")
		s.must(s.declare(`danes: FILTER country = "DK"`, `others: FILTER NOT country = "DK"`))
		s.wantMembers("danes", "ann")
		s.wantMembers("others", "bob")
	}},
	{"a changed rule is evaluated, an unchanged one is not", func(t *testing.T, s *shop) {
		s.customers("ann country=DK", "bob country=SE")
		s.must(s.declare(`one: FILTER country = "DK"`, `two: FILTER country = "SE"`))
		one, two := s.seq("one"), s.seq("two")
		s.must(s.declare(`one: FILTER country = "SE"`, `two: FILTER country = "SE"`))
		s.wantMembers("one", "bob")
		if s.seq("one") == one || s.seq("two") != two {
			t.Errorf("change numbers %d → %d and %d → %d, want only the first to rise", one, s.seq("one"), two, s.seq("two"))
		}
	}},
	{"included by slug and by id", func(_ *testing.T, s *shop) {
		s.customers("ann country=DK orders=1", "bob country=DK", "eve country=SE orders=1")
		s.must(s.declare(`danes: FILTER country = "DK"`, `good: FILTER AND (INCLUDE danes, orders > 0)`, `bad: FILTER NOT INCLUDE "id-of-good"`))
		s.wantMembers("good", "ann")
		s.wantMembers("bad", "bob", "eve")
		s.must(s.declare(`danes: FILTER country = "SE"`, `good: FILTER AND (INCLUDE danes, orders > 0)`, `bad: FILTER NOT INCLUDE "id-of-good"`))
		s.wantMembers("good", "eve")
		s.wantMembers("bad", "ann", "bob")
		s.customers("bob country=SE orders=3")
		s.wantMembers("bad", "ann")
	}},
	{"what is wrong is refused, and nothing changes", func(_ *testing.T, s *shop) {
		s.customers("ann country=DK")
		s.must(s.declare(`danes: FILTER country = "DK"`))
		s.wantInvalid(s.declare(`danes: FILTER country = "SE"`, `x: FILTER INCLUDE nobody`), "nobody")
		s.wantInvalid(s.declare(`a: FILTER INCLUDE b`, `b: FILTER INCLUDE a`), "include each other")
		s.wantInvalid(s.declare(`a: FILTER colour = "red"`), "colour", "line 1, column 8")
		s.wantInvalid(s.declare(`a: FILTER country =`), "line 1")
		s.wantMembers("danes", "ann")
	}},
	{"a dropped audience loses its members", func(_ *testing.T, s *shop) {
		s.customers("ann country=DK")
		s.must(s.declare(`danes: FILTER country = "DK"`))
		s.must(s.declare())
		if _, err := s.Size(context.Background(), idOf("danes")); !errors.Is(err, activation.ErrNotFound) {
			s.t.Errorf("size of a dropped audience: %v, want not found", err)
		}
		if p := s.loader.Find(s.t, "customer", "ann"); len(p.Audiences) != 0 {
			s.t.Errorf("the profile still names %v", p.Audiences)
		}
	}},
	{"date math follows the time it is given", func(t *testing.T, s *shop) {
		s.customers("ann seen=2026-10-31T00:00:00Z", "bob seen=2026-10-01T00:00:00Z")
		s.must(s.declare(`recent: FILTER seen > "now-7d"`, `including: FILTER INCLUDE recent`, `fixed: FILTER EXISTS seen`))
		s.wantMembers("recent", "ann")
		for slug, want := range map[string]bool{"recent": true, "including": true, "fixed": false} {
			if got, err := s.TimeDependent(context.Background(), idOf(slug)); err != nil || got != want {
				t.Errorf("%s depends on time: %t (%v), want %t", slug, got, err, want)
			}
		}
		s.must(s.Evaluate(context.Background(), idOf("recent"), shopNow.AddDate(0, 0, -25)))
		s.wantMembers("recent", "ann", "bob")
		s.must(s.Evaluate(context.Background(), idOf("recent"), shopNow.AddDate(0, 1, 0)))
		s.wantMembers("recent")
	}},
	{"changed keys of a member count as a change", func(t *testing.T, s *shop) {
		s.customers("ann country=DK email=ann@example.com")
		s.must(s.declare(`danes: FILTER country = "DK"`))
		before := s.seq("danes")
		s.customers("ann email=ann@example.org")
		if s.seq("danes") <= before {
			t.Error("a member's new e-mail is no change")
		}
		s.wantMembers("danes", "ann")
	}},
	{"a rebuild counts as a change of every audience", func(t *testing.T, s *shop) {
		s.customers("ann country=DK")
		s.must(s.declare(`danes: FILTER country = "DK"`))
		before := s.seq("danes")
		s.loader.Rebuild(s.t)
		s.wantMembers("danes", "ann")
		if s.seq("danes") <= before {
			t.Error("nobody would look for keys that the rebuild changed")
		}
	}},
	{"trying a rule stores nothing", func(t *testing.T, s *shop) {
		s.customers("ann country=DK", "bob country=SE")
		n, err := s.Try(context.Background(), `FILTER country IN ("DK", "SE")`, shopNow)
		if err != nil || n != 2 {
			t.Errorf("%d people (%v), want 2", n, err)
		}
		all, err := s.Seq(context.Background())
		if err != nil || len(all) != 0 {
			t.Errorf("audiences %v (%v), want none", all, err)
		}
		_, err = s.Try(context.Background(), `FILTER country ~ 3`, shopNow)
		s.wantInvalid(err, "line 1")
	}},
}

// stepByStep checks that audiences kept in step by loads hold whom they would
// hold when evaluated in full.
func stepByStep(t *rapid.T, dir string, open Open) {
	w, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer closeStore(t, w)
	s := newShop(t, dir, w)
	rules := []string{`a: FILTER country = "DK"`, `b: FILTER NOT orders > 1`, `c: FILTER AND (INCLUDE a, NOT INCLUDE b)`, `d: FILTER OR (EXISTS email, orders IN (2, 3))`}
	for range rapid.IntRange(1, 5).Draw(t, "loads") {
		if rapid.IntRange(0, 2).Draw(t, "declare") == 0 {
			s.must(s.declare(rules[:rapid.SampledFrom([]int{0, 2, 4}).Draw(t, "audiences")]...))
		}
		var lines []string
		for range rapid.IntRange(1, 8).Draw(t, "customers") {
			line := rapid.SampledFrom([]string{"ann", "bob", "eve", "kim", "lea"}).Draw(t, "who")
			for _, pair := range [][]string{{"", "country=DK", "country=SE"}, {"", "email=a@example.com", "email=b@example.com"}, {"", "orders=0", "orders=1", "orders=2", "orders=3"}} {
				line += " " + rapid.SampledFrom(pair).Draw(t, "value")
			}
			lines = append(lines, line)
		}
		s.customers(lines...)
	}
	s.must(s.declare(rules...))
	for _, r := range rules {
		slug, text, _ := strings.Cut(r, ": ")
		want, err := s.Try(context.Background(), text, shopNow)
		s.must(err)
		before := s.members(slug)
		s.must(s.Evaluate(context.Background(), idOf(slug), shopNow))
		if after := s.members(slug); !slices.Equal(before, after) || int64(len(after)) != want {
			t.Fatalf("%s held %v, in full %v, by the rule %d people", slug, before, after, want)
		}
	}
}
