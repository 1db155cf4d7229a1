package sqlite_test

import (
	"database/sql"
	"net/url"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/store/storetest"
)

func BenchmarkRuns(b *testing.B) {
	var path string
	env := storetest.Env{Open: func(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
		path = newFile(t)
		return openFile(t, path, clock, wake)(), nil
	}}
	storetest.BenchRuns(b, env, 100_000, func(like activation.Run, n int, spread string) {
		db, err := sql.Open("sqlite", "file:"+url.PathEscape(path))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		// The number of the copied run is 1; every tenth one has failed.
		if _, err := db.ExecContext(b.Context(), `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= $1)
			INSERT INTO runs (id, number, target_id, job_id, destination_id, audience_id, generation, run_key, sync_type, triggered_by, status, stage, attempt, seq, key_set,
				counts, timings, error_kind, error_code, error_text, started_at, ended_at)
			SELECT printf('%032x', i), i, target_id, job_id, destination_id, audience_id, generation, run_key, sync_type, triggered_by, CASE WHEN i % 10 = 0 THEN 'failed' ELSE 'completed' END,
				stage, attempt, seq, key_set, counts, timings, '', 'X', '', started_at + i * 1000000, ended_at + i * 1000000 FROM runs, n WHERE id = $2`, n, string(like.ID)); err != nil {
			b.Fatal(err)
		}
		if _, err := db.ExecContext(b.Context(), spread+`; UPDATE counters SET value = $1; ANALYZE`, n+2); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkLog(b *testing.B) {
	var path string
	env := storetest.Env{Open: func(t testing.TB, clock func() time.Time, wake func(kind, id string)) (*store.Store, func() *store.Store) {
		path = newFile(t)
		return openFile(t, path, clock, wake)(), nil
	}}
	storetest.BenchLog(b, env, func(statements ...string) {
		db, err := sql.Open("sqlite", "file:"+url.PathEscape(path))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		for _, statement := range statements {
			if _, err := db.ExecContext(b.Context(), statement); err != nil {
				b.Fatal(err)
			}
		}
	})
}
