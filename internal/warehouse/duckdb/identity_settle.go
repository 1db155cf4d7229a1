package duckdb

import (
	"context"
)

// settle brings identifiers, capped, profile_merges and the merge history in
// step with what resolve found.
func (r *resolver) settle(ctx context.Context, from mergeOrigin) error {
	var merged, dirty int64
	if err := queryRow(ctx, r.q, "merge profiles", `SELECT (SELECT count(*) FROM moved WHERE pid <> old), (SELECT count(*) FROM dirty)`, nil, &merged, &dirty); err != nil {
		return err
	}
	var steps []string
	if dirty > 0 {
		steps = append(steps, settleDirty...)
	}
	steps = append(steps, `INSERT INTO identifiers SELECT key, pid FROM person WHERE known IS NULL`)
	if merged > 0 {
		steps = append(steps, settleMerged...)
	}
	if r.capped {
		steps = append(steps, settleCapped...)
	}
	for _, s := range steps {
		if _, err := exec(ctx, r.q, "store identifiers", s); err != nil {
			return err
		}
	}
	return r.remember(ctx, from)
}

// settleDirty writes the identifiers of profiles that were resolved anew. To a
// profile that is gone nothing may lead any more: its messages were given to
// others one by one.
var settleDirty = []string{
	`DELETE FROM identifiers WHERE pid IN (SELECT pid FROM dirty)`,
	`INSERT INTO identifiers SELECT key, pid FROM person WHERE known IN (SELECT pid FROM dirty)`,
	`DELETE FROM profile_merges WHERE pid IN (SELECT old FROM moved WHERE pid IS NULL)`,
}

// settleMerged points to the living profile whatever led to one merged away. An
// UPDATE would wait for a save (checkpoint.go).
var settleMerged = []string{
	`CREATE OR REPLACE TEMP TABLE leads AS SELECT i.key, m.pid FROM identifiers i JOIN moved m ON m.old = i.pid WHERE m.pid <> m.old`,
	`DELETE FROM identifiers WHERE pid IN (SELECT old FROM moved WHERE pid <> old)`,
	`INSERT INTO identifiers SELECT key, pid FROM leads`,
	`CREATE OR REPLACE TEMP TABLE leads AS SELECT l.old, m.pid FROM profile_merges l JOIN moved m ON m.old = l.pid WHERE m.pid <> m.old`,
	`DELETE FROM profile_merges WHERE pid IN (SELECT old FROM moved WHERE pid <> old)`,
	`INSERT INTO profile_merges SELECT old, pid FROM leads`,
	`INSERT INTO profile_merges SELECT old, pid FROM moved WHERE pid <> old`,
}

// settleCapped writes which of the people concerned carry which capped value.
var settleCapped = []string{
	`DELETE FROM capped WHERE pid IN (SELECT old FROM moved)`,
	`INSERT INTO capped SELECT key, pid FROM carried`,
}

// unaffected narrows again, a SELECT of the profiles to be derived anew from
// their messages, where profiles were drawn in only for being connected with
// others: those of them whose messages are the same as before keep what they
// have, and those that no new message is of (numbers from seq on) are not
// touched at all. It must run before messages are reassigned.
func (s *slice) unaffected(ctx context.Context) (again string, err error) {
	const lost = `SELECT pid FROM moved WHERE pid IS NOT NULL AND old IN (SELECT pid FROM dirty)`
	var drawn int64
	if err := queryRow(ctx, s.tx, "compare owners", `SELECT count(*) FROM drawn`, nil, &drawn); err != nil {
		return "", err
	}
	if drawn == 0 {
		return `SELECT pid FROM msg WHERE seq < ` + number(s.seq) + ` UNION ` + lost, nil
	}
	if _, err := s.exec(ctx, "compare owners", `CREATE OR REPLACE TEMP TABLE shifted (was BIGINT, pid BIGINT)`); err != nil {
		return "", err
	}
	for _, st := range s.sc.sortedStreams() {
		if _, err := s.exec(ctx, "compare owners", `INSERT INTO shifted SELECT DISTINCT coalesce(l.pid, t._pid) AS was, g.pid
			FROM `+st.table()+` t JOIN msg g ON g.seq = t._seq LEFT JOIN profile_merges l ON l.old = t._pid
			WHERE g.seq < `+number(s.seq)+` AND coalesce(l.pid, t._pid) IS DISTINCT FROM g.pid`); err != nil {
			return "", err
		}
	}
	again = lost + ` AND old NOT IN (SELECT pid FROM drawn) UNION SELECT pid FROM shifted UNION SELECT pid FROM moved WHERE pid IN (SELECT was FROM shifted)`
	_, err = s.exec(ctx, "compare owners", `DELETE FROM moved WHERE old = pid AND old IN (SELECT pid FROM drawn)
		AND old NOT IN (`+again+`) AND old NOT IN (SELECT pid FROM msg WHERE seq >= `+number(s.seq)+`)`)
	return again, err
}
