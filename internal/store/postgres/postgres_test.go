package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"usher/internal/store"
	"usher/internal/store/migrations"
	"usher/internal/store/postgres"
	"usher/internal/store/postgres/postgrestest"
	"usher/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func open(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
	t.Helper()
	url := postgrestest.Fresh(t)
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
	if raceEnabled {
		t.Skip("make test runs it without the race detector, to be done in time; the same suite is run with it on SQLite")
	}
	storetest.Run(t, storetest.Env{Open: open})
}

func TestClockIsTheDatabases(t *testing.T) {
	ctx, url := t.Context(), postgrestest.New(t)
	s, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var before, after time.Time
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.Acquire(ctx, "warehouse", "n1", time.Minute); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&after); err != nil {
		t.Fatal(err)
	}
	leases, err := s.Leases(ctx)
	if err != nil || len(leases) != 1 {
		t.Fatalf("%v, %v", leases, err)
	}
	if at := leases[0].Until.Add(-time.Minute); at.Before(before.Truncate(time.Microsecond)) || at.After(after) {
		t.Errorf("the lease was taken at %s, by the database's clock between %s and %s", at, before, after)
	}
}

// TestNodesMigrateAtOnce: of several nodes that start on an empty database one
// makes the tables, and all of them work with them.
func TestNodesMigrateAtOnce(t *testing.T) {
	url := postgrestest.New(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), url, postgres.Options{MaxConns: 2})
			if err == nil {
				_, err = s.Jobs(t.Context(), store.JobFilter{})
				err = errors.Join(err, s.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	ctx, url := t.Context(), postgrestest.New(t)
	s, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(ctx, url, postgres.Options{}); !errors.Is(err, migrations.ErrNewer) {
		t.Fatalf("got %v, want ErrNewer", err)
	}
}

// TestNothingSecretIsSaid: whatever is wrong with the address, the password in
// it is in no error, and in no description.
func TestNothingSecretIsSaid(t *testing.T) {
	const secret = "hunter2 with/odd#signs"
	escaped := url.QueryEscape(secret)
	for _, address := range []string{
		"postgres://usher:" + escaped + "@127.0.0.1:1/usher?sslmode=disable",
		"postgres://usher:" + secret + "@127.0.0.1:1/usher",
		"postgres://usher:" + escaped + "@127.0.0.1:port/usher",
		"postgres://usher:" + escaped + "@127.0.0.1:1/usher?sslmode=nonsense",
		"postgres://usher:" + escaped + "@127.0.0.1:1/usher?connect_timeout=soon",
		"host=127.0.0.1 port=1 user=usher password='" + secret + "' dbname=usher sslmode=disable",
		"host=127.0.0.1 port=1 user=usher password='" + secret,
		"mysql://usher:" + escaped + "@127.0.0.1:1/usher",
	} {
		_, err := postgres.Open(t.Context(), address, postgres.Options{})
		if err == nil {
			t.Fatal("opened what is not there")
		}
		_, cerr := postgres.Check(t.Context(), address)
		what, derr := postgres.Describe(address)
		for _, said := range []string{err.Error(), fmt.Sprint(cerr), what, fmt.Sprint(derr)} {
			if strings.Contains(said, "hunter2") || strings.Contains(said, "odd") {
				t.Errorf("the password is said: %s", strings.ReplaceAll(said, secret, "[it]"))
			}
		}
	}
	what, err := postgres.Describe("postgres://usher:" + escaped + "@db.example.com:5433/control?sslmode=require")
	if want := `PostgreSQL database "control" at db.example.com:5433`; err != nil || what != want {
		t.Errorf("described as %q, %v; want %q", what, err, want)
	}
}
