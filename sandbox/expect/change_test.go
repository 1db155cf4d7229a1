package expect_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"usher/sandbox/expect"
)

// difference returns who is in b and not in a.
func difference(a, b []expect.Member) []string {
	var keys []string
	for _, m := range b {
		if !slices.ContainsFunc(a, func(o expect.Member) bool { return o.CustomerKey == m.CustomerKey }) {
			keys = append(keys, m.CustomerKey)
		}
	}
	slices.Sort(keys)
	return keys
}

func members(t *testing.T, deliveries ...fs.FS) map[string][]expect.Member {
	t.Helper()
	sets, err := expect.Members(deliveries...)
	if err != nil {
		t.Fatal(err)
	}
	return sets
}

func TestChangeMovesPeople(t *testing.T) {
	dir := t.TempDir()
	changed, err := expect.Change{Percent: 1, Seed: 7}.Write(dir, bundled())
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, keys := range changed {
		total += len(keys)
	}
	if total != 20 {
		t.Errorf("%d people changed, want 1 %% of 2,007", total)
	}
	before, after := members(t, bundled()), members(t, bundled(), os.DirFS(dir))
	spendersIn := difference(before[expect.BigSpenders], after[expect.BigSpenders])
	if want := changed[expect.Order]; !slices.Equal(spendersIn, want) {
		t.Errorf("new big spenders %v, want those with new orders %v", spendersIn, want)
	}
	spendersOut := difference(after[expect.BigSpenders], before[expect.BigSpenders])
	if want := changed[expect.Correction]; !slices.Equal(spendersOut, want) {
		t.Errorf("big spenders no more %v, want the corrected %v", spendersOut, want)
	}
	ownersOut := difference(after[expect.USHomeowners], before[expect.USHomeowners])
	if !slices.ContainsFunc(ownersOut, func(key string) bool { return slices.Contains(changed[expect.HomeOwner], key) }) {
		t.Errorf("no changed home owner among those who left: %v", ownersOut)
	}
	checkEmails(t, changed[expect.Email], before, after)
}

// checkEmails makes sure that exactly the given people have another hash.
func checkEmails(t *testing.T, changed []string, before, after map[string][]expect.Member) {
	t.Helper()
	was := map[string]string{}
	for _, set := range before {
		for _, m := range set {
			was[m.CustomerKey] = m.EmailSHA256
		}
	}
	for _, set := range after {
		for _, m := range set {
			old, known := was[m.CustomerKey]
			if known && (old != m.EmailSHA256) != slices.Contains(changed, m.CustomerKey) {
				t.Errorf("customer %s: hash changed %v", m.CustomerKey, old != m.EmailSHA256)
			}
		}
	}
}

func TestChangeOfOneKindLeavesTheRestAlone(t *testing.T) {
	dir := t.TempDir()
	changed, err := expect.Change{Percent: 2, Seed: 3, Kinds: []expect.Kind{expect.Email}}.Write(dir, bundled())
	if err != nil {
		t.Fatal(err)
	}
	if len(changed) != 1 || len(changed[expect.Email]) != 40 {
		t.Errorf("changed %v", changed)
	}
	if _, err := os.Stat(filepath.Join(dir, "AdventureWorks_Sales_2019.csv")); !os.IsNotExist(err) {
		t.Errorf("a sales file without rows was written: %v", err)
	}
	before, after := members(t, bundled()), members(t, bundled(), os.DirFS(dir))
	for name := range before {
		if in, out := difference(before[name], after[name]), difference(after[name], before[name]); len(in)+len(out) > 0 {
			t.Errorf("%s: %d in, %d out", name, len(in), len(out))
		}
	}
	checkEmails(t, changed[expect.Email], before, after)
}

func TestChangeRepeatsWithItsSeed(t *testing.T) {
	texts := map[string][]byte{}
	for _, run := range []struct {
		name string
		seed uint64
	}{{"first", 5}, {"again", 5}, {"other", 6}} {
		dir := t.TempDir()
		if _, err := (expect.Change{Percent: 1, Seed: run.seed}).Write(dir, bundled()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "AdventureWorks_Customers.csv"))
		if err != nil {
			t.Fatal(err)
		}
		texts[run.name] = text
	}
	if !bytes.Equal(texts["first"], texts["again"]) {
		t.Error("the same seed wrote another delivery")
	}
	if bytes.Equal(texts["first"], texts["other"]) {
		t.Error("another seed wrote the same delivery")
	}
}

func TestChangeCanBeChained(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	if _, err := (expect.Change{Percent: 1, Seed: 1}).Write(first, bundled()); err != nil {
		t.Fatal(err)
	}
	changed, err := expect.Change{Percent: 1, Seed: 2}.Write(second, bundled(), os.DirFS(first))
	if err != nil {
		t.Fatal(err)
	}
	before := members(t, bundled(), os.DirFS(first))
	after := members(t, bundled(), os.DirFS(first), os.DirFS(second))
	if got := difference(before[expect.BigSpenders], after[expect.BigSpenders]); !slices.Equal(got, changed[expect.Order]) {
		t.Errorf("new big spenders %v, want %v", got, changed[expect.Order])
	}
}

func TestChangeKeepsTheFormat(t *testing.T) {
	dir := t.TempDir()
	if _, err := (expect.Change{Percent: 1, Seed: 1}).Write(dir, bundled()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AdventureWorks_Customers.csv", "AdventureWorks_Sales_2019.csv"} {
		published, err := fs.ReadFile(bundled(), name)
		if err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		header := published[:bytes.IndexByte(published, '\n')+1]
		if !bytes.HasPrefix(written, header) {
			t.Errorf("%s begins otherwise than the published file", name)
		}
		if bytes.Count(written, []byte("\r\n")) != bytes.Count(written, []byte("\n")) {
			t.Errorf("%s has bare line feeds", name)
		}
	}
}

func TestChangeRefusesWhatItCannotDo(t *testing.T) {
	for name, c := range map[string]expect.Change{
		"no percentage":     {},
		"too much":          {Percent: 101},
		"unknown kind":      {Percent: 1, Kinds: []expect.Kind{"nonsense"}},
		"not enough people": {Percent: 100, Kinds: []expect.Kind{expect.Correction}},
	} {
		if changed, err := c.Write(t.TempDir(), bundled()); err == nil {
			t.Errorf("%s: changed %v", name, changed)
		}
	}
}
