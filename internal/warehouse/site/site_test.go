package site

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
)

func open(t testing.TB, dir string) *Site {
	t.Helper()
	s, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func ensure(t testing.TB, s *Site, marker, slug string) string {
	t.Helper()
	id, err := s.Ensure(t.Context(), marker, slug)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func put(t testing.TB, s *Site, audience string, who ...string) {
	t.Helper()
	if err := s.Put(t.Context(), audience, who, make([]string, len(who))); err != nil {
		t.Fatal(err)
	}
}

func audiences(t testing.TB, s *Site, who string) []string {
	t.Helper()
	v, err := s.Visitor(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	return v.Audiences
}

func TestVisitorsAreInTheirAudiences(t *testing.T) {
	s := open(t, t.TempDir())
	vip, young := ensure(t, s, "m1", "vip"), ensure(t, s, "m2", "a-young")
	if again := ensure(t, s, "m1", "vip"); again != vip || vip == young {
		t.Errorf("ids %s, %s, %s", vip, young, again)
	}
	if err := s.Put(t.Context(), vip, []string{"p1", "p2"}, []string{`{"city":"Bonn","n":1}`, ""}); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), young, []string{"p1"}, []string{`{"n":2}`}); err != nil {
		t.Fatal(err)
	}
	v, err := s.Visitor(t.Context(), "p1")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v.Audiences, []string{"a-young", "vip"}) || string(v.Attributes["city"]) != `"Bonn"` || string(v.Attributes["n"]) != "2" {
		t.Errorf("p1 is %+v", v)
	}
	nobody, err := s.Visitor(t.Context(), "p3")
	if err != nil {
		t.Fatal(err)
	}
	if p2, _ := s.Visitor(t.Context(), "p2"); len(nobody.Audiences) != 0 || nobody.Audiences == nil || nobody.Attributes == nil || !slices.Equal(p2.Audiences, []string{"vip"}) {
		t.Errorf("nobody is %+v", nobody)
	}
	// A short name that changed is shown at once.
	ensure(t, s, "m1", "best")
	if got := audiences(t, s, "p2"); !slices.Equal(got, []string{"best"}) {
		t.Errorf("p2 is in %v", got)
	}
}

func TestAnAudienceThatIsNotThere(t *testing.T) {
	s := open(t, t.TempDir())
	id := ensure(t, s, "m1", "vip")
	put(t, s, id, "p1")
	if err := s.Drop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := audiences(t, s, "p1"); len(got) != 0 {
		t.Errorf("p1 is in %v", got)
	}
	if next := ensure(t, s, "m2", "vip"); next == id {
		t.Error("an id was given twice")
	}
	for _, audience := range []string{id, "", "0", "-1", "x", "1 OR 1=1"} {
		there, err := s.Has(t.Context(), audience)
		if there || err != nil {
			t.Errorf("%q is there: %v, %v", audience, there, err)
		}
		for name, err := range map[string]error{
			"put": s.Put(t.Context(), audience, []string{"p"}, []string{""}), "take": s.Take(t.Context(), audience, []string{"p"}), "drop": s.Drop(t.Context(), audience),
		} {
			if !errors.Is(err, activation.ErrNotFound) {
				t.Errorf("%s of %q: %v", name, audience, err)
			}
		}
	}
}

// TestRandomHistories plays random changes, each twice, against a map.
func TestRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s := open(t, dir)
	model := map[string]map[string]bool{} // person -> slugs
	ids := map[string]string{}
	for step := range 300 {
		slug := fmt.Sprintf("a%d", r.IntN(4))
		if ids[slug] == "" {
			ids[slug] = ensure(t, s, fmt.Sprintf("%s-%d", slug, step), slug)
		}
		var who []string
		for range 1 + r.IntN(5) {
			who = append(who, fmt.Sprintf("p%d", r.IntN(10)))
		}
		what := r.IntN(20)
		for range 2 {
			var err error
			switch {
			case what == 0:
				err = s.Drop(t.Context(), ids[slug])
				if errors.Is(err, activation.ErrNotFound) {
					err = nil
				}
			case what < 8:
				err = s.Take(t.Context(), ids[slug], who)
			default:
				err = s.Put(t.Context(), ids[slug], who, make([]string, len(who)))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for p := range 10 {
			name := fmt.Sprintf("p%d", p)
			if model[name] == nil {
				model[name] = map[string]bool{}
			}
			switch {
			case what == 0:
				delete(model[name], slug)
			case what < 8 && slices.Contains(who, name):
				delete(model[name], slug)
			case what >= 8 && slices.Contains(who, name):
				model[name][slug] = true
			}
			if got, want := audiences(t, s, name), slices.Sorted(maps.Keys(model[name])); !slices.Equal(got, want) {
				t.Fatalf("step %d: %s is in %v, want %v", step, name, got, want)
			}
		}
		if what == 0 {
			ids[slug] = ""
		}
		if step == 150 { // a restart changes nothing
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
		}
	}
}

// TestACopyTellsOfNobody: no public id is in the files, and what is there is
// found with the key only.
func TestACopyTellsOfNobody(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	vip := ensure(t, s, "m1", "vip")
	put(t, s, vip, "visitor-0123456789")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("visitor-0123456789")) {
			t.Errorf("%s holds the public id", f)
		}
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", f, info.Mode())
		}
	}
	if got := audiences(t, open(t, dir), "visitor-0123456789"); !slices.Equal(got, []string{"vip"}) {
		t.Errorf("after a restart in %v", got)
	}
}

func TestAnotherKeyBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	vip := ensure(t, s, "m1", "vip")
	put(t, s, vip, "p1")
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(dir, "site.key"))); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if there, err := s.Has(t.Context(), vip); there || err != nil {
		t.Errorf("the audience is there: %v, %v", there, err)
	}
	if next := ensure(t, s, "m1", "vip"); next == vip {
		t.Error("the new audience has the id of the old one")
	}
	if err := errors.Join(s.Close(), os.WriteFile(filepath.Join(dir, "site.key"), []byte("short"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "site.key") {
		t.Errorf("a broken key: %v", err)
	}
}

// TestReadersSeeWholeBatches: a look-up never sees half of a change.
func TestReadersSeeWholeBatches(t *testing.T) {
	s := open(t, t.TempDir())
	vip := ensure(t, s, "m1", "vip")
	who := []string{"p1", "p2"}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for range 100 {
			if err := s.Put(t.Context(), vip, who, []string{"", ""}); err != nil {
				t.Error(err)
			}
			if err := s.Take(t.Context(), vip, who); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				n := 0
				if err := s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM members`).Scan(&n); err != nil || n == 1 {
					t.Errorf("%d members, %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if v, err := s.Visitor(t.Context(), "p1"); err != nil || !reflect.DeepEqual(v.Audiences, []string{}) {
		t.Errorf("%+v, %v", v, err)
	}
}

// BenchmarkVisitor looks people up among a hundred thousand memberships and reports the
// slowest of a hundred.
func BenchmarkVisitor(b *testing.B) {
	s := open(b, b.TempDir())
	const people = 25_000
	for a := range 4 {
		id := ensure(b, s, fmt.Sprint("m", a), fmt.Sprint("audience-", a))
		for first := 0; first < people; first += 10_000 {
			ids, values := make([]string, 10_000), make([]string, 10_000)
			for i := range ids {
				ids[i], values[i] = fmt.Sprint("visitor-", first+i), `{"city":"Bonn"}`
			}
			if err := s.Put(b.Context(), id, ids, values); err != nil {
				b.Fatal(err)
			}
		}
	}
	var mu sync.Mutex
	var all []time.Duration
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		r := rand.New(rand.NewPCG(1, 2))
		var mine []time.Duration
		for p.Next() {
			begin := time.Now()
			if _, err := s.Visitor(b.Context(), fmt.Sprint("visitor-", r.IntN(people*2))); err != nil {
				b.Error(err)
			}
			mine = append(mine, time.Since(begin))
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, mine...)
	})
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "look-ups/s")
}
