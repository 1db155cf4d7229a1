package duckdb

import (
	"context"
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
