package inbox

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string) *Inbox {
	t.Helper()
	b, err := Open(t.Context(), Config{Dir: dir, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// spooled writes a spool file and commits it.
func spooled(t testing.TB, b *Inbox, stream, text string) Load {
	t.Helper()
	id := activation.NewID[string]()
	s, err := b.NewSpool(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
	path, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return Load{
		Load:     warehouse.Load{ID: id, Stream: stream, Path: path, Columns: []string{"a", "b c"}, Rows: 2, ReceivedAt: testNow},
		Rejected: 1, Bytes: s.Bytes(), Filename: "x.csv", ContentType: "text/csv",
	}
}

func added(t testing.TB, b *Inbox, stream string) Load {
	t.Helper()
	l := spooled(t, b, stream, "1,0,x,y\n")
	if err := b.Add(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	return l
}

func (b *Inbox) mustLoad(t testing.TB, id string) Load {
	t.Helper()
	l, err := b.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func spoolFiles(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLoadsComeBackAsTheyWere(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	want := []Load{added(t, b, "one"), added(t, b, "two")}
	empty := Load{Load: warehouse.Load{ID: activation.NewID[string](), Stream: "one", Columns: []string{}, ReceivedAt: testNow}}
	if err := b.Add(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	want = append(want, empty)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	got, err := b.Pending(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].Number, want[i].Status = int64(i+1), Pending
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("pending = %+v\nwant      %+v", got, want)
	}
	if loads, rows, err := b.Backlog(t.Context()); loads != 3 || rows != 4 || err != nil {
		t.Errorf("backlog = %d loads, %d rows, %v", loads, rows, err)
	}
	for except, want := range map[string]string{"": want[0].ID, "one": want[1].ID, "one two": ""} {
		l, ok, err := b.Next(t.Context(), strings.Fields(except))
		if err != nil || l.ID != want || ok != (want != "") {
			t.Errorf("next except %q = %q, %v; want %q", except, l.ID, err, want)
		}
	}
	recent, err := b.Recent(t.Context(), "one", 10)
	if err != nil || len(recent) != 2 || recent[0].ID != empty.ID || recent[1].ID != want[0].ID {
		t.Errorf("recent = %+v, %v", recent, err)
	}
}

func TestAddIsAllOrNone(t *testing.T) {
	b := open(t, t.TempDir())
	l := added(t, b, "s")
	other := spooled(t, b, "s", "x")
	if err := b.Add(t.Context(), other, l); activation.KindOf(err) != activation.Internal {
		t.Errorf("adding an id twice = %v, want an Internal error", err)
	}
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Add(dead, other); !errors.Is(err, context.Canceled) {
		t.Errorf("adding under a dead context = %v", err)
	}
	if loads, _, _ := b.Backlog(t.Context()); loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
}

func TestDone(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	l := added(t, b, "s")
	result := warehouse.LoadResult{Rows: 2, NewProfile: 1, Unparsed: map[string]int64{"birth": 1}}
	for range 2 { // a second call changes nothing
		if err := b.Done(t.Context(), l.ID, result); err != nil {
			t.Fatal(err)
		}
	}
	got := b.mustLoad(t, l.ID)
	if got.Status != Merged || !reflect.DeepEqual(got.Result, result) || !got.FinishedAt.Equal(testNow) {
		t.Errorf("load = %+v", got)
	}
	if files := spoolFiles(t, dir); len(files) != 0 {
		t.Errorf("files %v are left", files)
	}
	if err := b.Fail(t.Context(), l.ID, errors.New("late")); err != nil || b.mustLoad(t, l.ID).Status != Merged {
		t.Errorf("a merged load became %s, %v", b.mustLoad(t, l.ID).Status, err)
	}
}

func TestFailedLoadsCanBeRetriedOrDiscarded(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	l := added(t, b, "s")
	if err := b.Retry(t.Context(), l.ID); !errors.Is(err, activation.ErrConflict) {
		t.Errorf("retry of a pending load = %v, want ErrConflict", err)
	}
	if err := b.Discard(t.Context(), l.ID); !errors.Is(err, activation.ErrConflict) {
		t.Errorf("discard of a pending load = %v, want ErrConflict", err)
	}
	cause := &activation.Error{Kind: activation.Invalid, Code: "X-1", Message: "no such column", Err: errors.New("jon@example.com")}
	if err := b.Stumbled(t.Context(), l.ID, errors.New("busy")); err != nil {
		t.Fatal(err)
	}
	if got := b.mustLoad(t, l.ID); got.Attempts != 1 || got.Error != "internal error" || got.ErrorCode != "INTERNAL-019" || got.Status != Pending {
		t.Errorf("load = %+v", got)
	}
	if err := b.Fail(t.Context(), l.ID, cause); err != nil {
		t.Fatal(err)
	}
	if got := b.mustLoad(t, l.ID); got.Status != Failed || got.Attempts != 2 || got.Error != "no such column" || got.ErrorCode != "X-1" || got.FinishedAt.IsZero() {
		t.Errorf("load = %+v", got)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir) // a failed load's file is no orphan
	if err := b.Retry(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.mustLoad(t, l.ID); got.Status != Pending || got.Error != "" || !got.FinishedAt.IsZero() {
		t.Errorf("load = %+v", got)
	}
	if files := spoolFiles(t, dir); len(files) != 1 {
		t.Errorf("files = %v, want the load's", files)
	}
	if err := b.Fail(t.Context(), l.ID, cause); err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Load(t.Context(), l.ID); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("load = %v, want ErrNotFound", err)
	}
	if files := spoolFiles(t, dir); len(files) != 0 {
		t.Errorf("files %v are left", files)
	}
	if err := b.Retry(t.Context(), l.ID); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("retry of nothing = %v, want ErrNotFound", err)
	}
}

func TestPurgeForgetsOnlyOldMergedLoads(t *testing.T) {
	b := open(t, t.TempDir())
	merged, failed, pending := added(t, b, "s"), added(t, b, "s"), added(t, b, "s")
	if err := errors.Join(b.Done(t.Context(), merged.ID, warehouse.LoadResult{}), b.Fail(t.Context(), failed.ID, errors.New("x"))); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Purge(t.Context(), testNow); n != 0 || err != nil {
		t.Errorf("purged %d, %v; want none", n, err)
	}
	if n, err := b.Purge(t.Context(), testNow.Add(time.Second)); n != 1 || err != nil {
		t.Errorf("purged %d, %v; want 1", n, err)
	}
	left, err := b.Recent(t.Context(), "", 10)
	if err != nil || len(left) != 2 || left[0].ID != pending.ID || left[1].ID != failed.ID {
		t.Errorf("left = %+v, %v", left, err)
	}
}

func TestOrphansGoAtTheStart(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	kept := added(t, b, "s")
	spooled(t, b, "s", "never added")
	part, err := b.NewSpool(activation.NewID[string]())
	if err != nil {
		t.Fatal(err)
	}
	scratch, err := b.NewScratch(activation.NewID[string]())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.Writer{part, scratch} {
		if _, err := io.WriteString(w, "half"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "spool", "note.csv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(spoolFiles(t, dir)); n != 5 {
		t.Fatalf("%d files, want 5", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	want := []string{filepath.Base(kept.Path), "note.csv"} // what is not ours stays
	slices.Sort(want)
	if got := spoolFiles(t, dir); !slices.Equal(got, want) {
		t.Errorf("files = %v, want %v", got, want)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	for _, commit := range []bool{false, true} {
		s, err := b.NewSpool(activation.NewID[string]())
		if err != nil {
			t.Fatal(err)
		}
		if commit {
			if _, err := s.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := s.Abort(); err != nil {
				t.Error(err)
			}
		}
	}
	if files := spoolFiles(t, dir); len(files) != 0 {
		t.Errorf("files %v are left", files)
	}
	if _, err := b.NewSpool("../../etc/passwd"); err == nil {
		t.Error("a path was taken for an id")
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil {
		t.Error("two inboxes opened one folder")
	}
}

func TestChangedIsClosedByEveryChange(t *testing.T) {
	b := open(t, t.TempDir())
	var l Load
	steps := []func() error{
		func() error { l = added(t, b, "s"); return nil },
		func() error { return b.Stumbled(t.Context(), l.ID, errors.New("x")) },
		func() error { return b.Fail(t.Context(), l.ID, errors.New("x")) },
		func() error { return b.Retry(t.Context(), l.ID) },
		func() error { return b.Done(t.Context(), l.ID, warehouse.LoadResult{}) },
	}
	for i, step := range steps {
		c := b.Changed()
		if err := step(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c:
		default:
			t.Errorf("step %d woke nobody", i)
		}
	}
}
