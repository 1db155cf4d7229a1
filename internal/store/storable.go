package store

import (
	"context"
	"database/sql"
	"reflect"
	"strings"
	"unicode/utf8"
)

// pool is a pool of connections that only read.
type pool struct{ *sql.DB }

// QueryContext is sql.DB's, with arguments that every database takes.
func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.DB.QueryContext(ctx, query, storable(args)...)
}

// QueryRowContext is sql.DB's, with arguments that every database takes.
func (p pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.DB.QueryRowContext(ctx, query, storable(args)...)
}

// storable replaces what not every database can hold as text, a zero byte and
// what is not UTF-8, by U+FFFD: neither an odd path of a request nor an odd
// answer of a network may end in an error of the database. It changes args.
func storable(args []any) []any {
	for i, a := range args {
		s, ok := a.(string)
		if !ok {
			v := reflect.ValueOf(a)
			if v.Kind() != reflect.String {
				continue
			}
			s = v.String()
		}
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			args[i] = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
		}
	}
	return args
}
