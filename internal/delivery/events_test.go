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

	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/delivery"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/store"
)

// tells makes the definition of a world's network one that takes events.
func tells(def provider.Definition) provider.Definition {
	plain := func(v string, _ matchkey.Row) string { return v }
	def.Workflows = []provider.Workflow{{
		Name: "tell", Kind: provider.Event, Feed: provider.FeedStream,
		Events: []matchkey.Key{{Name: "ID", Identifies: true, Required: true, Normalize: plain}},
		Fields: []provider.Field{{Name: "ID", Type: "column", Default: "$id"}},
	}}
	def.RuleSet = matchkey.RuleSet{Name: "ear/1", Keys: []matchkey.Key{{Name: "WHO", Identifies: true, Required: true, Normalize: plain}}}
	def.ReplayWindow = 10_000 * time.Hour
	return def
}

// hearing is a world of fakes whose target takes events.
func hearing(seed uint64, replay provider.Replay, async bool) *world {
	w := inMemory(seed, replay, async)
	m, p := w.store.(*memory), w.plane.(*plane)
	m.targets["target"].Stream, m.targets["target"].Audience, m.targets["target"].Workflow = "orders", "", "tell"
	m.dests["dest"] = activation.Destination{ID: "dest", Provider: "fake", Authorization: "auth", Enabled: true, Mapping: map[string]string{"WHO": "who"}}
	w.heard = newJournal(p)
	w.plane, w.events = w.heard, w.heard
	w.hears()
	return w
}

// hears makes the network one that takes events.
func (w *world) hears() {
	w.net.ear, w.net.accepts = &ear{drops: w.def.Replay != provider.ReplayNever, times: map[string]int{}}, true
	w.def = tells(w.def)
	w.boot()
}

// happens notes some events of few people.
func (w *world) happens(r *rand.Rand, n int) {
	for range n {
		w.heard.happen(fmt.Sprint("who", r.IntN(4)), r.IntN(6) > 0)
	}
}

// enable switches the destination on or off.
func (w *world) enable(on bool) error {
	return w.destination(func(d *activation.Destination) { d.Enabled = on })
}

func (w *world) destination(change func(*activation.Destination)) error {
	if m, ok := w.store.(*memory); ok {
		defer m.lock()()
		d := m.dests["dest"]
		was := d.Enabled
		change(&d)
		for _, t := range m.targets {
			if d.Enabled && !was {
				t.DueNow = true
				delete(m.dueAt, t.ID)
			}
		}
		m.dests["dest"] = d
		return nil
	}
	ctx := context.Background()
	t, err := w.store.Target(ctx, w.target)
	if err != nil {
		return err
	}
	d, err := w.store.Destination(ctx, t.Destination)
	if err != nil {
		return err
	}
	change(&d)
	_, err = w.store.(*control).UpdateDestination(ctx, d, "ann")
	return err
}

// settleEvents stops all mischief, and has a person retry what failed, until
// nothing is left to do.
func (w *world) settleEvents(ctx context.Context) error {
	w.net.heal()
	w.boot()
	for range 50 {
		if err := w.enable(true); err != nil {
			return err
		}
		w.store.setJob(w.job, activation.JobRunnable)
		if err := w.rest(ctx); err != nil {
			return err
		}
		retried := false
		for _, r := range w.store.all() {
			if r.Status != activation.RunFailed {
				continue
			}
			if _, err := w.proc.Retry(ctx, r.ID, "ann"); err == nil {
				w.retry[r.ID], retried = true, true
			} else if w.proc.alive() != nil {
				w.boot()
				retried = true
			}
		}
		if !retried {
			return nil
		}
	}
	return errors.New("runs fail for ever")
}

// told says what is wrong with what was heard, after settleEvents.
func (w *world) told() string {
	// A failed run is retried after later ones, and a network that takes only some
	// rows of a batch keeps no order.
	failed, unknown := false, int64(0)
	for _, r := range w.store.all() {
		failed = failed || r.Status == activation.RunFailed || w.retry[r.ID]
		unknown += r.Counts.Unknown
		items, _ := w.store.Items(context.Background(), r.ID)
		for _, it := range items {
			failed = failed || it.State == activation.ItemDelivered && slices.ContainsFunc(items, func(o activation.Item) bool { return o.Parent == it.ID })
		}
	}
	never := w.def.Replay == provider.ReplayNever
	wrong := w.heard.verdict(w.net.ear, !never, !never || len(w.retry) == 0, !failed && !w.net.async)
	if missing := w.heard.missing(w.net.ear); wrong == "" && missing > unknown {
		wrong = fmt.Sprintf("%d events were not heard, and %d are unknown", missing, unknown)
	}
	return wrong
}

// missing is how many events were not heard.
func (j *journal) missing(e *ear) (n int64) {
	for _, o := range j.events {
		if o.usable && o.past.IsZero() && !o.stranger && e.times[o.id] == 0 {
			n++
		}
	}
	return n
}

// crashTelling is crashIn for events.
func (w *world) crashTelling(ctx context.Context, r *rand.Rand, s situation, p delivery.CrashPoint, skip int) string {
	w.happens(r, 7)
	if err := w.settleEvents(ctx); err != nil {
		return "before: " + err.Error()
	}
	w.net.mu.Lock()
	w.net.only, w.net.chaos = s.only, s.chaos
	w.net.mu.Unlock()
	w.arm(p, skip)
	w.happens(r, 13)
	for range 6 {
		if err := w.turn(ctx); err != nil {
			return err.Error()
		}
		if wrong := w.check(ctx); wrong != "" {
			return wrong
		}
		time.Sleep(30 * time.Second)
	}
	if err := w.settleEvents(ctx); err != nil {
		return err.Error() + w.story()
	}
	if wrong := w.check(ctx) + w.told() + w.thanked(); wrong != "" {
		return wrong + w.story()
	}
	return ""
}

// telling is a campaign of events: whatever goes wrong and whatever people do
// with the job, the destination and its mapping, in the end every event was heard.
func telling(ctx context.Context, w *world, list []deed) string {
	for i, d := range list {
		var err error
		switch d.What {
		case "people":
			w.happens(rand.New(rand.NewPCG(d.Seed, 1)), 1+d.Skip*3)
			d.What = "work"
		case "withdraw", "decline":
			err = w.enable(d.What == "decline")
			d.What = "work"
		case "approve":
			err = w.destination(func(dest *activation.Destination) { dest.Mapping = map[string]string{"WHO": fmt.Sprint("who", d.Skip)} })
			d.What = "work"
		case "kill":
			continue
		}
		if err == nil {
			err = w.do(ctx, d)
		}
		if err != nil {
			return fmt.Sprintf("deed %d (%s): %v", i, d.What, err)
		}
		if wrong := w.check(ctx); wrong != "" {
			return fmt.Sprintf("after deed %d (%s): %s%s", i, d.What, wrong, w.story())
		}
	}
	if err := w.settleEvents(ctx); err != nil {
		return err.Error() + w.story()
	}
	if wrong := w.check(ctx) + w.told(); wrong != "" {
		return wrong + w.story()
	}
	return ""
}

// TestEvents: random histories of events, crashes, faults and people. Every
// event takes effect; where the far side drops repetitions exactly once; and
// those of a person in order.
func TestEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		replay := rapid.SampledFrom([]provider.Replay{provider.ReplayHarmless, provider.ReplayDeduplicated, provider.ReplayNever}).Draw(rt, "replay")
		async := rapid.IntRange(0, 3).Draw(rt, "async") == 0
		only := rapid.SampledFrom([]string{"", "timeout after", "timeout before", "unsent row", "unknown row", "refuse whole", "html", "throttle long"}).Draw(rt, "only")
		seed := rapid.Uint64().Draw(rt, "seed")
		list := rapid.SliceOfN(rapid.Custom(drawDeed), 1, 50).Draw(rt, "deeds")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			w := hearing(seed, replay, async)
			w.net.only = only
			wrong = telling(t.Context(), w, list)
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// inEvents runs fn over a world of fakes that takes events, n of which have happened.
func inEvents(t *testing.T, n int, replay provider.Replay, async bool, fn func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := hearing(7, replay, async)
		for i := range n {
			w.heard.happen(fmt.Sprint("who", i%3), true)
		}
		fn(t, w)
	})
}

func (w *world) mustTell(t *testing.T) {
	t.Helper()
	if wrong := w.check(t.Context()) + w.told(); wrong != "" {
		t.Fatal(wrong, w.story())
	}
}

func TestEventsGoInOrder(t *testing.T) {
	inEvents(t, 5, provider.ReplayNever, false, func(t *testing.T, w *world) {
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.SyncType != activation.SyncEvents || r.TriggeredBy != "orders" || r.Counts.Added != 5 || r.Counts.InAfter != 0 {
			t.Fatalf("%+v", r)
		}
		w.mustTell(t)
		time.Sleep(time.Hour)
		if again := w.work(t); again.ID != r.ID {
			t.Fatal("a run was opened although nothing has happened")
		}
	})
}

// TestEventsThatAreLeftGoNext: more events than one run looks at.
func TestEventsThatAreLeftGoNext(t *testing.T) {
	inEvents(t, 12, provider.ReplayNever, false, func(t *testing.T, w *world) {
		w.store.change(w.job, func(j *activation.Job) { j.Continuous = false })
		r := w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Counts.Left != 7 {
			t.Fatalf("%+v", r.Counts)
		}
		if err := w.settleEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustTell(t)
	})
}

// TestEventsRest: an error that may pass does not fail the run; it goes on with
// what is left, at most every so often.
func TestEventsRest(t *testing.T) {
	inEvents(t, 5, provider.ReplayHarmless, false, func(t *testing.T, w *world) {
		w.goes("html")
		r := w.work(t)
		if r.Status != activation.RunRunning || r.Node != "" || !r.WaitUntil.After(time.Now()) {
			t.Fatalf("the run is %s, held by %q, waits until %s", r.Status, r.Node, r.WaitUntil)
		}
		time.Sleep(10 * time.Hour)
		w.net.heal()
		r = w.work(t)
		expect(t, r, activation.RunCompleted, "")
		if r.Number != 1 {
			t.Fatalf("run #%d sent them", r.Number)
		}
		w.mustTell(t)
	})
}

// TestEventsGiveUp: errors that last longer than the job allows fail the run,
// and a person's Retry goes on with it.
func TestEventsGiveUp(t *testing.T) {
	inEvents(t, 5, provider.ReplayHarmless, false, func(t *testing.T, w *world) {
		w.goes("html")
		r := w.work(t)
		for r.Status == activation.RunRunning {
			time.Sleep(time.Hour)
			r = w.work(t)
		}
		expect(t, r, activation.RunFailed, "NET-503")
		w.net.heal()
		time.Sleep(2 * time.Minute)
		w.heard.happen("late", true)
		if later := w.work(t); later.Status != activation.RunCompleted || later.Counts.Added != 1 {
			t.Fatalf("%+v", later)
		}
		if err := w.settleEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustTell(t)
	})
}

func TestEventsTakenInPart(t *testing.T) {
	for _, fault := range []string{"unsent row", "unknown row"} {
		t.Run(fault, func(t *testing.T) {
			inEvents(t, 5, provider.ReplayHarmless, false, func(t *testing.T, w *world) {
				w.goes(fault)
				r := w.work(t)
				for r.Status == activation.RunRunning {
					time.Sleep(time.Hour)
					w.net.heal()
					r = w.work(t)
				}
				expect(t, r, activation.RunCompleted, "")
				if r.Counts.Accepted != 5 || r.Counts.Unsent != 0 || r.Counts.Unknown != 0 {
					t.Fatalf("%+v", r.Counts)
				}
				w.mustTell(t)
			})
		})
	}
}

func TestEventsGoneIsAWrongSetting(t *testing.T) {
	inEvents(t, 5, provider.ReplayHarmless, false, func(t *testing.T, w *world) {
		w.goes("gone")
		r := w.work(t)
		expect(t, r, activation.RunFailed, "NET-GONE")
		target, err := w.store.Target(t.Context(), w.target)
		if err != nil || r.ErrorKind != activation.Invalid || target.Generation != 1 || target.RemoteID != "" {
			t.Fatalf("%s, generation %d, remote %q (%v)", r.ErrorKind, target.Generation, target.RemoteID, err)
		}
		if err := w.settleEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustTell(t)
	})
}

// TestEventsOfADestinationSwitchedOff go when it is on again.
func TestEventsOfADestinationSwitchedOff(t *testing.T) {
	inEvents(t, 5, provider.ReplayNever, false, func(t *testing.T, w *world) {
		w.arm(delivery.AfterReceipt, 0)
		w.work(t)
		if err := w.enable(false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		expect(t, w.work(t), activation.RunFailed, activation.CodeJobEnded)
		if err := w.settleEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustTell(t)
	})
}

func TestEventsUnderANewMapping(t *testing.T) {
	inEvents(t, 5, provider.ReplayNever, false, func(t *testing.T, w *world) {
		w.arm(delivery.AfterReceipt, 0)
		w.work(t)
		if err := w.destination(func(d *activation.Destination) { d.Mapping = map[string]string{"WHO": "other"} }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if r := w.work(t); r.Counts.Superseded != 1 || r.Status != activation.RunCompleted {
			t.Fatalf("%s %+v", r.Status, r.Counts)
		}
		if err := w.settleEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustTell(t)
	})
}

// TestEventsOfARunThatNeverBegan go with the next one: no Retry is offered for a
// run that failed before it reached the network.
func TestEventsOfARunThatNeverBegan(t *testing.T) {
	inEvents(t, 5, provider.ReplayNever, false, func(t *testing.T, w *world) {
		w.arm(delivery.AfterQueue, 0)
		w.work(t)
		good := w.def.Workflows
		bad := good[0]
		bad.Events = append(slices.Clone(bad.Events), matchkey.Key{Name: "PRICE", Required: true})
		w.def.Workflows = []provider.Workflow{bad} // which nothing feeds
		time.Sleep(time.Minute)
		expect(t, w.work(t), activation.RunFailed, "EVENT-COLUMN")
		w.def.Workflows = good
		if err := w.settleEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustTell(t)
	})
}

// TestEventsGiveTheirTargetUp: there is nothing to remove at the network.
func TestEventsGiveTheirTargetUp(t *testing.T) {
	for _, end := range []activation.OnEnd{activation.EndEmpty, activation.EndDelete} {
		t.Run(string(end), func(t *testing.T) {
			inEvents(t, 5, provider.ReplayHarmless, false, func(t *testing.T, w *world) {
				w.work(t)
				w.kill(end)
				if err := w.rest(t.Context()); err != nil {
					t.Fatal(err)
				}
				target, err := w.store.Target(t.Context(), w.target)
				if err != nil || target.Release != "" || len(w.net.audiences) != 1 || len(w.heard.has) != 0 {
					t.Fatalf("release %q, %d audiences, %d events are remembered (%v)", target.Release, len(w.net.audiences), len(w.heard.has), err)
				}
			})
		})
	}
}

// TestEventsAnsweredLate: the network answers after half an hour, the process
// dies in between, and some of it was not taken.
func TestEventsAnsweredLate(t *testing.T) {
	for _, fault := range []string{"", "unsent row", "refuse whole", "unplaced"} {
		t.Run(fault, func(t *testing.T) {
			inEvents(t, 5, provider.ReplayHarmless, true, func(t *testing.T, w *world) {
				w.net.late = 30 * time.Minute
				r := w.work(t)
				expect(t, r, activation.RunAwaiting, "")
				if r.Counts.Awaiting != 5 {
					t.Fatalf("%+v", r.Counts)
				}
				w.boot()
				time.Sleep(29 * time.Minute)
				asked := len(w.net.asked)
				w.work(t)
				if len(w.net.asked) != asked {
					t.Fatal("asked too early")
				}
				if fault != "" {
					w.goes(fault)
				}
				time.Sleep(time.Minute)
				w.work(t)
				time.Sleep(30 * time.Minute)
				r = w.work(t)
				w.net.heal()
				want := map[string]activation.RunStatus{"": activation.RunCompleted, "unplaced": activation.RunCompleted, "refuse whole": activation.RunFailed}[fault]
				if want != "" && r.Status != want {
					t.Fatalf("the run is %s", r.Status)
				}
				if fault == "unplaced" && r.Counts.Unplaced != 2 {
					t.Fatalf("%+v", r.Counts)
				}
				if err := w.settleEvents(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.mustTell(t)
			})
		})
	}
}

// TestPreviewOfEvents writes nothing.
func TestPreviewOfEvents(t *testing.T) {
	inEvents(t, 5, provider.ReplayHarmless, false, func(t *testing.T, w *world) {
		p, err := w.proc.PlanTarget(t.Context(), w.target)
		if err != nil || p.Counts.Add != 5 || p.Calls != 2 || p.Guard != "pass" || len(w.store.all()) != 0 || len(w.heard.has) != 0 {
			t.Fatalf("%+v (%v)", p, err)
		}
	})
}

// onDuckDBEvents is a world of events with both real databases.
func onDuckDBEvents(t *testing.T, template string, seed uint64, replay provider.Replay, async bool) *world {
	t.Helper()
	w := onDuckDB(t, template, seed, replay, async)
	l, c := w.plane.(*lake), w.store.(*control)
	ctx := t.Context()
	before, err := c.Target(ctx, w.target)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteJob(ctx, w.job, "ann"); err != nil {
		t.Fatal(err)
	}
	dest, err := c.Destination(ctx, before.Destination)
	if err != nil {
		t.Fatal(err)
	}
	dest.Mapping = map[string]string{"WHO": "uid"}
	if _, err := c.UpdateDestination(ctx, dest, "ann"); err != nil {
		t.Fatal(err)
	}
	job, err := c.CreateJob(ctx, activation.Job{
		Name: "tell", Workflow: "tell", Provider: "fake", Type: "export", Destination: dest.ID, Stream: "orders",
		Schedule: activation.Schedule{Continuous: true}, CreatedBy: "ann", FailAfter: 1000 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := c.Targets(ctx, store.TargetFilter{Job: job.ID})
	if err != nil {
		t.Fatal(err)
	}
	w.job, w.target = job.ID, targets[0].ID
	w.heard, w.events = newJournal(newPlane(time.Now)), &orders{lake: l, w: w}
	w.hears()
	return w
}

// TestEventsOnDuckDB is TestEvents with both real databases; the seed is printed.
func TestEventsOnDuckDB(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	empty, campaigns := template(t), 4
	if delivery.RaceEnabled {
		campaigns = 1
	}
	for i := range campaigns {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		replay := []provider.Replay{provider.ReplayDeduplicated, provider.ReplayNever}[i%2]
		list := someDeeds(r, 12)
		for k := range list {
			if list[k].What == "approve" { // there is one field to map
				list[k].What = "people"
			}
		}
		synctest.Test(t, func(t *testing.T) {
			w := onDuckDBEvents(t, empty, r.Uint64(), replay, r.IntN(4) == 0)
			wrong := telling(t.Context(), w, list)
			found, err := w.store.(*control).Violations(t.Context())
			if wrong += strings.Join(found, "; "); wrong != "" || err != nil {
				t.Errorf("campaign %d: %s (%v)\ndeeds: %+v", i, wrong, err, list)
			}
		})
	}
}
