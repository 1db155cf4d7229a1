package duckdb

import (
	"bytes"
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestForgets(t *testing.T) {
	warehousetest.Forgets(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}

// TestDigestsAreHMAC: what SQL makes is what the standard library makes.
func TestDigestsAreHMAC(t *testing.T) {
	d, err := Open(t.Context(), Config{SuppressionKey: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, v := range []string{"ann@x.org", "", "Grün", "7"} {
		var digest []byte
		if err := d.sql.QueryRowContext(t.Context(), `SELECT `+d.suppression.digest(keySQL("email", literal(v))), d.suppression.args()...).Scan(&digest); err != nil {
			t.Fatal(err)
		}
		if want := d.suppression.of("email", v); !bytes.Equal(digest, want) {
			t.Errorf("the digest of %q is %x, want %x", v, digest, want)
		}
	}
}
