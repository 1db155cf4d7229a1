package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/internal/store/storetest"
)

func open(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
	t.Helper()
	again := openFile(t, newFile(t), clock, wake)
	return again(), again
}

// newFile returns the path of a fresh copy of the template.
func newFile(t testing.TB) string {
	t.Helper()
	return sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control #1.db"))
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
