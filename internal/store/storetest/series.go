package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// recorded writes what a series of one name has: "time=value".
func (w *world) recorded(kind, subject, name string, from, until time.Time, width time.Duration) string {
	w.t.Helper()
	all, err := w.Series(w.t.Context(), kind, subject, from, until, width)
	w.ok(err)
	var out []string
	for _, p := range all[name] {
		out = append(out, fmt.Sprintf("%s=%d", p.At.Sub(w.clock.Now().Truncate(day)), p.Value))
	}
	return strings.Join(out, " ")
}

// seriesOf: counters sum up and gauges keep their last value, in every width;
// fine buckets go when they are old, days stay.
func seriesOf(w *world) {
	ctx := w.t.Context()
	seed := rand.Uint64()
	w.t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	widths := []time.Duration{time.Minute, time.Hour, day}
	sum, last := map[string]int64{}, map[string]map[time.Time]int64{}
	for range 60 {
		w.clock.Add(time.Duration(rnd.Int64N(int64(20 * time.Minute))))
		if rnd.IntN(2) == 0 {
			n := rnd.Int64N(100)
			w.ok(w.AddSeries(ctx, store.SeriesStream, "orders", map[string]int64{"rows": n, "rejected": 1}))
			sum["rows"], sum["rejected"] = sum["rows"]+n, sum["rejected"]+1
			continue
		}
		n := rnd.Int64N(3)
		w.ok(w.SetSeries(ctx, store.SeriesAudience, "a", map[string]int64{"size": n}))
		for _, width := range widths {
			if last[width.String()] == nil {
				last[width.String()] = map[time.Time]int64{}
			}
			last[width.String()][w.clock.Now().Truncate(width)] = n
		}
	}
	w.ok(w.AddSeries(ctx, store.SeriesStream, "orders", nil))
	for _, width := range widths {
		got := map[string]int64{}
		all, err := w.Series(ctx, store.SeriesStream, "orders", time.Time{}, time.Time{}, width)
		w.ok(err)
		for name, points := range all {
			for i, p := range points {
				if !p.At.Equal(p.At.Truncate(width)) || i > 0 && !points[i-1].At.Before(p.At) {
					w.t.Fatalf("%s of %s: bucket %d begins at %v", name, width, i, p.At)
				}
				got[name] += p.Value
			}
		}
		w.equal(sum, got)
		sizes, err := w.Series(ctx, store.SeriesAudience, "a", time.Time{}, time.Time{}, width)
		w.ok(err)
		gauges := map[time.Time]int64{}
		for _, p := range sizes["size"] {
			gauges[p.At] = p.Value
		}
		w.equal(last[width.String()], gauges)
	}
	none, err := w.Series(ctx, store.SeriesAudience, "orders", time.Time{}, time.Time{}, day)
	w.ok(err)
	w.equal(0, len(none))

	// Where a period begins and ends, and what goes when.
	vips := w.audience("vips")
	w.clock.Add(day - w.clock.Now().Sub(w.clock.Now().Truncate(day)))
	start, subject := w.clock.Now(), string(vips.ID)
	for i := range 4 {
		w.ok(w.SetSeries(ctx, store.SeriesAudience, subject, map[string]int64{"size": int64(i)}))
		w.clock.Add(30 * time.Minute)
	}
	w.equal("30m0s=1 1h0m0s=2", w.recorded(store.SeriesAudience, subject, "size", start.Add(30*time.Minute), start.Add(90*time.Minute), time.Minute))
	w.equal("0s=1 1h0m0s=3", w.recorded(store.SeriesAudience, subject, "size", start, time.Time{}, time.Hour))
	left := func() (n []int) {
		for _, width := range widths {
			all, err := w.Series(ctx, store.SeriesAudience, subject, time.Time{}, time.Time{}, width)
			w.ok(err)
			n = append(n, len(all["size"]))
		}
		return n
	}
	w.clock.Add(46 * time.Hour)
	w.purge()
	w.equal([]int{4, 2, 1}, left())
	w.clock.Add(31 * time.Minute)
	w.purge()
	w.equal([]int{2, 2, 1}, left())
	w.clock.Add(90 * day)
	w.purge()
	w.equal([]int{0, 0, 1}, left())
	w.ok(w.DeleteAudience(ctx, activation.AudienceID(subject), "ann"))
	w.equal([]int{0, 0, 0}, left())
}
