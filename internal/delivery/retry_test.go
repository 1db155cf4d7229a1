package delivery_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// offered and withheld check what a list says of Retry, and that the command
// agrees with it.
func offered(t *testing.T, w *world, r activation.Run) {
	t.Helper()
	ok, reason, err := w.store.(*control).RetryVerdict(t.Context(), r.ID)
	if !ok || err != nil {
		t.Fatalf("no Retry of run #%d: %q (%v)", r.Number, reason, err)
	}
}

func withheld(t *testing.T, w *world, r activation.Run, words string) {
	t.Helper()
	ok, reason, err := w.store.(*control).RetryVerdict(t.Context(), r.ID)
	if ok || err != nil || !strings.Contains(reason, words) {
		t.Fatalf("Retry of run #%d: %t, %q (%v), want one that is withheld because %q", r.Number, ok, reason, err, words)
	}
	before, err := w.store.Run(t.Context(), r.ID)
	done(t, err)
	_, err = w.proc.Retry(t.Context(), r.ID, "ann")
	if !errors.Is(err, activation.ErrConflict) || !strings.Contains(err.Error(), reason) {
		t.Fatalf("Retry of run #%d: %v, want a conflict that says %q", r.Number, err, reason)
	}
	after, err := w.store.Run(t.Context(), r.ID)
	done(t, err)
	if after.Attempt != before.Attempt || after.Status != before.Status {
		t.Fatalf("a Retry that was refused has changed run #%d", r.Number)
	}
}

// retried retries a run and lets it end.
func (w *world) retried(t *testing.T, r activation.Run) activation.Run {
	t.Helper()
	offered(t, w, r)
	_, err := w.proc.Retry(t.Context(), r.ID, "ann")
	done(t, err)
	if err := w.turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := w.store.Run(t.Context(), r.ID)
	done(t, err)
	if !again.StartedAt.Equal(r.StartedAt) || again.Number != r.Number {
		t.Fatalf("the Retry is run #%d, started %s", again.Number, again.StartedAt)
	}
	return again
}

// failing makes the network fail, and lets the next run fail there.
func (w *world) failing(t *testing.T, wait time.Duration) activation.Run {
	t.Helper()
	w.goes("html")
	r := w.after(t, wait)
	expect(t, r, activation.RunFailed, "NET-503")
	return r
}

// TestRetryRule: each line of the rule, with the runs that lead to it.
func TestRetryRule(t *testing.T) {
	t.Parallel()
	play(t, []scenario{
		{"two failed runs of one key", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 6)
			first := w.failing(t, 0)
			offered(t, w, first)
			second := w.failing(t, 2*time.Minute)
			if second.Key != first.Key || second.ID == first.ID {
				t.Fatalf("runs of keys %q and %q", first.Key, second.Key)
			}
			withheld(t, w, first, "run #2 carries these")
			w.net.heal()
			if r := w.retried(t, second); r.Status != activation.RunCompleted || r.Counts.Added != 6 {
				t.Fatalf("%s, %+v", r.Status, r.Counts)
			}
			withheld(t, w, first, "run #2 carries these")
			withheld(t, w, second, "only a failed run")
		}},
		{"only what failed is sent again", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 4)
			expect(t, w.work(t), activation.RunCompleted, "")
			w.join(4, 12)
			w.def.Concurrency = 1
			w.boot()
			w.net.mu.Lock()
			w.net.badToken, w.net.spare = true, 2 // to find the audience, and one batch
			w.net.mu.Unlock()
			r := w.after(t, 2*time.Minute)
			if expect(t, r, activation.RunFailed, "NET-401"); w.states(t, r) != "delivered failed" {
				t.Fatalf("items %s", w.states(t, r))
			}
			w.net.heal()
			calls := len(w.net.calls)
			done(t, w.store.(*control).mend(t.Context()))
			if err := w.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
			again, err := w.store.Run(t.Context(), r.ID)
			done(t, err)
			if expect(t, again, activation.RunCompleted, ""); len(w.net.calls) != calls+1 || len(w.store.all()) != 2 {
				t.Fatalf("%d calls more, %d runs", len(w.net.calls)-calls, len(w.store.all()))
			}
		}},
		{"outbound and real time share a key", func(t *testing.T, w *world, s *store.Store, p *plane) {
			ctx := t.Context()
			w.level(t, s, p)
			w.join(0, 2)
			w.work(t)
			w.join(2, 3)
			live := w.failing(t, 2*time.Minute)
			if offered(t, w, live); live.Cause != activation.CauseRealTime {
				t.Fatalf("caused by %s", live.Cause)
			}
			done(t, s.MakeDue(ctx, []activation.TargetID{w.target}, activation.CauseOutbound))
			outbound := w.failing(t, 2*time.Minute)
			if outbound.Cause != activation.CauseOutbound || outbound.Key != live.Key || outbound.SyncType != live.SyncType {
				t.Fatalf("%s of key %q after one of %q", outbound.Cause, outbound.Key, live.Key)
			}
			withheld(t, w, live, "carries these")
			w.net.heal()
			if r := w.retried(t, outbound); r.Status != activation.RunCompleted {
				t.Fatalf("%s", r.Status)
			}
			w.holding(t, "e0", "e1", "e2")
		}},
		{"identifiers come after a failed run", func(t *testing.T, w *world, _ *store.Store, p *plane) {
			w.join(0, 2)
			w.work(t)
			w.join(2, 3)
			first := w.failing(t, 2*time.Minute)
			w.net.heal()
			p.set(0, [2]string{"new0"}, true)
			later := w.after(t, 2*time.Minute)
			expect(t, later, activation.RunCompleted, "")
			withheld(t, w, first, "carries these")
			w.holding(t, "new0", "e1", "e2")
		}},
		{"an older one after a newer one was staged", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 12)
			w.work(t)
			w.join(12, 13)
			first := w.failing(t, 2*time.Minute)
			w.net.heal()
			w.leave(0, 11) // the next one waits for approval: staged, and nothing sent
			asks := w.after(t, 2*time.Minute)
			if asks.Status != activation.RunPending || asks.Reason != activation.SleepApproval {
				t.Fatalf("%s (%s)", asks.Status, asks.Reason)
			}
			withheld(t, w, first, "run #3 carries these")
			_, err := w.proc.Withdraw(t.Context(), asks.ID, "ann")
			done(t, err)
			withheld(t, w, first, "run #3 carries these") // whatever became of it
		}},
		{"while a later one is open", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 2)
			first := w.failing(t, 0)
			_, err := w.proc.RunTarget(t.Context(), w.target)
			done(t, err)
			withheld(t, w, first, "run #2 is open")
		}},
		{"stage 2 against stage 6", func(t *testing.T, w *world, _ *store.Store, p *plane) {
			w.join(0, 2)
			broken := &activation.Error{Kind: activation.Internal, Message: "the disk is full"}
			p.sick = broken
			early := w.work(t)
			if expect(t, early, activation.RunFailed, "INTERNAL-019"); early.Stage != activation.StageAudiences {
				t.Fatalf("failed in stage %s", early.Stage)
			}
			withheld(t, w, early, "did not fail at the destination")
			late := w.failing(t, 2*time.Minute)
			if offered(t, w, late); late.Stage != activation.StageMembers {
				t.Fatalf("failed in stage %s", late.Stage)
			}
			p.sick = broken
			again := w.after(t, 5*time.Minute)
			expect(t, again, activation.RunFailed, "INTERNAL-019")
			withheld(t, w, again, "did not fail at the destination")
			w.net.heal()
			if r := w.retried(t, late); r.Status != activation.RunCompleted { // nothing was staged since
				t.Fatalf("%s", r.Status)
			}
			w.holding(t, "e0", "e1")
		}},
		{"the job is paused, then killed", func(t *testing.T, w *world, s *store.Store, _ *plane) {
			w.join(0, 2)
			first := w.failing(t, 0)
			done(t, s.Pause(t.Context(), w.job, 0, "ann"))
			withheld(t, w, first, "paused")
			done(t, s.Resume(t.Context(), w.job, "ann"))
			offered(t, w, first)
			done(t, s.Kill(t.Context(), w.job, "ann"))
			withheld(t, w, first, "the job was ended")
		}},
		{"the authorization is mended", func(t *testing.T, w *world, s *store.Store, _ *plane) {
			w.join(0, 2)
			w.net.badToken = true
			first := w.work(t)
			expect(t, first, activation.RunFailed, "NET-401")
			withheld(t, w, first, "authorization is not healthy")
			if r := w.after(t, 3*time.Hour); r.ID != first.ID {
				t.Fatal("a run was opened for an authorization that is refused")
			}
			w.net.heal()
			done(t, w.store.(*control).mend(t.Context()))
			r := w.work(t)
			if expect(t, r, activation.RunCompleted, ""); r.ID != first.ID || !r.StartedAt.Equal(first.StartedAt) {
				t.Fatal("a new run was opened instead of the failed one")
			}
			if w.after(t, time.Hour); len(w.store.all()) != 1 {
				t.Fatal("retried, and opened anew as well")
			}
		}},
		{"the authorization is mended and Retry withheld", func(t *testing.T, w *world, s *store.Store, p *plane) {
			w.join(0, 2)
			w.net.badToken = true
			first := w.work(t)
			expect(t, first, activation.RunFailed, "NET-401")
			p.sick = &activation.Error{Kind: activation.Unauthorized, Code: "NET-401", Message: "not even that"}
			w.net.heal()
			done(t, w.store.(*control).mend(t.Context()))
			expect(t, w.work(t), activation.RunCompleted, "") // the first, retried
			w.join(2, 3)
			early := w.after(t, 2*time.Minute)
			expect(t, early, activation.RunFailed, "NET-401")
			withheld(t, w, early, "did not fail at the destination")
			done(t, w.store.(*control).mend(t.Context()))
			r := w.after(t, 2*time.Minute)
			if expect(t, r, activation.RunCompleted, ""); r.ID == early.ID {
				t.Fatal("a run was retried that did not fail at the destination")
			}
			if w.after(t, time.Hour); len(w.store.all()) != 3 {
				t.Fatalf("%d runs", len(w.store.all()))
			}
		}},
		{"every failed run of conversions", func(t *testing.T, w *world, s *store.Store, p *plane) {
			w.conversions(t, s, p)
			w.heard.happen("who1", true)
			w.net.badToken = true
			first := w.work(t)
			expect(t, first, activation.RunFailed, "NET-401")
			if first.SyncType != activation.SyncOfflineConversion || first.TriggeredBy != "" {
				t.Fatalf("%s by %q", first.SyncType, first.TriggeredBy)
			}
			w.unasked(t, s)
			w.heard.happen("who2", true)
			second := w.after(t, 2*time.Minute)
			if expect(t, second, activation.RunFailed, "NET-401"); second.ID == first.ID {
				t.Fatal("no second run")
			}
			withheld(t, w, first, "authorization is not healthy")
			w.unasked(t, s)
			offered(t, w, second)
			w.net.heal()
			for _, r := range []activation.Run{first, second} { // the older one too
				if r = w.retried(t, r); r.Status != activation.RunCompleted || r.Counts.Accepted != 1 {
					t.Fatalf("%s, %+v", r.Status, r.Counts)
				}
			}
			w.mustTell(t)
		}},
		{"every failed run of an audience of conversions", func(t *testing.T, w *world, s *store.Store, p *plane) {
			ctx := t.Context()
			w.work(t)
			of, err := s.Target(ctx, w.target)
			done(t, err)
			kept, _, err := s.ConversionTarget(ctx, of, activation.Audience{Slug: "conversion-purchase", Name: "Conversion-Purchase"}, "fake")
			done(t, err)
			w.target, p.audience = kept.ID, kept.Audience
			w.join(0, 2)
			first := w.failing(t, 2*time.Minute)
			w.join(2, 4)
			second := w.failing(t, 5*time.Minute)
			if second.ID == first.ID || second.SyncType != activation.SyncConversionAudience {
				t.Fatalf("run #%d is %s", second.Number, second.SyncType)
			}
			offered(t, w, second)
			w.net.heal()
			if r := w.retried(t, first); r.Status != activation.RunCompleted || r.Counts.Added != 2 {
				t.Fatalf("%s, %+v", r.Status, r.Counts)
			}
			w.retried(t, second)
			w.holding(t, "e0", "e1", "e2", "e3")
		}},
	})
}

// unasked mends the authorization without anything being retried for that: the job
// is paused meanwhile.
func (w *world) unasked(t *testing.T, s *store.Store) {
	t.Helper()
	done(t, s.Pause(t.Context(), w.job, 0, "ann"))
	done(t, w.store.(*control).mend(t.Context()))
	done(t, s.Resume(t.Context(), w.job, "ann"))
}

// conversions makes the world one whose job sends conversions.
func (w *world) conversions(t *testing.T, s *store.Store, p *plane) {
	t.Helper()
	ctx := t.Context()
	before, err := s.Target(ctx, w.target)
	done(t, err)
	done(t, s.DeleteJob(ctx, w.job, "ann"))
	dest, err := s.Destination(ctx, before.Destination)
	done(t, err)
	dest.Mapping = map[string]string{"WHO": "who"}
	_, err = s.UpdateDestination(ctx, dest, "ann")
	done(t, err)
	job, err := s.CreateJob(ctx, activation.Job{
		Name: "convert", Workflow: "tell", Provider: "fake", Type: "export", Destination: dest.ID, Stream: "orders",
		Schedule: activation.Schedule{Continuous: true}, CreatedBy: "ann", FailAfter: 1000 * time.Hour,
	})
	done(t, err)
	targets, err := s.Targets(ctx, store.TargetFilter{Job: job.ID})
	done(t, err)
	w.job, w.target, w.heard = job.ID, targets[0].ID, newJournal(p)
	w.plane, w.events = w.heard, w.heard
	w.hears()
	w.def.Workflows[0].SyncType = activation.SyncOfflineConversion
	w.boot()
}
