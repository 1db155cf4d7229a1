package drop_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/drop"
	"usher/internal/provider/drop/droptest"
)

// memory is a place that writes down the order of what happens.
type memory struct {
	files  map[string][]byte
	log    []string
	failAt int // the put of this file fails, from 1; 0 = none
	after  bool
	closed int
}

func (m *memory) Connect(context.Context) (drop.Drop, error)          { return m, nil }
func (m *memory) Check(context.Context) error                         { m.log = append(m.log, "check"); return nil }
func (m *memory) Close() error                                        { m.closed++; return nil }
func (m *memory) List(context.Context, string) ([]drop.Info, error)   { return nil, nil }
func (m *memory) Open(context.Context, string) (io.ReadCloser, error) { return nil, nil }
func (m *memory) Rename(context.Context, string, string) error        { return nil }
func (m *memory) Stat(_ context.Context, n string) (drop.Info, bool, error) {
	_, ok := m.files[n]
	return drop.Info{Name: n}, ok, nil
}

func (m *memory) Remove(_ context.Context, n string) error {
	m.log = append(m.log, "remove "+n)
	delete(m.files, n)
	return nil
}

func (m *memory) Put(_ context.Context, files ...drop.File) error {
	for i, f := range files {
		if i+1 == m.failAt {
			return &activation.Error{Kind: activation.Unavailable, Code: "X", Message: "x", MayHaveApplied: m.after}
		}
		m.files[f.Name] = f.Body
		m.log = append(m.log, "put "+f.Name)
	}
	return nil
}

func newExport() (*drop.Export, *memory) {
	m := &memory{files: map[string][]byte{}}
	return &drop.Export{Place: m, Layout: drop.Rows{}, Log: slog.New(slog.DiscardHandler)}, m
}

func ensure(t testing.TB, e *drop.Export, a provider.Audience) provider.RemoteID {
	t.Helper()
	id, err := e.EnsureAudience(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func batch(a provider.Audience, op activation.Op, run int64, ids ...string) provider.Batch {
	b := provider.Batch{
		RunNumber: run, Number: 1, At: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Attempt: 1, Audience: a, Remote: a.Remote, Op: op,
		Keys: []matchkey.Key{{Name: "id", Identifies: true, Exact: true, Normalize: matchkey.Plain}},
	}
	for _, id := range ids {
		b.Values = append(b.Values, []byte(id))
	}
	return b
}

func TestSideFilesComeFirst(t *testing.T) {
	for side, want := range map[string][]string{
		"manifest": {"put m_7_00001.csv.manifest.json", "put m_7_00001.csv"},
		"sha256":   {"put m_7_00001.csv.sha256", "put m_7_00001.csv"},
		"none":     {"put m_7_00001.csv"},
	} {
		e, m := newExport()
		a := provider.Audience{Marker: "t.g1", Slug: "vip", Config: map[string]string{"filename": "m.csv", "side_file": side}}
		a.Remote = ensure(t, e, a)
		m.log = nil
		rc, err := e.Deliver(t.Context(), batch(a, activation.OpAdd, 7, "1", "2"))
		if err != nil || rc.Accepted != 2 || rc.RequestID != "m_7_00001.csv" || !slices.Equal(m.log, want) {
			t.Errorf("%s: %+v, %v, %q", side, rc, err, m.log)
		}
	}
}

func TestManifestSaysWhatTheFileIs(t *testing.T) {
	e, m := newExport()
	a := provider.Audience{Marker: "t.g1", Slug: "vip", Config: map[string]string{"filename": "m.csv"}}
	a.Remote = ensure(t, e, a)
	if _, err := e.Deliver(t.Context(), batch(a, activation.OpRemove, 7, "1", "2")); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(m.files["m_7_00001.csv.manifest.json"], &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"file": "m_7_00001.csv", "bytes": float64(len(m.files["m_7_00001.csv"])), "rows": float64(2), "operation": "remove", "audience": "vip",
		"run": float64(7), "part": float64(1), "planned": "2026-11-22T08:00:00Z", "sha256": fmt.Sprintf("%x", sha256.Sum256(m.files["m_7_00001.csv"])),
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// TestSentAgainLeavesNothingOld sends a batch again with fewer rows, as when
// somebody is not wanted any more.
func TestSentAgainLeavesNothingOld(t *testing.T) {
	e, m := newExport()
	a := provider.Audience{Marker: "t.g1", Slug: "vip", Config: map[string]string{"filename": "m.csv", "max_bytes": "20"}}
	a.Remote = ensure(t, e, a)
	b := batch(a, activation.OpAdd, 7, "1", "2", "3", "4")
	if _, err := e.Deliver(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	before := len(m.files)
	b = batch(a, activation.OpAdd, 7, "1", "2")
	b.Attempt = 2
	if _, err := e.Deliver(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	members, err := droptest.Folder(m.files).CSV("id")
	if err != nil || len(members) != 2 || before != 8 || len(m.files) != 4 {
		t.Errorf("%v, %d members, %d files and then %d: %q", err, len(members), before, len(m.files), m.log)
	}
	if m.closed < 3 {
		t.Error("a session was not closed")
	}
}

func TestBatchesThatAreRefused(t *testing.T) {
	e, m := newExport()
	a := provider.Audience{Marker: "t.g1", Slug: "vip"}
	a.Remote = ensure(t, e, a)
	other := ensure(t, e, provider.Audience{Marker: "t.g2", Slug: "vip"})
	m.log = nil
	for _, tc := range []struct {
		what string
		edit func(*provider.Batch)
		kind activation.Kind
		code string
	}{
		{"no id", func(b *provider.Batch) { b.Remote = "" }, activation.Invalid, drop.CodeRequest},
		{"another's id", func(b *provider.Batch) { b.Remote = other }, activation.Invalid, drop.CodeRequest},
		{"a path", func(b *provider.Batch) { b.Remote = "../1" }, activation.Invalid, drop.CodeRequest},
		{"too many", func(b *provider.Batch) {
			b.Values = slices.Repeat([][]byte{[]byte("1")}, drop.MaxRows+1)
		}, activation.RefusedWhole, drop.CodeBatch},
		{"a wrong setting", func(b *provider.Batch) { b.Audience.Config = map[string]string{"side_file": "x"} }, activation.Invalid, "FILE-SETTINGS"},
	} {
		b := batch(a, activation.OpAdd, 1, "1")
		tc.edit(&b)
		_, err := e.Deliver(t.Context(), b)
		if activation.KindOf(err) != tc.kind || activation.CodeOf(err) != tc.code || len(m.log) != 0 {
			t.Errorf("%s: %v, %q", tc.what, err, m.log)
		}
	}
	if other == a.Remote {
		t.Error("two markers, one id")
	}
	if _, err := e.EnsureAudience(t.Context(), provider.Audience{Config: map[string]string{"filename": "a/b"}}); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a wrong name: %v", err)
	}
	if _, err := e.Poll(t.Context(), "x", 1); activation.KindOf(err) != activation.Invalid {
		t.Errorf("poll: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, "memory") {
		t.Errorf("printed: %s", text)
	}
}

// TestWhatIsUnknownStaysUnknown: an error after the files of this attempt have
// appeared must say so, even where the removal of old ones alone has failed.
func TestWhatIsUnknownStaysUnknown(t *testing.T) {
	e, m := newExport()
	a := provider.Audience{Marker: "t.g1", Slug: "vip", Config: map[string]string{"filename": "m.csv"}}
	a.Remote = ensure(t, e, a)
	e.Place = failing{m}
	b := batch(a, activation.OpAdd, 7, "1")
	b.Attempt = 2
	_, err := e.Deliver(t.Context(), b)
	var own *activation.Error
	if !errors.As(err, &own) || !own.MayHaveApplied || own.Kind != activation.Unavailable {
		t.Errorf("got %v", err)
	}
}

// failing is a place whose Stat fails.
type failing struct{ *memory }

func (f failing) Connect(context.Context) (drop.Drop, error) { return f, nil }
func (f failing) Stat(context.Context, string) (drop.Info, bool, error) {
	return drop.Info{}, false, &activation.Error{Kind: activation.Unavailable, Code: "X", Message: "x"}
}

// TestReplayGivesTheMembership plays random runs, repeats some of their batches,
// and reads the files as somebody would who has nothing else.
func TestReplayGivesTheMembership(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, m := newExport()
		config := map[string]string{
			"compress": rapid.SampledFrom([]string{"true", "false"}).Draw(t, "compress"), "max_bytes": rapid.SampledFrom([]string{"0", "30"}).Draw(t, "size"),
			"operation_column": rapid.SampledFrom([]string{"operation", "-"}).Draw(t, "operation"),
			"filename":         rapid.SampledFrom([]string{"", "x.csv", "{OP}_y.csv"}).Draw(t, "name"),
		}
		a := provider.Audience{Marker: "t.g1", Slug: "vip", Config: config}
		if config["operation_column"] == "-" {
			config["filename"] = "" // where the oracle looks for it
		}
		if config["compress"] == "true" {
			config["max_bytes"] = "0" // a compressor for each line takes long
		}
		id, err := e.EnsureAudience(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		a.Remote = id
		want := map[string]bool{}
		for run := range rapid.IntRange(1, 6).Draw(t, "runs") {
			op := rapid.SampledFrom([]activation.Op{activation.OpAdd, activation.OpRemove}).Draw(t, "op")
			var ids []string
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 1, 8, rapid.ID).Draw(t, "people") {
				ids = append(ids, fmt.Sprint("person-", n))
			}
			b := batch(a, op, int64(run+1), ids...)
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				if _, err := e.Deliver(context.Background(), b); err != nil {
					t.Fatal(err)
				}
				b.Attempt++
			}
			for _, id := range ids {
				if want[id] = true; op == activation.OpRemove {
					delete(want, id)
				}
			}
		}
		got, err := droptest.Folder(m.files).CSV("id")
		if err != nil {
			t.Fatal(err)
		}
		for id := range want {
			if got[id] == nil {
				t.Fatalf("%s is missing", id)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d members, want %d", len(got), len(want))
		}
		for name, body := range m.files {
			if file, ok := strings.CutSuffix(name, ".manifest.json"); ok && !bytes.Contains(body, fmt.Appendf(nil, `"bytes": %d,`, len(m.files[file]))) {
				t.Fatalf("%s is not of its file", name)
			}
		}
	})
}
