package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/server/servertest"
)

// rows is an endless CSV cut after size bytes, at the end of a row. It holds
// one row.
type rows struct {
	left int64
	n    int
	row  []byte
}

// Read reads rows.
func (r *rows) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.row) == 0 {
			if r.left <= 0 {
				return n, io.EOF
			}
			r.n++
			r.row = fmt.Appendf(r.row[:0], "%d,person-%d@example.com,%d\n", r.n, r.n, r.n%100)
			r.left -= int64(len(r.row))
		}
		k := copy(p[n:], r.row)
		r.row = r.row[k:]
		n += k
	}
	return n, nil
}

// BenchmarkCollect sends 200 MB in one request that is made on the fly, and
// fails when client and server together hold more than 64 MiB of heap at any
// time. It is a dry run, so that it measures taking in and not merging.
func BenchmarkCollect(b *testing.B) {
	const size, most = 200_000_000, 64 << 20
	s := servertest.Start(b)
	b.SetBytes(size)
	b.ReportAllocs()
	peak := watchHeap(b)
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL+"/collect/bulk/people?dryrun&headers=id,email,score", &rows{left: size})
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", s.Tokens[activation.RoleOperator])
		req.Header.Set("Content-Type", "text/csv")
		a, _ := do(b, req)
		checkAnswer(b, s, a, http.StatusOK)
	}
	top := peak()
	b.ReportMetric(float64(top)/(1<<20), "MiB-heap")
	if top > most {
		b.Errorf("%d MiB of heap, want at most %d", top>>20, most>>20)
	}
}

// watchHeap samples the heap in use until the function it returns is called,
// which returns the most it saw.
func watchHeap(b *testing.B) func() uint64 {
	ctx, stop := context.WithCancel(b.Context())
	top := make(chan uint64, 1)
	go func() {
		var most uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-ctx.Done():
				top <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() uint64 { stop(); return <-top }
}
