package inbox

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"usher/internal/warehouse"
)

// TestBlankRows: rows lose their values and are counted as before; all others
// stay as they are, to the byte.
func TestBlankRows(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	const text = "2,100,ann@x.org,\"a \"\"b\"\",\nc\"\n3,100,bob@x.org,\n5,101,\"ann@x.org\",x\n6,101,cy@x.org,\"1,2\"\n"
	l := spooled(t, b, "s", text)
	if err := errors.Join(b.Add(t.Context(), l), b.Fail(t.Context(), l.ID, errors.New("x"))); err != nil {
		t.Fatal(err)
	}
	failed, err := b.FailedLoads(t.Context())
	if err != nil || len(failed) != 1 || failed[0].ID != l.ID {
		t.Fatalf("failed loads %+v, %v", failed, err)
	}
	for n, want := range []int64{2, 0} {
		blanked, err := b.BlankRows(t.Context(), failed[0], func(line int64, values []string) bool {
			return slices.Contains(values, "ann@x.org")
		})
		if err != nil || blanked != want {
			t.Fatalf("time %d: %d rows, %v", n, blanked, err)
		}
		got, err := os.ReadFile(l.Path)
		if err != nil || string(got) != "2,100,,\n3,100,bob@x.org,\n5,101,,\n6,101,cy@x.org,\"1,2\"\n" {
			t.Fatalf("the file is %q, %v", got, err)
		}
	}
	if files := spoolFiles(t, dir); len(files) != 1 {
		t.Errorf("files %v", files)
	}
	if err := os.WriteFile(l.Path, []byte("2,100,\"ann"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.BlankRows(t.Context(), failed[0], func(int64, []string) bool { return true }); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged file: %v", err)
	}
	// A disk that takes nothing is no damage: whoever discards what is damaged would lose rows.
	if err := errors.Join(os.WriteFile(l.Path, []byte("2,100,ann\n"), 0o600), os.Mkdir(b.path(l.ID, partSuffix), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.BlankRows(t.Context(), failed[0], func(int64, []string) bool { return true }); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a file that cannot be written: %v", err)
	}
}

// TestWhatIsBeingReceivedWaits: rows that arrive are in files before they are a load.
func TestWhatIsBeingReceivedWaits(t *testing.T) {
	b := open(t, t.TempDir())
	wants := func(want time.Time) {
		t.Helper()
		if at, err := b.OldestWaiting(t.Context()); err != nil || !at.Equal(want) {
			t.Errorf("the oldest is of %s, want %s (%v)", at, want, err)
		}
	}
	wants(time.Time{})
	first, second := b.Reading(), b.Reading()
	wants(testNow)
	first()
	wants(testNow)
	if err := b.Post(t.Context(), Posting{Stream: "s", Columns: []string{"a"}, Rows: 1, ReceivedAt: testNow.Add(-time.Hour), Body: []byte("1,0,x\n")}, Room{}); err != nil {
		t.Fatal(err)
	}
	wants(testNow.Add(-time.Hour))
	second()
	wants(testNow.Add(-time.Hour))
}

// TestWhereAnImportStandsIsSealed: a cursor may be a person's address. The job finds it
// as it was, and no file holds it, also of a state from before it was sealed.
func TestWhereAnImportStandsIsSealed(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	const state = `{"column":"email","cursor":"secretive@x.org"}`
	key := bytes.Repeat([]byte{7}, 32)
	for n, s := range [][]byte{[]byte(state), []byte(state)} {
		if err := b.CommitImport(t.Context(), ImportCommit{Job: string(rune('a' + n)), Key: key, Piece: "people", State: s}); err != nil {
			t.Fatal(err)
		}
	}
	older := "UPDATE imports SET state = $1 WHERE job = 'b'"
	if _, err := b.db.ExecContext(t.Context(), older, []byte(state)); err != nil {
		t.Fatal(err)
	}
	// A part of the next piece keeps what was there.
	if err := b.CommitImport(t.Context(), ImportCommit{Job: "a", Seq: 1, Key: key, Piece: "people", Version: "2", Position: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, job := range []string{"a", "b"} {
			if im, err := b.Import(t.Context(), job); err != nil || string(im.State) != state {
				t.Fatalf("job %s stands at %q (%v)", job, im.State, err)
			}
		}
		if err := b.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	noFileHolds(t, dir, "secretive@x.org")
	if _, err := b.db.ExecContext(t.Context(), `UPDATE imports SET key = $1 WHERE job = 'a'`, bytes.Repeat([]byte{8}, 32)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Import(t.Context(), "a"); !errors.Is(err, errSealedState) {
		t.Errorf("with another key: %v", err)
	}
	if err := b.ResetImport(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if im, err := b.Import(t.Context(), "a"); err != nil || im.State != nil {
		t.Errorf("after a reset it stands at %q (%v)", im.State, err)
	}
}

// noFileHolds reads every file of a folder.
func noFileHolds(t *testing.T, dir, text string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte(text)) {
			t.Errorf("%s has %q", path, text)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestCompactLeavesNothing: what was deleted is in no file of the inbox.
func TestCompactLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	l := added(t, b, "s")
	if err := b.Post(t.Context(), Posting{Stream: "secretive", Columns: []string{"a"}, Rows: 1, ReceivedAt: testNow.Add(-time.Hour), Body: []byte("1,0,secretive@x.org\n")}, Room{}); err != nil {
		t.Fatal(err)
	}
	if at, err := b.OldestWaiting(t.Context()); err != nil || !at.Equal(testNow.Add(-time.Hour)) {
		t.Fatalf("the oldest is of %s, %v", at, err)
	}
	if _, err := b.RewritePostings(t.Context(), func(Posting) ([]byte, int64, error) { return nil, 0, nil }); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Done(t.Context(), l.ID, warehouse.LoadResult{}), b.Compact(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte("secretive@")) {
			t.Errorf("%s holds what was deleted", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
