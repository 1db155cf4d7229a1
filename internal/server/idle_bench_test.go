package server

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/config"
	"usher/internal/store/sqlite"
)

// BenchmarkIdle is what a server costs that has 10,000 sleeping jobs and nothing
// to do: the share of one core, over half a minute after a settling time.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		benchIdle(b, 100, 100, 30*time.Second)
	}
}

func benchIdle(b *testing.B, audiences, destinations int, d time.Duration) {
	b.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen = b.TempDir(), "127.0.0.1:0"
	sleepers(b, cfg.Data, audiences, destinations)
	ctx, stop := context.WithCancel(b.Context())
	s, err := New(ctx, cfg, slog.New(slog.DiscardHandler), Options{})
	if err != nil {
		stop()
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	time.Sleep(20 * time.Second)
	before := cpuTime(b)
	time.Sleep(d)
	used := cpuTime(b) - before
	b.ReportMetric(100*used.Seconds()/d.Seconds(), "%-of-a-core")
	stop()
	if err := <-done; err != nil {
		b.Error(err)
	}
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}

// sleepers declares jobs that are next due in twelve hours.
func sleepers(b *testing.B, dir string, audiences, destinations int) {
	b.Helper()
	ctx := b.Context()
	st, err := sqlite.Open(ctx, filepath.Join(dir, "control.sqlite"), sqlite.Options{})
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(err)
	at := time.Now().UTC().Add(12 * time.Hour).Format("15:04")
	auth, err := st.CreateAuthorization(ctx, activation.Authorization{Label: "a", Provider: "meta", KeyID: "k", Sealed: []byte("s")}, "ann")
	must(err)
	must(st.MarkHealthy(ctx, auth.ID))
	var ids []activation.AudienceID
	for i := range audiences {
		a, err := st.CreateAudience(ctx, activation.Audience{Slug: fmt.Sprint("people-", i), Name: fmt.Sprint("People ", i), Rule: "FILTER *"}, "ann")
		must(err)
		ids = append(ids, a.ID)
	}
	for i := range destinations {
		dest, err := st.CreateDestination(ctx, activation.Destination{
			Name: fmt.Sprint("Ads ", i), Provider: "meta", Authorization: auth.ID, Account: fmt.Sprint(i), Mapping: map[string]string{"EMAIL": "email"}, Enabled: true,
		}, "ann")
		must(err)
		for n, id := range ids {
			_, err := st.CreateJob(ctx, activation.Job{
				Name: fmt.Sprint("job ", i, " ", n), Workflow: "meta_custom_audience", Provider: "meta", Type: "export", Destination: dest.ID, Audiences: []activation.AudienceID{id},
				Schedule: activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: at}, CreatedBy: "ann",
			})
			must(err)
		}
	}
	must(st.Close())
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
