package storetest

import (
	"math/rand/v2"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// metricSums sums the buckets of a width by name.
func (w *world) metricSums(job activation.JobID, width time.Duration) map[string]int64 {
	w.t.Helper()
	series, err := w.Metrics(w.t.Context(), store.MetricFilter{Job: job, Width: width})
	w.ok(err)
	out := map[string]int64{}
	for name, points := range series {
		for i, p := range points {
			if !p.At.Equal(p.At.Truncate(width)) || i > 0 && !points[i-1].At.Before(p.At) {
				w.t.Fatalf("%s of %s: bucket %d begins at %v", name, width, i, p.At)
			}
			out[name] += p.Value
		}
	}
	for name, n := range out {
		if n == 0 {
			delete(out, name)
		}
	}
	return out
}

// metrics: whatever crashes, is taken over or retried, the buckets of each
// width sum up to what the runs and passes count in the end.
func metrics(w *world) {
	seed := rand.Uint64()
	w.t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	ctx := w.t.Context()
	j, targets := w.job("vips", func(j *activation.Job) { j.FailAfter = 1000 * time.Hour }, w.audience("a"), w.audience("b"))
	in := w.importJob("nightly", func(j *activation.Job) { j.Frequency, j.FailAfter = "realtime", 1000*time.Hour })

	var all []activation.RunID
	held := map[activation.TargetID]activation.Run{}
	var pass *activation.Pass
	random := func() activation.Counts {
		n := func() int64 { return rnd.Int64N(50) }
		return activation.Counts{Added: n(), Removed: n(), Omitted: n(), Sent: n(), Rejected: n()}
	}
	steps := []func(target activation.TargetID){
		func(target activation.TargetID) { // open and take
			r, err := w.OpenRun(ctx, activation.Run{Target: target})
			if err != nil {
				return
			}
			all = append(all, r.ID)
			r, _, err = w.TakeRun(ctx, r.ID, "n1", lease)
			w.ok(err)
			r.Stage, r.StagedAt = activation.StageMembers, w.clock.Now()
			w.ok(w.QueueItems(ctx, r, tenEach(1)))
			held[target] = r
		},
		func(target activation.TargetID) { // fold
			if r, ok := held[target]; ok {
				r.Counts = random()
				if w.MarkFolded(ctx, r, nil) == nil {
					held[target] = r
				}
			}
		},
		func(target activation.TargetID) { // crash: another node goes on, the old one writes once more
			old, ok := held[target]
			if !ok {
				return
			}
			w.clock.Add(lease)
			r, _, err := w.TakeRun(ctx, old.ID, "n2", lease)
			if err != nil {
				return
			}
			held[target] = r
			old.Counts = random()
			w.is(activation.ErrFenced, w.MarkFolded(ctx, old, nil))
		},
		func(target activation.TargetID) { // fail; half of them are retried
			r, ok := held[target]
			if !ok {
				return
			}
			r.Status, r.Counts, r.ErrorKind, r.ErrorCode = activation.RunFailed, random(), activation.Unavailable, "META-2"
			w.ok(w.FinishRun(ctx, r, activation.End{}))
			delete(held, target)
			if rnd.IntN(2) == 0 {
				w.ok(w.Retry(ctx, r.ID, "ann"))
				r, _, err := w.TakeRun(ctx, r.ID, "n1", lease)
				w.ok(err)
				held[target] = r
			}
		},
		func(activation.TargetID) { // a pass: begin or go on, after a crash or not
			if p, err := w.TakePass(ctx, in.ID, "n1", lease); err == nil {
				pass = &p
			}
		},
		func(activation.TargetID) {
			if pass != nil {
				pass.Counts = map[string]int64{"new_profiles": pass.Counts["new_profiles"] + rnd.Int64N(9), "rejected": rnd.Int64N(3)}
				_ = w.SavePass(ctx, *pass)
			}
		},
		func(activation.TargetID) {
			if pass != nil && rnd.IntN(3) == 0 {
				pass.Status = activation.RunCompleted
				_ = w.FinishPass(ctx, *pass)
				pass = nil
			}
		},
		func(activation.TargetID) { w.clock.Add(time.Duration(rnd.Int64N(int64(90 * time.Minute)))) },
	}
	for range 150 {
		steps[rnd.IntN(len(steps))](targets[rnd.IntN(2)].ID)
	}

	want := map[string]int64{}
	for _, id := range all {
		for name, n := range activation.RunMetrics(w.run(id).Counts) {
			if n != 0 {
				want[name] += n
			}
		}
	}
	wantIn := map[string]int64{}
	passes, err := w.Passes(ctx, in.ID, 0, 1000)
	w.ok(err)
	for _, p := range passes {
		for name, n := range p.Counts {
			if n != 0 {
				wantIn[name] += n
			}
		}
	}
	for _, width := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		w.equal(want, w.metricSums(j.ID, width))
		w.equal(wantIn, w.metricSums(in.ID, width))
	}
	day, err := w.Metrics(ctx, store.MetricFilter{Width: 24 * time.Hour, From: w.clock.Now().Add(24 * time.Hour)})
	w.ok(err)
	w.equal(0, len(day))
}
