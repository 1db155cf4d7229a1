package publishing_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/publishing"
)

// TestFailedCreateFailsWhatNeedsIt refuses a create: what refers to it fails with a
// reason of its own and is never sent; retried together, all of it goes.
func TestFailedCreateFailsWhatNeedsIt(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		campaign, _, _, keyword, _ := f.tree()
		w.read(a)
		made := w.write(a,
			create(activation.KindGroup, campaign, "Shoes"), // the name is taken
			create(activation.KindCreative, activation.ObjectRef{Kind: activation.KindGroup, ID: activation.PendingObjectID(0)}, "Ad 2"),
			edit(keyword, activation.OpBid, "bid", "2"),
		)
		if errs := w.drained(a); len(errs) > 0 {
			t.Fatal(errs)
		}
		e := w.is(made[0].ID, "failed FAR-TWIN")
		if e.ErrorText != "Duplicate name." || e.RequestID != "r1" || e.ErrorField != "name" {
			t.Errorf("the publisher's words are not kept: %+v", e)
		}
		w.is(made[1].ID, "failed PUB-NEEDS-001")
		w.is(made[2].ID, "done")
		moved, err := w.desk(w.Store).Move(w.ctx(), activation.CommandRetry, activation.EntryQuery{IDs: []activation.EntryID{made[1].ID}}, false, "ann")
		w.ok(err)
		if moved.Done != 0 || len(moved.Refused) != 1 {
			t.Errorf("what needs a failed create was retried alone: %+v", moved)
		}
		f.drop(activation.ObjectRef{Kind: activation.KindGroup, ID: "2"})
		moved, err = w.desk(w.Store).Move(w.ctx(), activation.CommandRetry, activation.EntryQuery{Publisher: a.ID, Statuses: []activation.EntryStatus{activation.EntryFailed}}, false, "ann")
		w.ok(err)
		if moved.Done != 2 {
			t.Errorf("retried %+v", moved)
		}
		if errs := w.drained(a); len(errs) > 0 {
			t.Fatal(errs)
		}
		w.is(made[0].ID, "done")
		w.is(made[1].ID, "done")
	})
}

// TestConflicts changes objects behind Usher's back: the entry is held with both
// values; posting it overwrites, cancelling it takes theirs.
func TestConflicts(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		_, group, ad, keyword, _ := f.tree()
		w.read(a)
		waits := func(e activation.Entry) activation.Entry { e.Status = activation.EntryToBeSent; return e }
		made := w.write(a,
			waits(edit(keyword, activation.OpBid, "bid", "2")), waits(edit(group, activation.OpStatus, "status", "paused")), waits(edit(ad, activation.OpEdit, "name", "Ad 9")),
		)
		f.set(keyword, "bid", "7")
		f.set(group, "name", "Boots") // another field: no conflict
		f.drop(ad)
		w.read(a)
		e := w.is(made[0].ID, "held conflict")
		if c := e.Changes[0]; c.After != "2" || c.Theirs != "7" {
			t.Errorf("the conflict shows %+v", c)
		}
		w.is(made[1].ID, "to_be_sent")
		if e := w.is(made[2].ID, "held conflict"); e.Changes[0].Theirs != "removed" {
			t.Errorf("the conflict about what is gone shows %+v", e.Changes)
		}
		if o := w.object(a, keyword); o.Confirmed["bid"] != "7" || o.Local["bid"] != "2" {
			t.Errorf("confirmed %v, local %v", o.Confirmed, o.Local)
		}
		d := w.desk(w.Store)
		if _, err := d.Move(w.ctx(), activation.CommandCancel, activation.EntryQuery{IDs: []activation.EntryID{made[2].ID}}, false, "ann"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Move(w.ctx(), activation.CommandPost, activation.EntryQuery{IDs: []activation.EntryID{made[0].ID}}, false, "ann"); err != nil {
			t.Fatal(err)
		}
		if errs := w.drained(a); len(errs) > 0 {
			t.Fatal(errs)
		}
		if e := w.is(made[0].ID, "done"); e.Changes[0].Before != "7" || f.field(keyword, "bid") != "2" {
			t.Errorf("overwritten: %+v, there is %s", e.Changes, f.field(keyword, "bid"))
		}
		w.is(made[1].ID, "to_be_sent")
		w.is(made[2].ID, "cancelled user")

		again := w.write(a, waits(edit(keyword, activation.OpBid, "bid", "3")))
		f.set(keyword, "bid", "8")
		w.read(a)
		w.is(again[0].ID, "held conflict")
		if _, err := d.Move(w.ctx(), activation.CommandCancel, activation.EntryQuery{IDs: idsOf(again)}, false, "ann"); err != nil {
			t.Fatal(err)
		}
		if o := w.object(a, keyword); o.Local["bid"] != "8" || f.field(keyword, "bid") != "8" {
			t.Errorf("theirs was not taken: %v", o.Local)
		}
	})
}

// TestUnknownIsReadBack cuts the call of each operation before and after it took
// effect: what did is done, what did not is sent again, and nothing is sent unread.
func TestUnknownIsReadBack(t *testing.T) {
	campaign, keyword := activation.ObjectRef{Kind: activation.KindCampaign, ID: "1"}, activation.ObjectRef{Kind: activation.KindKeyword, ID: "4"}
	group := activation.ObjectRef{Kind: activation.KindGroup, ID: "2"}
	entries := map[string]func() []activation.Entry{
		"create": func() []activation.Entry { return []activation.Entry{create(activation.KindKeyword, group, "boots")} },
		"creates": func() []activation.Entry {
			below := activation.ObjectRef{Kind: activation.KindCampaign, ID: activation.PendingObjectID(0)}
			return []activation.Entry{create(activation.KindCampaign, activation.ObjectRef{}, "Summer"), create(activation.KindGroup, below, "Sandals")}
		},
		"edit": func() []activation.Entry {
			return []activation.Entry{edit(keyword, activation.OpEdit, "name", "boots")}
		},
		"bid": func() []activation.Entry { return []activation.Entry{edit(keyword, activation.OpBid, "bid", "1.404")} },
		"yen": func() []activation.Entry { return []activation.Entry{edit(keyword, activation.OpBid, "bid", "2.4")} },
		"refers": func() []activation.Entry {
			budget := edit(campaign, activation.OpEdit, "shared_budget", activation.PendingObjectID(0))
			budget.Changes[0].Object = true
			return []activation.Entry{create(activation.KindOther, activation.ObjectRef{}, "Summer"), budget}
		},
		"geo": func() []activation.Entry {
			return []activation.Entry{edit(campaign, activation.OpGeo, "places", "DE,AT")}
		},
		"status": func() []activation.Entry {
			return []activation.Entry{edit(keyword, activation.OpStatus, "status", "paused")}
		},
		"clear":  func() []activation.Entry { return []activation.Entry{edit(keyword, activation.OpBid, "bid", "")} },
		"delete": func() []activation.Entry { return []activation.Entry{remove(keyword)} },
	}
	for what, make := range entries {
		whens := []string{"before", "mid", "after", "panic", "short"}
		if raceEnabled && what != "creates" {
			whens = []string{"after"}
		}
		for _, when := range whens {
			t.Run(what+" cut "+when, func(t *testing.T) {
				test(t, func(w *world) {
					f := newFar()
					if what == "yen" {
						f.currency = "JPY"
					}
					a := w.link("shop", f)
					f.tree()
					w.read(a)
					f.round = what == "bid" || what == "yen"
					cut := cutOnce()
					switch when {
					case "before":
						f.before = cut
					case "mid":
						f.mid = cut
					case "after":
						f.after = cut
					case "panic":
						f.after = func(e []provider.Edit) error {
							if cut(e) != nil {
								panic("a fault in the client")
							}
							return nil
						}
					case "short":
						f.judge = func(e provider.Edit) (provider.EditOutcome, bool) {
							f.judge = nil
							if e.Operation == activation.OpCreate {
								return provider.EditOutcome{State: provider.EditDone}, true // and no id
							}
							return provider.EditOutcome{State: provider.EditUnknown}, true
						}
					}
					made := w.write(a, make()...)
					reads := f.reads
					posted := time.Now()
					errs := w.drained(a)
					if when != "mid" || len(made) > 1 {
						if len(errs) != 1 || activation.KindOf(errs[0]) != activation.Unavailable && activation.KindOf(errs[0]) != activation.Internal {
							t.Fatalf("errors %v", errs)
						}
						if f.reads == reads || time.Since(posted) < 30*time.Second {
							t.Errorf("it was not read back, or at once")
						}
					}
					for _, e := range made {
						if e = w.is(e.ID, "done"); what == "bid" && when == "after" && e.Answer != "read back" {
							t.Errorf("the answer is %q", e.Answer)
						}
					}
					got := f.tookEffect()
					if once(t, got); len(got) != len(made) {
						t.Errorf("took effect %v of %v", got, idsOf(made))
					}
					w.sameTree(a, f)
				})
			})
		}
	}
}

// TestUnknownOfOthers changes an object while the outcome of an edit of it is unknown.
func TestUnknownOfOthers(t *testing.T) {
	cases := []struct {
		name   string
		entry  func(keyword, group activation.ObjectRef) activation.Entry
		change func(f *far, keyword, group activation.ObjectRef)
		want   string
	}{
		{"somebody else's value", func(k, _ activation.ObjectRef) activation.Entry { return edit(k, activation.OpBid, "bid", "2") }, func(f *far, k, _ activation.ObjectRef) { f.set(k, "bid", "9") }, "held conflict"},
		{"it is gone", func(k, _ activation.ObjectRef) activation.Entry { return edit(k, activation.OpBid, "bid", "2") }, func(f *far, k, _ activation.ObjectRef) { f.drop(k) }, "held conflict"},
		{"another field", func(k, _ activation.ObjectRef) activation.Entry { return edit(k, activation.OpBid, "bid", "2") }, func(f *far, k, _ activation.ObjectRef) { f.set(k, "name", "x") }, "done"},
		{"a create whose name was there already", func(_, g activation.ObjectRef) activation.Entry {
			return create(activation.KindKeyword, g, "red shoes")
		}, func(*far, activation.ObjectRef, activation.ObjectRef) {}, "failed FAR-TWIN"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			test(t, func(w *world) {
				f := newFar()
				a := w.link("shop", f)
				_, group, _, keyword, _ := f.tree()
				w.read(a)
				f.before = func([]provider.Edit) error { f.before = nil; return errCut }
				made := w.write(a, c.entry(keyword, group))
				if _, err := w.pass(a.PostJob, w.Store); !errors.Is(err, errCut) {
					t.Fatal(err)
				}
				c.change(f, keyword, group)
				w.drained(a)
				w.is(made[0].ID, c.want)
				once(t, f.tookEffect())
			})
		})
	}
	// A publisher that finds the older object nevertheless: whether there are two now is
	// for a person to see.
	test(t, func(w *world) {
		f := newFar()
		f.names = false
		a := w.link("shop", f)
		_, group, _, _, _ := f.tree()
		w.read(a)
		f.after = func(edits []provider.Edit) error {
			f.after = nil
			for ref, o := range f.objects { // what was made is called otherwise there
				if o.Fields["name"] == "boots" {
					o.Fields["name"] = "red shoes"
					delete(f.objects, ref)
				}
			}
			return errCut
		}
		made := w.write(a, create(activation.KindKeyword, group, "boots"))
		w.drained(a)
		w.is(made[0].ID, "done") // it was made again, since there was none of that name
		if got := f.tookEffect(); len(got) != 2 {
			t.Errorf("took effect %v", got)
		}
	})
}

// TestRefusedWhole halves a call that the publisher refuses as a whole until the edit
// at fault stands alone.
func TestRefusedWhole(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		_, group, _, _, _ := f.tree()
		w.read(a)
		var entries []activation.Entry
		for i := range 9 {
			entries = append(entries, create(activation.KindKeyword, group, fmt.Sprint("word ", i)))
		}
		f.before = func(edits []provider.Edit) error {
			if slices.ContainsFunc(edits, func(e provider.Edit) bool { return e.Set["name"] == "word 6" }) {
				return &activation.Error{Kind: activation.RefusedWhole, Code: "FAR-WHOLE", Message: "no"}
			}
			return nil
		}
		made := w.write(a, entries...)
		if errs := w.drained(a); len(errs) > 0 {
			t.Fatal(errs)
		}
		for i, e := range made {
			if i == 6 {
				w.is(e.ID, "failed FAR-WHOLE")
				continue
			}
			w.is(e.ID, "done")
		}
		if got, want := f.tookEffect(), slices.Delete(idsOf(made), 6, 7); ids(got) != ids(want) {
			t.Errorf("took effect %v, want %v", got, want)
		}
	})
}

// TestReadingInVain: a reading of costs that can't be had, and a structure that is
// refused, hold up nothing; a publisher that is down when it is to be read does.
func TestReadingInVain(t *testing.T) {
	refused := &activation.Error{Kind: activation.Invalid, Code: "FAR-REPORT", Message: "no such report"}
	for _, c := range []struct {
		what, want string
		err        error
	}{
		{publishing.ReadCosts, "failed FAR-DOWN", errDown},
		{publishing.ReadCosts, "failed FAR-REPORT", refused},
		{publishing.ReadStructure, "failed FAR-REPORT", refused},
		{publishing.ReadStructure, "queued FAR-DOWN", errDown},
	} {
		test(t, func(w *world) {
			f := newFar()
			a := w.link("shop", f)
			_, _, _, keyword, _ := f.tree()
			w.read(a)
			f.do(func() { f.asked = func(string) error { return c.err } })
			e, err := w.desk(w.Store).Sync(w.ctx(), a.ID, c.what, "ann")
			w.ok(err)
			behind := w.write(a, edit(keyword, activation.OpBid, "bid", "2"))[0].ID
			_, err = w.pass(a.PostJob, w.Store)
			w.is(e.ID, c.want)
			if strings.HasPrefix(c.want, "failed") {
				w.ok(err)
				w.is(behind, "done")
			} else {
				w.is(behind, "queued")
			}
		})
	}
}

// TestHeadBlocks: an edit that the publisher takes only later, and an account that is
// down, hold up their own account and no other.
func TestHeadBlocks(t *testing.T) {
	test(t, func(w *world) {
		fa, fb := newFar(), newFar()
		a, b := w.link("down", fa), w.link("up", fb)
		_, ga, _, ka, _ := fa.tree()
		_, _, _, kb, _ := fb.tree()
		w.read(a)
		w.read(b)
		until := time.Now().Add(10 * time.Minute)
		fa.do(func() {
			fa.judge = func(e provider.Edit) (provider.EditOutcome, bool) {
				return provider.EditOutcome{State: provider.EditLater, Text: "Too many edits today.", Until: until}, e.Object == ga && time.Now().Before(until)
			}
		})
		made := w.write(a, edit(ka, activation.OpBid, "bid", "2"), edit(ga, activation.OpBid, "bid", "3"))
		other := w.write(b, edit(kb, activation.OpBid, "bid", "2"))
		fa.do(func() { fa.most = 1 })
		stop := w.node("n")
		time.Sleep(time.Minute)
		w.is(other[0].ID, "done")
		w.is(made[1].ID, "queued PUB-LATER")
		w.is(made[0].ID, "queued")
		p, err := w.desk(w.Store).Position(w.ctx(), made[0].ID)
		w.ok(err)
		if p.Place != 2 || p.DecidedBy != "object" || !strings.Contains(p.Blocked, "takes nothing until") {
			t.Errorf("position %+v", p)
		}
		time.Sleep(10 * time.Minute)
		w.is(made[0].ID, "done")
		w.is(made[1].ID, "done")

		fa.do(func() { fa.before = func([]provider.Edit) error { return errDown } })
		made = w.write(a, edit(ka, activation.OpBid, "bid", "4"))
		other = w.write(b, edit(kb, activation.OpBid, "bid", "4"))
		time.Sleep(45 * time.Second)
		w.is(other[0].ID, "done")
		w.is(made[0].ID, "queued")
		if p, err = w.desk(w.Store).Position(w.ctx(), made[0].ID); err != nil || !strings.Contains(p.Blocked, "FAR-DOWN the publisher is down") {
			t.Errorf("position %+v, %v", p, err)
		}
		fa.do(func() { fa.before = nil })
		time.Sleep(5 * time.Minute)
		w.is(made[0].ID, "done")
		stop()
		once(t, fa.tookEffect())
	})
}

// TestStaleAttempt: what an attempt brings back that was thought dead is refused, and
// the one that took over finds out itself.
func TestStaleAttempt(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		_, _, _, keyword, _ := f.tree()
		w.read(a)
		made := w.write(a, edit(keyword, activation.OpBid, "bid", "2"))
		var second activation.Pass
		f.after = func([]provider.Edit) error {
			f.after = nil
			time.Sleep(46 * time.Second)
			var err error
			second, err = w.TakePass(w.ctx(), a.PostJob, "b", 45*time.Second)
			return err
		}
		first, err := w.TakePass(w.ctx(), a.PostJob, "a", 45*time.Second)
		w.ok(err)
		job, err := w.Job(w.ctx(), a.PostJob)
		w.ok(err)
		r := w.desk(w.Store).Runner()
		if err := r.Pass(w.ctx(), job, &progress{w: w, p: first, counts: map[string]int64{}}); !errors.Is(err, activation.ErrFenced) {
			t.Fatalf("the stale attempt: %v", err)
		}
		w.is(made[0].ID, "processing")
		w.ok(r.Pass(w.ctx(), job, &progress{w: w, p: second, counts: map[string]int64{}}))
		w.is(made[0].ID, "done")
		once(t, f.tookEffect())
	})
}

// TestStopInMidCall: a pass that is told to stop leaves its call unknown, and the next
// attempt reads it back.
func TestStopInMidCall(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		_, _, _, keyword, _ := f.tree()
		w.read(a)
		made := w.write(a, edit(keyword, activation.OpBid, "bid", "2"))
		p, err := w.TakePass(w.ctx(), a.PostJob, "a", 45*time.Second)
		w.ok(err)
		job, err := w.Job(w.ctx(), a.PostJob)
		w.ok(err)
		ctx, cancel := context.WithCancel(w.ctx())
		f.after = func([]provider.Edit) error { f.after = nil; cancel(); return ctx.Err() }
		if err := w.desk(w.Store).Runner().Pass(ctx, job, &progress{w: w, p: p, counts: map[string]int64{}}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		w.is(made[0].ID, "processing")
		w.ok(w.ReleasePass(w.ctx(), p, time.Time{}))
		cut, read := time.Now(), time.Time{}
		f.asked = func(string) error { read = time.Now(); return nil }
		w.drained(a)
		if waited := read.Sub(cut); waited < 30*time.Second {
			t.Errorf("it was read back after %v, and its effect may come for 30 s", waited)
		}
		w.is(made[0].ID, "done")
		once(t, f.tookEffect())
	})
}

// TestTogetherOrNotAtAll: a publisher that makes the edits of a call together or not at
// all says later of those that another one's refusal kept back. They go at once.
func TestTogetherOrNotAtAll(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		_, group, _, _, _ := f.tree()
		w.read(a)
		made := w.write(a, create(activation.KindKeyword, group, "one"), create(activation.KindKeyword, group, "two"), create(activation.KindKeyword, group, "three"))
		f.judge = func(e provider.Edit) (provider.EditOutcome, bool) {
			o := provider.EditOutcome{State: provider.EditLater, Code: "FAR-TOGETHER", Text: "Another one was refused."}
			if e.Set["name"] == "two" {
				o = provider.EditOutcome{State: provider.EditRefused, Code: "FAR-NO", Text: "No."}
			}
			return o, f.calls == 1
		}
		began := time.Now()
		if errs := w.drained(a); len(errs) > 0 || time.Since(began) > time.Second {
			t.Errorf("it took %v and %v", time.Since(began), errs)
		}
		w.is(made[0].ID, "done")
		w.is(made[1].ID, "failed FAR-NO")
		w.is(made[2].ID, "done")
	})
}
