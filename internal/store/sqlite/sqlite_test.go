package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/storetest"
)

// template is a migrated, empty database that each test begins with a copy of.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "usher-sqlite")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "control.db")
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func open(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
	t.Helper()
	again := openFile(t, newFile(t), clock, wake)
	return again(), again
}

// newFile returns the path of a fresh copy of the template.
func newFile(t testing.TB) string {
	t.Helper()
	empty, err := template()
	if err != nil {
		t.Fatalf("make template: %v", err)
	}
	path := filepath.Join(t.TempDir(), "control #1.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// openFile returns a function that opens the file, again and again.
func openFile(t testing.TB, path string, clock func() time.Time, wake func(kind, id string)) func() *store.Store {
	t.Helper()
	return func() *store.Store {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Wake: wake, Now: clock})
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return s
	}
}

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Env{Open: open})
}
