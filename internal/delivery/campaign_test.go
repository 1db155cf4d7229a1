package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
)

// deed is one thing that happens in a campaign.
type deed struct {
	What  string
	Seed  uint64
	Point delivery.CrashPoint
	Skip  int
	Chaos float64
	After time.Duration
}

var deeds = []string{"people", "people", "people", "others", "work", "work", "crash", "crash", "chaos", "chaos", "calm", "time", "pause", "resume", "approve", "decline", "withdraw", "retry", "retry", "run", "replace", "token", "kill"}

func drawDeed(rt *rapid.T) deed {
	return deed{
		What: rapid.SampledFrom(deeds).Draw(rt, "what"), Seed: rapid.Uint64().Draw(rt, "seed"),
		Point: rapid.SampledFrom(delivery.CrashPoints).Draw(rt, "point"), Skip: rapid.IntRange(0, 3).Draw(rt, "skip"),
		Chaos: rapid.SampledFrom([]float64{0.1, 0.3, 0.6, 1}).Draw(rt, "chaos"),
		After: rapid.SampledFrom([]time.Duration{0, time.Second, 30 * time.Second, 61 * time.Second, 15 * time.Minute, 25 * time.Hour}).Draw(rt, "after"),
	}
}

// do makes a deed happen; what is not possible now does nothing.
func (w *world) do(ctx context.Context, d deed) error {
	switch d.What {
	case "people":
		w.humans(rand.New(rand.NewPCG(d.Seed, 1)), 1+d.Skip*3)
	case "others":
		if p, ok := w.plane.(*plane); ok {
			r := rand.New(rand.NewPCG(d.Seed, 2))
			for range 1 + d.Skip {
				p.put(leftOut, int64(r.IntN(16)), r.IntN(2) == 0)
			}
		}
	case "crash":
		w.arm(d.Point, d.Skip)
	case "chaos":
		w.net.mu.Lock()
		w.net.chaos = d.Chaos
		w.net.mu.Unlock()
	case "calm":
		w.net.heal()
	case "token":
		w.net.mu.Lock()
		w.net.badToken = true
		w.net.mu.Unlock()
	case "pause":
		w.store.setJob(w.job, activation.JobPaused)
	case "kill":
		w.store.setJob(w.job, activation.JobKilled)
	case "resume":
		w.store.setJob(w.job, activation.JobRunnable)
	case "run":
		_, _ = w.proc.RunTarget(ctx, w.target)
	case "forget":
		if l, ok := w.plane.(*lake); ok {
			if err := l.forget(ctx, int64(d.Seed%16)); err != nil {
				return err
			}
			_, _ = w.openForget(ctx) // a conflict is for a later run
		}
	case "replace":
		_, _ = w.proc.ReplaceTarget(ctx, w.target, "ann")
	case "approve", "decline", "withdraw", "retry":
		w.command(ctx, d)
	}
	if w.proc.alive() != nil {
		w.boot()
	}
	if err := w.turn(ctx); err != nil {
		return err
	}
	time.Sleep(d.After)
	return nil
}

func (w *world) command(ctx context.Context, d deed) {
	runs := w.store.all()
	if len(runs) == 0 {
		return
	}
	r := runs[len(runs)-1]
	switch d.What {
	case "approve":
		_, _ = w.proc.Approve(ctx, r.ID, "ann")
	case "decline":
		_, _ = w.proc.Decline(ctx, r.ID, "ann")
	case "withdraw":
		_, _ = w.proc.Withdraw(ctx, r.ID, "ann")
	case "retry":
		if _, err := w.proc.Retry(ctx, r.ID, "ann"); err == nil {
			w.retry[r.ID] = true
		}
	}
}

// campaign runs deeds in a world, settles it, ends the job and says what is
// wrong.
func campaign(ctx context.Context, w *world, list []deed, end activation.OnEnd) string {
	w.store.change(w.job, func(j *activation.Job) { j.OnEnd = end })
	for i, d := range list {
		if err := w.do(ctx, d); err != nil {
			return fmt.Sprintf("deed %d (%s): %v", i, d.What, err)
		}
		if wrong := w.check(ctx); wrong != "" {
			return fmt.Sprintf("after deed %d (%s): %s", i, d.What, wrong)
		}
	}
	if err := w.settle(ctx); err != nil {
		return err.Error() + w.story()
	}
	if wrong := w.check(ctx); wrong != "" {
		return wrong + w.story()
	}
	if wrong := w.verdict(ctx); wrong != "" {
		return wrong + w.story()
	}
	w.kill(end)
	if wrong := w.given(ctx, end); wrong != "" {
		return "after the end: " + wrong + w.story()
	}
	return ""
}

// TestCampaign: whatever happens to people, network, process and job, in the end
// the network holds the right people, after the end of the job what it was to
// leave there, and nothing that must never be ever was.
func TestCampaign(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		replay := rapid.SampledFrom([]provider.Replay{provider.ReplayHarmless, provider.ReplayDeduplicated, provider.ReplayNever}).Draw(rt, "replay")
		async := rapid.Bool().Draw(rt, "async")
		seed := rapid.Uint64().Draw(rt, "seed")
		list := rapid.SliceOfN(rapid.Custom(drawDeed), 1, 60).Draw(rt, "deeds")
		end := rapid.SampledFrom(activation.OnEnds).Draw(rt, "end")
		reach := drawReach(rt)
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			w := inMemory(seed, replay, async)
			w.reaches(reach)
			wrong = campaign(t.Context(), w, list, end)
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}
