package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"usher/internal/warehouse"
)

// compare finds out, at one moment, what differs between the live tables and
// those beside them. Afterwards only what rounds and merges touch is looked at again.
func (r *rebuild) compare(ctx context.Context) error {
	r.compared = r.upTo
	err := inTx(ctx, r.conn, func(tx *sql.Tx) error {
		at, err := readCounters(ctx, tx)
		if err != nil {
			return err
		}
		r.compared.message = at.message
		for _, query := range []string{
			`CREATE OR REPLACE TEMP TABLE merges_then AS SELECT old, pid FROM profile_merges`,
			`CREATE OR REPLACE TEMP TABLE check_messages (seq BIGINT)`,
			`CREATE OR REPLACE TEMP TABLE check_people (pid BIGINT)`,
			`CREATE OR REPLACE TABLE owners_next (stream INTEGER, seq BIGINT, pid BIGINT)`,
			`CREATE OR REPLACE TABLE changed_next AS ` + r.changed(""),
		} {
			if _, err := exec(ctx, tx, "compare profiles", query); err != nil {
				return err
			}
		}
		return r.compareOwners(ctx, tx, `true`)
	})
	r.progress(r.total, r.total)
	return err
}

// compareOwners writes whose the messages are, of those a condition chooses, that
// belong to somebody else now, or to nobody.
func (r *rebuild) compareOwners(ctx context.Context, q queryer, where string) error {
	for _, st := range r.sc.sortedStreams() {
		if _, err := exec(ctx, q, "compare owners", fmt.Sprintf(`INSERT INTO owners_next
			SELECT %d, m._seq, g.pid FROM (SELECT _seq, _pid FROM %s m WHERE %s) m LEFT JOIN message_owners_next g ON g.seq = m._seq LEFT JOIN profile_merges l ON l.old = m._pid
			WHERE coalesce(l.pid, m._pid) IS DISTINCT FROM g.pid`, st.n, st.table(), where)); err != nil {
			return err
		}
	}
	return nil
}

// changed is a SELECT of (pid, kind) of the people who are changed, new or gone;
// where, "" = all, chooses among them by p.
func (r *rebuild) changed(where string) string {
	restrict := func(column string) string {
		if where == "" {
			return ""
		}
		return " WHERE " + column + " IN (" + where + ")"
	}
	return fmt.Sprintf(`SELECT coalesce(n._pid, o._pid) AS pid, CASE WHEN o._pid IS NULL THEN 'new' WHEN n._pid IS NULL THEN 'gone' ELSE 'changed' END AS kind
		FROM (SELECT * FROM profiles%s) o FULL JOIN (SELECT * FROM profiles_next%s) n ON n._pid = o._pid
		WHERE o._pid IS NULL OR n._pid IS NULL OR %s`, restrict("_pid"), restrict("_pid"), r.differ())
}

// differ is SQL that is true when a profile has another value than before.
func (r *rebuild) differ() string {
	terms := []string{"false"}
	before, after := r.d.state.snapshot().fields(), r.sc.fields()
	for _, f := range after {
		name := quote(f.Name)
		was, ok := findField(before, f.Name)
		switch {
		case !ok:
			terms = append(terms, fmt.Sprintf("n.%s IS NOT NULL", name))
		case was.Type != f.Type:
			terms = append(terms, fmt.Sprintf("o.%s IS NOT NULL OR n.%s IS NOT NULL", name, name))
		case f.Type == warehouse.Number: // a sum depends on the order in its last digits
			terms = append(terms, fmt.Sprintf("CASE WHEN isfinite(o.%[1]s) AND isfinite(n.%[1]s) THEN abs(o.%[1]s - n.%[1]s) > 1e-9 * greatest(abs(o.%[1]s), abs(n.%[1]s)) ELSE o.%[1]s IS DISTINCT FROM n.%[1]s END", name))
		default:
			terms = append(terms, fmt.Sprintf("o.%s IS DISTINCT FROM n.%s", name, name))
		}
	}
	for _, f := range before {
		if _, ok := findField(after, f.Name); !ok {
			terms = append(terms, fmt.Sprintf("o.%s IS NOT NULL", quote(f.Name)))
		}
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// finish makes the last round while nobody merges, and swaps.
func (r *rebuild) finish(ctx context.Context) error {
	for {
		if done, err := r.tryFinish(ctx); done || err != nil {
			return err
		}
		if err := r.erasePending(ctx); err != nil {
			return err
		}
	}
}

// tryFinish is not done where somebody is to be erased first.
func (r *rebuild) tryFinish(ctx context.Context) (done bool, err error) {
	if err := r.d.lockIngest(ctx); err != nil {
		return false, err
	}
	defer r.d.unlockIngest()
	if pending, err := r.screenLast(ctx); pending || err != nil {
		return false, err
	}
	return true, r.last(ctx)
}

// last catches up with the last of it, and swaps. The ingest lock must be held.
func (r *rebuild) last(ctx context.Context) error {
	if _, err := r.round(ctx); err != nil {
		return err
	}
	if err := r.compareAgain(ctx); err != nil {
		return err
	}
	if err := r.tellIdentity(ctx); err != nil {
		return err
	}
	return r.swap(ctx)
}

// compareAgain compares what rounds and merges touched since all was compared.
func (r *rebuild) compareAgain(ctx context.Context) error {
	if err := r.each(ctx, "note what to compare",
		fmt.Sprintf(`INSERT INTO check_messages SELECT seq FROM rebuild_log WHERE kind = 'moved' AND told_at >= %d`, r.compared.message),
		`CREATE OR REPLACE TEMP TABLE merged_since AS SELECT old, pid FROM profile_merges EXCEPT SELECT old, pid FROM merges_then`,
		fmt.Sprintf(`INSERT INTO check_people SELECT _pid FROM profiles WHERE _seq >= %d UNION SELECT old FROM merged_since`, r.compared.merge),
		`DELETE FROM changed_next WHERE pid IN (SELECT pid FROM check_people)`,
		`INSERT INTO changed_next `+r.changed(`SELECT pid FROM check_people`)); err != nil {
		return err
	}
	for _, st := range r.sc.sortedStreams() {
		if err := r.each(ctx, "note what to compare", fmt.Sprintf(`INSERT INTO check_messages
			SELECT _seq FROM %s WHERE _seq >= %d OR _pid IN (SELECT old FROM merged_since)`, st.table(), r.compared.message)); err != nil {
			return err
		}
	}
	if err := r.each(ctx, "compare owners", `DELETE FROM owners_next WHERE seq IN (SELECT seq FROM check_messages)`); err != nil {
		return err
	}
	return r.compareOwners(ctx, r.conn, `_seq IN (SELECT seq FROM check_messages)`)
}

// swap puts the new tables in the place of the old ones and has every audience
// evaluated anew.
func (r *rebuild) swap(ctx context.Context) error {
	before := r.d.state.snapshot()
	err := r.d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := r.reassign(ctx, tx); err != nil {
			return err
		}
		for _, query := range []string{
			`DROP TABLE profiles`, `ALTER TABLE profiles_next RENAME TO profiles`,
			// Who is gone leads nowhere; every message of theirs was reassigned.
			`DELETE FROM profile_merges WHERE pid NOT IN (SELECT _pid FROM profiles)`,
			`DELETE FROM stale`,
		} {
			if _, err := exec(ctx, tx, "swap profiles", query); err != nil {
				return err
			}
		}
		if err := r.swapIdentity(ctx, tx); err != nil {
			return err
		}
		if err := saveDocument(ctx, tx, r.sc); err != nil {
			return err
		}
		r.d.state.setSchema(r.sc)
		return r.reevaluate(ctx, tx)
	})
	if err != nil {
		r.d.state.setSchema(before)
	}
	return err
}

// reassign gives messages to their new owners.
func (r *rebuild) reassign(ctx context.Context, tx *sql.Tx) error {
	for _, st := range r.sc.sortedStreams() {
		n, err := exec(ctx, tx, "reassign messages", fmt.Sprintf(`UPDATE %s AS t SET _pid = o.pid FROM owners_next o
			WHERE o.stream = %d AND o.seq = t._seq`, st.table(), st.n))
		if err != nil {
			return err
		}
		r.result.Moved += n
	}
	return nil
}

// reevaluate brings the audiences in step and counts what the rebuild changed.
func (r *rebuild) reevaluate(ctx context.Context, tx *sql.Tx) error {
	change, err := take(ctx, tx, "change", 0)
	if err != nil {
		return err
	}
	if err := r.d.reevaluateAll(ctx, tx, r.d.now()); err != nil {
		return err
	}
	for _, st := range r.sc.sortedStreams() {
		var n int64
		if err := queryRow(ctx, tx, "count messages", `SELECT count(*) FROM `+st.table(), nil, &n); err != nil {
			return err
		}
		r.result.Messages += n
	}
	return queryRow(ctx, tx, "count changes", `SELECT (SELECT count(*) FROM profiles),
		count(DISTINCT pid) FILTER (kind = 'changed'), count(DISTINCT pid) FILTER (kind = 'new'), count(DISTINCT pid) FILTER (kind = 'gone')
		FROM (SELECT pid, kind FROM changed_next UNION ALL
			SELECT c.pid, 'changed' FROM membership_changes c WHERE c.seq >= $1 AND c.pid NOT IN (SELECT pid FROM changed_next))`,
		[]any{change}, &r.result.Profiles, &r.result.Changed, &r.result.New, &r.result.Gone)
}
