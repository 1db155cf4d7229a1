package duckdb

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"usher/internal/warehouse"
)

// benchLinked is benchOpen with customers, e-mails and phones that find people.
func benchLinked(b *testing.B) *DB {
	b.Helper()
	d := benchOpen(b)
	s := benchSchema()
	for i, f := range s.Fields {
		switch f.Name {
		case "email":
			s.Fields[i].Rank = 2
		case "phone":
			s.Fields[i].Rank = 3
		}
	}
	if _, err := d.Apply(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkMergeLinked is BenchmarkMergeNew with three identifiers a message: a
// load of new people, and the same people again.
func BenchmarkMergeLinked(b *testing.B) {
	rows := benchSize(b, "USHER_BENCH_SIZE", 1_000_000)
	l := benchSpool(b, "linked", 0, 1, rows)
	start := processorTime(b)
	for b.Loop() {
		d := benchLinked(b)
		for n := range 2 {
			l.ID = fmt.Sprint("linked-", n)
			benchMerge(b, d, l)
		}
	}
	reportRate(b, 2*rows, start)
}

// BenchmarkMergeShared is a load of people who all have one e-mail, in slices;
// then a small load of theirs, and a rebuild.
func BenchmarkMergeShared(b *testing.B) {
	people := benchSize(b, "USHER_BENCH_SIZE", 200_000)
	var d *DB
	n := 0
	load := func(b *testing.B, first, rows int64) warehouse.Load {
		n++
		return benchSharedSpool(b, fmt.Sprint("shared-", n), first, rows)
	}
	all := load(b, 0, people)
	b.Run("first", func(sub *testing.B) {
		start := processorTime(sub)
		for sub.Loop() {
			d = benchLinked(b) // which the others go on with
			benchMerge(sub, d, all)
		}
		reportRate(sub, people, start)
	})
	b.Run("again", func(b *testing.B) {
		l := load(b, people/2, 1000)
		start := processorTime(b)
		for b.Loop() {
			n++
			l.ID = fmt.Sprint("again-", n)
			benchMerge(b, d, l)
		}
		reportRate(b, 1000, start)
	})
	b.Run("rebuild", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.Rebuild(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchSharedSpool writes a load of customers with one e-mail between them.
func benchSharedSpool(b *testing.B, id string, first, rows int64) warehouse.Load {
	b.Helper()
	path := filepath.Join(b.TempDir(), id+".csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range rows {
		fmt.Fprintf(w, "%d,%d,%d,info@example.org,+4917%08d,First,Last,DE,10115,1,1,1980-01-01\n", i+1, 1_700_000_000_000_000+i, first+i, first+i)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return warehouse.Load{ID: id, Stream: "customers", Path: path, Columns: benchColumns, Rows: rows, ReceivedAt: time.UnixMicro(1_700_000_000_000_000)}
}
