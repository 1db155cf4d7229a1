package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
)

// Find returns the profile whose identifier field has this value, or
// ErrNotFound. Values are compared exactly, without the space around them.
func (d *DB) Find(ctx context.Context, field, value string) (warehouse.Profile, error) {
	sc := d.state.snapshot()
	f, ok := sc.field(field)
	if !ok || f.Rank == 0 {
		return warehouse.Profile{}, refuse(field, "the field is not an identifier")
	}
	typed := `nullif(trim($1::VARCHAR), '')`
	if f.Type == warehouse.Integer {
		typed = `TRY_CAST(trim($1::VARCHAR) AS BIGINT)`
	}
	var pid int64
	err := d.sql.QueryRowContext(ctx, `SELECT pid FROM identifiers WHERE key = (SELECT `+keySQL(field, typed)+`) LIMIT 1`, value).Scan(&pid)
	if errors.Is(err, sql.ErrNoRows) {
		return warehouse.Profile{}, fmt.Errorf("profile by %s: %w", field, activation.ErrNotFound)
	}
	if err != nil {
		return warehouse.Profile{}, fmt.Errorf("find profile: %w", scrub(ctx, err))
	}
	found, err := readProfiles(ctx, d.sql, sc, `WHERE _pid = $1`, pid)
	if err != nil {
		return warehouse.Profile{}, err
	}
	if len(found) == 0 { // merged away between the two reads
		return warehouse.Profile{}, fmt.Errorf("profile by %s: %w", field, activation.ErrNotFound)
	}
	p := found[0]
	p.Audiences, err = audiencesOf(ctx, d.sql, p.ID)
	return p, err
}

// CountProfiles returns how many people there are.
func (d *DB) CountProfiles(ctx context.Context) (int64, error) {
	var n int64
	err := queryRow(ctx, d.sql, "count profiles", `SELECT count(*) FROM profiles`, nil, &n)
	return n, err
}

// audiencesOf returns the slugs of the audiences a person is in.
func audiencesOf(ctx context.Context, q queryer, pid int64) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT a.slug FROM membership m JOIN audiences a ON a.n = m.audience WHERE m.pid = $1 ORDER BY a.slug`, pid)
	if err != nil {
		return nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
	}
	defer rows.Close()
	var slugs []string
	for rows.Next() {
		var slug string
		if err := rows.Scan(&slug); err != nil {
			return nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
		}
		slugs = append(slugs, slug)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audiences: %w", scrub(ctx, err))
	}
	return slugs, nil
}

// readProfiles reads the profiles that rest (a WHERE, ORDER BY, LIMIT) selects.
func readProfiles(ctx context.Context, q queryer, sc *schema, rest string, args ...any) ([]warehouse.Profile, error) {
	fields := sc.fields()
	columns := make([]string, 0, len(fields)+1)
	columns = append(columns, "_pid")
	for _, f := range fields {
		columns = append(columns, quote(f.Name))
	}
	rows, err := q.QueryContext(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM profiles `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("read profiles: %w", scrub(ctx, err))
	}
	defer rows.Close()
	values := make([]any, len(fields))
	var pid int64
	dest := []any{&pid}
	for i := range values {
		dest = append(dest, &values[i])
	}
	var out []warehouse.Profile
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, fmt.Errorf("read profiles: %w", scrub(ctx, err))
		}
		p := warehouse.Profile{ID: pid, Values: make(map[string]any)}
		for i, f := range fields {
			if values[i] != nil {
				p.Values[f.Name] = fieldValue(values[i])
			}
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read profiles: %w", scrub(ctx, err))
	}
	return out, nil
}

// fieldValue turns what the driver returns into what Profile.Values holds:
// string, int64, float64, bool, time.Time in UTC or a sorted []string.
func fieldValue(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC()
	case []any:
		set := make([]string, 0, len(v))
		for _, e := range v {
			if s, ok := e.(string); ok {
				set = append(set, s)
			}
		}
		slices.Sort(set)
		return set
	}
	return v
}
