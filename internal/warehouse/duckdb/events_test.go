package duckdb

import (
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestEvents(t *testing.T) {
	warehousetest.Events(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}
