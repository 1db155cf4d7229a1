package duckdb

import (
	"testing"

	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestAudiences(t *testing.T) {
	warehousetest.Audiences(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}
