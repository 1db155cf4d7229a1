package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
)

// TestOlderFilesOpen: a file of every earlier version, with rows in the tables
// that changed since, is brought up to date.
func TestOlderFilesOpen(t *testing.T) {
	for n := 1; n < len(migrations); n++ {
		t.Run(fmt.Sprint("after migration ", n), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "old.duckdb")
			oldFile(t, path, n)
			d, err := Open(t.Context(), Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			seqs, err := d.Seq(t.Context())
			if err != nil || len(seqs) != 1 || seqs["kept"] != 7 {
				t.Errorf("the change numbers are %v (%v)", seqs, err)
			}
			if keys, err := d.KeySeq(t.Context()); err != nil || keys["kept"] != 0 {
				t.Errorf("the change numbers of keys are %v (%v)", keys, err)
			}
			if given, err := d.declared(t.Context(), d.sql); err != nil || given.all[0].Given {
				t.Errorf("an audience with a rule became one whose members are given (%v)", err)
			}
			var orders string
			if err := queryRow(t.Context(), d.sql, "read", `SELECT string_agg(concat_ws(' ', _pid, plan, plan__at, plan__seq), ', ' ORDER BY _pid) FROM profiles`, nil, &orders); err != nil || orders != "1 a 5 7, 2 b -5 7, 3" {
				t.Errorf("profiles = %q (%v)", orders, err)
			}
		})
	}
}

// oldFile makes a file of the version that had the first n migrations.
func oldFile(t *testing.T, path string, n int) {
	t.Helper()
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := execAll(context.Background(), db, `CREATE TABLE migrations (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	rows := map[int]string{ // by the migration after which they are there
		0: `INSERT INTO audiences (id, n, slug, rule, version, seq) VALUES ('kept', 1, 'kept', 'FILTER *', 1, 7);
			ALTER TABLE profiles ADD COLUMN plan VARCHAR; ALTER TABLE profiles ADD COLUMN plan__ord HUGEINT;
			INSERT INTO profiles VALUES (1, 1, 'a', 5 * 18446744073709551616::HUGEINT + 7), (2, 1, 'b', -5 * 18446744073709551616::HUGEINT + 7), (3, 1, NULL, NULL)`,
		2: `INSERT INTO event_cursors (target, seq) VALUES ('target', 1)`,
	}
	for i, m := range migrations[:n] {
		if err := execAll(context.Background(), db, m, fmt.Sprintf(`INSERT INTO migrations VALUES (%d); %s`, i+1, rows[i])); err != nil {
			t.Fatal(err)
		}
	}
}
