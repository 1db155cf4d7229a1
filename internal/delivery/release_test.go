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

func drawReach(rt *rapid.T) activation.Reach {
	r := activation.Reach{SkipBackfill: rapid.Bool().Draw(rt, "skip backfill")}
	if rapid.Bool().Draw(rt, "limited") {
		r.UserLimit = rapid.Int64Range(3, 9).Draw(rt, "limit")
		r.UserLimitFrequency = rapid.SampledFrom([]string{"", "hourly"}).Draw(rt, "frequency")
	}
	r.HoldoutPercent = rapid.SampledFrom([]float64{0, 0, 30}).Draw(rt, "holdout")
	return r
}

// reaches says whom the world's job sends.
func (w *world) reaches(r activation.Reach) {
	w.store.change(w.job, func(j *activation.Job) { j.Reach = r })
	p, ok := w.plane.(*plane)
	if ok && r.SkipBackfill {
		p.job = string(w.job)
	}
	if ok {
		p.apart = func(id int64) bool {
			return p.others[leftOut][id] || heldBack(string(p.audience), r.HoldoutPercent, id)
		}
	}
}

// leftOut is the audience that the world's job leaves out, where it does.
const leftOut activation.AudienceID = "left out"

// kill ends the world's job, which leaves this at the network.
func (w *world) kill(end activation.OnEnd) {
	w.store.change(w.job, func(j *activation.Job) { j.OnEnd = end })
	w.store.setJob(w.job, activation.JobKilled)
}

// given lets the network be well and time pass after the end of the job, and
// says what is wrong with what is left there.
func (w *world) given(ctx context.Context, end activation.OnEnd) string {
	w.net.heal()
	defer func(guarded delivery.Settings) {
		w.set = guarded
		w.boot()
	}(w.set)
	w.set.GuardMinimum = 1 << 40
	w.boot()
	if c, ok := w.store.(*control); ok {
		if err := c.mend(ctx); err != nil {
			return err.Error()
		}
	}
	before, err := w.store.Target(ctx, w.target)
	if err != nil {
		return err.Error()
	}
	if err := w.rest(ctx); err != nil {
		return err.Error()
	}
	after, err := w.store.Target(ctx, w.target)
	if err != nil {
		return err.Error()
	}
	if wrong := w.check(ctx); wrong != "" {
		return wrong
	}
	left := w.net.holds(after.RemoteID)
	switch {
	case after.Release != "":
		return "the target is never given up"
	case end == activation.EndKeep && before.RemoteID != after.RemoteID:
		return "a kept audience is another one"
	case end == activation.EndKeep:
	case len(left) > 0:
		return fmt.Sprintf("the network still holds %v", left)
	case end == activation.EndDelete && (after.RemoteID != "" || len(w.net.audiences) > 0):
		return fmt.Sprintf("%d audiences are left, the target names %q", len(w.net.audiences), after.RemoteID)
	}
	return ""
}

// TestLimitIsNeverExceeded: whatever crashes and fails, no more people than the
// limit come to the network in an hour, and all come in the end. The far side
// counts, and only who was never there before.
func TestLimitIsNeverExceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		replay := rapid.SampledFrom([]provider.Replay{provider.ReplayHarmless, provider.ReplayNever}).Draw(rt, "replay")
		async := rapid.Bool().Draw(rt, "async")
		limit := rapid.Int64Range(1, 9).Draw(rt, "limit")
		people := rapid.IntRange(1, 24).Draw(rt, "people")
		seed := rapid.Uint64().Draw(rt, "seed")
		list := rapid.SliceOfN(rapid.Custom(drawDeed), 0, 40).Draw(rt, "deeds")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			w := inMemory(seed, replay, async)
			w.net.accepts = true
			w.reaches(activation.Reach{UserLimit: limit, UserLimitFrequency: "hourly"})
			wrong = w.limited(t.Context(), list, limit, people)
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// limited runs deeds while people come one after the other, each with a value
// of their own.
func (w *world) limited(ctx context.Context, list []deed, limit int64, people int) string {
	r := rand.New(rand.NewPCG(uint64(people), uint64(limit)))
	for i := range people {
		w.join(i, i+1)
		if i >= len(list) {
			continue
		}
		if list[i].What == "people" {
			who := r.IntN(i + 1)
			w.leave(who, who+1)
			list[i].What = "work"
		}
		if err := w.do(ctx, list[i]); err != nil {
			return fmt.Sprintf("deed %d (%s): %v", i, list[i].What, err)
		}
	}
	for hours := 0; ; hours++ {
		err := w.settle(ctx)
		if err == nil {
			break
		}
		if hours == 10 {
			return err.Error() + w.story()
		}
	}
	if wrong := w.check(ctx) + w.verdict(ctx); wrong != "" {
		return wrong + w.story()
	}
	// Whose add nobody could say anything about was counted when it was tried, and
	// comes on top when it turns out that they never came.
	came, doubted := map[time.Time]int64{}, int64(0)
	for _, run := range w.store.all() {
		doubted += run.Counts.Unknown
	}
	for _, at := range w.net.came {
		came[at.Truncate(time.Hour)]++
	}
	for hour, n := range came {
		if n > limit+doubted {
			return fmt.Sprintf("%d people came between %s and an hour later, the limit is %d", n, hour, limit) + w.story()
		}
	}
	return ""
}

func TestBackfillOnlyNeverRemoves(t *testing.T) {
	inBubble(t, 6, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		w.reaches(activation.Reach{BackfillOnly: true})
		w.leave(0, 3)
		w.join(10, 12)
		time.Sleep(time.Hour)
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if got := w.net.holds("remote-1"); len(got) != 8 || r.Counts.Added != 2 || r.Counts.Removed != 0 {
			t.Fatalf("the network holds %v; %+v", got, r.Counts)
		}
	})
}

func TestSkipBackfillSendsOnlyWhoComes(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, w *world) {
		w.reaches(activation.Reach{SkipBackfill: true})
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Excluded != 5 || r.Counts.Staged != 0 {
			t.Fatalf("counts %+v", r.Counts)
		}
		w.join(10, 11)
		w.leave(0, 1)
		time.Sleep(time.Hour)
		expect(t, w.work(t), activation.RunCompleted, "")
		w.join(0, 1)
		time.Sleep(time.Hour)
		expect(t, w.work(t), activation.RunCompleted, "")
		if got := w.net.holds("remote-1"); len(got) != 2 || !got["e0"] || !got["e10"] {
			t.Fatalf("the network holds %v", got)
		}
	})
}

func TestReleaseAsksTheGuard(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		time.Sleep(25 * time.Hour)
		w.kill(activation.EndDelete)
		r := w.work(t)
		if r.Status != activation.RunPending || r.Reason != activation.SleepApproval || r.Release != activation.EndDelete || r.Counts.Remove != 12 {
			t.Fatalf("run %s %q gives up by %q and removes %d", r.Status, r.Reason, r.Release, r.Counts.Remove)
		}
		if _, err := w.proc.Approve(t.Context(), r.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		expect(t, w.work(t), activation.RunCompleted, "")
		target, _ := w.store.Target(t.Context(), w.target)
		if target.Release != "" || target.RemoteID != "" || target.Generation != 2 || target.DueNow || len(w.net.audiences) != 0 {
			t.Fatalf("target %+v, %d audiences", target, len(w.net.audiences))
		}
		if len(w.plane.(*plane).ledger[1]) != 0 {
			t.Fatal("the ledger of a deleted audience is kept")
		}
	})
}

func TestDeclinedReleaseIsCalledOff(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		time.Sleep(25 * time.Hour)
		w.kill(activation.EndDelete)
		if _, err := w.proc.Decline(t.Context(), w.work(t).ID, "ann"); err != nil {
			t.Fatal(err)
		}
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		target, _ := w.store.Target(t.Context(), w.target)
		if r.Counts.Withheld != 12 || target.Release != "" || target.DueNow || target.RemoteID == "" || len(w.net.holds(target.RemoteID)) != 12 {
			t.Fatalf("target %+v after %+v", target, r.Counts)
		}
	})
}

func TestReleaseIsCalledOffByTheNextJob(t *testing.T) {
	inBubble(t, 7, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		time.Sleep(25 * time.Hour)
		w.goes("throttle long") // the removal is under way
		w.kill(activation.EndEmpty)
		if r := w.work(t); r.Status != activation.RunRunning || r.Release != activation.EndEmpty {
			t.Fatalf("run %s", r.Status)
		}
		w.store.setJob(w.job, activation.JobRunnable)
		w.net.heal()
		expect(t, w.work(t), activation.RunWithdrawn, "")
		time.Sleep(2 * time.Minute)
		expect(t, w.work(t), activation.RunCompleted, "")
		if got := w.net.holds("remote-1"); len(got) != 7 {
			t.Fatalf("the network holds %v", got)
		}
	})
}

func TestReleaseSleepsAfterErrors(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		time.Sleep(time.Hour)
		w.goes("html")
		w.kill(activation.EndDelete)
		expect(t, w.work(t), activation.RunFailed, "NET-503")
		w.net.heal()
		time.Sleep(10 * time.Minute)
		expect(t, w.work(t), activation.RunCompleted, "")
		if len(w.net.audiences) != 0 {
			t.Fatal("the audience is still there")
		}
	})
}

func TestReleaseByHand(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		if _, err := w.proc.ReleaseTarget(t.Context(), w.target, activation.EndEmpty, "ann"); err == nil {
			t.Fatal("a living job's target was released")
		}
		w.kill(activation.EndKeep)
		w.def.Deletes = false
		w.boot()
		if _, err := w.proc.ReleaseTarget(t.Context(), w.target, activation.EndDelete, "ann"); activation.KindOf(err) != activation.Invalid {
			t.Fatalf("a network without deletion: %v", err)
		}
		target, err := w.proc.ReleaseTarget(t.Context(), w.target, activation.EndKeep, "ann")
		if err != nil || target.Generation != 2 || target.RemoteID != "" {
			t.Fatalf("%v %+v", err, target)
		}
		if len(w.net.holds("remote-1")) != 4 || len(w.plane.(*plane).ledger[1]) != 0 {
			t.Fatal("the audience was touched, or the ledger was not forgotten")
		}
	})
}

// TestEmptyGoesOnUntilNobodyIsLeft: a removal nobody knows about is no removal.
func TestEmptyGoesOnUntilNobodyIsLeft(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		time.Sleep(time.Hour)
		w.def.Replay = provider.ReplayNever
		w.boot()
		w.goes("timeout before")
		w.kill(activation.EndEmpty)
		w.work(t)
		if wrong := w.given(t.Context(), activation.EndEmpty); wrong != "" {
			t.Fatal(wrong)
		}
	})
}
