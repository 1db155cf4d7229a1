package duckdb

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkBesideCheckpoint merges batches of 2,000 messages about people who are
// there while the log is brought into the file: by a save, by a vacuum, and as a
// commit did it before both. It tells how long the longest batch took, and how long
// one takes otherwise on the same machine at the same hour.
func BenchmarkBesideCheckpoint(b *testing.B) {
	people := benchSize(b, "USHER_BENCH_SIZE", 1_000_000)
	d, n := benchOpen(b), 0
	d.saveAt = 1 << 62 // by nobody else
	benchMerge(b, d, benchSpool(b, "people", 0, 1, people))
	if err := d.save(b.Context()); err != nil {
		b.Fatal(err)
	}
	batch := func(b *testing.B) time.Duration {
		n++
		l := benchSpool(b, fmt.Sprintf("batch-%d", n), int64(n), people/2000, 2000)
		l.Urgent = true
		began := time.Now()
		benchMerge(b, d, l)
		return time.Since(began)
	}
	for _, c := range []struct {
		name       string
		checkpoint func(context.Context) error
	}{
		{"save", d.save}, {"vacuum", d.vacuumOnce}, {"as-before", func(ctx context.Context) error {
			if _, err := d.sql.ExecContext(ctx, `SET GLOBAL max_vacuum_tasks = 100`); err != nil {
				return err
			}
			return d.checkpoint(ctx)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				var alone, longest time.Duration
				const before = 40
				for range before {
					alone += batch(b)
				}
				ended, began, spent := make(chan error, 1), time.Now(), processorTime(b)
				go func() { ended <- c.checkpoint(b.Context()) }()
				var err error
				for going := true; going; {
					longest = max(longest, batch(b))
					select {
					case err = <-ended:
						going = false
					default:
					}
				}
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric((alone / before).Seconds(), "s-batch-alone")
				b.ReportMetric(longest.Seconds(), "s-batch-longest")
				b.ReportMetric(time.Since(began).Seconds(), "s-checkpoint")
				b.ReportMetric((processorTime(b) - spent).Seconds(), "cpu-s-meanwhile")
			}
		})
	}
}
