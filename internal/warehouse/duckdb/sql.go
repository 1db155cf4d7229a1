package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// queryer is what *sql.Tx, *sql.Conn and *sql.DB have in common.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// exec runs a statement and returns how many rows it changed; what names the
// step in the error.
func exec(ctx context.Context, q queryer, what, query string, args ...any) (int64, error) {
	r, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, scrub(ctx, err))
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, scrub(ctx, err))
	}
	return n, nil
}

// queryRow runs a query of one row and scans it into dest.
func queryRow(ctx context.Context, q queryer, what, query string, args []any, dest ...any) error {
	if err := q.QueryRowContext(ctx, query, args...).Scan(dest...); err != nil {
		return fmt.Errorf("%s: %w", what, scrub(ctx, err))
	}
	return nil
}

// scrub takes row values out of an error of the database: its text quotes the
// value it could not convert and the statement around it. What is left is the
// class of the error, and the first line where that only names tables and
// columns. The cause of a dead context comes through as it is.
func scrub(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var e *duckdb.Error
	if !errors.As(err, &e) {
		return err
	}
	first, _, _ := strings.Cut(e.Msg, "\n")
	switch e.Type {
	default: // may quote values
	case duckdb.ErrorTypeBinder, duckdb.ErrorTypeCatalog, duckdb.ErrorTypeParser,
		duckdb.ErrorTypeTransaction, duckdb.ErrorTypeOutOfMemory, duckdb.ErrorTypeIO:
		return errors.New("database: " + first)
	}
	class, _, _ := strings.Cut(first, ":")
	if e.Type == duckdb.ErrorTypeFatal {
		return fmt.Errorf("database: %s: %w", class, ErrBroken)
	}
	return errors.New("database: " + class)
}

// ErrBroken means that the database has given itself up, as it does when it finds
// itself wrong: nothing but opening it anew helps. What was committed is there.
var ErrBroken = errors.New("the warehouse has given itself up; it must be opened anew")

// Alive returns nil while the database answers, and ErrBroken when it has given
// itself up.
func (d *DB) Alive(ctx context.Context) error {
	var one int
	return queryRow(ctx, d.sql, "ask for a sign of life", `SELECT 1`, nil, &one)
}

// quote returns name as an SQL identifier.
func quote(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// literal returns s as an SQL string. A zero byte would end the statement.
func literal(s string) string {
	s = strings.ReplaceAll(s, `'`, `''`)
	if strings.Contains(s, "\x00") {
		return `('` + strings.ReplaceAll(s, "\x00", `' || chr(0) || '`) + `')`
	}
	return `'` + s + `'`
}
