package duckdb

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/warehouse"
	"usher/internal/warehouse/warehousetest"
)

func TestDrifts(t *testing.T) {
	warehousetest.Drifts(t, func() (warehouse.Warehouse, error) { return Open(t.Context(), Config{Threads: 2}) })
}

// BenchmarkCompare compares a ledger of 1,000,000 people, or USHER_BENCH_SIZE,
// with a network that lists them all but one in a hundred, and as many others instead.
func BenchmarkCompare(b *testing.B) {
	people := benchPeople(b) * 2
	w := benchWorld(b, people)
	plan := benchStage(b, w, "first")
	if _, err := w.d.Fold(context.Background(), []warehouse.FoldItem{{
		Item: "item", Attempt: 1, Run: "first", Target: worldTarget, Generation: 1, Op: activation.OpAdd, First: 1, Last: plan.Counts.Staged, Outcome: activation.Accepted, At: w.now,
	}}); err != nil {
		b.Fatal(err)
	}
	members := people / 2
	set := worldKeys(b)
	read := func(_ context.Context, yield func([][]byte) error) error {
		values := make([][]byte, len(set.Keys))
		for i := range members {
			pid := (i + 1) * 2
			email := fmt.Sprintf("person%d@example.com", pid)
			if i%100 == 0 {
				email = "other" + email
			}
			sum := sha256.Sum256([]byte(email))
			values[0] = sum[:]
			if err := yield(values); err != nil {
				return err
			}
		}
		return nil
	}
	for b.Loop() {
		began := time.Now()
		drift, err := w.d.Compare(context.Background(), warehouse.CompareRequest{Target: worldTarget, Generation: 1, Keys: set, Read: read})
		if want := (warehouse.Drift{Ledger: members, Remote: members, Missing: (members + 99) / 100, Extra: (members + 99) / 100}); err != nil || drift != want {
			b.Fatalf("%+v (%v), want %+v", drift, err, want)
		}
		b.ReportMetric(float64(members)/time.Since(began).Seconds(), "members/s")
		b.ReportMetric(peakMB(b), "peak-MB")
	}
}
