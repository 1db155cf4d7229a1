package duckdb

import (
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestGiven(t *testing.T) {
	warehousetest.Given(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}
