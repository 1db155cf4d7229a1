package duckdb

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	driverduck "github.com/duckdb/duckdb-go/v2"

	"usher/internal/matchkey"
)

// refreshSlice is how many people's keys are computed and merged at a time: a
// slice holds the writer for less than half a second.
const refreshSlice = 200_000

// What a computed row is compared with the one there.
const (
	keyNew     = 0 // there was none
	keyChanged = 1 // another fingerprint: the old row is kept aside
	keySame    = 2 // same fingerprint: only src_seq moves
)

// refresh computes the match keys of an audience's members whose row is
// missing or older than their profile.
type refresh struct {
	d        *DB
	keys     keySet
	set      matchkey.Set
	sources  []string
	audience int
}

// width is how many people make a slice.
func (r *refresh) width() int64 { return cmp.Or(r.d.state.audience.slice, refreshSlice) }

// into brings the fresh keys into the key set's tables, slice by slice.
func (r *refresh) into(ctx context.Context) error {
	r.d.state.audience.refreshing.Lock()
	defer r.d.state.audience.refreshing.Unlock()
	name := fmt.Sprintf("keys_%d_fresh", r.keys.n)
	table := "scratch." + name
	seen, err := r.slices(ctx, func(slice *sql.Rows) error {
		return r.d.onOwnConnection(ctx, func(conn *sql.Conn) error {
			if _, err := exec(ctx, conn, "create "+table, r.createFresh("TABLE "+table)); err != nil {
				return err
			}
			if err := r.compute(ctx, slice, conn, "scratch", "main", name); err != nil {
				return err
			}
			if err := r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return r.merge(ctx, tx, table) }); err != nil {
				return err
			}
			_, err := exec(ctx, conn, "drop "+table, "DROP TABLE "+table)
			return err
		})
	})
	if err != nil {
		return err
	}
	return r.raise(ctx, seen)
}

// beside leaves the fresh keys in a temporary table of conn, for a dry run.
func (r *refresh) beside(ctx context.Context, conn *sql.Conn) error {
	if _, err := exec(ctx, conn, "create plan_fresh", r.createFresh("TEMP TABLE plan_fresh")); err != nil {
		return err
	}
	_, err := r.slices(ctx, func(slice *sql.Rows) error {
		return r.compute(ctx, slice, conn, "temp", "main", "plan_fresh")
	})
	return err
}

// overlay is the relation of present keys with plan_fresh laid over them, as SQL.
func (r *refresh) overlay() string {
	k := r.keys.each("k%d", ", ")
	return fmt.Sprintf(`(SELECT pid, version, src_seq, fp, %[1]s FROM plan_fresh WHERE kind <> %[2]d
		UNION ALL SELECT pid, version, src_seq, fp, %[1]s FROM %[3]s WHERE pid NOT IN (SELECT pid FROM plan_fresh WHERE kind <> %[2]d))`,
		k, keySame, r.keys.table())
}

func (r *refresh) createFresh(what string) string {
	return fmt.Sprintf(`CREATE OR REPLACE %s (pid BIGINT, version INTEGER, src_seq BIGINT, fp UUID, kind INTEGER, %s)`,
		what, r.keys.each("k%d BLOB", ", "))
}

// slices finds who needs keys, in one snapshot, and gives their source values
// to fn a slice at a time. It returns up to where that snapshot saw.
func (r *refresh) slices(ctx context.Context, fn func(*sql.Rows) error) (seen watermark, err error) {
	err = r.d.onOwnConnection(ctx, func(conn *sql.Conn) error {
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			if seen, err = r.now(ctx, tx); err != nil {
				return err
			}
			count, err := r.find(ctx, tx)
			if err != nil {
				return err
			}
			for slice := int64(0); slice*r.width() < count; slice++ {
				if err := r.slice(ctx, tx, slice, fn); err != nil {
					return err
				}
			}
			return execAll(ctx, tx, `DROP TABLE keys_todo`)
		})
	})
	return seen, err
}

// find fills keys_todo with the members who need keys, and counts them.
func (r *refresh) find(ctx context.Context, tx *sql.Tx) (count int64, err error) {
	only, err := r.suspects(ctx, tx)
	if err != nil {
		return 0, err
	}
	if _, err := exec(ctx, tx, "find people whose keys are missing", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE keys_todo AS
		WITH p AS (SELECT _pid AS pid, _seq AS src_seq FROM profiles %[1]s),
		     m AS (SELECT pid FROM membership %[2]s WHERE audience = %[4]d),
		     k AS (SELECT pid, version, src_seq, fp FROM %[3]s %[2]s)
		SELECT p.pid, p.src_seq, k.version, k.fp, 0 AS slice FROM p JOIN m ON m.pid = p.pid LEFT JOIN k ON k.pid = p.pid
		WHERE k.pid IS NULL OR k.src_seq < p.src_seq`,
		strings.Replace(only, "USING (pid)", "ON keys_suspect.pid = _pid", 1), only, r.keys.table(), r.audience)); err != nil {
		return 0, err
	}
	if err := queryRow(ctx, tx, "count people whose keys are missing", `SELECT count(*) FROM keys_todo`, nil, &count); err != nil {
		return 0, err
	}
	if count > r.width() {
		_, err = exec(ctx, tx, "slice people whose keys are missing", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE keys_todo AS
			SELECT * EXCLUDE (slice), (row_number() OVER (ORDER BY pid) - 1) // %d AS slice FROM keys_todo`, r.width()))
	}
	return count, err
}

// watermark is up to where the keys of an audience's members are known to be
// fresh: the newest change of any profile, and of the audience's membership.
type watermark struct{ profile, change int64 }

// now is the watermark that the snapshot of tx allows once its keys are fresh.
func (r *refresh) now(ctx context.Context, tx *sql.Tx) (w watermark, err error) {
	err = queryRow(ctx, tx, "read newest changes", `SELECT coalesce((SELECT max(_seq) FROM profiles), 0), (SELECT seq FROM audiences WHERE n = $1)`,
		[]any{r.audience}, &w.profile, &w.change)
	return w, err
}

// suspects is a join, in SQL, that leaves out those who are fresh by the
// watermark: their profile did not change since, nor did they enter since. Each
// table is joined with it by itself, so that each is read once against a small
// hash table.
func (r *refresh) suspects(ctx context.Context, tx *sql.Tx) (string, error) {
	var w watermark
	err := tx.QueryRowContext(ctx, `SELECT profile_seq, change_seq FROM refreshed WHERE keyset = $1 AND audience = $2`, r.keys.n, r.audience).Scan(&w.profile, &w.change)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read watermark of keys: %w", scrub(ctx, err))
	}
	if _, err := exec(ctx, tx, "find suspects", fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE keys_suspect AS
		SELECT _pid AS pid FROM profiles WHERE _seq > %d
		UNION SELECT pid FROM membership_changes WHERE audience = %d AND seq > %d AND event = 'enter'`, w.profile, r.audience, w.change)); err != nil {
		return "", err
	}
	return `JOIN keys_suspect USING (pid)`, nil
}

// raise stores the watermark.
func (r *refresh) raise(ctx context.Context, w watermark) error {
	return r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := exec(ctx, tx, "raise watermark of keys", `DELETE FROM refreshed WHERE keyset = $1 AND audience = $2`, r.keys.n, r.audience); err != nil {
			return err
		}
		_, err := exec(ctx, tx, "raise watermark of keys", `INSERT INTO refreshed VALUES ($1, $2, $3, $4)`, r.keys.n, r.audience, w.profile, w.change)
		return err
	})
}

func (r *refresh) slice(ctx context.Context, tx *sql.Tx, slice int64, fn func(*sql.Rows) error) error {
	query := `SELECT t.pid, t.src_seq, t.version, t.fp`
	for _, s := range r.sources {
		query += ", " + s
	}
	query += ` FROM keys_todo t JOIN profiles p ON p._pid = t.pid WHERE t.slice = $1`
	rows, err := tx.QueryContext(ctx, query, slice)
	if err != nil {
		return fmt.Errorf("read key sources: %w", scrub(ctx, err))
	}
	defer rows.Close()
	if err := fn(rows); err != nil {
		return err
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read key sources: %w", scrub(ctx, err))
	}
	return nil
}

// compute turns source values into keys and appends them to a table.
func (r *refresh) compute(ctx context.Context, rows *sql.Rows, conn *sql.Conn, catalog, schema, table string) error {
	return conn.Raw(func(c any) error {
		dc, ok := c.(driver.Conn)
		if !ok {
			return fmt.Errorf("unexpected connection type %T", c)
		}
		a, err := driverduck.NewAppender(dc, catalog, schema, table)
		if err != nil {
			return fmt.Errorf("append keys: %w", err)
		}
		if err := r.append(rows, a); err != nil {
			return fmt.Errorf("append keys: %w", scrub(ctx, discard(err, a)))
		}
		if err := a.CloseWithCancel(ctx); err != nil {
			return fmt.Errorf("append keys: %w", scrub(ctx, err))
		}
		return nil
	})
}

// discard drops what a has not written and returns the error that led to it.
func discard(err error, a *driverduck.Appender) error {
	if clear := a.Clear(); clear != nil {
		return fmt.Errorf("%w (and clear: %w)", err, clear)
	}
	if closed := a.Close(); closed != nil {
		return fmt.Errorf("%w (and close: %w)", err, closed)
	}
	return err
}

func (r *refresh) append(rows *sql.Rows, a *driverduck.Appender) error {
	n := len(r.sources)
	var (
		pid, srcSeq int64
		version     sql.NullInt32
		oldFP       []byte
		raw         = make([]sql.RawBytes, n)
		values      = make([]string, n)
		out         = make([][]byte, n)
		buf         []byte
		dest        = []any{&pid, &srcSeq, &version, &oldFP}
		line        = make([]driver.Value, 5+n)
	)
	for i := range raw {
		dest = append(dest, &raw[i])
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i, v := range raw {
			values[i] = string(v)
		}
		var fp matchkey.Fingerprint
		fp, buf = r.set.Compute(values, out, buf)
		fp = r.keys.fingerprint(fp)
		kind := kindOf(version.Valid, oldFP, fp)
		next := version.Int32
		if kind != keySame {
			next++
		}
		line[0], line[1], line[2], line[3], line[4] = pid, next, srcSeq, fp[:], int32(kind)
		for i, v := range out {
			line[5+i] = nil
			if v != nil && kind != keySame {
				line[5+i] = v
			}
		}
		if err := a.AppendRow(line...); err != nil {
			return err
		}
	}
	return rows.Err()
}

func kindOf(known bool, old []byte, fp matchkey.Fingerprint) int {
	switch {
	case !known:
		return keyNew
	case string(old) != string(fp[:]):
		return keyChanged
	default:
		return keySame
	}
}

// merge brings a table of fresh keys into the key set. Rows whose fingerprint
// changed move to the old versions first.
func (r *refresh) merge(ctx context.Context, tx *sql.Tx, fresh string) error {
	k := r.keys.each("k%d", ", ")
	var changed, same int64
	if err := queryRow(ctx, tx, "count fresh keys", fmt.Sprintf(`SELECT count(*) FILTER (kind = %d), count(*) FILTER (kind = %d) FROM %s`,
		keyChanged, keySame, fresh), nil, &changed, &same); err != nil {
		return err
	}
	var todo []string
	if changed > 0 {
		todo = append(todo,
			fmt.Sprintf(`INSERT INTO %s SELECT pid, version, fp, %s FROM %s WHERE pid IN (SELECT pid FROM %s WHERE kind = %d)`, r.keys.oldTable(), k, r.keys.table(), fresh, keyChanged),
			fmt.Sprintf(`DELETE FROM %s WHERE pid IN (SELECT pid FROM %s WHERE kind = %d)`, r.keys.table(), fresh, keyChanged))
	}
	if same > 0 {
		todo = append(todo, fmt.Sprintf(`UPDATE %s k SET src_seq = f.src_seq FROM %s f WHERE f.pid = k.pid AND f.kind = %d`, r.keys.table(), fresh, keySame))
	}
	todo = append(todo,
		fmt.Sprintf(`INSERT INTO %s SELECT pid, version, src_seq, fp, %s FROM %s WHERE kind <> %d`, r.keys.table(), k, fresh, keySame))
	return execAll(ctx, tx, todo...)
}
