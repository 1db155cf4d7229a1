package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/store/postgres"
	"usher/internal/store/postgres/postgrestest"
	"usher/internal/store/storetest"
)

// BenchmarkRuns is the benchmark of every store, on a cluster that does not sync
// to disk: what is measured is the queries, and the way to the server and back.
func BenchmarkRuns(b *testing.B) {
	url := ""
	env := storetest.Env{Open: func(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
		url = postgrestest.New(t)
		s, err := postgres.Open(t.Context(), url, postgres.Options{Wake: wake, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s, nil
	}}
	storetest.BenchRuns(b, env, 100_000, func(like activation.Run, n int, spread string) {
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = conn.Close(b.Context()) }()
		// The number of the copied run is 1; every tenth one has failed.
		if _, err := conn.Exec(b.Context(), `INSERT INTO runs (id, number, target_id, job_id, destination_id, audience_id, generation, run_key, sync_type, triggered_by, status, stage,
				attempt, seq, key_set, counts, timings, error_kind, error_code, error_text, started_at, ended_at)
			SELECT lpad(to_hex(i), 32, '0'), i, target_id, job_id, destination_id, audience_id, generation, run_key, sync_type, triggered_by, CASE WHEN i % 10 = 0 THEN 'failed' ELSE 'completed' END,
				stage, attempt, seq, key_set, counts, timings, '', 'X', '', started_at + i * 1000000, ended_at + i * 1000000 FROM runs, generate_series(2, $1::bigint + 1) AS n(i) WHERE id = $2`,
			n, string(like.ID)); err != nil {
			b.Fatal(err)
		}
		for _, statement := range []string{spread, `UPDATE counters SET value = (SELECT max(number) + 1 FROM runs)`, `VACUUM ANALYZE`} {
			if _, err := conn.Exec(b.Context(), statement); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLog is that of every store.
func BenchmarkLog(b *testing.B) {
	url := ""
	env := storetest.Env{Open: func(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
		url = postgrestest.New(t)
		s, err := postgres.Open(t.Context(), url, postgres.Options{Wake: wake, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s, nil
	}}
	storetest.BenchLog(b, env, func(statements ...string) {
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = conn.Close(b.Context()) }()
		for _, statement := range append(statements, `VACUUM ANALYZE`) {
			if _, err := conn.Exec(b.Context(), statement); err != nil {
				b.Fatal(err)
			}
		}
	})
}
