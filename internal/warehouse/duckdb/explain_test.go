package duckdb

import (
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestExplains(t *testing.T) {
	warehousetest.Explains(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}
