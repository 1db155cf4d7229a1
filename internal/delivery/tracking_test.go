package delivery_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/provider"
	"usher/internal/store"
)

// scenario is something that happens over the real control store; data plane and
// network are fakes.
type scenario struct {
	name string
	fn   func(t *testing.T, w *world, s *store.Store, p *plane)
}

// play plays scenarios, each in a world of its own; under the race detector a few
// of them. The seed is printed.
func play(t *testing.T, scenarios []scenario) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	if delivery.RaceEnabled {
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(scenarios), func(i, j int) { scenarios[i], scenarios[j] = scenarios[j], scenarios[i] })
		scenarios = scenarios[:min(2, len(scenarios))]
	}
	empty := template(t)
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := onSQLite(t, empty, 7, provider.ReplayHarmless, false)
				s := w.store.(*control).Store
				c.fn(t, w, s, w.plane.(*plane))
				found, err := s.Violations(t.Context())
				if len(found) > 0 || err != nil {
					t.Errorf("%s (%v)", strings.Join(found, "; "), err)
				}
			})
		})
	}
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// after lets some time pass and does what is due then.
func (w *world) after(t *testing.T, d time.Duration) activation.Run {
	t.Helper()
	time.Sleep(d)
	return w.work(t)
}

// shows checks what Sync Tracking says of a run that has completed.
func shows(t *testing.T, r activation.Run, sync activation.SyncType, cause activation.Cause, by string) {
	t.Helper()
	if r.Status != activation.RunCompleted || r.SyncType != sync || r.Cause != cause || r.TriggeredBy != by {
		t.Fatalf("run #%d is %s: %s by %q (%s %s), want %s by %q (%s)", r.Number, r.Status, r.SyncType, r.TriggeredBy, r.Cause, r.Mode, sync, by, cause)
	}
	if err := r.Counts.CheckLaws(); err != nil {
		t.Fatal(err)
	}
}

// holding checks what the network holds.
func (w *world) holding(t *testing.T, want ...string) {
	t.Helper()
	target, err := w.store.Target(t.Context(), w.target)
	done(t, err)
	got := slices.Sorted(maps.Keys(w.net.holds(target.RemoteID)))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Fatalf("the network holds %v, want %v", got, want)
	}
}

// daily makes the job one that runs each day at two.
func (w *world) daily() {
	w.store.change(w.job, func(j *activation.Job) {
		j.Schedule = activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: "02:00"}
	})
}

// level makes the world's job one that sends a level of the hierarchy.
func (w *world) level(t *testing.T, s *store.Store, p *plane) activation.Action {
	t.Helper()
	ctx := t.Context()
	issue, err := s.CreateIssue(ctx, activation.Issue{Name: "Sales"}, "ann")
	done(t, err)
	group, err := s.CreateGroup(ctx, activation.Group{Issue: issue.ID, Name: "Retention"}, "ann")
	done(t, err)
	named := func(end string) activation.Audience {
		return activation.Audience{Slug: "sales-retention-bike" + strings.ToLower(end), Name: "Sales-Retention-Bike" + end, Rule: "FILTER NOT (member = true)"}
	}
	action, err := s.CreateAction(ctx, activation.Action{Group: group.ID, Name: "Bike", Eligibility: "FILTER member = true", Enabled: true}, named(""), named("-N"), "ann")
	done(t, err)
	w.instead(t, s, p, action.Audience, func(j *activation.Job) { j.Level = "Sales/Retention" })
	return action
}

// instead makes the world one of another audience: its job is ended, and a new
// one sends that audience to the same destination.
func (w *world) instead(t *testing.T, s *store.Store, p *plane, a activation.AudienceID, change func(*activation.Job)) {
	t.Helper()
	ctx := t.Context()
	before, err := s.Target(ctx, w.target)
	done(t, err)
	done(t, s.Kill(ctx, w.job, "ann"))
	job := activation.Job{
		Name: "other", Workflow: "fake", Provider: "fake", Type: "export", Destination: before.Destination, Audiences: []activation.AudienceID{a},
		Schedule: activation.Schedule{Continuous: true}, CreatedBy: "ann", FailAfter: 1000 * time.Hour,
	}
	change(&job)
	job, err = s.CreateJob(ctx, job)
	done(t, err)
	targets, err := s.Targets(ctx, store.TargetFilter{Job: job.ID})
	done(t, err)
	i := slices.IndexFunc(targets, func(t activation.Target) bool { return t.Audience == a })
	w.job, w.target, p.audience = job.ID, targets[i].ID, a
}

// TestSyncTypes: what each kind of run is called, what it says triggered it, and
// what it does.
func TestSyncTypes(t *testing.T) {
	t.Parallel()
	const agent = "Agent"
	play(t, []scenario{
		{"an audience in real time", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 4)
			expect(t, w.work(t), activation.RunCompleted, "")
			w.join(4, 5)
			shows(t, w.after(t, 2*time.Minute), activation.SyncSegment, activation.CauseRealTime, "People")
			w.leave(0, 1)
			shows(t, w.after(t, 2*time.Minute), activation.SyncSegment, activation.CauseRealTime, "People")
			w.holding(t, "e1", "e2", "e3", "e4")
			n := len(w.store.all())
			if w.after(t, 2*time.Hour); len(w.store.all()) != n {
				t.Fatal("a run was opened although nothing has changed")
			}
		}},
		{"an audience by hand", func(t *testing.T, w *world, _ *store.Store, p *plane) {
			ctx := t.Context()
			w.join(0, 2)
			w.work(t)
			w.daily()
			for i, run := range []func() error{
				func() error { _, err := w.proc.RunTarget(ctx, w.target); return err },
				func() error { _, err := w.proc.RunJob(ctx, w.job); return err },
				func() error { _, err := w.proc.RunAudience(ctx, p.audience); return err },
			} {
				w.join(10+i, 11+i)
				p.set(0, [2]string{fmt.Sprint("other", i)}, true) // identifiers wait as well
				done(t, run())
				r := w.work(t)
				shows(t, r, activation.SyncSegment, activation.CauseManual, "People")
				if r.Mode != activation.ModeSync || r.Counts.Added != 2 {
					t.Fatalf("mode %q, %d added", r.Mode, r.Counts.Added)
				}
			}
		}},
		{"an audience on a schedule", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 2)
			w.work(t)
			w.daily()
			w.join(2, 3)
			w.leave(0, 1)
			if r := w.after(t, time.Hour); r.Number != 1 {
				t.Fatal("run before its time")
			}
			shows(t, w.after(t, time.Hour), activation.SyncSegment, activation.CauseSchedule, "People")
			w.holding(t, "e1", "e2")
		}},
		{"identifiers in real time", func(t *testing.T, w *world, _ *store.Store, p *plane) {
			w.join(0, 12)
			w.work(t)
			for id := range int64(12) { // all of them: no guard asks about keys
				p.set(id, [2]string{fmt.Sprint("new", id)}, true)
			}
			r := w.after(t, 2*time.Minute)
			shows(t, r, activation.SyncPIIUpdate, activation.CauseAgent, agent)
			if c := r.Counts; c.Removed != 12 || c.Added != 12 || c.Remove != 0 || c.Update != 12 {
				t.Fatalf("%+v", c)
			}
			p.set(0, [2]string{"newer"}, true)
			w.join(12, 13)
			shows(t, w.after(t, 2*time.Minute), activation.SyncSegment, activation.CauseRealTime, "People")
		}},
		{"identifiers on a schedule", identifiersOnSchedule},
		{"a mapping in real time", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 2)
			w.work(t)
			w.join(2, 3)
			done(t, w.destination(func(d *activation.Destination) {
				d.Mapping = map[string]string{"EMAIL": "email", "PHONE": "mobile"}
			}))
			shows(t, w.after(t, 2*time.Minute), activation.SyncPIIUpdate, activation.CauseAgent, agent)
			w.holding(t, "e0", "e1", "e2")
		}},
		{"a mapping on a schedule", func(t *testing.T, w *world, _ *store.Store, _ *plane) {
			w.join(0, 2)
			w.work(t)
			w.daily()
			w.join(2, 3)
			done(t, w.destination(func(d *activation.Destination) {
				d.Mapping = map[string]string{"EMAIL": "email", "PHONE": "mobile"}
			}))
			r := w.after(t, 2*time.Minute)
			shows(t, r, activation.SyncPIIUpdate, activation.CauseAgent, agent)
			if r.Mode != activation.ModeKeys {
				t.Fatalf("mode %q", r.Mode)
			}
			w.holding(t, "e0", "e1")
			shows(t, w.after(t, 2*time.Hour), activation.SyncSegment, activation.CauseSchedule, "People")
			w.holding(t, "e0", "e1", "e2")
		}},
		{"next best action", decisions},
		{"an audience of conversions", func(t *testing.T, w *world, s *store.Store, p *plane) {
			ctx := t.Context()
			expect(t, w.work(t), activation.RunCompleted, "")
			w.store.change(w.job, func(j *activation.Job) { j.UserLimit = 2 })
			of, err := s.Target(ctx, w.target)
			done(t, err)
			kept, _, err := s.ConversionTarget(ctx, of, activation.Audience{Slug: "conversion-purchase", Name: "Conversion-Purchase"}, "fake")
			done(t, err)
			w.target, p.audience = kept.ID, kept.Audience
			w.join(0, 2)
			r := w.after(t, 2*time.Minute)
			if shows(t, r, activation.SyncConversionAudience, r.Cause, ""); r.Target != kept.ID {
				t.Fatal("not a run of the audience")
			}
			w.leave(0, 1)
			shows(t, w.after(t, 2*time.Minute), activation.SyncConversionAudience, activation.CauseRealTime, "")
			w.holding(t, "e0", "e1")
			p.set(1, [2]string{"other"}, true)
			shows(t, w.after(t, 2*time.Minute), activation.SyncConversionAudience, activation.CauseAgent, "")
			w.holding(t, "e0", "e1", "other")
		}},
	})
}

// identifiersOnSchedule: between its times a job moves keys, and nothing else.
func identifiersOnSchedule(t *testing.T, w *world, s *store.Store, p *plane) {
	w.join(0, 12)
	w.work(t)
	w.daily()
	before, err := s.Target(t.Context(), w.target)
	done(t, err)
	w.join(20, 21)
	w.leave(11, 12)
	for id := range int64(10) {
		p.set(id, [2]string{fmt.Sprint("new", id)}, true)
	}
	r := w.after(t, 2*time.Minute)
	shows(t, r, activation.SyncPIIUpdate, activation.CauseAgent, "Agent")
	if c := r.Counts; r.Mode != activation.ModeKeys || c.Update != 10 || c.Removed != 10 || c.Add != 0 || c.Remove != 0 || c.Deferred != 1 {
		t.Fatalf("mode %q, %+v", r.Mode, c)
	}
	w.holding(t, "e10", "e11", "new0", "new1", "new2", "new3", "new4", "new5", "new6", "new7", "new8", "new9")
	now, err := s.Target(t.Context(), w.target)
	done(t, err)
	if now.NextAt != before.NextAt || now.DoneSeq != before.DoneSeq || now.KeysDone != r.Seq {
		t.Fatalf("next at %s, was %s; done %d, was %d; keys %d of %d", now.NextAt, before.NextAt, now.DoneSeq, before.DoneSeq, now.KeysDone, r.Seq)
	}
	p.set(0, [2]string{"newer"}, true)
	if again := w.after(t, 10*time.Minute); again.ID != r.ID {
		t.Fatal("a second run for identifiers within a quarter of an hour")
	}
	shows(t, w.after(t, 6*time.Minute), activation.SyncPIIUpdate, activation.CauseAgent, "Agent")
	p.set(0, [2]string{"newest"}, true)
	last := w.after(t, 2*time.Hour) // both are due, and the one does it all
	shows(t, last, activation.SyncSegment, activation.CauseSchedule, "People")
	if last.Counts.Remove != 1 || last.Counts.Add != 1 || last.Counts.Update != 1 {
		t.Fatalf("%+v", last.Counts)
	}
	if again := w.after(t, time.Hour); again.ID != last.ID {
		t.Fatal("what a whole run has done was done again for identifiers")
	}
}

// decisions: the outbound schedule and decisions one by one share target, key and
// ledger.
func decisions(t *testing.T, w *world, s *store.Store, p *plane) {
	ctx := t.Context()
	action := w.level(t, s, p)
	const by = "Sales / Retention"
	w.join(0, 2)
	first := w.work(t)
	shows(t, first, activation.SyncNextBestAction, first.Cause, by)
	w.join(2, 3)
	done(t, s.MakeDue(ctx, []activation.TargetID{w.target}, activation.CauseOutbound))
	outbound := w.after(t, 2*time.Minute)
	shows(t, outbound, activation.SyncNextBestAction, activation.CauseOutbound, by)
	w.leave(0, 1) // decided for another action
	live := w.after(t, 2*time.Minute)
	shows(t, live, activation.SyncNextBestAction, activation.CauseRealTime, by)
	if live.Key != outbound.Key || live.Target != outbound.Target {
		t.Fatalf("keys %q and %q", live.Key, outbound.Key)
	}
	w.holding(t, "e1", "e2")
	p.set(1, [2]string{"other"}, true)
	shows(t, w.after(t, 2*time.Minute), activation.SyncPIIUpdate, activation.CauseAgent, "Agent")
	_, err := w.proc.RunJob(ctx, w.job)
	done(t, err)
	shows(t, w.work(t), activation.SyncNextBestAction, activation.CauseManual, by)
	done(t, s.DeleteAction(ctx, action.ID, "ann"))
	w.leave(1, 3) // nobody is in a retired audience
	shows(t, w.after(t, 2*time.Minute), activation.SyncNextBestAction, activation.CauseRealTime, by)
	w.holding(t)
}

// TestWhoIsLeftOut: exclusions, priority lists and holdout are part of the plan,
// its preview says so, and what changes in them changes what is sent.
func TestWhoIsLeftOut(t *testing.T) {
	t.Parallel()
	another := func(t *testing.T, s *store.Store) activation.AudienceID {
		a, err := s.CreateAudience(t.Context(), activation.Audience{Slug: "others", Name: "Others", Rule: "FILTER member = true"}, "ann")
		done(t, err)
		return a.ID
	}
	plan := func(t *testing.T, w *world) activation.Counts {
		p, err := w.proc.PlanTarget(t.Context(), w.target)
		done(t, err)
		return p.Counts
	}
	play(t, []scenario{
		{"excluded", func(t *testing.T, w *world, s *store.Store, p *plane) {
			others := another(t, s)
			w.store.change(w.job, func(j *activation.Job) { j.Exclude = []activation.AudienceID{others} })
			w.join(0, 4)
			p.put(others, 3, true)
			p.timed[others] = true
			if c := plan(t, w); c.Excluded != 1 || c.Outranked != 0 || c.Add != 3 || len(p.fresh) > 0 {
				t.Fatalf("preview %+v, evaluated %v", c, p.fresh)
			}
			r := w.work(t)
			if expect(t, r, activation.RunCompleted, ""); r.Counts.Excluded != 1 || r.Counts.Selected != 4 {
				t.Fatalf("%+v", r.Counts)
			}
			if !slices.Equal(p.ready, []activation.AudienceID{others}) {
				t.Fatalf("evaluated before the plan: %v", p.ready)
			}
			w.holding(t, "e0", "e1", "e2")
			p.put(others, 0, true)
			shows(t, w.after(t, 2*time.Minute), activation.SyncSegment, activation.CauseRealTime, "People")
			w.holding(t, "e1", "e2")
			p.put(others, 3, false)
			w.after(t, 2*time.Minute)
			w.holding(t, "e1", "e2", "e3")
			w.store.change(w.job, func(j *activation.Job) { j.OnEnd = activation.EndEmpty })
			w.store.setJob(w.job, activation.JobKilled)
			w.after(t, 2*time.Minute)
			w.holding(t) // nobody is wanted, whoever is left out
		}},
		{"outranked", func(t *testing.T, w *world, s *store.Store, p *plane) {
			ctx := t.Context()
			stronger := another(t, s)
			target, err := s.Target(ctx, w.target)
			done(t, err)
			list := activation.PriorityList{Name: "Order", Destination: target.Destination, Audiences: []activation.AudienceID{stronger, target.Audience}}
			list, err = s.CreatePriorityList(ctx, list, "ann")
			done(t, err)
			w.join(0, 3)
			p.put(stronger, 0, true)
			if c := plan(t, w); c.Excluded != 0 { // nobody sends the stronger one there
				t.Fatalf("%+v", c)
			}
			job, err := s.CreateJob(ctx, activation.Job{
				Name: "strong", Workflow: "fake", Provider: "fake", Type: "export", Destination: target.Destination,
				Audiences: []activation.AudienceID{stronger}, Schedule: activation.Schedule{Continuous: true}, CreatedBy: "ann", FailAfter: time.Hour,
			})
			done(t, err)
			done(t, s.Pause(ctx, job.ID, 0, "ann")) // its people are not to be sent here
			if c := plan(t, w); c.Excluded != 1 || c.Outranked != 1 || c.Add != 2 {
				t.Fatalf("preview %+v", c)
			}
			r := w.work(t)
			if expect(t, r, activation.RunCompleted, ""); r.Counts.Outranked != 1 || r.Counts.Excluded != 1 {
				t.Fatalf("%+v", r.Counts)
			}
			w.holding(t, "e1", "e2")
			p.put(stronger, 1, true)
			w.after(t, 2*time.Minute)
			w.holding(t, "e2")
			done(t, s.DeletePriorityList(ctx, list.ID, "ann"))
			w.after(t, 2*time.Minute)
			w.holding(t, "e0", "e1", "e2")
		}},
		{"held out", func(t *testing.T, w *world, _ *store.Store, p *plane) {
			w.reaches(activation.Reach{HoldoutPercent: 30})
			var want []string
			for id := range int64(40) {
				if !heldBack(string(p.audience), 30, id) {
					want = append(want, fmt.Sprint("e", id))
				}
			}
			w.join(0, 40)
			if c := plan(t, w); c.HeldOut != int64(40-len(want)) {
				t.Fatalf("preview %+v", c)
			}
			r := w.work(t)
			if expect(t, r, activation.RunCompleted, ""); r.Counts.HeldOut != int64(40-len(want)) || r.Counts.HeldOut == 0 {
				t.Fatalf("%+v", r.Counts)
			}
			w.holding(t, want...)
		}},
	})
}
