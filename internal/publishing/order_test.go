package publishing_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
)

// plainOrder is the order of the product's description, written here alone: the
// smallest of what is left goes next, and what it needs goes directly in front of it.
func plainOrder(entries []activation.Entry) (out []activation.EntryID) {
	origins := map[activation.Origin]int{"scheduled": 1, "user": 2, "system": 3}
	objects := map[activation.ObjectKind]int{"": 0, "campaign": 1, "group": 2, "creative": 3, "keyword": 4, "other": 5}
	operations := map[activation.Operation]int{"sync": 1, "create": 2, "edit": 3, "bid": 3, "geo": 3, "status": 3, "delete": 3}
	less := func(a, b activation.Entry) bool {
		for _, pair := range [][2]int{{origins[a.Origin], origins[b.Origin]}, {objects[a.Object.Kind], objects[b.Object.Kind]}, {operations[a.Operation], operations[b.Operation]}} {
			if pair[0] != pair[1] {
				return pair[0] < pair[1]
			}
		}
		return a.ID < b.ID
	}
	left := map[activation.EntryID]activation.Entry{}
	for _, e := range entries {
		left[e.ID] = e
	}
	smallest := func(of []activation.EntryID) (min activation.EntryID) {
		for _, id := range of {
			if _, waits := left[id]; waits && (min == 0 || less(left[id], left[min])) {
				min = id
			}
		}
		return min
	}
	var send func(e activation.Entry)
	send = func(e activation.Entry) {
		delete(left, e.ID)
		needs := slices.Clone(e.Refers)
		for _, ref := range []activation.ObjectRef{e.Object, e.ObjectParent} {
			if id, ok := activation.CreatedBy(ref.ID); ok {
				needs = append(needs, id)
			}
		}
		for need := smallest(needs); need != 0; need = smallest(needs) {
			send(left[need])
		}
		out = append(out, e.ID)
	}
	for len(left) > 0 {
		var all []activation.EntryID
		for id := range left {
			all = append(all, id)
		}
		send(left[smallest(all)])
	}
	return out
}

// TestTenEntries writes ten entries in an order that is wrong by every key, and sees
// them take effect in the documented one.
func TestTenEntries(t *testing.T) {
	test(t, func(w *world) {
		f := newFar()
		a := w.link("shop", f)
		campaign, group, ad, keyword, budget := f.tree()
		w.read(a)
		user, system, scheduled := activation.OriginUser, activation.OriginSystem, activation.OriginScheduled
		from := func(o activation.Origin, e activation.Entry) activation.Entry { e.Origin = o; return e }
		made := w.write(a,
			from(system, edit(keyword, activation.OpBid, "bid", "2")),          // 0: last but one
			from(user, edit(budget, activation.OpEdit, "budget", "50")),        // 1
			from(user, edit(keyword, activation.OpStatus, "status", "paused")), // 2
			from(user, remove(ad)),                                                // 3
			from(user, edit(group, activation.OpBid, "bid", "1.5")),               // 4
			from(user, create(activation.KindGroup, campaign, "Boots")),           // 5
			from(user, edit(campaign, activation.OpGeo, "places", "DE,AT")),       // 6
			from(scheduled, edit(keyword, activation.OpEdit, "name", "boots")),    // 7: second
			from(scheduled, edit(group, activation.OpStatus, "status", "paused")), // 8: first
			from(system, edit(budget, activation.OpEdit, "name", "Budget 2")),     // 9: last
		)
		want := []activation.EntryID{}
		for _, i := range []int{8, 7, 6, 5, 4, 3, 2, 1, 0, 9} {
			want = append(want, made[i].ID)
		}
		for _, most := range []int{1, 3, 10} {
			if order := plainOrder(made); ids(order) != ids(want) {
				t.Fatalf("the comparator says %v, the description %v", order, want)
			}
			f.most = most
		}
		if errs := w.drained(a); len(errs) > 0 {
			t.Fatal(errs)
		}
		if got := f.tookEffect(); ids(got) != ids(want) {
			t.Fatalf("took effect %v, want %v", got, want)
		}
		w.sameTree(a, f)
	})
}

// TestEveryCombination posts one entry of each origin, object and operation, written in
// random order.
func TestEveryCombination(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			test(t, func(w *world) {
				f, r := newFar(), rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's choice
				f.most = 1 + r.IntN(10)
				a := w.link("shop", f)
				campaign, group, _, _, _ := f.tree()
				parents := map[activation.ObjectKind]activation.ObjectRef{activation.KindGroup: campaign, activation.KindCreative: group, activation.KindKeyword: group}
				var all []activation.Entry
				for _, origin := range activation.Origins {
					for _, kind := range activation.ObjectKinds {
						for _, op := range activation.Operations {
							id := fmt.Sprint(100 + len(all))
							var e activation.Entry
							switch op {
							case activation.OpSync:
								continue
							case activation.OpCreate:
								e = create(kind, parents[kind], "made "+id)
							case activation.OpDelete:
								e = remove(f.put(kind, id, typeOf(kind), parents[kind], map[string]string{"name": id}))
							default:
								e = edit(f.put(kind, id, typeOf(kind), parents[kind], map[string]string{"name": id}), op, "name", id+" new")
							}
							e.Origin = origin
							all = append(all, e)
						}
					}
				}
				w.read(a)
				r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				made := w.write(a, all...)
				if errs := w.drained(a); len(errs) > 0 {
					t.Fatal(errs)
				}
				if got, want := f.tookEffect(), plainOrder(made); ids(got) != ids(want) {
					t.Fatalf("took effect\n%v, want\n%v", got, want)
				}
				w.sameTree(a, f)
			})
		})
	}
}

// story is one random history of an account.
type story struct {
	w *world
	r *rand.Rand
	f *far
	a activation.PublisherAccount
	// all are the entries that were written, as they were.
	all map[activation.EntryID]activation.Entry
	// bad are those that the publisher refuses.
	bad     map[activation.EntryID]bool
	objects []activation.ObjectRef
	n       int
}

// writeSome writes some random entries; later ones refer to creates of earlier ones,
// of this writing and of others.
func (s *story) writeSome(waits func(activation.EntryID) bool) {
	var entries []activation.Entry
	type made struct {
		ref    activation.ObjectRef
		refers activation.EntryID
	}
	within := map[activation.ObjectKind][]made{}
	for id, e := range s.all {
		if e.Operation == activation.OpCreate && waits(id) && !s.bad[id] {
			within[e.Object.Kind] = append(within[e.Object.Kind], made{e.Object, id})
		}
	}
	for _, list := range within {
		slices.SortFunc(list, func(a, b made) int { return int(a.refers - b.refers) })
	}
	pick := func(kind activation.ObjectKind) made {
		options := slices.Clone(within[kind])
		for _, ref := range s.objects {
			if ref.Kind == kind {
				options = append(options, made{ref: ref})
			}
		}
		return options[s.r.IntN(len(options))]
	}
	for i := range 1 + s.r.IntN(9) {
		s.n++
		kind := activation.ObjectKinds[s.r.IntN(len(activation.ObjectKinds))]
		var e activation.Entry
		switch roll := s.r.IntN(10); {
		case roll < 5:
			var parent made
			switch kind {
			case activation.KindGroup:
				parent = pick(activation.KindCampaign)
			case activation.KindCreative, activation.KindKeyword:
				parent = pick(activation.KindGroup)
			}
			e = create(kind, parent.ref, fmt.Sprint("made ", s.n))
			if parent.refers != 0 {
				e.Refers = append(e.Refers, parent.refers)
			}
			if kind == activation.KindCampaign && s.r.IntN(2) == 0 {
				budget := pick(activation.KindOther)
				e.Changes = append(e.Changes, activation.Change{Field: "shared_budget", After: budget.ref.ID, Object: true})
				if budget.refers != 0 {
					e.Refers = append(e.Refers, budget.refers)
				}
			}
			e.Object.ID = activation.PendingObjectID(i)
			within[kind] = append(within[kind], made{e.Object, activation.PendingRefer(i)})
		case roll == 9:
			i := s.r.IntN(len(s.objects))
			e = remove(s.objects[i])
		default:
			object := pick(kind)
			e = edit(object.ref, []activation.Operation{activation.OpEdit, activation.OpBid, activation.OpGeo, activation.OpStatus}[s.r.IntN(4)], "name", fmt.Sprint("edit ", s.n))
			if object.refers != 0 {
				e.Refers = append(e.Refers, object.refers)
			}
		}
		e.Origin = activation.Origins[s.r.IntN(3)]
		entries = append(entries, e)
	}
	for _, e := range s.w.write(s.a, entries...) {
		s.all[e.ID] = e
		if s.r.IntN(8) == 0 {
			s.f.do(func() { s.bad[e.ID] = true })
		}
	}
}

// queued are the entries that wait, as they were written.
func (s *story) queued() (out []activation.Entry) {
	q := activation.EntryQuery{Publisher: s.a.ID, Statuses: []activation.EntryStatus{activation.EntryQueued, activation.EntryProcessing}, Limit: 1000}
	page, _, err := s.w.Entries(s.w.ctx(), q)
	s.w.ok(err)
	for _, e := range page {
		out = append(out, s.all[e.ID])
	}
	return out
}

// expected says by the plain order what takes effect of these entries: not what the
// publisher refuses, what needs that, or what is about an object that is gone.
func (s *story) expected(entries []activation.Entry) (out []activation.EntryID) {
	byID, gone := map[activation.EntryID]activation.Entry{}, s.goneNow()
	failed := map[activation.EntryID]bool{}
	for _, e := range entries {
		byID[e.ID] = e
	}
	for _, id := range plainOrder(entries) {
		e := byID[id]
		lacks := gone[e.Object] || gone[e.ObjectParent] && e.Operation == activation.OpCreate
		for _, need := range e.Refers {
			lacks = lacks || failed[need]
		}
		for _, c := range e.Changes {
			lacks = lacks || c.Object && gone[activation.ObjectRef{Kind: activation.KindOther, ID: c.After}]
		}
		if s.bad[id] || lacks {
			failed[id] = true
			continue
		}
		if e.Operation == activation.OpDelete {
			gone[e.Object] = true
		}
		out = append(out, id)
	}
	return out
}

func (s *story) goneNow() map[activation.ObjectRef]bool {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	gone := map[activation.ObjectRef]bool{}
	for _, ref := range s.objects {
		gone[ref] = s.f.objects[ref] == nil
	}
	return gone
}

// TestRandomHistories writes random entries that need each other, lets the node die
// anywhere in the posting of them, and wants the effects in the documented order, each
// once, and Usher's copy to be what the publisher has.
func TestRandomHistories(t *testing.T) {
	seeds := uint64(12)
	if raceEnabled {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			test(t, func(w *world) { randomHistory(w, seed) })
		})
	}
}

// newStory links an account whose publisher refuses what is bad.
func newStory(w *world, r *rand.Rand) *story {
	s := &story{w: w, r: r, f: newFar(), all: map[activation.EntryID]activation.Entry{}, bad: map[activation.EntryID]bool{}}
	s.a = w.link("shop", s.f)
	s.f.most, s.f.parentAlone, s.f.names = 1+r.IntN(8), r.IntN(2) == 0, r.IntN(2) == 0
	campaign, group, ad, keyword, budget := s.f.tree()
	s.objects = []activation.ObjectRef{campaign, group, ad, keyword, budget}
	for i := range 6 {
		s.objects = append(s.objects, s.f.put(activation.KindKeyword, fmt.Sprint(50+i), "keyword", group, map[string]string{"name": fmt.Sprint("word ", i)}))
	}
	w.read(s.a)
	s.f.judge = func(e provider.Edit) (provider.EditOutcome, bool) {
		return provider.EditOutcome{State: provider.EditRefused, Code: "FAR-BAD", Text: "Not so."}, s.bad[e.Entry]
	}
	return s
}

func randomHistory(w *world, seed uint64) {
	s := newStory(w, rand.New(rand.NewPCG(seed, 2))) //nolint:gosec // a test's choice
	r := s.r
	waiting := map[activation.EntryID]bool{}
	for range 3 {
		for range 1 + r.IntN(3) {
			clear(waiting)
			for _, e := range s.queued() {
				waiting[e.ID] = true
			}
			s.writeSome(func(id activation.EntryID) bool { return waiting[id] })
		}
		want := append(s.f.tookEffect(), s.expected(s.queued())...)
		crashes := s.drainWithCrashes()
		got := s.f.tookEffect()
		if ids(got) != ids(want) {
			w.t.Fatalf("after %d crashes took effect\n%v, want\n%v", crashes, got, want)
		}
		once(w.t, got)
		w.sameTree(s.a, s.f)
	}
}

// drainWithCrashes posts all there is by nodes that die, some at the far side's end of
// a call and some between two statements of the store.
func (s *story) drainWithCrashes() (crashes int) {
	for range 200 {
		waits, err := s.w.HasQueued(s.w.ctx(), s.a.ID)
		s.w.ok(err)
		if !waits {
			s.f.do(func() { s.f.before, s.f.mid, s.f.after = nil, nil, nil })
			return crashes
		}
		m := &mortal{Store: s.w.Store, left: 1 + s.r.IntN(12)}
		if crashes > 25 {
			m.left = 1 << 30 // and at last one that lives
		}
		die := func(provider.Edit) error { return m.step() }
		s.f.do(func() {
			hook := func(edits []provider.Edit) error { return die(edits[0]) }
			s.f.before, s.f.mid, s.f.after = hook, hook, hook
		})
		if _, err := s.w.pass(s.a.PostJob, m); errors.Is(err, errCrash) {
			crashes++
		} else if err != nil {
			s.w.t.Fatal(err)
		}
	}
	s.w.t.Fatal("the queue is never empty")
	return 0
}
