package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/warehouse"
)

// forget erases people from the data plane, who never come back.
func (l *lake) forget(ctx context.Context, ids ...int64) error {
	for _, id := range ids {
		f := forgetOf(id)
		if err := l.Suppress(ctx, f, "uid", fmt.Sprint("u", id)); err != nil {
			return err
		}
		if _, err := l.Erase(ctx, f); err != nil {
			return err
		}
		l.gone[id] = true
	}
	return nil
}

func forgetOf(id int64) activation.ForgetID { return activation.ForgetID(fmt.Sprint("forget-", id)) }

// openForget opens the run that tells the network.
func (w *world) openForget(ctx context.Context) (activation.Run, error) {
	return w.store.OpenRun(ctx, activation.Run{Target: w.target, SyncType: activation.SyncPIIUpdate, Mode: activation.ModeForget, Cause: activation.CauseAgent, TriggeredBy: "Agent"})
}

// forgets opens that run, lets it end, and checks that it did nothing else.
func (w *world) forgets(t *testing.T, removed int64) activation.Run {
	t.Helper()
	r, err := w.openForget(t.Context())
	done(t, err)
	if err := w.turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err = w.store.Run(t.Context(), r.ID)
	done(t, err)
	if expect(t, r, activation.RunCompleted, ""); r.Counts.Removed != removed || r.Counts.Remove != removed || r.Counts.Staged != removed || r.Counts.Add+r.Counts.Update != 0 {
		t.Fatalf("run #%d forgot %+v, want %d removed and nothing else", r.Number, r.Counts, removed)
	}
	return r
}

// held checks whom of those who were forgotten the ledger still has.
func (l *lake) held(t *testing.T, id int64, want ...string) {
	t.Helper()
	states, err := l.Held(t.Context(), forgetOf(id))
	done(t, err)
	got := []string{}
	for _, s := range states {
		got = append(got, strings.TrimSpace("held "+s.Code))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("of %d the ledger says %q, want %q", id, got, want)
	}
}

// TestForget: whoever is forgotten is taken away at the network and never sent
// again, whatever else is under way at the target.
func TestForget(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cases := slices.Clone(forgetCases)
	if delivery.RaceEnabled {
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		cases = cases[:2]
	}
	empty := template(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := onDuckDB(t, empty, 7, provider.ReplayHarmless, c.async)
				c.fn(t, w, w.plane.(*lake))
				if wrong := w.check(t.Context()); wrong != "" {
					t.Error(wrong, w.story())
				}
				found, err := w.store.(*control).Violations(t.Context())
				if len(found) > 0 || err != nil {
					t.Errorf("%s (%v)", strings.Join(found, "; "), err)
				}
			})
		})
	}
}

var forgetCases = []struct {
	name  string
	async bool
	fn    func(t *testing.T, w *world, l *lake)
}{
	{"whatever the state of the job, beside the guard, and nobody else", false, func(t *testing.T, w *world, l *lake) {
		ctx := t.Context()
		w.join(0, 12)
		expect(t, w.work(t), activation.RunCompleted, "")
		w.store.setJob(w.job, activation.JobPaused)
		w.leave(11, 12)
		w.join(20, 21)
		done(t, l.load(ctx))
		done(t, l.forget(ctx, 0, 1, 2, 3, 4, 5, 6)) // more than half
		w.forgets(t, 7)
		w.holding(t, "e7", "e8", "e9", "e10", "e11")
		done(t, w.destination(func(d *activation.Destination) { d.Enabled = false }))
		done(t, l.forget(ctx, 7))
		w.forgets(t, 1)
		done(t, w.destination(func(d *activation.Destination) { d.Enabled = true }))
		w.holding(t, "e8", "e9", "e10", "e11")
		w.store.change(w.job, func(j *activation.Job) { j.FailAfter = time.Minute })
		w.store.setJob(w.job, activation.JobRunnable)
		w.goes("html")
		for range 100 {
			w.after(t, 10*time.Minute)
		}
		if job, err := w.store.Job(ctx, w.job); err != nil || job.State != activation.JobFailed {
			t.Fatalf("the job is %s (%v) %+v %s", job.State, err, job, w.story())
		}
		w.net.heal()
		done(t, l.forget(ctx, 8))
		w.forgets(t, 1)
		w.holding(t, "e9", "e10", "e11")
		w.kill(activation.EndKeep)
		w.work(t)
		done(t, l.forget(ctx, 9))
		w.forgets(t, 1)
		w.holding(t, "e10", "e11")
		for id := range int64(10) {
			l.held(t, id)
			done(t, l.Told(ctx, forgetOf(id)))
		}
	}},
	{"what the network owes is waited for", true, func(t *testing.T, w *world, l *lake) {
		w.net.late = 30 * time.Minute
		w.daily()
		w.join(0, 4)
		if r := w.work(t); r.Status != activation.RunAwaiting {
			t.Fatalf("the first run is %s", r.Status)
		}
		done(t, l.forget(t.Context(), 2))
		w.forgets(t, 0)
		l.held(t, 2)
		for range 6 {
			w.after(t, 10*time.Minute)
		}
		w.holding(t, "e0", "e1", "e2", "e3")
		l.held(t, 2, "held")
		w.store.setJob(w.job, activation.JobPaused)
		if _, err := w.openForget(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 12 {
			w.after(t, 10*time.Minute)
		}
		w.holding(t, "e0", "e1", "e3")
		l.held(t, 2)
	}},
	{"a Retry of a failed run leaves them out", false, func(t *testing.T, w *world, l *lake) {
		w.join(0, 3)
		expect(t, w.work(t), activation.RunCompleted, "")
		w.join(3, 8)
		failed := w.failing(t, 2*time.Minute)
		done(t, l.forget(t.Context(), 4))
		w.net.heal()
		if r := w.retried(t, failed); r.Counts.Added != 4 || r.Counts.Superseded != 1 {
			t.Fatalf("the Retry is %s with %+v", r.Status, r.Counts)
		}
		w.holding(t, "e0", "e1", "e2", "e3", "e5", "e6", "e7")
		l.held(t, 4)
	}},
	{"no older run brings back who was taken away", false, func(t *testing.T, w *world, l *lake) {
		w.join(0, 3)
		expect(t, w.work(t), activation.RunCompleted, "")
		w.plane.set(1, [2]string{"new1"}, true) // e1 goes and new1 comes
		failed := w.failing(t, 2*time.Minute)
		w.net.heal()
		w.store.setJob(w.job, activation.JobPaused)
		done(t, l.forget(t.Context(), 1))
		w.forgets(t, 1)
		w.holding(t, "e0", "e2")
		w.store.setJob(w.job, activation.JobRunnable)
		if _, err := w.proc.Retry(t.Context(), failed.ID, "ann"); err != nil && !errors.Is(err, activation.ErrConflict) {
			t.Fatal(err)
		}
		for range 3 {
			w.after(t, 10*time.Minute)
		}
		w.holding(t, "e0", "e2")
		l.held(t, 1)
	}},
	{"what an open run has staged is superseded", false, func(t *testing.T, w *world, l *lake) {
		w.join(0, 6)
		w.goes("throttle long")
		open := w.work(t)
		if open.Status != activation.RunRunning {
			t.Fatalf("the run is %s", open.Status)
		}
		done(t, l.forget(t.Context(), 3))
		if _, err := w.openForget(t.Context()); !errors.Is(err, activation.ErrConflict) {
			t.Fatalf("a second run is open: %v", err)
		}
		w.net.heal()
		before := len(w.net.calls)
		w.after(t, 10*time.Minute)
		r, err := w.store.Run(t.Context(), open.ID)
		done(t, err)
		if expect(t, r, activation.RunCompleted, ""); r.Counts.Added != 5 || r.Counts.Superseded != 1 {
			t.Fatalf("it ended with %+v", r.Counts)
		}
		w.holding(t, "e0", "e1", "e2", "e4", "e5")
		for _, c := range w.net.calls[before:] {
			if slices.Contains(c.values, "e3") {
				t.Fatal("the person was sent")
			}
		}
		l.held(t, 3)
	}},
	{"what was sent before and is known later is taken away", false, func(t *testing.T, w *world, l *lake) {
		sentBefore(t, w, l, delivery.BeforeFold)
	}},
	{"what was sent before and is sent again is taken away", false, func(t *testing.T, w *world, l *lake) {
		sentBefore(t, w, l, delivery.AfterDeliver)
	}},
	{"a remove that is refused says why", false, func(t *testing.T, w *world, l *lake) {
		w.join(0, 3)
		expect(t, w.work(t), activation.RunCompleted, "")
		done(t, l.forget(t.Context(), 1))
		w.net.accepts = false
		w.goes("reject")
		r, err := w.openForget(t.Context())
		done(t, err)
		w.work(t)
		r, err = w.store.Run(t.Context(), r.ID)
		done(t, err)
		if expect(t, r, activation.RunCompleted, ""); r.Counts.Rejected != 1 || r.Counts.Removed != 0 {
			t.Fatalf("it ended with %+v", r.Counts)
		}
		states, err := l.Held(t.Context(), forgetOf(1))
		if err != nil || len(states) != 1 || states[0].Code == "" {
			t.Fatalf("held %+v (%v)", states, err)
		}
	}},
	{"an audience that is gone is not made anew for it", false, func(t *testing.T, w *world, l *lake) {
		w.join(0, 3)
		expect(t, w.work(t), activation.RunCompleted, "")
		w.store.setJob(w.job, activation.JobPaused)
		done(t, l.forget(t.Context(), 1))
		w.net.mu.Lock()
		w.net.drop("remote-1")
		w.net.mu.Unlock()
		r, err := w.openForget(t.Context())
		done(t, err)
		w.work(t)
		r, err = w.store.Run(t.Context(), r.ID)
		done(t, err)
		if expect(t, r, activation.RunWithdrawn, activation.CodeRemoteGone); len(w.net.audiences) != 0 {
			t.Fatalf("audiences %v", w.net.audiences)
		}
		target, err := w.store.Target(t.Context(), w.target)
		done(t, err)
		states, err := l.Held(t.Context(), forgetOf(1))
		if err != nil || slices.ContainsFunc(states, func(s warehouse.HeldState) bool { return s.Generation >= target.Generation }) {
			t.Fatalf("held %+v (%v), the target is at generation %d", states, err, target.Generation)
		}
	}},
}

// sentBefore: somebody is forgotten after the process died with an add of theirs
// that the network has and the ledger does not.
func sentBefore(t *testing.T, w *world, l *lake, at delivery.CrashPoint) {
	t.Helper()
	w.join(0, 3)
	w.arm(at, 0)
	w.work(t)
	done(t, l.forget(t.Context(), 1))
	w.after(t, 10*time.Minute)
	w.holding(t, "e0", "e1", "e2")
	l.held(t, 1, "held")
	w.store.setJob(w.job, activation.JobPaused)
	w.forgets(t, 1)
	w.holding(t, "e0", "e2")
	l.held(t, 1)
}
