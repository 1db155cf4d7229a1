package delivery_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// replace opens a run that replaces everybody.
func (w *world) replace(t *testing.T) activation.Run {
	t.Helper()
	r, err := w.proc.ReplaceTarget(t.Context(), w.target, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if r.Mode != activation.ModeReplace || r.Cause != activation.CauseManual {
		t.Fatalf("%+v", r)
	}
	return r
}

// same says what is wrong at the network, once all has come to rest.
func (w *world) same(t *testing.T) {
	t.Helper()
	if err := w.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if wrong := w.check(t.Context()) + w.verdict(t.Context()); wrong != "" {
		t.Fatal(wrong, w.story())
	}
}

func TestReplace(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, w *world) {
		w.work(t)
		w.net.behind(w.remote(t), []string{"e3", "e4"}, []string{"ex", "ey", "ez"})
		w.leave(0, 2)
		w.join(20, 21)
		w.replace(t)
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		c := r.Counts
		if c.Selected != 19 || c.Add != 19 || c.Remove != 2 || c.Removed != 2 || c.Added != 19 || c.InBefore != 18 || c.InAfter != 19 {
			t.Fatalf("%+v", c)
		}
		if wrong := w.check(t.Context()) + w.verdict(t.Context()); wrong != "" {
			t.Fatal(wrong)
		}
		time.Sleep(time.Minute)
		if _, err := w.proc.RunTarget(t.Context(), w.target); err != nil {
			t.Fatal(err)
		}
		if r = w.work(t); r.Counts.Staged != 0 || r.Counts.Unchanged != 19 {
			t.Fatalf("%+v", r.Counts)
		}
	})
}

// TestReplaceIsRefused where the network offers none, and while anything of the
// target is under way.
func TestReplaceIsRefused(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		ask := func(want error, field string) {
			t.Helper()
			_, err := w.proc.ReplaceTarget(t.Context(), w.target, "ann")
			var e *activation.Error
			if errors.As(err, &e); err == nil || want != nil && !errors.Is(err, want) || field != "" && (e == nil || e.Field != field || e.Kind != activation.Invalid) {
				t.Fatal(err)
			}
		}
		if _, err := w.proc.RunTarget(t.Context(), w.target); err != nil {
			t.Fatal(err)
		}
		ask(activation.ErrConflict, "")
		w.work(t)
		w.def.Replaces = false
		w.boot()
		ask(nil, "target")
		w.def.Replaces, w.def.Async = true, true
		w.boot()
		ask(nil, "target")
		w.net.async = true
		w.join(10, 12)
		time.Sleep(time.Minute)
		if r := w.work(t); r.Status != activation.RunAwaiting {
			t.Fatalf("%+v", r)
		}
		w.def.Async = false
		w.boot()
		ask(activation.ErrConflict, "")
	})
}

// TestReplaceAsksTheGuard: whom the network would drop counts as removed, and
// whoever approved other removals did not speak of this.
func TestReplaceAsksTheGuard(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, w *world) {
		w.work(t)
		w.leave(0, 15)
		time.Sleep(time.Minute)
		ordinary := w.work(t)
		if ordinary.Reason != activation.SleepApproval {
			t.Fatalf("%+v", ordinary)
		}
		if _, err := w.proc.Decline(t.Context(), ordinary.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		w.work(t)
		time.Sleep(time.Minute)
		calls := len(w.net.calls)
		w.replace(t)
		r := w.work(t)
		if r.Status != activation.RunPending || r.Reason != activation.SleepApproval || r.Counts.Remove != 15 {
			t.Fatalf("%+v", r)
		}
		if _, err := w.proc.Decline(t.Context(), r.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		if r = w.work(t); len(w.net.calls) != calls {
			t.Fatal("something was sent although it was declined")
		}
		expect(t, r, activation.RunWithdrawn, "")
		time.Sleep(time.Minute)
		w.replace(t)
		r = w.work(t)
		if r.Reason != activation.SleepApproval {
			t.Fatalf("%+v", r)
		}
		if _, err := w.proc.Approve(t.Context(), r.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		r = w.work(t)
		if expect(t, r, activation.RunCompleted, ""); r.Counts.Removed != 15 || len(w.net.holds(w.remote(t))) != 5 {
			t.Fatalf("%+v", r.Counts)
		}
		w.same(t)
	})
}

// breaksAt makes the nth batch go one way.
func (w *world) breaksAt(nth int, fault string) {
	n := 0
	w.net.each = func(provider.Batch) string {
		if n++; n == nth {
			return fault
		}
		return ""
	}
}

// TestReplaceIsCut: whatever goes wrong with a batch in the middle, the rest is
// not sent, nothing of it is ever sent again, and the next ordinary run has both
// sides equal.
func TestReplaceIsCut(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"timeout after", "timeout before", "untyped", "bad receipt", "unknown row", "unsent row", "refuse whole", "401"} {
		t.Run(fault, func(t *testing.T) {
			inBubble(t, 20, func(t *testing.T, w *world) {
				w.work(t)
				w.net.behind(w.remote(t), nil, []string{"ex"})
				w.leave(0, 2)
				w.replace(t)
				w.breaksAt(2, fault)
				r := w.work(t)
				if r.Status != activation.RunFailed || r.ErrorCode != activation.CodeReplaceCut && fault != "bad receipt" || r.ErrorText == "" {
					t.Fatalf("run #%d is %s %q: %s", r.Number, r.Status, r.ErrorCode, r.ErrorText)
				}
				if err := r.Counts.CheckLaws(); err != nil || r.Counts.Removed != 0 {
					t.Fatal(err, r.Counts)
				}
				if s := w.states(t, r); strings.Count(s, "withdrawn") != 3 {
					t.Fatal(s)
				}
				h, err := w.plane.Holdings(t.Context(), w.target, 1)
				if err != nil || h.In != 0 || h.Maybe == 0 {
					t.Fatalf("%+v %v", h, err)
				}
				if _, err := w.proc.Retry(t.Context(), r.ID, "ann"); !errors.Is(err, activation.ErrConflict) {
					t.Fatal(err)
				}
				w.net.each = nil
				if fault == "401" {
					time.Sleep(time.Hour)
				}
				// What was added behind our back is a matter of comparing.
				w.net.behind(w.remote(t), []string{"ex"}, nil)
				w.same(t)
			})
		})
	}
}

// TestReplaceSitsOutAWait of the network in the middle, since giving the run back
// would end the session.
func TestReplaceSitsOutAWait(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, w *world) {
		w.work(t)
		w.replace(t)
		w.breaksAt(3, "throttle long")
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Attempt != 1 {
			t.Fatalf("it took %d attempts", r.Attempt)
		}
		w.same(t)
	})
}

// TestReplaceGivesTheRunBack while nothing was sent, and begins anew then.
func TestReplaceGivesTheRunBack(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, w *world) {
		w.work(t)
		w.replace(t)
		w.breaksAt(1, "throttle long")
		if r := w.work(t); r.Status != activation.RunRunning || r.Node != "" {
			t.Fatalf("%+v", r)
		}
		time.Sleep(10 * time.Minute)
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Attempt != 2 {
			t.Fatalf("it took %d attempts", r.Attempt)
		}
		w.same(t)
	})
}

// TestReplaceByNobody: no batch says that nobody is wanted, so an ordinary run
// takes everybody away, asking the guard.
func TestReplaceByNobody(t *testing.T) {
	inBubble(t, 6, func(t *testing.T, w *world) {
		w.work(t)
		w.leave(0, 6)
		w.replace(t)
		calls := len(w.net.calls)
		r := w.work(t)
		if expect(t, r, activation.RunWithdrawn, ""); !strings.Contains(r.ErrorText, "nobody is wanted") || len(w.net.calls) != calls {
			t.Fatalf("%+v", r)
		}
		w.same(t)
		if n := len(w.net.holds(w.remote(t))); n != 0 {
			t.Fatalf("%d people are left", n)
		}
	})
}

// TestReplaceEndsWithItsJob in the middle, and nobody knows what is there.
func TestReplaceEndsWithItsJob(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, w *world) {
		w.work(t)
		w.replace(t)
		n := 0
		w.net.each = func(provider.Batch) string {
			if n++; n == 2 {
				w.store.setJob(w.job, activation.JobKilled)
				return "throttle long"
			}
			return ""
		}
		w.work(t)
		r := w.work(t)
		expect(t, r, activation.RunFailed, activation.CodeJobEnded)
		if h, err := w.plane.Holdings(t.Context(), w.target, 1); err != nil || h.In != 0 || h.Maybe != 20 {
			t.Fatalf("%+v %v", h, err)
		}
	})
}
