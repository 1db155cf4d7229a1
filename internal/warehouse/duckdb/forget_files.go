package duckdb

import (
	"context"
	"crypto/md5" //nolint:gosec // the digest that identifiers has, under a key here
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"usher/internal/warehouse"
)

// Carrying finds the lines of a load that carry an identifier of somebody who was
// forgotten, as the mappings of its stream read them.
func (d *DB) Carrying(ctx context.Context, l warehouse.Load) (lines []int64, err error) {
	if l.Rows == 0 || !d.suppression.some.Load() {
		return nil, nil
	}
	st, err := d.loadStream(ctx, l)
	if err != nil || st.ReferenceKey != "" {
		return nil, err
	}
	sc := d.state.snapshot()
	compiled, err := compileAll(sc, sc.Active)
	if err != nil {
		return nil, err
	}
	from, err := d.stage(ctx, st, l)
	if err != nil {
		return nil, err
	}
	defer d.unstage(ctx, from)
	absent := ""
	for i, c := range st.columns {
		if !slices.Contains(l.Columns, c) {
			absent += fmt.Sprintf(", NULL::VARCHAR AS c%d", i+1)
		}
	}
	query, args := d.suppressedMessages(compiled[st.Name], messages{from: fmt.Sprintf(`(SELECT *, _line AS _seq%s FROM %s) m`, absent, from.table)})
	if query == "" {
		return nil, nil
	}
	rows, err := d.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("find who is suppressed: %w", scrub(ctx, err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("find who is suppressed: %w", scrub(ctx, err))
		}
		lines = append(lines, n)
	}
	return lines, rows.Err()
}

// Recognise returns a function that reports whether a text is an identifier, of
// whatever field, of somebody who was forgotten before.
func (d *DB) Recognise(ctx context.Context) (func(text string) bool, error) {
	digests := map[string]bool{}
	rows, err := d.sql.QueryContext(ctx, `SELECT digest FROM suppressed`)
	if err != nil {
		return nil, fmt.Errorf("read who is suppressed: %w", scrub(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var digest []byte
		if err := rows.Scan(&digest); err != nil {
			return nil, fmt.Errorf("read who is suppressed: %w", scrub(ctx, err))
		}
		digests[string(digest)] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read who is suppressed: %w", scrub(ctx, err))
	}
	var fields []string
	for _, f := range d.state.snapshot().fields() {
		if f.Rank > 0 {
			fields = append(fields, f.Name)
		}
	}
	return func(text string) bool {
		text = strings.TrimSpace(text)
		if text == "" || len(text) > maxIdentifier || len(digests) == 0 || d.identifiesNobody(text) {
			return false
		}
		spelled := []string{text}
		if strings.Contains(text, "@") {
			spelled = append(spelled, strings.ToLower(text))
		}
		for _, v := range spelled {
			for _, f := range fields {
				if digests[string(d.suppression.of(f, v))] {
					return true
				}
			}
		}
		return false
	}, nil
}

// of is the digest of a value, as digest is in SQL.
func (s *suppression) of(field, value string) []byte {
	return hmacOf(s.key, identifierKey(field, value))
}

// identifierKey is keySQL as the text of a number.
func identifierKey(field, value string) string {
	sum := md5.Sum([]byte(field + "=" + value)) //nolint:gosec // see above
	slices.Reverse(sum[:])                      // the number is little-endian
	return new(big.Int).SetBytes(sum[:]).String()
}
