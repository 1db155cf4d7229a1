package singer_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"usher/internal/provider"
	"usher/internal/store/postgres/postgrestest"
)

// TestARealTap runs pipelinewise-tap-postgres, where USHER_TAP_POSTGRES names it,
// against a throw-away PostgreSQL twice, with its state kept. scripts/singer.sh
// installs it and runs this.
func TestARealTap(t *testing.T) {
	tap := os.Getenv("USHER_TAP_POSTGRES")
	if tap == "" {
		t.Skip("USHER_TAP_POSTGRES names no tap; `make singer` installs one")
	}
	t.Cleanup(postgrestest.Stop)
	conn, err := pgx.Connect(t.Context(), postgrestest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	do := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	schema := conn.Config().RuntimeParams["search_path"]
	do(`CREATE TABLE customers (id int PRIMARY KEY, email text, address jsonb)`)
	do(`INSERT INTO customers SELECT i, 'p' || i || '@example.com', '{"city": "Graz"}' FROM generate_series(1, 1500) i`)
	programs := t.TempDir()
	if err := os.Symlink(tap, filepath.Join(programs, "tap-postgres")); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{
		"host": conn.Config().Host, "port": conn.Config().Port, "user": "usher", "password": "unused", "dbname": "postgres", "filter_schemas": schema,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := provider.Deps{
		Auth: map[string]provider.Secret{"config": provider.Secret(config)}, Programs: programs, Scratch: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Config: map[string]string{"program": "tap-postgres", "tap_stream": schema + "-customers", "replication_method": "INCREMENTAL", "replication_key": "id"},
	}
	if err := source(t, d).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := func(state []byte) (rows []string, after []byte) {
		s := source(t, d)
		for after = state; ; {
			text, next, ok, err := read(t, s, after)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return rows, after
			}
			rows, after = append(rows, strings.Split(strings.TrimSpace(text), "\n")...), next
		}
	}
	first, state := run(nil)
	t.Logf("first run: %d rows, the last %s, the state %s", len(first), first[len(first)-1], state)
	do(`INSERT INTO customers VALUES (1501, 'new@example.com', NULL)`)
	second, state := run(state)
	t.Logf("second run: %d rows: %v, the state %s", len(second), second, state)
	// The tap reads from the last value on, so the last row comes again.
	if len(first) != 1500 || len(second) > 2 || !strings.Contains(second[len(second)-1], "new@example.com") {
		t.Errorf("%d rows and then %d", len(first), len(second))
	}
}
