package duckdb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"usher/internal/expression"
	"usher/internal/warehouse"
)

// holdsBytes reports which file below a folder holds a text.
func holdsBytes(t *testing.T, dir, text string) string {
	t.Helper()
	found := ""
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(bytes.ToLower(b), []byte(text)) {
			found = path
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCompactRewritesTheFile: what was deleted is in no file any more, everything
// else is there, and whoever reads or writes meanwhile is served.
func TestCompactRewritesTheFile(t *testing.T) {
	w := newWorldFile(t, 0)
	ctx := t.Context()
	w.person(1, "secret-ann@x.com", "+15550001")
	w.person(2, "bob@x.com", "+15550002")
	w.write(`INSERT INTO identifiers VALUES (340282366920938463463374607431768211455, 2)`,
		`CREATE TABLE staging.run_r AS SELECT range AS n, 'row' || range AS k1 FROM range(5000)`,
		`DELETE FROM profiles WHERE _pid = 1`)
	if err := w.d.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(w.path)
	if f := holdsBytes(t, dir, "secret-ann"); f != "" {
		t.Fatalf("the deleted row is in %s", f)
	}
	for _, suffix := range []string{compactSuffix, compactSuffix + ".wal", previousSuffix} {
		if _, err := os.Stat(w.path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s is left: %v", suffix, err)
		}
	}
	check := func() {
		t.Helper()
		var email, key string
		if err := w.d.sql.QueryRowContext(ctx, `SELECT email, (SELECT key::VARCHAR FROM identifiers) FROM profiles`).Scan(&email, &key); err != nil || email != "bob@x.com" || key != "340282366920938463463374607431768211455" {
			t.Fatalf("%q, %q, %v", email, key, err)
		}
		var rows, ordered int64
		if err := w.d.sql.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (rowid = n) FROM staging.run_r`).Scan(&rows, &ordered); err != nil || rows != 5000 || ordered != 5000 {
			t.Fatalf("%d rows, %d in their place, %v", rows, ordered, err)
		}
		if _, err := w.d.sql.ExecContext(ctx, `CREATE OR REPLACE TABLE scratch.x AS SELECT 1 AS a`); err != nil {
			t.Fatal(err)
		}
		for setting, want := range map[string]string{"preserve_insertion_order": "false", "disabled_compression_methods": "FSST,ZSTD", "temp_directory": filepath.Join(dir, "duckdb-tmp")} {
			var have string
			if err := w.d.sql.QueryRowContext(ctx, `SELECT current_setting($1)::VARCHAR`, setting).Scan(&have); err != nil || have != want {
				t.Errorf("%s is %q (%v), want %q", setting, have, err, want)
			}
		}
		var number string
		if err := w.d.sql.QueryRowContext(ctx, `SELECT `+expression.PhoneFunction+`('(201) 555-0123', 'US')`).Scan(&number); err != nil || number != "+12015550123" {
			t.Errorf("phone() makes %q: %v", number, err)
		}
		w.write(`UPDATE profiles SET phone = '+1555' WHERE _pid = 2`)
	}
	check()
	if err := w.d.Compact(ctx); err != nil { // and again
		t.Fatal(err)
	}
	check()
	w.reopen()
	check()
}

// TestCompactBesideReadersAndWriters: nobody is refused, and no write is lost.
func TestCompactBesideReadersAndWriters(t *testing.T) {
	w := newWorldFile(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	w.write(`CREATE TABLE tally (n BIGINT)`)
	var working sync.WaitGroup
	var wrote int64
	working.Go(func() {
		for ctx.Err() == nil {
			err := w.d.write(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
				return execAll(ctx, tx, fmt.Sprintf(`INSERT INTO tally VALUES (%d)`, wrote))
			})
			if err != nil {
				t.Errorf("write: %v", err)
				return
			}
			wrote++
		}
	})
	for range 3 {
		working.Go(func() {
			for ctx.Err() == nil {
				var n, distinct int64
				if err := w.d.sql.QueryRowContext(context.WithoutCancel(ctx), `SELECT count(*), count(DISTINCT n) FROM tally`).Scan(&n, &distinct); err != nil || n != distinct {
					t.Errorf("read %d of %d: %v", distinct, n, err)
					return
				}
			}
		})
	}
	for range 5 {
		if err := w.d.Compact(t.Context()); err != nil {
			t.Errorf("compact: %v", err)
		}
	}
	stop()
	working.Wait()
	w.reopen()
	var n int64
	if err := w.d.sql.QueryRowContext(t.Context(), `SELECT count(*) FROM tally`).Scan(&n); err != nil || n != wrote {
		t.Fatalf("%d of %d writes are there: %v", n, wrote, err)
	}
}

// TestCompactGivesWay: whoever holds a connection is waited for, and then the
// file stays as it was.
func TestCompactGivesWay(t *testing.T) {
	w := newWorldFile(t, 0)
	w.person(1, "ann@x.com", "")
	w.d.exchangeWithin = 50 * time.Millisecond
	conn, err := w.d.sql.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.d.Compact(t.Context()); !errors.Is(err, warehouse.ErrBusy) {
		t.Fatalf("compacted beside a connection in use: %v", err)
	}
	if n := w.count(`SELECT count(*) FROM profiles`); n != 1 {
		t.Fatalf("%d people", n)
	}
	if _, err := os.Stat(w.path + compactSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the copy is left: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	w.d.rebuilding.Store(true)
	if err := w.d.Compact(t.Context()); !errors.Is(err, warehouse.ErrBusy) {
		t.Fatalf("compacted beside a rebuild: %v", err)
	}
	w.d.rebuilding.Store(false)
	if err := w.d.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCrashWhileCompacting: whatever a crash leaves beside the file goes at the
// next start, and the file is one or the other.
func TestCrashWhileCompacting(t *testing.T) {
	for _, step := range []string{"copying", "linked", "exchanged"} {
		t.Run(step, func(t *testing.T) {
			w := newWorldFile(t, 0)
			w.person(1, "ann@x.com", "")
			if err := w.d.onOwnConnection(t.Context(), func(conn *sql.Conn) error { return w.d.copyInto(t.Context(), conn, "proof") }); err != nil {
				t.Fatal(err)
			}
			if err := w.d.Close(); err != nil {
				t.Fatal(err)
			}
			switch step {
			case "copying":
				if err := os.Truncate(w.path+compactSuffix, 20_000); err != nil {
					t.Fatal(err)
				}
			case "linked":
				if err := os.Link(w.path, w.path+previousSuffix); err != nil {
					t.Fatal(err)
				}
			case "exchanged":
				if err := w.d.file.replace(); err != nil {
					t.Fatal(err)
				}
			}
			spill := filepath.Join(spillFolder(w.path), "duckdb_temp_storage_DEFAULT-0.tmp")
			if err := errors.Join(os.MkdirAll(filepath.Dir(spill), 0o700), os.WriteFile(spill, []byte("ann@x.com"), 0o600)); err != nil {
				t.Fatal(err)
			}
			w.open(0)
			if n := w.count(`SELECT count(*) FROM profiles`); n != 1 {
				t.Fatalf("%d people", n)
			}
			for _, left := range []string{w.path + compactSuffix, w.path + previousSuffix, spill} {
				if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left: %v", left, err)
				}
			}
		})
	}
}

// count runs a query of one number.
func (w *world) count(query string) (n int64) {
	w.t.Helper()
	if err := w.d.sql.QueryRowContext(context.Background(), query).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
