package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/storetest"
)

func open(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control #1.db")
	again := func() *store.Store {
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
	return again(), again
}

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Env{Open: open})
}
