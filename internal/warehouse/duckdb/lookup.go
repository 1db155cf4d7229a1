package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Reference streams hold rows that mappings look up, such as prices. Their
// messages are kept raw like any other; reference_<n> has the present row of
// each key: that of the latest message time, ties by later receipt. When a row
// changes, the profiles whose messages looked it up are noted in stale and
// derived anew from all their messages before the load ends, so that a price
// that comes late leaves no wrong sum.

// storeReference appends the messages of a reference stream and brings its rows
// and those who looked them up in step.
func (s *slice) storeReference(ctx context.Context) error {
	if _, err := s.exec(ctx, "store reference", `CREATE OR REPLACE TEMP TABLE msg (seq BIGINT, pid BIGINT)`); err != nil {
		return err
	}
	if err := s.appendRaw(ctx); err != nil {
		return err
	}
	s.result.Unidentified = 0
	key := s.st.column(s.st.ReferenceKey)
	if key == "" {
		return nil
	}
	columns, table := rawColumns(s.st), s.st.reference()
	for _, query := range []string{
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE changed AS SELECT trim(%s) AS key FROM rows WHERE trim(%s) <> '' UNION SELECT key FROM lost`, key, key),
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE present AS SELECT _key%s FROM (
			SELECT trim(%s) AS _key%s, row_number() OVER (PARTITION BY trim(%s) ORDER BY _time DESC, _seq DESC) AS n
			FROM %s WHERE trim(%s) IN (SELECT key FROM changed)) WHERE n = 1`, columns, key, columns, key, s.st.table(), key),
		fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE differing AS WITH was AS (SELECT _key%s FROM %s WHERE _key IN (SELECT key FROM changed))
			SELECT DISTINCT _key AS key FROM ((SELECT * FROM was EXCEPT SELECT * FROM present) UNION ALL (SELECT * FROM present EXCEPT SELECT * FROM was))`, columns, table),
		fmt.Sprintf(`DELETE FROM %s WHERE _key IN (SELECT key FROM differing)`, table),
		fmt.Sprintf(`INSERT INTO %s (_key%s) SELECT _key%s FROM present WHERE _key IN (SELECT key FROM differing)`, table, columns, columns),
	} {
		if _, err := s.exec(ctx, "store reference", query); err != nil {
			return err
		}
	}
	return s.noteStale(ctx)
}

// noteStale notes the profiles whose messages look up a row that changed.
func (s *slice) noteStale(ctx context.Context) error {
	if err := s.d.noteKeys(ctx, s.tx, s.st.n, `SELECT key FROM differing`); err != nil {
		return err
	}
	for _, st := range s.sc.sortedStreams() {
		var terms []string
		for _, l := range s.compiled[st.Name].lookups {
			if l.stream == s.st.Name {
				terms = append(terms, fmt.Sprintf(`trim(%s) IN (SELECT key FROM differing)`, l.key))
			}
		}
		if len(terms) == 0 {
			continue
		}
		if _, err := s.exec(ctx, "note stale profiles", fmt.Sprintf(`INSERT INTO stale
			SELECT DISTINCT coalesce(l.pid, m._pid) FROM %s m LEFT JOIN profile_merges l ON l.old = m._pid%s
			WHERE m._pid IS NOT NULL AND (%s)`, st.table(), s.compiled[st.Name].joins(), strings.Join(terms, " OR "))); err != nil {
			return err
		}
	}
	return nil
}

// refreshStale derives anew the profiles noted in stale, some at a time.
func (d *DB) refreshStale(ctx context.Context) error {
	for last := (pace{}); ; {
		start, width := d.now(), d.nextWidth(last, false)
		n, err := d.refreshSome(ctx, width)
		if err != nil || n == 0 {
			return err
		}
		last = pace{width, d.now().Sub(start)}
	}
}

// refreshSome derives up to width stale profiles anew and returns how many.
func (d *DB) refreshSome(ctx context.Context, width int64) (n int64, err error) {
	if err := d.lockIngest(ctx); err != nil {
		return 0, err
	}
	defer d.unlockIngest()
	if err := queryRow(ctx, d.sql, "look for stale profiles", `SELECT count(*) FROM stale`, nil, &n); err != nil || n == 0 {
		return 0, err
	}
	err = d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		sc := d.state.snapshot()
		compiled, err := compileAll(sc, sc.Active)
		if err != nil {
			return err
		}
		for _, query := range []string{
			fmt.Sprintf(`CREATE OR REPLACE TEMP TABLE taken AS SELECT DISTINCT pid FROM stale ORDER BY pid LIMIT %d`, width),
			`DELETE FROM stale WHERE pid IN (SELECT pid FROM taken)`,
			// One that was merged away since is its successor's business.
			`CREATE OR REPLACE TEMP TABLE moved AS SELECT DISTINCT p._pid AS old, p._pid AS pid
				FROM taken t LEFT JOIN profile_merges l ON l.old = t.pid JOIN profiles p ON p._pid = coalesce(l.pid, t.pid)`,
		} {
			if _, err := exec(ctx, tx, "refresh profiles", query); err != nil {
				return err
			}
		}
		merge, err := take(ctx, tx, "merge", 1)
		if err != nil {
			return err
		}
		p := profileStep{d: d, tx: tx, sc: sc, compiled: compiled, merge: merge, now: d.now()}
		if _, err := p.run(ctx, sources{stored: true, again: `SELECT pid FROM moved`}); err != nil {
			return err
		}
		return dropTemporary(ctx, tx)
	})
	return n, err
}
