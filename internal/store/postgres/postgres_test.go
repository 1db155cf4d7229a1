package postgres_test

import (
	"os"
	"testing"
	"time"

	"usher/internal/store"
	"usher/internal/store/postgres"
	"usher/internal/store/postgres/postgrestest"
	"usher/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func open(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
	t.Helper()
	url := postgrestest.New(t)
	again := func() *store.Store {
		s, err := postgres.Open(t.Context(), url, postgres.Options{Wake: wake, Now: clock, MaxConns: 4})
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
