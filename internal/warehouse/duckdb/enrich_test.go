package duckdb

import (
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestEnrichments(t *testing.T) {
	warehousetest.Enrichments(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}
