package duckdb

import (
	"database/sql"
	"path/filepath"
	"testing"

	"usher/internal/warehouse/warehousetest"
)

func TestMappings(t *testing.T) {
	warehousetest.Mappings(t, func() (warehousetest.MappingStore, error) {
		return Open(t.Context(), Config{Threads: 2})
	})
}

// TestPhoneOnEveryConnection asks many connections at once, before and after the
// file is opened anew.
func TestPhoneOnEveryConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	for range 2 {
		d, err := Open(t.Context(), Config{Path: path, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		var open []*sql.Conn
		for range 4 {
			conn, err := d.sql.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, conn) // each is another one
			var number, none any
			if err := conn.QueryRowContext(t.Context(), `SELECT usher_phone('(415) 555-2671', 'US'), usher_phone(NULL, 'US')`).Scan(&number, &none); err != nil || number != "+14155552671" || none != nil {
				t.Fatalf("the number is %v, %v: %v", number, none, err)
			}
		}
		for _, conn := range open {
			conn.Close()
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
