package ingest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/warehouse"
	"usher/internal/warehouse/duckdb"
	"usher/internal/warehouse/inbox"
)

// liveSeconds is how long BenchmarkRealTime sends.
const liveSeconds = 20

// liveBench notes how long messages take from the answer to the profile. They are
// merged in the order in which they are accepted, so a merge of n rows is that of
// the first n that wait.
type liveBench struct {
	plant
	mu      sync.Mutex
	waiting []time.Time
	early   int // merged before their sender knew that they were accepted
	took    []time.Duration
	bulk    atomic.Int64 // rows of uploads that were merged
}

// Merge counts the rows of uploads slice by slice: one may outlast the messages.
func (b *liveBench) Merge(ctx context.Context, l warehouse.Load, progress func(int64)) (warehouse.LoadResult, error) {
	if l.Urgent {
		return b.db.Merge(ctx, l, progress)
	}
	var before int64
	return b.db.Merge(ctx, l, func(rows int64) {
		b.bulk.Add(rows - before)
		before = rows
		progress(rows)
	})
}

func (b *liveBench) accepted() {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.early > 0 {
		b.early--
		b.took = append(b.took, 0)
		return
	}
	b.waiting = append(b.waiting, now)
}

func (b *liveBench) merged(_ context.Context, l warehouse.Load, _ warehouse.LoadResult) {
	if !l.Urgent {
		return
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(int(l.Rows), len(b.waiting))
	for _, at := range b.waiting[:n] {
		b.took = append(b.took, now.Sub(at))
	}
	b.early += int(l.Rows) - n
	b.waiting = slices.Delete(b.waiting, 0, n)
}

// BenchmarkRealTime sends USHER_BENCH_RATE messages a second (default 5,000) about
// USHER_BENCH_SIZE people (default 1,000,000), each in a request of its own, alone and beside an upload of
// 1,000,000 rows about the same people, and again where that ends. It reports how
// long it takes until a message is in the profile, and what 1,000 messages, with
// the upload's rows beside them, cost the processor: that hardly depends on what
// else the machine does.
func BenchmarkRealTime(b *testing.B) {
	size, perSecond := benchSetting(b, "USHER_BENCH_SIZE", 1_000_000), benchSetting(b, "USHER_BENCH_RATE", 5000)
	p := newLiveBench(b)
	p.upload(b, size)
	for _, beside := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "beside-upload"}[beside], func(b *testing.B) {
			for b.Loop() {
				p.run(b, size, perSecond, beside)
			}
		})
	}
}

func benchSetting(b *testing.B, name string, otherwise int) int {
	b.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return n
}

func newLiveBench(b *testing.B) *liveBench {
	b.Helper()
	dir, p := b.TempDir(), &liveBench{}
	db, err := duckdb.Open(b.Context(), duckdb.Config{Path: filepath.Join(dir, "data.duckdb")})
	if err != nil {
		b.Fatal(err)
	}
	in, err := inbox.Open(b.Context(), inbox.Config{Dir: filepath.Join(dir, "inbox")})
	if err != nil {
		b.Fatal(err)
	}
	p.db, p.merger = db, ingest.NewMerger(ingest.MergerConfig{Inbox: in, Warehouse: p, OnMerged: p.merged})
	p.Collector = ingest.NewCollector(ingest.CollectorConfig{Inbox: in, Schema: db})
	s := warehouse.Schema{Streams: []warehouse.Stream{{Name: "people"}, {Name: "events"}}}
	for i, c := range []string{"customer", "email", "phone", "first_name", "last_name", "country", "postal_code", "spend", "events", "last_page"} {
		f := warehouse.Field{Name: c, Type: warehouse.Text, Merge: warehouse.Latest, PII: i == 1 || i == 2}
		stream := "people"
		switch c {
		case "customer":
			f.Rank = 1
			s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: "events", Field: c, Expression: c})
		case "events":
			f.Type, f.Merge, stream = warehouse.Integer, warehouse.Count, "events"
		case "last_page":
			stream = "events"
		}
		s.Fields = append(s.Fields, f)
		s.Mappings = append(s.Mappings, warehouse.Mapping{Stream: stream, Field: c, Expression: c})
	}
	if _, err := db.Apply(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	if err := db.SetAudiences(b.Context(), []warehouse.Rule{{ID: activation.AudienceID(activation.NewID[string]()), Slug: "busy", Text: "FILTER events > 3", Version: 1}}, time.Now()); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.merger.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		_, _ = in.Close(), db.Close()
	})
	return p
}

// peopleRows is a CSV of people, made as it is read.
func peopleRows(first, n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		var text strings.Builder
		for i := first; i < first+n; i++ {
			fmt.Fprintf(&text, "%[1]d,person%[1]d@example.org,+4917%08[1]d,First%[1]d,Last%[1]d,DE,%05[2]d,%[2]d.50\n", i, i%100_000)
			if text.Len() > 64<<10 || i == first+n-1 {
				if _, err := io.WriteString(w, text.String()); err != nil {
					return
				}
				text.Reset()
			}
		}
		_ = w.Close()
	}()
	return r
}

func (b *liveBench) upload(t testing.TB, n int) {
	t.Helper()
	for first := 0; first < n; first += 1_000_000 {
		s, err := b.Bulk(t.Context(), ingest.Request{
			Stream: "people", ContentType: "text/csv", Body: peopleRows(first, min(n-first, 1_000_000)),
			Headers: "customer,email,phone,first_name,last_name,country,postal_code,spend",
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.merger.Wait(t.Context(), s.LoadID); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *liveBench) run(t *testing.B, size, perSecond int, beside bool) {
	ctx, stop := context.WithCancel(t.Context())
	var uploads, senders sync.WaitGroup
	defer uploads.Wait()
	defer stop()
	bulk, began, spent := b.bulk.Load(), time.Now(), processorTime(t)
	if beside {
		uploads.Go(func() {
			for ctx.Err() == nil {
				s, err := b.Bulk(ctx, ingest.Request{
					Stream: "people", ContentType: "text/csv", Body: peopleRows(0, 1_000_000), Headers: "customer,email,phone,first_name,last_name,country,postal_code,spend",
				})
				if err == nil {
					_, err = b.merger.Wait(ctx, s.LoadID)
				}
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	b.mu.Lock()
	b.took = nil
	b.mu.Unlock()
	next := make(chan int, perSecond)
	for range 64 {
		senders.Go(func() {
			for n := range next {
				text := fmt.Sprintf(`{"customer":"%d","events":1,"last_page":"/p/%d"}`, n*7919%size, n%1000)
				if _, err := b.JSON(ctx, ingest.Request{Stream: "events", Body: strings.NewReader(text), ContentType: "application/json"}); err != nil {
					t.Error(err)
					return
				}
				b.accepted()
			}
		})
	}
	tick, sent := time.NewTicker(10*time.Millisecond), 0
	for at := range tick.C {
		due := int(min(at.Sub(began).Seconds(), liveSeconds) * float64(perSecond))
		for ; sent < due; sent++ {
			next <- sent
		}
		if sent >= perSecond*liveSeconds {
			break
		}
	}
	tick.Stop()
	close(next)
	senders.Wait()
	rate, uploaded := float64(sent)/time.Since(began).Seconds(), float64(b.bulk.Load()-bulk)/time.Since(began).Seconds()
	for rows, _ := b.merger.Waiting(); rows > 0; rows, _ = b.merger.Waiting() {
		time.Sleep(10 * time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.took) != sent {
		t.Errorf("%d of %d messages were seen to be merged", len(b.took), sent)
	}
	slices.Sort(b.took)
	t.ReportMetric(rate, "msgs/s")
	t.ReportMetric((processorTime(t)-spent).Seconds()*1000/float64(sent), "cpu-s/1000-msgs")
	t.ReportMetric(b.took[len(b.took)/2].Seconds(), "s-p50")
	t.ReportMetric(b.took[len(b.took)*99/100].Seconds(), "s-p99")
	t.ReportMetric(b.took[len(b.took)-1].Seconds(), "s-max")
	if beside {
		t.ReportMetric(uploaded, "upload-rows/s")
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
