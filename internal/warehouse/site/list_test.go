package site

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"usher/internal/activation"
)

// listed are the members of an audience with their attributes.
func listed(t testing.TB, s *Site, audience string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := s.Members(t.Context(), audience, func(id, attributes string) error {
		if _, twice := out[id]; twice {
			t.Errorf("%s is listed twice", id)
		}
		out[id] = attributes
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMembersAreNamedAsTheyWerePut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	vip, other := ensure(t, s, "m1", "vip"), ensure(t, s, "m2", "other")
	if got := listed(t, s, vip); len(got) != 0 {
		t.Errorf("an empty audience has %v", got)
	}
	if err := s.Put(t.Context(), vip, []string{"p1", "p2", "Ünïcode \x00 id"}, []string{`{"a":"1"}`, "", ""}); err != nil {
		t.Fatal(err)
	}
	put(t, s, other, "p2", "p9")
	if err := s.Take(t.Context(), vip, []string{"p2"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir) // a restart changes nothing
	if got := listed(t, s, vip); !maps.Equal(got, map[string]string{"p1": `{"a":"1"}`, "Ünïcode \x00 id": ""}) {
		t.Errorf("listed %v", got)
	}
	stop := errors.New("stop")
	seen := 0
	if err := s.Members(t.Context(), vip, func(string, string) error { seen++; return stop }); !errors.Is(err, stop) || seen != 1 {
		t.Errorf("stopped by %v after %d", err, seen)
	}
	if err := s.Drop(t.Context(), vip); err != nil {
		t.Fatal(err)
	}
	for _, audience := range []string{vip, "", "x"} {
		if err := s.Members(t.Context(), audience, nil); !errors.Is(err, activation.ErrNotFound) {
			t.Errorf("members of %q: %v", audience, err)
		}
	}
}

func TestOnlyTheKeyOpensASeal(t *testing.T) {
	a, b := open(t, t.TempDir()), open(t, t.TempDir())
	sealed := a.sealed("visitor-1")
	if id, err := a.unsealed(sealed); id != "visitor-1" || err != nil {
		t.Errorf("%q %v", id, err)
	}
	if again := a.sealed("visitor-1"); !slices.Equal(sealed, again) {
		t.Error("one id is sealed in two ways")
	}
	for name, bad := range map[string][]byte{"nothing": nil, "too short": sealed[:5], "cut": sealed[:len(sealed)-1], "changed": append(slices.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)} {
		if _, err := a.unsealed(bad); !errors.Is(err, errSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.unsealed(sealed); !errors.Is(err, errSeal) {
		t.Errorf("another key: %v", err)
	}
}

// TestAReplacementEndsWithItsLastPart: until then nobody leaves, and each part
// may come twice.
func TestAReplacementEndsWithItsLastPart(t *testing.T) {
	s := open(t, t.TempDir())
	vip, other := ensure(t, s, "m1", "vip"), ensure(t, s, "m2", "other")
	put(t, s, vip, "old", "both")
	put(t, s, other, "old")
	part := func(session int64, last bool, who ...string) {
		t.Helper()
		for range 2 {
			if err := s.Replace(t.Context(), vip, session, last, who, make([]string, len(who))); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(who ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(listed(t, s, vip))); !slices.Equal(got, who) {
			t.Errorf("in are %v, want %v", got, who)
		}
	}
	part(7, false, "both", "new1")
	want("both", "new1", "old")
	put(t, s, vip, "meanwhile")
	part(7, true, "new2")
	want("both", "new1", "new2")
	part(8, false, "cut") // never ended
	part(9, true, "new2", "new3")
	want("new2", "new3")
	if got := listed(t, s, other); len(got) != 1 {
		t.Errorf("the audience beside it has %v", got)
	}
	if err := s.Replace(t.Context(), "999", 1, true, nil, nil); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("of an audience that is not there: %v", err)
	}
}

// TestAnEarlierTableBeginsAnew: one that was made before people could be named
// is emptied, and no id is given a second time.
func TestAnEarlierTableBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	last := ""
	for i := range 3 {
		last = ensure(t, s, fmt.Sprint("m", i), "vip")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "site.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `DROP TABLE members;
		CREATE TABLE members (person BLOB NOT NULL, audience INTEGER NOT NULL REFERENCES audiences (id) ON DELETE CASCADE, attributes TEXT NOT NULL DEFAULT '', PRIMARY KEY (person, audience)) WITHOUT ROWID;
		INSERT INTO members (person, audience) VALUES (x'00', 1); PRAGMA user_version = 1;`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if there, err := s.Has(t.Context(), last); there || err != nil {
		t.Errorf("the audience is there: %v, %v", there, err)
	}
	next := ensure(t, s, "m2", "vip")
	put(t, s, next, "p1")
	if got := listed(t, s, next); next == last || len(got) != 1 {
		t.Errorf("the audience %s, was %s, has %v", next, last, got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, open(t, dir), next); len(got) != 1 {
		t.Errorf("after another start %v", got)
	}
}
