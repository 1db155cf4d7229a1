package delivery_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// inBubble runs fn over a world of fakes with n members, all by themselves.
func inBubble(t *testing.T, members int, fn func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(7, provider.ReplayHarmless, false)
		w.join(0, members)
		fn(t, w)
	})
}

// join and leave make people members, or not any more.
func (w *world) join(from, to int) {
	for id := from; id < to; id++ {
		w.plane.set(int64(id), [2]string{fmt.Sprint("e", id)}, true)
	}
}

func (w *world) leave(from, to int) {
	for id := from; id < to; id++ {
		w.plane.set(int64(id), [2]string{fmt.Sprint("e", id)}, false)
	}
}

// goes makes every call at the network go one way.
func (w *world) goes(fault string) {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	w.net.only, w.net.chaos = fault, 1
}

// work lets the process do what is due, and returns the newest run.
func (w *world) work(t *testing.T) activation.Run {
	t.Helper()
	if err := w.turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	runs := w.store.all()
	return runs[len(runs)-1]
}

func (w *world) states(t *testing.T, r activation.Run) string {
	t.Helper()
	items, err := w.store.Items(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range items {
		out = append(out, string(i.State))
	}
	return strings.Join(out, " ")
}

func expect(t *testing.T, r activation.Run, status activation.RunStatus, code string) {
	t.Helper()
	if r.Status != status || r.ErrorCode != code {
		t.Fatalf("run #%d is %s %q, want %s %q", r.Number, r.Status, r.ErrorCode, status, code)
	}
	if err := r.Counts.CheckLaws(); err != nil {
		t.Fatal(err)
	}
}

func TestUnauthorizedFailsTheRunAtOnce(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.net.badToken = true
		begin := time.Now()
		r := w.work(t)
		expect(t, r, activation.RunFailed, "NET-401")
		if r.ErrorKind != activation.Unauthorized || time.Since(begin) > time.Second {
			t.Fatalf("kind %s after %s", r.ErrorKind, time.Since(begin))
		}
		if got := w.states(t, r); got != "failed failed failed" {
			t.Fatalf("items %s", got)
		}
		w.net.heal()
		if _, err := w.proc.Retry(t.Context(), r.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		again := w.work(t)
		expect(t, again, activation.RunCompleted, "")
		if again.ID != r.ID || again.StartedAt != r.StartedAt || again.Counts.Added != 10 {
			t.Fatalf("the retry is run #%d, started %s, %d added", again.Number, again.StartedAt, again.Counts.Added)
		}
	})
}

func TestDownIsRetriedForAMinute(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.goes("html")
		begin := time.Now()
		r := w.work(t)
		expect(t, r, activation.RunFailed, "NET-503")
		if d := time.Since(begin); d < 45*time.Second || d > 61*time.Second {
			t.Fatalf("retried for %s", d)
		}
		if r.Counts.Unsent != 10 || r.Counts.Sent != 0 {
			t.Fatalf("counts %+v", r.Counts)
		}
	})
}

func TestProviderWait(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.goes("throttle long")
		r := w.work(t)
		if r.Status != activation.RunRunning || r.Node != "" || time.Until(r.WaitUntil) != 5*time.Minute {
			t.Fatalf("run %s held by %q waits until %s", r.Status, r.Node, r.WaitUntil)
		}
		w.net.heal()
		time.Sleep(4 * time.Minute)
		if r = w.work(t); r.Status != activation.RunRunning {
			t.Fatal("worked on before the wait was over")
		}
		time.Sleep(time.Minute)
		expect(t, w.work(t), activation.RunCompleted, "")
	})
}

func TestShortWaitIsWaitedInPlace(t *testing.T) {
	inBubble(t, 10, func(t *testing.T, w *world) {
		w.goes("throttle")
		go func() {
			time.Sleep(3 * time.Second)
			w.net.heal()
		}()
		expect(t, w.work(t), activation.RunCompleted, "")
	})
}

func TestRefusedWholeIsHalved(t *testing.T) {
	inBubble(t, 8, func(t *testing.T, w *world) {
		w.goes("refuse whole") // of more than two rows
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if got := w.states(t, r); got != "split split delivered delivered delivered delivered" || r.Counts.Added != 8 {
			t.Fatalf("items %s, %d added", got, r.Counts.Added)
		}
	})
}

func TestUnknownIsNotRepeatedWhereThatHarms(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.def.Replay = provider.ReplayNever
		w.goes("timeout after")
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Unknown != 4 || len(w.net.calls) != 1 {
			t.Fatalf("%d unknown after %d calls", r.Counts.Unknown, len(w.net.calls))
		}
		if target, _ := w.store.Target(t.Context(), w.target); !target.DueNow {
			t.Fatal("nobody settles what is unknown")
		}
	})
}

func TestUnknownIsRepeatedWhereHarmless(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.goes("timeout after")
		go func() {
			time.Sleep(2 * time.Second)
			w.net.heal()
		}()
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Unknown != 0 || r.Counts.Accepted != 4 || r.Counts.Resent == 0 || r.Counts.BecameIn != 4 {
			t.Fatalf("counts %+v", r.Counts)
		}
	})
}

func TestReceiptThatDoesNotAddUp(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.goes("bad receipt")
		r := w.work(t)
		expect(t, r, activation.RunFailed, activation.CodeCounts)
		if r.Counts.Unknown != 4 || r.Counts.InAfter != 0 {
			t.Fatalf("counts %+v", r.Counts)
		}
	})
}

func TestLedgerThatDisagrees(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.plane.(*plane).wrong = true
		r := w.work(t)
		expect(t, r, activation.RunFailed, activation.CodeCounts)
		if r.Counts.BecameIn != 0 || r.Counts.InAfter != 0 {
			t.Fatalf("folded all the same: %+v", r.Counts)
		}
		if _, err := w.proc.Retry(t.Context(), r.ID, "ann"); !errors.Is(err, activation.ErrConflict) {
			t.Fatalf("retry: %v", err)
		}
	})
}

func TestGuardAsksAndObeys(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		w.leave(0, 8)
		w.join(20, 21)
		time.Sleep(time.Hour)
		asked := w.work(t)
		if asked.Status != activation.RunPending || asked.Reason != activation.SleepApproval || asked.Counts.Remove != 8 {
			t.Fatalf("run %s (%s) with %d removals", asked.Status, asked.Reason, asked.Counts.Remove)
		}
		time.Sleep(time.Hour)
		if next := w.work(t); next.ID != asked.ID {
			t.Fatal("another run was opened although nothing has changed")
		}
		if _, err := w.proc.Decline(t.Context(), asked.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		declined := w.work(t)
		expect(t, declined, activation.RunCompleted, "")
		if c := declined.Counts; c.Withheld != 8 || c.Removed != 0 || c.Added != 1 {
			t.Fatalf("counts %+v", c)
		}
		w.join(21, 22)
		time.Sleep(time.Hour)
		if r := w.work(t); r.Status != activation.RunCompleted || r.Counts.Withheld != 8 || r.Counts.Added != 1 {
			t.Fatalf("asked again: %s, %+v", r.Status, r.Counts)
		}
		w.leave(8, 9)
		time.Sleep(time.Hour)
		grown := w.work(t)
		if grown.Status != activation.RunPending {
			t.Fatalf("not asked although the removals grew: %s", grown.Status)
		}
		if _, err := w.proc.Approve(t.Context(), grown.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		approved := w.work(t)
		expect(t, approved, activation.RunCompleted, "")
		if approved.Counts.Removed != 9 || approved.Counts.Withheld != 0 {
			t.Fatalf("counts %+v", approved.Counts)
		}
	})
}

func TestStagedRowsAreCheckedAgain(t *testing.T) {
	inBubble(t, 8, func(t *testing.T, w *world) {
		w.goes("throttle long")
		r := w.work(t)
		w.leave(0, 3)
		time.Sleep(11 * time.Minute)
		w.net.heal()
		if _, err := w.proc.Workers()[1].Due(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		r = w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Superseded != 3 || r.Counts.Added != 5 {
			t.Fatalf("counts %+v", r.Counts)
		}
		for _, c := range w.net.calls {
			for _, v := range c.values {
				if c.applied && (v == "e0" || v == "e1" || v == "e2") {
					t.Fatalf("%s was sent although it left before", v)
				}
			}
		}
	})
}

func TestGoneBeginsAnew(t *testing.T) {
	inBubble(t, 8, func(t *testing.T, w *world) {
		expect(t, w.work(t), activation.RunCompleted, "")
		clear(w.net.audiences)
		clear(w.net.markers)
		w.join(8, 9)
		time.Sleep(time.Hour)
		gone := w.work(t)
		expect(t, gone, activation.RunWithdrawn, activation.CodeRemoteGone)
		time.Sleep(time.Hour)
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Generation != 2 || r.Counts.Added != 9 {
			t.Fatalf("generation %d, %d added", r.Generation, r.Counts.Added)
		}
	})
}

func TestAnswersThatNeverCome(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.net.async = true
		w.def.Async = true
		r := w.work(t)
		if r.Status != activation.RunAwaiting || r.Counts.Awaiting != 4 {
			t.Fatalf("run %s, %d awaited", r.Status, r.Counts.Awaiting)
		}
		if target, _ := w.store.Target(t.Context(), w.target); target.OpenRun != "" || target.DoneSeq != r.Seq {
			t.Fatalf("the target waits with its run: %+v", target)
		}
		w.goes("timeout before")
		for range 49 {
			time.Sleep(time.Hour)
			if err := w.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r = w.store.all()[0]
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Unknown != 4 {
			t.Fatalf("counts %+v", r.Counts)
		}
	})
}

func TestAnswersThatComeLate(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.net.async = true
		w.def.Async = true
		w.work(t)
		w.join(4, 6) // meanwhile
		for range 10 {
			time.Sleep(time.Minute)
			w.work(t)
		}
		runs := w.store.all()
		expect(t, runs[0], activation.RunCompleted, "")
		if runs[0].Counts.BecameIn != 4 || runs[0].Counts.InAfter != 4 {
			t.Fatalf("counts %+v", runs[0].Counts)
		}
		if wrong := w.verdict(t.Context()); wrong != "" {
			t.Fatal(wrong, w.story())
		}
	})
}

// TestMembersAnsweredLate: a network says after half an hour what it did not take
// of an audience. Later runs send it, at the network's pace and no faster.
func TestMembersAnsweredLate(t *testing.T) {
	for _, fault := range []string{"", "reject", "unsent row", "unsent whole", "unknown row", "refuse whole", "unplaced"} {
		t.Run(fault, func(t *testing.T) {
			inBubble(t, 7, func(t *testing.T, w *world) {
				w.net.async, w.def.Async = true, true
				w.net.late = 30 * time.Minute
				r := w.work(t)
				if r.Status != activation.RunAwaiting || r.Counts.Awaiting != 7 {
					t.Fatalf("run %s, %d awaited", r.Status, r.Counts.Awaiting)
				}
				w.boot()
				if fault != "" {
					w.net.takes = true
					w.goes(fault)
				}
				for range 6 * 60 { // as long as it takes nothing
					time.Sleep(time.Minute)
					if err := w.turn(t.Context()); err != nil {
						t.Fatal(err)
					}
					if wrong := w.check(t.Context()); wrong != "" {
						t.Fatal(wrong, w.story())
					}
				}
				if n := len(w.net.calls); n > 2*8 { // two items, answered for within the hour
					t.Fatalf("%d calls in six hours%s", n, w.story())
				}
				first, _ := w.store.Run(t.Context(), r.ID)
				want := map[string]activation.RunStatus{"refuse whole": activation.RunFailed, "unsent whole": activation.RunFailed}[fault]
				if first.Status != cmp.Or(want, activation.RunCompleted) {
					t.Fatalf("the first run is %s%s", first.Status, w.story())
				}
				if err := w.settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				wrong := w.check(t.Context())
				if fault != "reject" { // whom it refuses is not asked again
					wrong += w.verdict(t.Context())
				}
				if wrong != "" {
					t.Fatal(wrong, w.story())
				}
			})
		})
	}
}

func TestNewMappingSendsNothingOld(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.goes("throttle long")
		r := w.work(t)
		m := w.store.(*memory)
		d := m.dests["dest"]
		d.Mapping = map[string]string{"EMAIL": "email", "PHONE": "mobile"}
		m.dests["dest"] = d
		w.net.heal()
		time.Sleep(6 * time.Minute)
		if err := w.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, _ = m.Run(t.Context(), r.ID)
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Superseded != 4 || len(w.net.calls) != 1 { // the one that was throttled
			t.Fatalf("counts %+v, %d calls", r.Counts, len(w.net.calls))
		}
	})
}

func TestRunNow(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		ctx := t.Context()
		runs, err := w.proc.RunJob(ctx, w.job)
		if err != nil || len(runs) != 1 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		if _, err := w.proc.RunJob(ctx, w.job); !errors.Is(err, activation.ErrConflict) || !strings.Contains(err.Error(), string(runs[0].ID)) {
			t.Fatalf("a second run: %v, want a conflict with the open one's id", err)
		}
		if _, err := w.proc.RunAudience(ctx, "audience"); !errors.Is(err, activation.ErrConflict) {
			t.Fatalf("by audience: %v", err)
		}
		if _, err := w.proc.RunJob(ctx, "nobody"); !errors.Is(err, activation.ErrNotFound) {
			t.Fatalf("an unknown job: %v", err)
		}
	})
}

func TestPlanWritesNothing(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, w *world) {
		w.work(t)
		w.leave(0, 8)
		w.join(20, 25)
		before := len(w.net.calls)
		previews, err := w.proc.PlanJob(t.Context(), w.job)
		if err != nil {
			t.Fatal(err)
		}
		p := previews[0]
		if p.Counts.Add != 5 || p.Counts.Remove != 8 || p.Guard != "ask" || p.Calls != 4 || p.Holding != 12 || p.Duration <= 0 {
			t.Fatalf("preview %+v", p)
		}
		if len(w.store.all()) != 1 || len(w.net.calls) != before {
			t.Fatal("a preview opened a run or called the network")
		}
	})
}

// TestGoneFoundByAPoll: a question about an older run does not end the run that
// is open; that one finds out by itself, and the older one is asked about again.
func TestGoneFoundByAPoll(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.net.async, w.def.Async = true, true
		w.work(t)
		w.net.async = false
		w.join(4, 8)
		time.Sleep(time.Minute)
		w.goes("throttle long")
		open := w.work(t)
		if open.Status != activation.RunRunning || open.Number != 2 {
			t.Fatalf("run #%d is %s", open.Number, open.Status)
		}
		clear(w.net.audiences)
		clear(w.net.markers)
		time.Sleep(2 * time.Minute) // the first run is polled, the second waits
		if err := w.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if wrong := w.check(t.Context()); wrong != "" {
			t.Fatal(wrong, w.story())
		}
		if err := w.settle(t.Context()); err != nil {
			t.Fatal(err, w.story())
		}
		if wrong := w.check(t.Context()) + w.verdict(t.Context()); wrong != "" {
			t.Fatal(wrong, w.story())
		}
	})
}

// TestStagedRowsGo: a day after its end nobody keeps a run's rows, unless it
// failed and may be retried.
func TestStagedRowsGo(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		p := w.plane.(*plane)
		w.work(t)
		w.join(4, 5)
		w.net.badToken = true
		time.Sleep(time.Hour)
		failed := w.work(t)
		w.store.setJob(w.job, activation.JobPaused) // no run carries what has failed
		time.Sleep(25 * time.Hour)
		w.work(t)
		if len(p.staged) != 1 || p.staged[failed.ID] == nil {
			t.Fatalf("rows of %d runs are kept, want those of the failed one", len(p.staged))
		}
		w.net.heal()
		w.store.setJob(w.job, activation.JobRunnable)
		w.work(t)
		time.Sleep(25 * time.Hour)
		if w.work(t); len(p.staged) != 0 {
			t.Fatalf("rows of %d runs are kept", len(p.staged))
		}
	})
}

// TestPlanThatIsOvertaken: people who come while the plan is made go with this
// run; if they keep coming, with the next.
func TestPlanThatIsOvertaken(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, w *world) {
		w.plane.(*plane).late = 2
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Added != 4 {
			t.Fatalf("counts %+v", r.Counts)
		}
		w.join(4, 6)
		w.plane.(*plane).late = 9
		time.Sleep(time.Hour)
		if r = w.work(t); r.Status != activation.RunCompleted || r.Counts.Deferred != 6 {
			t.Fatalf("run %s, counts %+v", r.Status, r.Counts)
		}
	})
}
