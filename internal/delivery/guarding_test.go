package delivery_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/store"
)

// guarded fills the audience with n people and sets the guard as it is by default.
func (w *world) guarded(t *testing.T, n int) {
	t.Helper()
	w.set.GuardMinimum, w.set.GuardPercent = 100, 20
	w.def.MaxRows = 100
	w.boot()
	w.join(0, n)
	r := w.work(t)
	if expect(t, r, activation.RunCompleted, ""); r.Counts.Added != int64(n) {
		t.Fatalf("%+v", r.Counts)
	}
}

// asks checks that a run waits for approval and that nothing of it was sent.
func asks(t *testing.T, w *world, r activation.Run, removals int64) {
	t.Helper()
	if r.Status != activation.RunPending || r.Reason != activation.SleepApproval || r.Counts.Remove != removals {
		t.Fatalf("run #%d is %s (%s) with %d removals, want one that asks about %d", r.Number, r.Status, r.Reason, r.Counts.Remove, removals)
	}
	target, err := w.store.Target(t.Context(), w.target)
	done(t, err)
	items, err := w.store.Items(t.Context(), r.ID)
	done(t, err)
	if target.OpenRun != "" || len(items) > 0 {
		t.Fatalf("it keeps its target (%q) or has %d items", target.OpenRun, len(items))
	}
}

// held is how many people the network holds.
func (w *world) held(t *testing.T) int {
	t.Helper()
	target, err := w.store.Target(t.Context(), w.target)
	done(t, err)
	return len(w.net.holds(target.RemoteID))
}

// drips removes one per cent of two hundred people in each of fifty runs, every 20
// minutes: the guard stops them at a fifth.
func drips(t *testing.T, w *world) {
	t.Helper()
	w.guarded(t, 200)
	asked := 0
	for i := range 50 {
		w.leave(2*i, 2*i+2)
		r := w.after(t, 20*time.Minute)
		switch {
		case r.Status == activation.RunPending && i >= 20:
			asks(t, w, r, int64(2*(i-19)))
			asked++
		case r.Status != activation.RunCompleted || r.Counts.Removed != 2 || i >= 20:
			t.Fatalf("round %d: run #%d is %s with %d removed", i, r.Number, r.Status, r.Counts.Removed)
		}
	}
	if asked != 30 || w.held(t) != 160 {
		t.Fatalf("asked %d times, %d people are left", asked, w.held(t))
	}
}

// TestManySmallRuns: the guard adds up what many runs remove.
func TestManySmallRuns(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) { drips(t, w) })
}

// TestGuardScenarios: every sentence of what the removal guard promises.
func TestGuardScenarios(t *testing.T) {
	t.Parallel()
	play(t, []scenario{
		{"they may go on the next day", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.guarded(t, 200)
			w.leave(0, 40)
			expect(t, w.after(t, time.Hour), activation.RunCompleted, "")
			w.leave(40, 42)
			asks(t, w, w.after(t, time.Hour), 2)
			w.leave(42, 44)
			r := w.after(t, 24*time.Hour)
			if expect(t, r, activation.RunCompleted, ""); r.Counts.Removed != 4 {
				t.Fatalf("%+v", r.Counts)
			}
		}},
		{"an import of no rows", func(t *testing.T, w *world, s *store.Store, _ *plane) {
			w.guarded(t, 120)
			w.leave(0, 120)
			p, err := w.proc.PlanTarget(t.Context(), w.target)
			done(t, err)
			if m := p.Removals; p.Guard != "ask" || m == nil || m.Planned != 120 || m.Percent != 100 || m.Limit != 20 || m.Minimum != 100 || m.Reason != "nobody would be left" {
				t.Fatalf("%s: %+v", p.Guard, m)
			}
			r := w.after(t, time.Hour)
			asks(t, w, r, 120)
			if job, err := s.Job(t.Context(), w.job); err != nil || job.State != activation.JobSleeping || job.SleepReason != activation.SleepApproval {
				t.Fatalf("the job is %s (%s, %v)", job.State, job.SleepReason, err)
			}
			if w.after(t, time.Hour); w.held(t) != 120 || len(w.store.all()) != 2 {
				t.Fatalf("%d are left after %d runs", w.held(t), len(w.store.all()))
			}
		}},
		{"keys that move", func(t *testing.T, w *world, _ *store.Store, p *plane) {
			w.guarded(t, 120)
			for id := range int64(120) {
				p.set(id, [2]string{fmt.Sprint("new", id)}, true)
			}
			r := w.after(t, time.Hour)
			if expect(t, r, activation.RunCompleted, ""); r.Counts.Removed != 120 || r.Counts.Remove != 0 {
				t.Fatalf("%+v", r.Counts)
			}
			w.leave(0, 24) // which did not count what was moved
			for id := range int64(24) {
				p.set(id, [2]string{fmt.Sprint("new", id)}, false)
			}
			expect(t, w.after(t, time.Hour), activation.RunCompleted, "")
			p.set(24, [2]string{"new24"}, false)
			asks(t, w, w.after(t, time.Hour), 1)
		}},
		{"keys alone, while people wait to be removed", func(t *testing.T, w *world, _ *store.Store, p *plane) {
			w.guarded(t, 120)
			w.daily()
			w.leave(0, 60)
			p.set(119, [2]string{"new"}, true)
			r := w.after(t, 16*time.Minute)
			if expect(t, r, activation.RunCompleted, ""); r.Mode != activation.ModeKeys || w.held(t) != 120 {
				t.Fatalf("mode %q, %d are left", r.Mode, w.held(t))
			}
			asks(t, w, w.after(t, 2*time.Hour), 60)
		}},
		{"approved", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			ctx := t.Context()
			w.guarded(t, 400)
			w.leave(0, 100)
			r := w.after(t, time.Hour)
			asks(t, w, r, 100)
			_, err := w.proc.Approve(ctx, r.ID, "ann")
			done(t, err)
			if target, _ := w.store.Target(ctx, w.target); target.OpenRun != r.ID {
				t.Fatalf("the target is that of %q", target.OpenRun)
			}
			if _, err := w.proc.Approve(ctx, r.ID, "ben"); !errors.Is(err, activation.ErrConflict) {
				t.Fatalf("approved twice: %v", err)
			}
			w.goes("html")
			expect(t, w.work(t), activation.RunFailed, "NET-503")
			w.leave(100, 101) // one per cent more
			w.net.heal()
			next := w.after(t, 2*time.Minute)
			if expect(t, next, activation.RunCompleted, ""); next.ID == r.ID || next.Counts.Removed != 101 {
				t.Fatalf("run #%d removed %d", next.Number, next.Counts.Removed)
			}
			w.leave(101, 102) // what was approved is used up
			asks(t, w, w.after(t, time.Hour), 1)
		}},
		{"approved, and grown since", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			ctx := t.Context()
			w.guarded(t, 400)
			w.leave(0, 100)
			r := w.after(t, time.Hour)
			w.leave(100, 102)
			_, err := w.proc.Approve(ctx, r.ID, "ann") // it is planned again
			done(t, err)
			again := w.work(t)
			if asks(t, w, again, 102); again.ID != r.ID || w.held(t) != 400 {
				t.Fatalf("run #%d, %d are left", again.Number, w.held(t))
			}
		}},
		{"approved, and a day later", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.guarded(t, 400)
			w.leave(0, 100)
			r := w.after(t, time.Hour)
			_, err := w.proc.Approve(t.Context(), r.ID, "ann")
			done(t, err)
			w.store.setJob(w.job, activation.JobPaused)
			time.Sleep(25 * time.Hour)
			w.store.setJob(w.job, activation.JobRunnable)
			if again := w.work(t); again.Status != activation.RunPending {
				t.Fatalf("run #%d is %s", again.Number, again.Status)
			}
		}},
		{"declined", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.guarded(t, 400)
			w.leave(0, 100)
			w.join(400, 401)
			r := w.after(t, time.Hour)
			_, err := w.proc.Decline(t.Context(), r.ID, "ann")
			done(t, err)
			r = w.work(t)
			if expect(t, r, activation.RunCompleted, ""); r.Counts.Withheld != 100 || r.Counts.Added != 1 || w.held(t) != 401 {
				t.Fatalf("%+v, %d are left", r.Counts, w.held(t))
			}
			w.leave(100, 101) // one per cent more is not asked about
			if r = w.after(t, time.Hour); r.Status != activation.RunCompleted || r.Counts.Withheld != 101 {
				t.Fatalf("%s, %+v", r.Status, r.Counts)
			}
			if p, err := w.proc.PlanTarget(t.Context(), w.target); err != nil || p.Guard != "withhold" || p.Withheld != 101 || !strings.Contains(p.Removals.Reason, "declined") {
				t.Fatalf("%+v (%v)", p, err)
			}
			w.leave(101, 102)
			asks(t, w, w.after(t, time.Hour), 102)
		}},
		{"unanswered for seven days", func(t *testing.T, w *world, s *store.Store, _ *plane) {
			w.guarded(t, 120)
			w.leave(0, 60)
			r := w.after(t, time.Hour)
			asks(t, w, r, 60)
			time.Sleep(6 * 24 * time.Hour)
			if n, err := s.DeclineOverdue(t.Context()); n != 0 || err != nil {
				t.Fatalf("%d declined after six days (%v)", n, err)
			}
			time.Sleep(24 * time.Hour)
			if n, err := s.DeclineOverdue(t.Context()); n != 1 || err != nil {
				t.Fatalf("%d declined after seven days (%v)", n, err)
			}
			again := w.work(t)
			if expect(t, again, activation.RunCompleted, ""); again.ID != r.ID || again.Counts.Withheld != 60 || w.held(t) != 120 {
				t.Fatalf("run #%d, %+v", again.Number, again.Counts)
			}
		}},
		{"a newer run takes its place", func(t *testing.T, w *world, s *store.Store, _ *plane) {
			ctx := t.Context()
			w.guarded(t, 120)
			w.leave(0, 60)
			first := w.after(t, time.Hour)
			w.leave(60, 61)
			second := w.after(t, time.Hour)
			asks(t, w, second, 61)
			first, err := s.Run(ctx, first.ID)
			done(t, err)
			if first.Status != activation.RunWithdrawn {
				t.Fatalf("the older run is %s", first.Status)
			}
			if _, err := w.proc.Approve(ctx, first.ID, "ann"); !errors.Is(err, activation.ErrConflict) {
				t.Fatalf("approved although its place is taken: %v", err)
			}
			w.join(0, 60) // and one that asks nothing
			third := w.after(t, time.Hour)
			if expect(t, third, activation.RunCompleted, ""); third.Counts.Removed != 1 {
				t.Fatalf("%+v", third.Counts)
			}
			if second, err = s.Run(ctx, second.ID); err != nil || second.Status != activation.RunWithdrawn {
				t.Fatalf("the run that asked is %s (%v)", second.Status, err)
			}
		}},
		{"withdrawn", func(t *testing.T, w *world, s *store.Store, _ *plane) {
			ctx := t.Context()
			w.guarded(t, 120)
			w.leave(0, 60)
			r := w.after(t, time.Hour)
			r, err := w.proc.Withdraw(ctx, r.ID, "ann")
			done(t, err)
			if r.Status != activation.RunWithdrawn || w.held(t) != 120 {
				t.Fatalf("%s, %d are left", r.Status, w.held(t))
			}
			if _, err := w.proc.Withdraw(ctx, r.ID, "ann"); !errors.Is(err, activation.ErrConflict) {
				t.Fatalf("withdrawn twice: %v", err)
			}
			next := w.after(t, time.Hour) // nothing was done, so the next one asks
			if asks(t, w, next, 60); next.ID == r.ID {
				t.Fatal("a withdrawn run went on")
			}
		}},
		{"a destination that is switched off", func(t *testing.T, w *world, s *store.Store, _ *plane) {
			w.guarded(t, 120)
			w.leave(0, 60)
			r := w.after(t, time.Hour)
			done(t, w.enable(false))
			r, err := s.Run(t.Context(), r.ID)
			done(t, err)
			if r.Status != activation.RunWithdrawn {
				t.Fatalf("%s", r.Status)
			}
		}},
	})
}

// TestGuardOnDuckDB: with both real databases many small runs are stopped as a big
// one is, and neither a rebuild nor a new mapping is.
func TestGuardOnDuckDB(t *testing.T) {
	t.Parallel()
	empty := template(t)
	on := func(name string, fn func(t *testing.T, w *world, l *lake)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := onDuckDB(t, empty, rand.Uint64(), provider.ReplayHarmless, false)
				fn(t, w, w.plane.(*lake))
				found, err := w.store.(*control).Violations(t.Context())
				if len(found) > 0 || err != nil {
					t.Errorf("%s (%v)", strings.Join(found, "; "), err)
				}
			})
		})
	}
	if !delivery.RaceEnabled { // fifty runs take a while
		on("fifty runs of one per cent", func(t *testing.T, w *world, _ *lake) { drips(t, w) })
	}
	on("an import of no rows", func(t *testing.T, w *world, _ *lake) {
		w.guarded(t, 120)
		w.leave(0, 120)
		asks(t, w, w.after(t, time.Hour), 120)
	})
	on("identifiers, in real time and on a schedule", func(t *testing.T, w *world, l *lake) {
		w.guarded(t, 10)
		l.set(3, [2]string{"new3"}, true)
		r := w.after(t, time.Hour)
		shows(t, r, activation.SyncPIIUpdate, activation.CauseAgent, "Agent")
		w.daily()
		l.set(3, [2]string{"newer3"}, true)
		w.join(10, 11)
		w.leave(0, 1)
		r = w.after(t, 16*time.Minute)
		shows(t, r, activation.SyncPIIUpdate, activation.CauseAgent, "Agent")
		w.holding(t, "e0", "e1", "e2", "newer3", "e4", "e5", "e6", "e7", "e8", "e9")
		shows(t, w.after(t, 24*time.Hour), activation.SyncSegment, activation.CauseSchedule, "People")
		w.holding(t, "e1", "e2", "newer3", "e4", "e5", "e6", "e7", "e8", "e9", "e10")
	})
	on("a rebuild and a new mapping", func(t *testing.T, w *world, l *lake) {
		w.guarded(t, 120)
		_, err := l.Rebuild(t.Context(), nil)
		done(t, err)
		if r := w.after(t, time.Hour); r.Status != activation.RunCompleted || r.Counts.Removed > 0 {
			t.Fatalf("after a rebuild run #%d is %s with %d removed", r.Number, r.Status, r.Counts.Removed)
		}
		done(t, w.destination(func(d *activation.Destination) {
			d.Mapping = map[string]string{"EMAIL": "uid", "PHONE": "phone"}
		}))
		l.set(7, [2]string{"other"}, true) // which is no part of the keys any more
		r := w.after(t, time.Hour)
		shows(t, r, activation.SyncPIIUpdate, activation.CauseAgent, "Agent")
		if r.Counts.Remove != 0 || r.Counts.Update != 120 || r.Counts.Removed != 120 || w.held(t) != 120 {
			t.Fatalf("%+v, %d are left", r.Counts, w.held(t))
		}
		w.holds(t, "u7")
	})
}

// holds checks that the network holds a value.
func (w *world) holds(t *testing.T, value string) {
	t.Helper()
	target, err := w.store.Target(t.Context(), w.target)
	done(t, err)
	if !w.net.holds(target.RemoteID)[value] {
		t.Fatalf("the network does not hold %s", value)
	}
}
