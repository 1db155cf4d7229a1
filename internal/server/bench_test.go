package server_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
	"usher/internal/provider"
	"usher/internal/provider/meta"
	"usher/internal/server"
)

// nullNetwork accepts everything at once: what is measured is us.
type nullNetwork struct{ items, rows atomic.Int64 }

func (n *nullNetwork) Check(context.Context) error { return nil }

func (n *nullNetwork) EnsureAudience(context.Context, provider.Audience) (provider.RemoteID, error) {
	return "1", nil
}

func (n *nullNetwork) Deliver(_ context.Context, b provider.Batch) (activation.Receipt, error) {
	n.items.Add(1)
	n.rows.Add(int64(b.Rows()))
	return activation.Receipt{Accepted: int64(b.Rows())}, nil
}

func (n *nullNetwork) Poll(context.Context, string, int64) (activation.Receipt, error) {
	return activation.Receipt{}, nil
}

// definition is Meta's, with its rules, but nobody at the other end.
func (n *nullNetwork) definition() provider.Definition {
	d := meta.Definition()
	d.NewDestination = func(provider.Deps) (provider.Destination, error) { return n, nil }
	return d
}

// BenchmarkSync imports USHER_BENCH_SIZE people (default 100,000) by HTTP,
// sends half of them to a null network, changes 1 % and sends again. It
// reports rows/s and seconds of each step and the peak memory of the process.
func BenchmarkSync(b *testing.B) {
	size := 100_000
	if s := os.Getenv("USHER_BENCH_SIZE"); s != "" {
		var err error
		if size, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		benchSync(b, size, 0)
	}
}

// BenchmarkItems sends 100,000 people in queue items of 100: what an item costs.
func BenchmarkItems(b *testing.B) {
	for b.Loop() {
		benchSync(b, 200_000, 100)
	}
}

func benchSync(b *testing.B, size, batch int) {
	null := &nullNetwork{}
	cfg := config.Default()
	cfg.Data, cfg.GuardPercent, cfg.MaxBatch = b.TempDir(), 100, batch
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	begin := time.Now()
	s, err := server.New(ctx, cfg, slog.New(slog.DiscardHandler), server.Options{Listener: ln, Providers: []provider.Definition{null.definition()}})
	if err != nil {
		stop()
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	n := &near{Client: &client.Client{URL: s.URL(), Token: token(b, cfg.Data)}, t: b, dir: cfg.Data}
	n.must(http.MethodGet, "/readyz", nil, nil)
	b.ReportMetric(time.Since(begin).Seconds(), "s-start-up")
	defer func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	job := n.declare(&far{addr: "127.0.0.1:1"})

	load := func(name string, from, to, score int) {
		begin := time.Now()
		id := n.send(people(from, to, score))
		accepted := time.Since(begin)
		n.awaitLoad(id)
		b.ReportMetric(float64(to-from)/accepted.Seconds(), "rows/s-accepted-"+name)
		b.ReportMetric(float64(to-from)/time.Since(begin).Seconds(), "rows/s-in-profiles-"+name)
	}
	var last activation.Run
	sync := func(name string) {
		n.eventually(name, 10*time.Minute, func() (bool, string) {
			rs := n.runs()
			for _, r := range rs {
				if r.Number > last.Number && r.Status == activation.RunCompleted && r.Counts.Staged > 0 {
					last = r.Run
					return true, ""
				}
			}
			if len(rs) == 0 || rs[0].Status.Final() {
				ask2(n, job)
			}
			if len(rs) == 0 {
				return false, "no run"
			}
			return false, fmt.Sprintf("run #%d is %s: %+v", rs[0].Number, rs[0].Status, rs[0].Counts)
		})
		took := last.EndedAt.Sub(last.StartedAt).Seconds()
		b.ReportMetric(took, "s-"+name)
		b.ReportMetric(float64(null.items.Load())/took, "items/s-"+name)
		b.ReportMetric(float64(last.Counts.Staged), "rows-"+name)
		null.items.Store(0)
	}
	n.must(http.MethodPost, "/v2/job/"+string(job)+"/pause", nil, nil)
	load("first", 0, size, -1)
	n.must(http.MethodPost, "/v2/job/"+string(job)+"/resume", nil, nil)
	sync("first")
	n.must(http.MethodPost, "/v2/job/"+string(job)+"/pause", nil, nil)
	load("change", 0, size/100, 99) // the first per cent: half of them come in
	n.must(http.MethodPost, "/v2/job/"+string(job)+"/resume", nil, nil)
	sync("second")
	b.ReportMetric(peakMiB(), "MiB-peak")
}

// people writes CSV of people from … to; odd ones are members, or all with score.
func people(from, to, score int) *strings.Reader {
	var sb strings.Builder
	sb.Grow((to - from) * 40)
	sb.WriteString("id,email,score\n")
	for i := from; i < to; i++ {
		sc := i % 2 * 90
		if score >= 0 {
			sc = score
		}
		sb.WriteString(strconv.Itoa(i))
		sb.WriteString(",person")
		sb.WriteString(strconv.Itoa(i))
		sb.WriteString("@example.com,")
		sb.WriteString(strconv.Itoa(sc))
		sb.WriteByte('\n')
	}
	return strings.NewReader(sb.String())
}

func (n *near) send(body *strings.Reader) string {
	n.t.Helper()
	var sum struct {
		ID string `json:"load_id"`
	}
	if err := n.Upload(n.t.Context(), "/collect/bulk/people", "text/csv", body, &sum); err != nil {
		n.t.Fatalf("upload: %v", err)
	}
	return sum.ID
}

// peakMiB is the most memory this process ever held.
func peakMiB() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kb, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")))
			return float64(n) / 1024
		}
	}
	return 0
}
