package publishing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
)

// evening is what waits and what is at the far side before a nightly sync.
type evening struct {
	w               *world
	f               *far
	a               activation.PublisherAccount
	keyword, budget activation.ObjectRef
	bid, held, ours activation.EntryID
}

func newEvening(w *world) *evening {
	f := newFar()
	v := &evening{w: w, f: f, a: w.link("shop", f)}
	_, group, _, keyword, budget := f.tree()
	v.keyword, v.budget = keyword, budget
	w.read(v.a)
	status := func(s activation.EntryStatus, e activation.Entry) activation.Entry { e.Status = s; return e }
	made := w.write(v.a,
		status(activation.EntryToBeSent, edit(keyword, activation.OpBid, "bid", "2")),
		status(activation.EntryHeld, edit(budget, activation.OpEdit, "budget", "9")),
		status(activation.EntryToBeSent, edit(group, activation.OpStatus, "status", "paused")),
	)
	v.bid, v.held, v.ours = made[0].ID, made[1].ID, made[2].ID
	f.set(group, "status", "archived") // by somebody else
	today := time.Now().Format(time.DateOnly)
	f.costs = []activation.Cost{{Date: today, Object: keyword, Currency: "EUR", Clicks: 3, Micros: 4_000_000}}
	return v
}

// check looks at what one nightly sync makes of it.
func (v *evening) check() {
	v.w.t.Helper()
	v.w.is(v.bid, "done")
	v.w.is(v.held, "held user")
	v.w.is(v.ours, "held conflict")
	if got := v.f.tookEffect(); ids(got) != ids([]activation.EntryID{v.bid}) {
		v.w.t.Errorf("took effect %v", got)
	}
	reports, _, err := v.w.Entries(v.w.ctx(), activation.EntryQuery{Publisher: v.a.ID, Origins: []activation.Origin{activation.OriginSystem}})
	v.w.ok(err)
	if len(reports) != 1 || reports[0].Status != activation.EntryDone || reports[0].Operation != activation.OpSync || reports[0].Source != "report" || !strings.Contains(reports[0].Answer, "1 row of costs") {
		v.w.t.Errorf("reports %+v", reports)
	}
	rows, err := v.w.Costs(v.w.ctx(), activation.CostQuery{Publisher: v.a.ID, From: "2000-01-01", Until: "2999-01-01", Kind: activation.KindKeyword})
	v.w.ok(err)
	if len(rows) != 1 || rows[0].Clicks != 3 {
		v.w.t.Errorf("costs %+v", rows)
	}
	n, err := v.w.Nightly(v.w.ctx(), v.a.ID)
	v.w.ok(err)
	if n.Step != 0 || n.ReleasedAt.IsZero() || n.Changes.IsZero() {
		v.w.t.Errorf("nightly %+v", n)
	}
}

// TestNightly goes through the five steps, and reads back what it posted.
func TestNightly(t *testing.T) {
	test(t, func(w *world) {
		v := newEvening(w)
		v.f.round = true
		p, err := w.pass(v.a.SyncJob, w.Store)
		w.ok(err)
		v.check()
		if p.counts["released"] != 1 || p.counts["posted"] < 1 || p.counts["confirmed"] != 1 || len(p.notes) != 0 {
			t.Errorf("counts %v, notes %v", p.counts, p.notes)
		}
	})
}

// TestNightlyConfirms tells where the publisher has not what was posted.
func TestNightlyConfirms(t *testing.T) {
	test(t, func(w *world) {
		v := newEvening(w)
		v.f.changed = []activation.ObjectRef{}
		v.f.after = func([]provider.Edit) error {
			v.f.after = nil
			v.f.objects[v.keyword].Fields["bid"] = "0.01" // a rule of the publisher's own
			return nil
		}
		p, err := w.pass(v.a.SyncJob, w.Store)
		w.ok(err)
		if len(p.notes) != 1 || p.notes[0] != "warn PUB-CONFIRM 1 entry is not at the publisher as posted; the structure shows what is there now" {
			t.Errorf("notes %v", p.notes)
		}
		if o := w.object(v.a, v.keyword); o.Confirmed["bid"] != "0.01" {
			t.Errorf("confirmed %v", o.Confirmed)
		}
	})
}

// TestNightlyAsksForChanges reads only what the publisher says was changed.
func TestNightlyAsksForChanges(t *testing.T) {
	test(t, func(w *world) {
		v := newEvening(w)
		v.f.changed = []activation.ObjectRef{{Kind: activation.KindGroup, ID: "2"}, {Kind: activation.KindKeyword, ID: "77"}}
		whole := 0
		v.f.asked = func(what string) error {
			if what == "structure" {
				whole++
			}
			return nil
		}
		for range 2 {
			_, err := w.pass(v.a.SyncJob, w.Store)
			w.ok(err)
			if whole != 1 { // the first time nobody knows since when
				t.Errorf("the structure was read whole %d times", whole)
			}
		}
	})
}

// TestNightlyCutAnywhere lets the node die at every step of the nightly sync and of the
// store: it goes on where it was cut, and posts and reports once.
func TestNightlyCutAnywhere(t *testing.T) {
	test(t, func(w *world) {
		count := &mortal{Store: w.Store, left: 1 << 20}
		v := newEvening(w)
		_, err := w.pass(v.a.SyncJob, count)
		w.ok(err)
		steps := 1<<20 - count.left
		if steps < 15 {
			t.Fatalf("only %d steps", steps)
		}
		every := 1
		if raceEnabled {
			every = 5
		}
		for cut := 0; cut < steps; cut += every {
			w.ok(w.DeletePublisher(w.ctx(), v.a.ID, "ann"))
			v = newEvening(w)
			_, err := w.pass(v.a.SyncJob, &mortal{Store: w.Store, left: cut})
			if !errors.Is(err, errCrash) {
				t.Fatalf("cut after %d steps: %v", cut, err)
			}
			_, err = w.pass(v.a.SyncJob, w.Store)
			w.ok(err)
			v.check()
			if t.Failed() {
				t.Fatalf("cut after %d of %d steps", cut, steps)
			}
		}
	})
}

// TestNightlyGoesOnAfterAnError: the publisher errs in each of the steps that ask it,
// and the next pass goes on there.
func TestNightlyGoesOnAfterAnError(t *testing.T) {
	for _, what := range []string{"costs", "structure", "post", "read"} {
		t.Run(what, func(t *testing.T) {
			test(t, func(w *world) {
				v := newEvening(w)
				down := true
				v.f.asked = func(asked string) error {
					if down && asked == what {
						return errDown
					}
					return nil
				}
				v.f.before = func([]provider.Edit) error {
					if down && what == "post" {
						return errDown
					}
					return nil
				}
				if _, err := w.pass(v.a.SyncJob, w.Store); activation.CodeOf(err) != "FAR-DOWN" {
					t.Fatal(err)
				}
				v.f.do(func() { down = false })
				_, err := w.pass(v.a.SyncJob, w.Store)
				w.ok(err)
				v.check()
			})
		})
	}
}

// TestNightlyWithoutCosts: a publisher whose report can't be had for days keeps no edit
// back for longer than an hour and a bit, and no bid is calculated from what is missing.
func TestNightlyWithoutCosts(t *testing.T) {
	for name, down := range map[string]*activation.Error{
		"down":    errDown,
		"refused": {Kind: activation.Invalid, Code: "FAR-REPORT", Message: "no such report"},
		"later":   {Kind: activation.WaitUntil, Code: "FAR-LATER", Message: "not today", Until: time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			test(t, func(w *world) {
				v := newEvening(w)
				_, err := w.PutStrategy(w.ctx(), activation.Strategy{
					Publisher: v.a.ID, Name: "bids", Goal: "cpa", Kind: activation.KindKeyword, Target: 1, Mode: "traffic", Floor: 0.01, Ceiling: 100,
					Overrides: []activation.BidOverride{{Object: v.keyword, Bid: 5, Until: "2999-01-01"}},
				}, "ann")
				w.ok(err)
				v.f.do(func() {
					v.f.asked = func(what string) error {
						if what == "costs" {
							return down
						}
						return nil
					}
				})
				begun := time.Date(2000, 1, 1, 19, 0, 0, 0, time.UTC) // 20:00 in Berlin
				var p *progress
				for err = error(down); err != nil; {
					if p, err = w.pass(v.a.SyncJob, w.Store); time.Since(begun) > 3*time.Hour {
						t.Fatal("the edits still wait")
					}
				}
				w.is(v.bid, "done")
				w.is(v.ours, "held conflict")
				if len(p.notes) != 1 || !strings.HasPrefix(p.notes[0], "warn "+down.Code+" the costs can't be read") {
					t.Errorf("notes %v", p.notes)
				}
				if took := time.Since(begun); name == "down" && took < time.Hour || name != "down" && took > time.Minute {
					t.Errorf("the edits went after %v", took)
				}
				if got := v.f.field(v.keyword, "bid"); got != "2" {
					t.Errorf("the bid is %s, calculated without costs", got)
				}
				v.f.do(func() { v.f.asked = nil })
				time.Sleep(24 * time.Hour)
				_, err = w.pass(v.a.SyncJob, w.Store)
				w.ok(err)
				if got := v.f.field(v.keyword, "bid"); got != "5" {
					t.Errorf("the bid is %s the night after", got)
				}
			})
		})
	}
}

// TestNightlyAtItsHour: at 20:00 in the account's zone, once a day; one that was missed
// is made up for once when a node starts.
func TestNightlyAtItsHour(t *testing.T) {
	test(t, func(w *world) {
		v := newEvening(w)
		time.Sleep(18*time.Hour + 55*time.Minute) // 2000-01-01, 19:55 in Berlin
		stop := w.node("a")
		time.Sleep(4 * time.Minute)
		w.is(v.bid, "to_be_sent")
		time.Sleep(2 * time.Minute)
		w.is(v.bid, "done")
		stop()
		again := edit(v.keyword, activation.OpBid, "bid", "3")
		again.Status = activation.EntryToBeSent
		made := w.write(v.a, again)
		time.Sleep(3*24*time.Hour - 10*time.Hour) // three evenings with no node
		w.is(made[0].ID, "to_be_sent")
		stop = w.node("b")
		time.Sleep(time.Minute)
		w.is(made[0].ID, "done")
		stop()
		passes, err := w.Passes(w.ctx(), v.a.SyncJob, 0, 10)
		w.ok(err)
		if len(passes) != 2 {
			t.Errorf("%d nightly syncs, want one each", len(passes))
		}
	})
}

// TestSchedules pauses and resumes on the hour of the account's zone, also where the
// clocks change, and makes up once for what was missed.
func TestSchedules(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	local := func(text string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		campaign, _, _, _, _ := f.tree()
		w.read(a)
		d := w.desk(w.Store)
		put := func(s activation.ScheduledOperation) activation.ScheduledOperation {
			t.Helper()
			s.Publisher, s.Object = a.ID, campaign
			s, err := d.PutSchedule(w.ctx(), s, "ann")
			w.ok(err)
			return s
		}
		for _, bad := range []struct {
			field string
			s     activation.ScheduledOperation
		}{
			{"at", activation.ScheduledOperation{Action: "pause", Object: campaign}},
			{"at", activation.ScheduledOperation{Action: "pause", Object: campaign, At: local("2000-03-01 08:30")}},
			{"at", activation.ScheduledOperation{Action: "pause", Object: campaign, At: local("1999-03-01 08:00")}},
			{"action", activation.ScheduledOperation{Action: "stop", Object: campaign, At: local("2000-03-01 08:00")}},
			{"days", activation.ScheduledOperation{Action: "pause", Object: campaign, Days: []int{0, 3}}},
			{"hour", activation.ScheduledOperation{Action: "pause", Object: campaign, Days: []int{3}, Hour: 24}},
			{"object", activation.ScheduledOperation{Action: "pause", Object: activation.ObjectRef{Kind: "campaign", ID: "404"}, At: local("2000-03-01 08:00")}},
		} {
			bad.s.Publisher = a.ID
			_, err := d.PutSchedule(w.ctx(), bad.s, "ann")
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != bad.field {
				t.Errorf("%+v: %v, want an error of the field %s", bad.s, err, bad.field)
			}
		}

		once := put(activation.ScheduledOperation{Action: "pause", At: local("2000-01-03 08:00")})
		weekly := put(activation.ScheduledOperation{Action: "resume", Days: []int{7, 1}, Hour: 2})
		if want := local("2000-01-02 02:00"); !weekly.At.Equal(want) { // 2000-01-02 is a Sunday
			t.Errorf("first at %v, want %v", weekly.At.In(berlin), want)
		}
		until := func(at time.Time) { time.Sleep(time.Until(at)) }
		status := func(want string) {
			t.Helper()
			if got := f.field(campaign, "status"); got != want {
				t.Fatalf("at %v it is %s, want %s", time.Now().In(berlin), got, want)
			}
		}
		until(local("2000-01-03 07:58"))
		stop := w.node("a")
		time.Sleep(time.Minute)
		status("enabled")
		until(local("2000-01-03 08:01"))
		status("paused")
		entries, _, err := w.Entries(w.ctx(), activation.EntryQuery{Publisher: a.ID, Origins: []activation.Origin{activation.OriginScheduled}})
		w.ok(err)
		if len(entries) != 1 || entries[0].Source != "schedule" || entries[0].By != "ann" || entries[0].Operation != activation.OpStatus || entries[0].Text != "Pause “Spring”" {
			t.Errorf("entries %+v", entries)
		}
		stop()

		at := func(id string) time.Time {
			t.Helper()
			all, err := d.Schedules(w.ctx(), a.ID)
			w.ok(err)
			for _, s := range all {
				if s.ID == id {
					return s.At
				}
			}
			return time.Time{}
		}
		if !at(once.ID).IsZero() {
			t.Errorf("what is done once is to be done again at %v", at(once.ID))
		}
		// Nobody works for weeks: one entry makes up for all that was missed.
		until(local("2000-03-25 12:00"))
		stop = w.node("b")
		time.Sleep(time.Minute)
		status("enabled")
		if n := len(effectsOf(w, a, activation.OriginScheduled)); n != 2 {
			t.Errorf("%d scheduled entries, want 2", n)
		}
		stop()
		// The night in which there is no 02:00, and the one in which there are two.
		if want := time.Date(2000, 3, 26, 1, 0, 0, 0, time.UTC); !at(weekly.ID).Equal(want) {
			t.Errorf("in the night that loses an hour it is at %v, want %v", at(weekly.ID), want)
		}
		until(local("2000-10-28 12:00"))
		stop = w.node("c")
		time.Sleep(time.Minute)
		if want := time.Date(2000, 10, 29, 0, 0, 0, 0, time.UTC); !at(weekly.ID).Equal(want) {
			t.Errorf("in the night that has an hour twice it is at %v, want %v", at(weekly.ID), want)
		}
		stop()
		until(local("2000-10-29 12:00"))
		stop = w.node("d")
		time.Sleep(time.Minute)
		if want := local("2000-10-30 02:00"); !at(weekly.ID).Equal(want) {
			t.Errorf("and then at %v, want %v", at(weekly.ID), want)
		}
		stop()
	})
}

// TestMissedSchedules: of what was missed the last has the last word, whichever was
// missed first.
func TestMissedSchedules(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		campaign, _, _, _, _ := f.tree()
		w.read(a)
		d := w.desk(w.Store)
		for action, hour := range map[string]int{"pause": 22, "resume": 6} {
			_, err := d.PutSchedule(w.ctx(), activation.ScheduledOperation{Publisher: a.ID, Object: campaign, Action: action, Days: []int{1, 2, 3, 4, 5, 6, 7}, Hour: hour}, "ann")
			w.ok(err)
		}
		time.Sleep(time.Until(time.Date(2000, 1, 3, 22, 0, 0, 0, time.UTC))) // no node until 23:00 two days later
		stop := w.node("a")
		time.Sleep(time.Minute)
		stop()
		if n := len(effectsOf(w, a, activation.OriginScheduled)); n != 1 || f.field(campaign, "status") != "paused" {
			t.Errorf("%d entries, and at 23:00 it is %s", n, f.field(campaign, "status"))
		}
	})
}

// TestTwoClocks: each operation is written once, on however many nodes the clock runs.
func TestTwoClocks(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		campaign, _, _, _, _ := f.tree()
		w.read(a)
		d := w.desk(w.Store)
		for i, action := range []string{"pause", "resume"} {
			at := time.Date(2000, 1, 1, 1+i, 0, 0, 0, time.UTC)
			_, err := d.PutSchedule(w.ctx(), activation.ScheduledOperation{Publisher: a.ID, Object: campaign, Action: action, At: at}, "ann")
			w.ok(err)
		}
		time.Sleep(55 * time.Minute)
		ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx()))
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- w.desk(w.Store).Run(ctx) }()
		}
		time.Sleep(70 * time.Minute)
		cancel()
		for range 2 {
			w.ok(<-ended)
		}
		if errs := w.drained(a); len(errs) > 0 {
			t.Fatal(errs)
		}
		if n := len(effectsOf(w, a, activation.OriginScheduled)); n != 2 || f.field(campaign, "status") != "enabled" {
			t.Errorf("%d entries, and it is %s", n, f.field(campaign, "status"))
		}
	})
}

func effectsOf(w *world, a activation.PublisherAccount, o activation.Origin) []activation.Entry {
	w.t.Helper()
	entries, _, err := w.Entries(w.ctx(), activation.EntryQuery{Publisher: a.ID, Origins: []activation.Origin{o}, Limit: 100})
	w.ok(err)
	return entries
}
