package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/duckdb/duckdb-go/v2"
)

// TestBroken: of an error after which nothing works any more the kind is told,
// and nothing that it may quote.
func TestBroken(t *testing.T) {
	err := scrub(context.Background(), &duckdb.Error{Type: duckdb.ErrorTypeFatal, Msg: "FATAL Error: Failed: the value ann@example.com is in the way"})
	if !errors.Is(err, ErrBroken) || strings.Contains(err.Error(), "ann") {
		t.Errorf("it says %v", err)
	}
	if err := scrub(context.Background(), &duckdb.Error{Type: duckdb.ErrorTypeInternal, Msg: "INTERNAL Error: ann@example.com"}); errors.Is(err, ErrBroken) || strings.Contains(err.Error(), "ann") {
		t.Errorf("it says %v", err)
	}
	d, err := Open(t.Context(), Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Alive(t.Context()); err != nil {
		t.Errorf("a warehouse that works: %v", err)
	}
}

// TestSpoiltConnection: a connection that is stuck in a transaction that failed is
// not given to whoever comes next.
func TestSpoiltConnection(t *testing.T) {
	d, err := Open(t.Context(), Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.sql.SetMaxOpenConns(1)
	stuck := func(after func(*sql.Conn)) error {
		return d.onOwnConnection(t.Context(), func(conn *sql.Conn) error {
			if _, err := conn.ExecContext(t.Context(), "BEGIN"); err != nil {
				return err
			}
			if _, err := conn.ExecContext(t.Context(), "SELECT error('on purpose')"); err == nil {
				t.Error("the statement did not fail")
			}
			after(conn)
			return nil
		})
	}
	if err := stuck(spoil); err != nil {
		t.Fatal(err)
	}
	if err := d.Alive(t.Context()); err != nil {
		t.Errorf("after a spoilt connection: %v", err)
	}
	if err := stuck(func(*sql.Conn) {}); err != nil {
		t.Fatal(err)
	}
	if err := d.Alive(t.Context()); err == nil {
		t.Error("a connection that is stuck answers: this test proves nothing")
	}
}
