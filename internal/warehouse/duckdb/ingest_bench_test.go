package duckdb

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"usher/internal/warehouse"
)

// The benchmarks' sizes may be set: USHER_BENCH_SIZE (rows of a bulk load, people
// there before a micro-batch; default 1,000,000) and USHER_BENCH_MEMORY (bytes,
// default that of Open).

func benchSize(b *testing.B, name string, otherwise int64) int64 {
	b.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return n
}

var benchColumns = []string{"customer", "email", "phone", "first_name", "last_name", "country", "postal_code", "spend", "orders", "birth_date"}

func benchSchema() warehouse.Schema {
	s := warehouse.Schema{Streams: []warehouse.Stream{{Name: "customers"}, {Name: "narrow"}}}
	kinds := map[string]warehouse.FieldType{"spend": warehouse.Number, "orders": warehouse.Integer, "birth_date": warehouse.Time}
	for _, c := range benchColumns {
		f := warehouse.Field{Name: c, Type: warehouse.Text, Merge: warehouse.Latest, PII: c == "email" || c == "phone"}
		if t, ok := kinds[c]; ok {
			f.Type = t
		}
		if c == "customer" {
			f.Rank = 1
		}
		s.Fields = append(s.Fields, f)
		s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: "customers", Field: c, Expression: c})
	}
	return s
}

// benchSpool writes a load of rows about customers from first on, step apart.
func benchSpool(b *testing.B, id string, first, step, rows int64) warehouse.Load {
	b.Helper()
	path := filepath.Join(b.TempDir(), id+".csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(1, uint64(first)))
	for i := range rows {
		n := first + i*step
		fmt.Fprintf(w, "%d,%d,%d,person%d@example.org,+4917%08d,First%d,Last%d,DE,%05d,%d.%02d,%d,19%02d-%02d-%02d\n",
			i+1, 1_700_000_000_000_000+i, n, n, n%100_000_000, r.IntN(5000), r.IntN(50_000), r.IntN(99_999), r.IntN(5000), r.IntN(100), r.IntN(50),
			50+r.IntN(50), 1+r.IntN(12), 1+r.IntN(28))
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return warehouse.Load{ID: id, Stream: "customers", Path: path, Columns: benchColumns, Rows: rows, ReceivedAt: time.UnixMicro(1_700_000_000_000_000)}
}

func benchOpen(b *testing.B) *DB {
	b.Helper()
	d, err := Open(b.Context(), Config{Path: filepath.Join(b.TempDir(), "bench.duckdb"), MemoryLimitBytes: benchSize(b, "USHER_BENCH_MEMORY", 0)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := d.Apply(b.Context(), benchSchema()); err != nil {
		b.Fatal(err)
	}
	return d
}

// reportRate reports rows a second, and the processor time of each operation:
// the first depends on what else the machine does, the second hardly.
func reportRate(b *testing.B, rows int64, before time.Duration) {
	b.Helper()
	if rows > 0 {
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchMerge(b *testing.B, d *DB, l warehouse.Load) {
	b.Helper()
	result, err := d.Merge(b.Context(), l, nil)
	if err != nil {
		b.Fatal(err)
	}
	if result.Rows != l.Rows {
		b.Fatalf("merged %d of %d rows", result.Rows, l.Rows)
	}
}

// BenchmarkMergeRaw is a load that no mapping reads.
func BenchmarkMergeRaw(b *testing.B) {
	rows := benchSize(b, "USHER_BENCH_SIZE", 1_000_000)
	d, n := benchOpen(b), 0
	l := benchNarrow(b, rows)
	start := processorTime(b)
	for b.Loop() {
		n++
		l.ID = fmt.Sprintf("narrow-%d-%d", b.N, n)
		benchMerge(b, d, l)
	}
	reportRate(b, rows, start)
}

// benchNarrow writes rows of three columns.
func benchNarrow(b *testing.B, rows int64) warehouse.Load {
	b.Helper()
	path := filepath.Join(b.TempDir(), "narrow.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range rows {
		fmt.Fprintf(w, "%d,%d,%d,page%d,%d\n", i+1, 1_700_000_000_000_000+i, i, i%1000, i%7)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return warehouse.Load{ID: "narrow", Stream: "narrow", Path: path, Columns: []string{"id", "page", "kind"}, Rows: rows, ReceivedAt: time.UnixMicro(0)}
}

// BenchmarkMergeNew is a load of people none of whom was there before.
func BenchmarkMergeNew(b *testing.B) {
	rows := benchSize(b, "USHER_BENCH_SIZE", 1_000_000)
	l := benchSpool(b, "new", 0, 1, rows)
	start := processorTime(b)
	for b.Loop() {
		benchMerge(b, benchOpen(b), l)
	}
	reportRate(b, rows, start)
}

// BenchmarkMicroBatch is a small load about people who are there.
func BenchmarkMicroBatch(b *testing.B) {
	people := benchSize(b, "USHER_BENCH_SIZE", 1_000_000)
	d := benchOpen(b)
	benchMerge(b, d, benchSpool(b, "people", 0, 1, people))
	for _, rows := range []int64{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			n := 0
			l := benchSpool(b, "batch", 1, people/rows, rows)
			start := processorTime(b)
			for b.Loop() {
				n++
				l.ID = fmt.Sprintf("batch-%d-%d-%d", rows, b.N, n)
				benchMerge(b, d, l)
			}
			reportRate(b, rows, start)
		})
	}
}

// BenchmarkRebuild derives everybody anew.
func BenchmarkRebuild(b *testing.B) {
	people := benchSize(b, "USHER_BENCH_SIZE", 1_000_000)
	d := benchOpen(b)
	benchMerge(b, d, benchSpool(b, "people", 0, 1, people))
	start := processorTime(b)
	for b.Loop() {
		if _, err := d.Rebuild(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
	reportRate(b, people, start)
}
