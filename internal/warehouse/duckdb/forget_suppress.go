package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Suppress keeps an identifier value away from now on, and notes, sealed, whom
// Erase is to look for. Told again of the same forget it changes nothing.
func (d *DB) Suppress(ctx context.Context, id activation.ForgetID, field, value string) error {
	f, ok := d.state.snapshot().field(field)
	if !ok || f.Rank == 0 {
		return refuse(field, "the field is not an identifier")
	}
	value = strings.TrimSpace(value)
	if value == "" || d.identifiesNobody(value) {
		return refuse(field, "the value identifies nobody")
	}
	return d.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var known bool
		if err := queryRow(ctx, tx, "look for the forget", `SELECT count(*) > 0 FROM forgets WHERE id = $1`, []any{string(id)}, &known); err != nil || known {
			return err
		}
		if f.Type == warehouse.Integer {
			var is bool
			if err := queryRow(ctx, tx, "read the value", `SELECT TRY_CAST($1 AS BIGINT) IS NOT NULL`, []any{value}, &is); err != nil {
				return err
			}
			if !is {
				return refuse(field, "the value must be a whole number")
			}
		}
		if err := execAll(ctx, tx, forgetValues); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "note the value", fmt.Sprintf(`INSERT INTO forget_values SELECT $1, %s, $3`, typedText(f)), field, value, f.PII); err != nil {
			return err
		}
		if err := d.suppressValues(ctx, tx, carriedByMany); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "note whom to forget", `INSERT INTO forgets VALUES ($1, $2, $3, NULL)`, string(id), field, d.suppression.sealed(value)); err != nil {
			return err
		}
		return execAll(ctx, tx, `DROP TABLE forget_values`)
	})
}

// identifiesNobody reports whether people type a value where they have none.
func (d *DB) identifiesNobody(value string) bool {
	lower := strings.ToLower(value)
	return slices.Contains(warehouse.Placeholders, lower) || slices.Contains(d.state.snapshot().Active.Identity.StopList, lower)
}

// typedText is the text, in SQL, that the identifier $2 of a field is digested as.
func typedText(f warehouse.Field) string {
	if f.Type == warehouse.Integer {
		return `TRY_CAST($2::VARCHAR AS BIGINT)::VARCHAR`
	}
	return `$2::VARCHAR`
}

// forgetValues holds identifier values of somebody while they are suppressed or
// erased; personal says that the value is one by which people are known.
const forgetValues = `CREATE OR REPLACE TEMP TABLE forget_values (field VARCHAR, value VARCHAR, personal BOOLEAN)`

// spellings lists, in SQL, the values that are one and the same with v: of an
// address the case says nothing.
const spellings = `CASE WHEN contains(v, '@') AND v <> lower(v) THEN [v, lower(v)] ELSE [v] END`

// suppressValues suppresses what is in forget_values, but for the values that
// others selects.
func (d *DB) suppressValues(ctx context.Context, tx *sql.Tx, others string) error {
	return d.suppressKeys(ctx, tx, others, fmt.Sprintf(`SELECT md5_number(field || '=' || unnest(%s)) AS key FROM (SELECT field, value AS v FROM forget_values WHERE value IS NOT NULL AND lower(value) NOT IN (%s))`,
		spellings, nobodySQL(d.state.snapshot().Active.Identity)))
}

// suppressKeys suppresses the identifiers that a query selects, as their digests,
// but for those that others selects.
func (d *DB) suppressKeys(ctx context.Context, tx *sql.Tx, others, query string) error {
	s := &d.suppression
	_, err := exec(ctx, tx, "suppress identifiers", fmt.Sprintf(`INSERT INTO suppressed SELECT DISTINCT digest FROM (SELECT %s AS digest FROM (%s) WHERE key NOT IN (%s)) WHERE digest NOT IN (SELECT digest FROM suppressed)`,
		s.digest("key"), query, others), s.args()...)
	if err == nil {
		s.some.Store(true) // before the commit: looking in vain is harmless
	}
	return err
}

// Suppressed is how many identifier values are kept away.
func (d *DB) Suppressed(ctx context.Context) (int64, error) {
	var n int64
	err := queryRow(ctx, d.sql, "count who is suppressed", `SELECT count(*) FROM suppressed`, nil, &n)
	return n, err
}

// suppressedMessages is a SELECT of the numbers of those messages that carry an
// identifier of somebody who was forgotten, with its arguments; "" where a stream
// carries no identifier or nobody is suppressed. What came to be on the stop-list
// since somebody who had it was forgotten tells of nobody.
func (d *DB) suppressedMessages(mappings *streamMappings, of messages) (string, []any) {
	if !d.suppression.some.Load() {
		return "", nil
	}
	nobody := nobodySQL(mappings.identity)
	var parts []string
	for _, m := range mappings.identifiers() {
		parts = append(parts, fmt.Sprintf(`SELECT seq FROM (SELECT seq, unnest(%s) AS v FROM (SELECT m._seq AS seq, (%s)::VARCHAR AS v %s) WHERE v IS NOT NULL AND lower(v) NOT IN (%s))
			WHERE %s IN (SELECT digest FROM suppressed)`, spellings, m.value, of.clause(""), nobody, d.suppression.digest(keySQL(m.field.Name, "v"))))
	}
	if len(parts) == 0 {
		return "", nil
	}
	return strings.Join(parts, " UNION "), d.suppression.args()
}

// dropSuppressed takes the messages out of the slice that carry an identifier of
// somebody who was forgotten: nothing of them is kept.
func (s *slice) dropSuppressed(ctx context.Context) (err error) {
	if s.st.ReferenceKey != "" {
		return nil
	}
	query, args := s.d.suppressedMessages(s.mappings, newMessages)
	if query == "" {
		return nil
	}
	s.result.Suppressed, err = s.exec(ctx, "drop who is suppressed", `DELETE FROM rows WHERE _seq IN (`+query+`)`, args...)
	return err
}
