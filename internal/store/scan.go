package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usher/internal/activation"
)

// scanner is a row to scan, of one or of many.
type scanner interface{ Scan(dest ...any) error }

// collect scans all rows and closes them.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// counts reads rows of a word and how often it occurs.
func counts[T ~string](rows *sql.Rows, err error) (map[T]int64, error) {
	out := map[T]int64{}
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var w T
		var n int64
		err := r.Scan(&w, &n)
		out[w] = n
		return struct{}{}, err
	})
	return out, err
}

// found turns "no rows" into ErrNotFound that says what was looked for.
func found[T any](v T, err error, what string, id any) (T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return v, fmt.Errorf("%s %q: %w", what, id, activation.ErrNotFound)
	}
	if err != nil {
		return v, fmt.Errorf("read %s: %w", what, err)
	}
	return v, nil
}

// stamp reads a time stored as Unix microseconds; NULL is the zero time.
type stamp struct{ to *time.Time }

func (s stamp) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.to = time.Time{}
	case int64:
		*s.to = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", src)
	}
	return nil
}

// at is the stored form of a time; the zero time is NULL.
func at(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// word reads a nullable text into any text type; NULL is "".
type word[T ~string] struct{ to *T }

func (w word[T]) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*w.to = ""
	case string:
		*w.to = T(v)
	case []byte:
		*w.to = T(v)
	default:
		return fmt.Errorf("a word is stored as %T", src)
	}
	return nil
}

// text is the stored form of a nullable text; "" is NULL.
func text[T ~string](s T) any {
	if s == "" {
		return nil
	}
	return string(s)
}

// span reads a duration stored in microseconds.
type span struct{ to *time.Duration }

func (s span) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a duration is stored as %T", src)
	}
	*s.to = time.Duration(v) * time.Microsecond
	return nil
}

// object reads JSON text.
type object struct{ to any }

func (o object) Scan(src any) error {
	switch v := src.(type) {
	case string:
		return json.Unmarshal([]byte(v), o.to)
	case []byte:
		return json.Unmarshal(v, o.to)
	default:
		return fmt.Errorf("JSON is stored as %T", src)
	}
}

// encode is the stored form of a value as JSON. The types stored here hold only
// strings, numbers, times and lists and maps of them, which always encode.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(b)
}

// list is the stored form of a list as JSON; nil is the empty one.
func list[T any](v []T) string {
	if v == nil {
		return "[]"
	}
	return encode(v)
}
