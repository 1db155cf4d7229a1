package duckdb

import (
	"os"
	"testing"
)

// BenchmarkCompact rewrites a file of people, a quarter of whom were loaded twice.
func BenchmarkCompact(b *testing.B) {
	people := benchSize(b, "USHER_BENCH_SIZE", 1_000_000)
	d := benchOpen(b)
	benchMerge(b, d, benchSpool(b, "people", 0, 1, people))
	benchMerge(b, d, benchSpool(b, "again", 0, 4, people/4))
	before := fileSize(b, d)
	start := processorTime(b)
	for b.Loop() {
		if err := d.Compact(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	reportRate(b, people, start)
	b.ReportMetric(before, "MB-before")
	b.ReportMetric(fileSize(b, d), "MB-after")
}

func fileSize(b *testing.B, d *DB) float64 {
	b.Helper()
	info, err := os.Stat(d.file.path)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
