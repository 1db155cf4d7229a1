package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"usher/internal/warehouse"
)

// The merge history. merge_log(happened, survivor, gone, parted, fields, stream, load,
// kind) has a row for each profile that went into another (kind merge), for each
// that others were parted from (part) and for each field a value of which was
// capped (capped). It names profiles and fields, never values. No two rows have
// the same time, so that pages of it neither overlap nor leave anything out.
//
// A profile that keeps none of its values is gone; who survives it is the
// lowest of those who have them now. Whoever else has values of it was parted
// from it. That is read off person, link and carried; the work follows what
// merged.

// mergeOrigin is what linked people.
type mergeOrigin struct {
	stream, load string
	at           time.Time
}

// eventColumns are those of the table that history fills.
const eventColumns = `(survivor BIGINT, gone BIGINT, parted BIGINT, fields VARCHAR[], kind VARCHAR)`

// history fills events.
func (r *resolver) history(ctx context.Context) error {
	if _, err := exec(ctx, r.q, "tell merges", `CREATE OR REPLACE TEMP TABLE events `+eventColumns); err != nil {
		return err
	}
	var moved int64
	if err := queryRow(ctx, r.q, "tell merges", `SELECT count(*) FROM person WHERE known <> pid`, nil, &moved); err != nil {
		return err
	}
	if moved > 0 {
		if err := tellMerges(ctx, r.q, r.sc); err != nil {
			return err
		}
	}
	if r.capped {
		return tellCapped(ctx, r.q, r.sc, "capped")
	}
	return nil
}

// tellMerges adds to events who merged and who parted. link must have the
// messages that carry values of theirs.
func tellMerges(ctx context.Context, q queryer, sc *schema) error {
	for _, query := range []string{
		`CREATE OR REPLACE TEMP TABLE went AS SELECT known, min(pid) AS pid FROM person WHERE known IS NOT NULL GROUP BY known HAVING bool_and(known <> pid)`,
		// The messages that link a profile that is gone with anything else, and what they link.
		`CREATE OR REPLACE TEMP TABLE bridge AS
			WITH own AS (SELECT DISTINCT w.known, l.seq FROM went w JOIN person p ON p.known = w.known JOIN link l ON l.key = p.key),
			have AS (SELECT o.known, o.seq, l.field, p.known IS DISTINCT FROM o.known AS other FROM own o JOIN link l ON l.seq = o.seq LEFT JOIN person p ON p.key = l.key)
			SELECT known, field FROM have WHERE (known, seq) IN (SELECT (known, seq) FROM have WHERE other)`,
		`INSERT INTO events SELECT w.pid, w.known, NULL, coalesce(f.fields, []::VARCHAR[]), 'merge'
			FROM went w LEFT JOIN (SELECT known, ` + fieldNames(sc) + ` AS fields FROM bridge GROUP BY known) f ON f.known = w.known`,
		`INSERT INTO events SELECT p.pid, NULL, p.known, coalesce(` + fieldNames(sc) + `, []::VARCHAR[]), 'part'
			FROM person p JOIN (SELECT DISTINCT key, field FROM link) l ON l.key = p.key LEFT JOIN went w ON w.known = p.known
			WHERE p.known <> p.pid AND w.pid IS DISTINCT FROM p.pid GROUP BY p.pid, p.known`,
	} {
		if _, err := exec(ctx, q, "tell merges", query); err != nil {
			return err
		}
	}
	return nil
}

// tellCapped adds to events the values of carried that were not capped before:
// one for each field and the lowest profile that carries such a value.
func tellCapped(ctx context.Context, q queryer, sc *schema, before string) error {
	_, err := exec(ctx, q, "tell capped values", `INSERT INTO events SELECT survivor, NULL, NULL, `+fieldNames(sc)+`, 'capped'
		FROM (SELECT DISTINCT c.survivor, l.field FROM (SELECT key, min(pid) AS survivor FROM carried WHERE key NOT IN (SELECT key FROM `+before+`) GROUP BY key) c
			JOIN link l ON l.key = c.key) GROUP BY survivor, field`)
	return err
}

// fieldNames is SQL that aggregates field to the names of the fields, in order.
func fieldNames(sc *schema) string {
	var b strings.Builder
	for i, f := range sc.fields() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(literal(f.Name))
	}
	return "list_sort(list_distinct(list(([" + b.String() + "])[field + 1]) FILTER (field IS NOT NULL)))"
}

// remember appends events to the merge history.
func (r *resolver) remember(ctx context.Context, from mergeOrigin) error {
	if r.single {
		return nil
	}
	return remember(ctx, r.q, "events", from)
}

func remember(ctx context.Context, q queryer, table string, from mergeOrigin) error {
	var n int64
	if err := queryRow(ctx, q, "remember merges", `SELECT count(*) FROM `+table, nil, &n); err != nil || n == 0 {
		return err
	}
	_, err := exec(ctx, q, "remember merges", `INSERT INTO merge_log (happened, survivor, gone, parted, fields, stream, load, kind)
		SELECT greatest($1, (SELECT coalesce(max(happened), 0) FROM merge_log)) + row_number() OVER (ORDER BY kind, survivor, gone, parted, fields),
			survivor, gone, parted, fields, $2, $3, kind FROM `+table, from.at.UnixMicro(), from.stream, from.load)
	return err
}

// Merges returns the merge history, newest first: of one profile, those merged
// into it and their own history included, or of all with profile 0.
func (d *DB) Merges(ctx context.Context, profile int64, before time.Time, limit int) ([]warehouse.MergeEvent, error) {
	until := int64(1<<63 - 1)
	if !before.IsZero() {
		until = before.UnixMicro()
	}
	const selected = `SELECT happened, survivor, coalesce(gone, 0), coalesce(parted, 0), array_to_string(fields, ','), stream, load, kind FROM merge_log WHERE happened < $1`
	query, args := selected, []any{until}
	if profile != 0 {
		query = `WITH RECURSIVE kin(pid) AS (SELECT $2::BIGINT UNION SELECT m.gone FROM merge_log m JOIN kin ON m.survivor = kin.pid WHERE m.gone IS NOT NULL) ` +
			selected + ` AND (survivor IN (SELECT pid FROM kin) OR gone IN (SELECT pid FROM kin) OR parted IN (SELECT pid FROM kin))`
		args = append(args, profile)
	}
	rows, err := d.sql.QueryContext(ctx, query+fmt.Sprintf(` ORDER BY happened DESC LIMIT %d`, max(limit, 0)), args...)
	if err != nil {
		return nil, fmt.Errorf("read merge history: %w", scrub(ctx, err))
	}
	defer rows.Close()
	var out []warehouse.MergeEvent
	for rows.Next() {
		var e warehouse.MergeEvent
		var at int64
		var fields string
		if err := rows.Scan(&at, &e.Survivor, &e.Gone, &e.From, &fields, &e.Stream, &e.Load, &e.Kind); err != nil {
			return nil, fmt.Errorf("read merge history: %w", scrub(ctx, err))
		}
		e.At = time.UnixMicro(at).UTC()
		e.Fields = strings.FieldsFunc(fields, func(r rune) bool { return r == ',' })
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read merge history: %w", scrub(ctx, err))
	}
	return out, nil
}

// forgetIdentity deletes what told the people apart whom a SELECT of profile ids
// names, in the transaction that deletes their messages: their identifiers, the
// capped values they carried and their merge history. Who carries one of these
// values too is noted in undecided: the next slice resolves them anew, for the
// value may not be capped any more.
func forgetIdentity(ctx context.Context, tx *sql.Tx, people string) error {
	for _, query := range []string{
		`INSERT INTO undecided SELECT DISTINCT pid FROM capped WHERE key IN (SELECT key FROM capped WHERE pid IN (` + people + `)) AND pid NOT IN (` + people + `)`,
		`DELETE FROM undecided WHERE pid IN (` + people + `)`,
		`DELETE FROM capped WHERE pid IN (` + people + `)`,
		`DELETE FROM identifiers WHERE pid IN (` + people + `)`,
		`DELETE FROM merge_log WHERE survivor IN (` + people + `) OR gone IN (` + people + `) OR parted IN (` + people + `)`,
	} {
		if _, err := exec(ctx, tx, "forget identifiers", query); err != nil {
			return err
		}
	}
	return nil
}

// takeUndecided makes dirty whom a forgotten person left undecided.
func (s *slice) takeUndecided(ctx context.Context) error {
	n, err := s.exec(ctx, "take undecided people", `INSERT INTO dirty SELECT DISTINCT p._pid FROM undecided u LEFT JOIN profile_merges l ON l.old = u.pid
		JOIN profiles p ON p._pid = coalesce(l.pid, u.pid) WHERE p._pid NOT IN (SELECT pid FROM dirty)`)
	if err != nil {
		return err
	}
	s.dirty += n
	_, err = s.exec(ctx, "take undecided people", `DELETE FROM undecided`)
	return err
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
