package storetest

import (
	"fmt"
	"testing"

	"usher/internal/activation"
	"usher/internal/store"
)

// BenchRuns measures Sync Tracking over many finished runs. fill puts n runs
// like one finished run into the database, the fastest way it has, and then gives
// them to others with the statement spread.
func BenchRuns(b *testing.B, env Env, n int, fill func(like activation.Run, n int, spread string)) {
	w := newWorld(b, env)
	_, targets := w.job("vips", nil, w.audience("vips"))
	w.failedRun(targets[0].ID, activation.WaitUntil)
	runs, err := w.Runs(b.Context(), store.RunFilter{})
	w.ok(err)
	fill(runs[0], n, w.spread())
	benchFilters(b, w, n)
	for _, c := range []struct {
		name string
		f    store.RunFilter
	}{
		{"newest", store.RunFilter{}},
		{"deep page", store.RunFilter{Before: int64(n / 2)}},
		{"failed", store.RunFilter{Status: []activation.RunStatus{activation.RunFailed}}},
		{"none match", store.RunFilter{Status: []activation.RunStatus{activation.RunPending}}},
		{"rare sync type", store.RunFilter{SyncType: []activation.SyncType{activation.SyncPIIUpdate}}},
		{"destination and status", store.RunFilter{Destination: w.dest.ID, Status: []activation.RunStatus{activation.RunCompleted}}},
		{"provider", store.RunFilter{Providers: []string{"meta"}}},
		{"triggered by nobody", store.RunFilter{TriggeredBy: "nobody"}},
		{"an hour", store.RunFilter{Since: runs[0].StartedAt.Add(-1), Until: runs[0].StartedAt.Add(3600e9)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				_, err := w.Runs(b.Context(), c.f)
				w.ok(err)
			}
		})
	}
	b.Run("counts", func(b *testing.B) {
		for b.Loop() {
			counts, err := w.RunCounts(b.Context(), store.RunFilter{})
			w.ok(err)
			if counts[activation.RunCompleted] == 0 {
				b.Fatal(fmt.Sprint(counts))
			}
		}
	})
	b.Run("due and open", func(b *testing.B) {
		for b.Loop() {
			_, err := w.DueTargets(b.Context(), 100)
			w.ok(err)
			_, err = w.OpenRuns(b.Context(), 100)
			w.ok(err)
		}
	})
	b.Run("claim and receipt", func(b *testing.B) {
		w.clock.Add(2e12)
		r, _ := w.queued(targets[0].ID, 1)
		items := tenEach(b.N + 100_000)
		w.ok(w.QueueItems(b.Context(), r, items))
		items, err := w.Items(b.Context(), r.ID)
		w.ok(err)
		i := 0
		for b.Loop() {
			it, err := w.ClaimItem(b.Context(), r, items[i].ID)
			w.ok(err)
			w.ok(w.SaveReceipt(b.Context(), r, it, activation.ItemDelivered, activation.Receipt{Accepted: 10}, "", ""))
			i++
		}
	})
}
