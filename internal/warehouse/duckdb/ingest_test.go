package duckdb

import (
	"testing"

	"usher/internal/warehouse/warehousetest"
)

func TestIngest(t *testing.T) {
	warehousetest.Ingest(t, func(sliceRows int) (warehousetest.IngestStore, error) {
		return Open(t.Context(), Config{MaxSliceLines: int64(sliceRows), Threads: 2})
	})
}

func TestRebuild(t *testing.T) {
	warehousetest.Rebuild(t, func(sliceRows int) (warehousetest.IngestStore, error) {
		return Open(t.Context(), Config{MaxSliceLines: int64(sliceRows), Threads: 2})
	})
}
