package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/store"
)

// file are the entries of an upload: a campaign, groups in it, and edits of groups that
// are there. All of them are of this status.
func file(status activation.EntryStatus) []activation.Entry {
	campaign := activation.ObjectRef{Kind: activation.KindCampaign, ID: activation.PendingObjectID(0)}
	entries := []activation.Entry{creation(0, activation.KindCampaign, "New", activation.ObjectRef{}, status)}
	for i := 1; i <= 2; i++ {
		e := creation(i, activation.KindGroup, fmt.Sprint("Group ", i), campaign, status)
		e.Refers = []activation.EntryID{activation.PendingRefer(0)}
		entries = append(entries, e)
	}
	return append(entries, edit("1", "bid", "1.00", "2.00", status), edit("2", "bid", "1.00", "2.00", status))
}

// unchangedBids refuses edits of bids that are not what they were.
func unchangedBids(entries []activation.Entry, now map[activation.ObjectRef]activation.PublisherObject) error {
	for _, e := range entries {
		if e.Operation == activation.OpEdit && now[e.Object].Local["bid"] != e.Changes[0].Before {
			return fmt.Errorf("the bid of %s is %s: %w", e.Object.ID, now[e.Object].Local["bid"], activation.ErrOutdated)
		}
	}
	return nil
}

// loading: a writing of many entries lets others write in between, and is seen at once.
func loading(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	p := w.poster(a)
	w.have(a, p, "1", "2", "3")
	w.InPieces(2)
	entries := file(activation.EntryToBeSent)
	var small activation.Entry
	turns := 0
	more := func(between func()) func() ([]activation.Entry, error) {
		turns = 0
		return func() ([]activation.Entry, error) {
			if turns++; turns > 1 {
				between()
				return nil, nil
			}
			return entries[2:], nil
		}
	}
	unseen := func() {
		w.t.Helper()
		page, _, err := w.Entries(ctx, activation.EntryQuery{Publisher: a.ID})
		w.ok(err)
		w.equal(1, len(page))
		for _, q := range []activation.EntryQuery{{}, {Publisher: a.ID, Posting: true}, {Object: group("1")}, {IDs: []activation.EntryID{small.ID, small.ID - 1, small.ID - 2}}} {
			page, _, err := w.Entries(ctx, q)
			w.ok(err)
			for _, e := range page {
				w.equal(small.ID, e.ID)
			}
		}
		for id := small.ID - 5; id < small.ID; id++ {
			_, err := w.Entry(ctx, id)
			w.is(activation.ErrNotFound, err)
		}
		n, err := w.EntryCounts(ctx, a.ID)
		w.ok(err)
		w.equal(map[activation.EntryStatus]int64{activation.EntryToBeSent: 1}, n)
		w.equal("1.00", w.anObject(a, group("1")).Local["bid"])
		w.equal(int64(0), w.anObject(a, group("1")).Waiting)
		m, err := w.MoveEntries(ctx, activation.CommandPostAll, activation.EntryQuery{Publisher: a.ID}, "bob", true)
		w.ok(err)
		w.equal(int64(1), m.Done)
	}
	write := func(between func()) ([]activation.Entry, error) {
		return w.WriteEntries(ctx, a.ID, &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "file"}, entries[:2],
			activation.EntryWrite{More: more(between), Check: unchangedBids, Audit: "upload"})
	}
	out, err := write(func() {
		small = w.write(a, edit("3", "bid", "1.00", "5.00", activation.EntryToBeSent))[0]
		unseen()
	})
	w.ok(err)
	w.equal(2, len(out))
	parent := w.anEntry(out[0].Parent)
	w.equal(map[activation.EntryStatus]int64{activation.EntryToBeSent: 5}, parent.Children)
	w.equal(activation.EntryToBeSent, parent.Status)
	n, err := w.EntryCounts(ctx, a.ID)
	w.ok(err)
	w.equal(map[activation.EntryStatus]int64{activation.EntryToBeSent: 6}, n)
	w.equal("2.00", w.anObject(a, group("2")).Local["bid"])
	w.equal(int64(1), w.anObject(a, activation.ObjectRef{Kind: activation.KindCampaign, ID: activation.NewObjectID(out[0].ID)}).Waiting)
	if small.ID < out[1].ID {
		w.t.Errorf("the entry written in between is #%d, and the first ones before it are #%d and #%d", small.ID, out[0].ID, out[1].ID)
	}
	w.moved(activation.CommandCancel, parent.ID, small.ID)

	// What changes an object of it meanwhile, or takes one away, makes it begin anew.
	for _, between := range []func(){
		func() { small = w.write(a, edit("1", "bid", "1.00", "7.00", activation.EntryToBeSent))[0] },
		func() {
			e := edit("3", "", "", "", activation.EntryToBeSent)
			e.Operation, e.Changes = activation.OpDelete, nil
			small = w.write(a, e)[0]
		},
	} {
		_, err = write(between)
		w.is(activation.ErrOutdated, err)
		page, _, err := w.Entries(ctx, activation.EntryQuery{Publisher: a.ID, Statuses: []activation.EntryStatus{activation.EntryToBeSent}})
		w.ok(err)
		w.equal(1, len(page))
		w.equal(small.ID, page[0].ID)
		w.moved(activation.CommandCancel, small.ID)
	}
	// A change of something else does not.
	_, err = write(func() { small = w.write(a, edit("3", "label", "", "x", activation.EntryHeld))[0] })
	w.ok(err)
}

// loadsCut cuts a writing of many entries in each of its transactions: what is there
// when it was cleared up is all of it or nothing.
func loadsCut(t *testing.T, env Env) {
	clock := NewClock()
	cut, cancel := 0, func() {}
	tick := func() time.Time {
		if cut--; cut == 0 {
			cancel()
		}
		return clock.Now()
	}
	w := &world{t: t, clock: clock, woken: &woken{}}
	w.Store, w.again = env.Open(t, tick, w.woken.add)
	w.auth = w.authorization("first")
	w.dest = w.destination("Ads", "100", w.auth.ID)
	w.InPieces(2)
	sweeper := &store.Sweeper{Store: w.Store}
	nothing, all := 0, 0
	for n := 1; ; n++ {
		a := w.account(fmt.Sprint("Shop ", n))
		w.have(a, w.poster(a), "1", "2")
		// A create that the upload pulls into its place, as an edit of a campaign does.
		budget := w.write(a, creation(0, activation.KindOther, "Budget", activation.ObjectRef{}, activation.EntryToBeSent))[0]
		entries := file(activation.EntryQueued)
		entries[0].Changes = append(entries[0].Changes, activation.Change{Field: "budget", After: budget.Object.ID, Object: true})
		var ctx context.Context
		ctx, cancel = context.WithCancel(t.Context())
		cut = n
		_, err := w.WriteEntries(ctx, a.ID, &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "file"}, entries, activation.EntryWrite{Check: unchangedBids})
		ended := cut > 0
		cut = 0
		cancel()
		if ended {
			w.ok(err)
		} else if err == nil {
			t.Fatalf("cut in transaction %d, it ended well", n)
		}
		clock.Add(2 * time.Minute)
		w.ok(sweeper.Do(t.Context(), activation.Work{}))
		page, _, err := w.Entries(t.Context(), activation.EntryQuery{Publisher: a.ID})
		w.ok(err)
		counts, err := w.EntryCounts(t.Context(), a.ID)
		w.ok(err)
		head, _, err := w.QueueHead(t.Context(), a.ID, 10)
		w.ok(err)
		left := w.anEntry(budget.ID)
		if len(page) == 1 {
			nothing++
			w.equal(map[activation.EntryStatus]int64{activation.EntryToBeSent: 1}, counts)
			w.equal(0, len(head))
			w.equal(activation.EntryID(0), left.For)
			w.equal("1.00", w.anObject(a, group("1")).Local["bid"])
		} else {
			all++
			w.equal(7, len(page)) // with its parent
			w.equal(map[activation.EntryStatus]int64{activation.EntryQueued: 6}, counts)
			w.equal(6, len(head))
			w.equal(budget.ID, head[0].ID)
			w.equal("2.00", w.anObject(a, group("1")).Local["bid"])
			w.equal("2.00", w.anObject(a, group("2")).Local["bid"])
		}
		// Nothing of it is in the way of the next.
		_, err = w.WriteEntries(t.Context(), a.ID, nil, []activation.Entry{
			edit("1", "label", "", "x", activation.EntryHeld), edit("2", "label", "", "x", activation.EntryHeld), edit("2", "title", "", "x", activation.EntryHeld),
		}, activation.EntryWrite{})
		w.ok(err)
		if ended {
			break
		}
	}
	if nothing < 3 || all < 3 {
		t.Errorf("%d writings left nothing and %d all: they were not cut everywhere", nothing, all)
	}
}
