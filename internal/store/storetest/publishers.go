package storetest

import (
	"fmt"
	"slices"
	"strings"

	"usher/internal/activation"
	"usher/internal/store"
)

// account links a publisher account.
func (w *world) account(name string) activation.PublisherAccount {
	w.t.Helper()
	a, err := w.CreatePublisher(w.t.Context(), activation.PublisherAccount{
		Name: name, Provider: "meta", Authorization: w.auth.ID, Account: "act-" + name, Currency: "EUR", Timezone: "Europe/Berlin",
	}, "meta_sync", "meta_post", "ann")
	w.ok(err)
	return a
}

// poster takes the pass of an account's post job.
func (w *world) poster(a activation.PublisherAccount) activation.Pass {
	w.t.Helper()
	return w.taken(a.PostJob)
}

// edit is an entry that sets one field of a group to a value.
func edit(id, field, before, after string, status activation.EntryStatus) activation.Entry {
	return activation.Entry{
		Origin: activation.OriginUser, By: "ann", Source: "console", Operation: activation.OpEdit, Status: status,
		Object: activation.ObjectRef{Kind: activation.KindGroup, ID: id}, Type: "group", ObjectName: "Group " + id, Text: "change " + field + " of Group " + id,
		Changes: []activation.Change{{Field: field, Before: before, After: after}},
	}
}

// creation is the entry at index i of a writing that creates an object in a parent.
func creation(i int, kind activation.ObjectKind, name string, parent activation.ObjectRef, status activation.EntryStatus) activation.Entry {
	return activation.Entry{
		Origin: activation.OriginUser, By: "ann", Source: "console", Operation: activation.OpCreate, Status: status,
		Object: activation.ObjectRef{Kind: kind, ID: activation.PendingObjectID(i)}, Type: string(kind), ObjectName: name, ObjectParent: parent, Text: "create " + name,
		Changes: []activation.Change{{Field: activation.FieldName, After: name}},
	}
}

func group(id string) activation.ObjectRef {
	return activation.ObjectRef{Kind: activation.KindGroup, ID: id}
}

// have makes groups of these ids with a bid of 1.00 the structure of an account.
func (w *world) have(a activation.PublisherAccount, p activation.Pass, ids ...string) {
	w.t.Helper()
	var seen []activation.PublisherObject
	for _, id := range ids {
		seen = append(seen, activation.PublisherObject{ObjectRef: group(id), Type: "group", Confirmed: map[string]string{"name": "Group " + id, "bid": "1.00", "status": "enabled"}})
	}
	_, err := w.SaveObjects(w.t.Context(), p, a.ID, seen, nil)
	w.ok(err)
}

func (w *world) write(a activation.PublisherAccount, entries ...activation.Entry) []activation.Entry {
	w.t.Helper()
	out, err := w.WriteEntries(w.t.Context(), a.ID, nil, entries, activation.EntryWrite{})
	w.ok(err)
	return out
}

func (w *world) moved(c activation.EntryCommand, ids ...activation.EntryID) activation.EntriesMoved {
	w.t.Helper()
	m, err := w.MoveEntries(w.t.Context(), c, activation.EntryQuery{IDs: ids}, "ann", false)
	w.ok(err)
	return m
}

func (w *world) anEntry(id activation.EntryID) activation.Entry {
	w.t.Helper()
	e, err := w.Entry(w.t.Context(), id)
	w.ok(err)
	return e
}

func (w *world) anObject(a activation.PublisherAccount, ref activation.ObjectRef) activation.PublisherObject {
	w.t.Helper()
	o, err := w.Object(w.t.Context(), a.ID, ref)
	w.ok(err)
	return o
}

func entryIDs(entries []activation.Entry) []activation.EntryID {
	out := make([]activation.EntryID, len(entries))
	for i, e := range entries {
		out[i] = e.ID
	}
	return out
}

// publisherAccounts: an account has two jobs that live and end with it.
func publisherAccounts(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	w.equal(activation.DefaultNightlyAt, a.NightlyAt)
	sync, post := w.aJob(a.SyncJob), w.aJob(a.PostJob)
	w.equal("publishing", sync.Type)
	w.equal(activation.Schedule{Continuous: true, Frequency: "daily", TimeOfDay: "20:00", Timezone: "Europe/Berlin"}, sync.Schedule)
	w.equal(map[string]string{"publisher": string(a.ID)}, post.Config)
	w.equal(true, post.RealTime())
	w.equal([]activation.AuthorizationID{w.auth.ID}, post.Authorizations)
	of, err := w.PublisherOfJob(ctx, a.PostJob)
	w.ok(err)
	w.equal(a.ID, of.ID)
	_, err = w.PublisherOfJob(ctx, "nothing")
	w.is(activation.ErrNotFound, err)

	for _, taken := range []activation.PublisherAccount{{Name: "Shop", Account: "2"}, {Name: "Other", Account: a.Account}} {
		taken.Provider, taken.Authorization = "meta", w.auth.ID
		_, err = w.CreatePublisher(ctx, taken, "meta_sync", "meta_post", "ann")
		w.is(activation.ErrConflict, err)
	}
	for _, refused := range []error{w.DeleteJob(ctx, a.SyncJob, "ann"), w.Kill(ctx, a.PostJob, "ann")} {
		w.is(activation.ErrConflict, refused)
		w.equal(true, strings.Contains(activation.SafeMessage(refused), `"Shop"`))
	}
	w.equal(activation.JobRunnable, w.aJob(a.PostJob).State)
	w.ok(w.Pause(ctx, a.PostJob, 0, "ann"))
	w.clock.Add(200 * 24 * 3600e9)
	_, err = w.NoticePurge(ctx, 90*24*3600e9)
	w.ok(err)
	w.clock.Add(20 * 24 * 3600e9)
	n, err := w.PurgeJobs(ctx, 90*24*3600e9, nil)
	w.ok(err)
	w.equal(0, n)
	w.ok(w.Resume(ctx, a.PostJob, "ann"))

	w.ok(w.SavePublisherInfo(ctx, a.ID, "USD", "America/New_York"))
	w.equal("America/New_York", w.aJob(a.SyncJob).Schedule.Timezone)
	second := w.authorization("second")
	a.Name, a.NightlyAt, a.Config, a.Authorization = "Shop 2", "21:30", map[string]string{"k": "v"}, second.ID
	a, err = w.UpdatePublisher(ctx, a, "bob")
	w.ok(err)
	w.equal("USD", a.Currency)
	w.equal("21:30", w.aJob(a.SyncJob).Schedule.TimeOfDay)
	w.equal("Shop 2", w.aJob(a.PostJob).Name)
	w.equal([]activation.AuthorizationID{second.ID}, w.aJob(a.PostJob).Authorizations)
	w.ok(w.ReplaceAuthorization(ctx, second.ID, w.auth.ID, nil, "ann"))
	read, err := w.Publisher(ctx, a.ID)
	w.ok(err)
	w.equal(w.auth.ID, read.Authorization)
	w.equal(map[string]string{"k": "v"}, read.Config)

	p := w.poster(a)
	w.have(a, p, "1")
	made := w.write(a, edit("1", "bid", "1.00", "2.00", activation.EntryQueued))
	read, err = w.Publisher(ctx, a.ID)
	w.ok(err)
	w.equal(map[activation.EntryStatus]int64{activation.EntryQueued: 1}, read.Waiting)
	_, err = w.ClaimEntries(ctx, p, a.ID, entryIDs(made))
	w.ok(err)
	w.is(activation.ErrConflict, w.DeletePublisher(ctx, a.ID, "ann"))
	w.ok(w.SettleEntries(ctx, p, a.ID, []activation.EntryOutcome{{Entry: made[0].ID, Status: activation.EntryDone}}))
	w.ok(w.DeletePublisher(ctx, a.ID, "ann"))
	_, err = w.Job(ctx, a.SyncJob)
	w.is(activation.ErrNotFound, err)
	_, err = w.Entry(ctx, made[0].ID)
	w.is(activation.ErrNotFound, err)
	all, err := w.Publishers(ctx)
	w.ok(err)
	w.equal(0, len(all))
	w.account("Shop 2")
}

// head is what is queued, in order.
func (w *world) head(a activation.PublisherAccount) []activation.EntryID {
	w.t.Helper()
	entries, _, err := w.QueueHead(w.t.Context(), a.ID, 1000)
	w.ok(err)
	return entryIDs(entries)
}

// writing: entries get ids in order, local values follow, creates are named, what is
// needed goes first, and an upload's children are counted.
func writing(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	p := w.poster(a)
	w.have(a, p, "1", "2")
	w.woken.take()

	parent := &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "bids.csv"}
	budget := creation(2, activation.KindOther, "Budget", activation.ObjectRef{}, activation.EntryQueued)
	camp := creation(1, activation.KindCampaign, "Camp", activation.ObjectRef{}, activation.EntryQueued)
	camp.Changes = append(camp.Changes, activation.Change{Field: "shared_budget", After: activation.PendingObjectID(2), Object: true})
	entries := []activation.Entry{edit("1", "bid", "1.00", "row-2", activation.EntryQueued), camp, budget}
	more := [][]activation.Entry{{creation(3, activation.KindGroup, "G", activation.ObjectRef{Kind: activation.KindCampaign, ID: activation.PendingObjectID(1)}, activation.EntryQueued)}, nil}
	checked := 0
	out, err := w.WriteEntries(ctx, a.ID, parent, entries, activation.EntryWrite{
		Audit: "upload",
		Check: func(_ []activation.Entry, now map[activation.ObjectRef]activation.PublisherObject) error {
			if checked++; checked == 1 {
				w.equal("1.00", now[group("1")].Local["bid"])
			}
			return nil
		},
		More: func() (piece []activation.Entry, err error) { piece, more = more[0], more[1:]; return piece, nil },
	})
	w.ok(err)
	w.equal(2, checked)
	w.equal(3, len(out))
	first := out[0].ID
	w.equal([]activation.EntryID{first, first + 1, first + 2}, entryIDs(out))
	w.equal(first-1, out[0].Parent)
	w.equal([]string{"pass " + string(a.PostJob)}, w.woken.take())
	// The budget goes in front of the campaign that needs it, the group after both.
	w.equal([]activation.EntryID{first + 2, first + 1, first + 3, first}, w.head(a))
	made := w.anEntry(first + 1)
	w.equal(activation.NewObjectID(first+2), made.Changes[1].After)
	w.equal([]activation.EntryID{first + 2}, made.Refers)
	w.equal(first+1, w.anEntry(first+2).For)
	w.equal("row-2", w.anEntry(first).Changes[0].After) // a text, not an object
	o := w.anObject(a, group("1"))
	w.equal("row-2", o.Local["bid"])
	w.equal("1.00", o.Confirmed["bid"])
	w.equal(int64(1), o.Waiting)
	planned := w.anObject(a, activation.ObjectRef{Kind: activation.KindGroup, ID: activation.NewObjectID(first + 3)})
	w.equal(true, planned.Confirmed == nil)
	w.equal("G", planned.Name())
	w.equal(activation.NewObjectID(first+1), planned.Parent.ID)
	up := w.anEntry(first - 1)
	w.equal(activation.EntryQueued, up.Status)
	w.equal(map[activation.EntryStatus]int64{activation.EntryQueued: 4}, up.Children)
	counts, err := w.EntryCounts(ctx, a.ID)
	w.ok(err)
	w.equal(map[activation.EntryStatus]int64{activation.EntryQueued: 4}, counts)

	// What a check refuses leaves nothing, not even ids.
	_, err = w.WriteEntries(ctx, a.ID, nil, []activation.Entry{edit("2", "bid", "1.00", "3.00", activation.EntryQueued)}, activation.EntryWrite{
		Check: func([]activation.Entry, map[activation.ObjectRef]activation.PublisherObject) error {
			return activation.ErrConflict
		},
	})
	w.is(activation.ErrConflict, err)
	w.equal(first+4, w.write(a, edit("2", "bid", "1.00", "3.00", activation.EntryHeld))[0].ID)

	// What needs a held create can't go at once; what needs one to be sent takes it along.
	held := w.write(a, creation(0, activation.KindCampaign, "Held", activation.ObjectRef{}, activation.EntryHeld))[0]
	late := w.write(a, creation(0, activation.KindGroup, "Late", held.Object, activation.EntryQueued))[0]
	w.equal(activation.EntryToBeSent, late.Status)
	w.equal(true, late.ReleasedAt.IsZero())
	waits := w.write(a, creation(0, activation.KindCampaign, "Waits", activation.ObjectRef{}, activation.EntryToBeSent))[0]
	now := w.write(a, creation(0, activation.KindGroup, "Now", waits.Object, activation.EntryQueued))[0]
	w.equal(activation.EntryQueued, now.Status)
	w.equal(activation.EntryQueued, w.anEntry(waits.ID).Status)
	w.equal(true, slices.Index(w.head(a), waits.ID) < slices.Index(w.head(a), now.ID))

	_, err = w.WriteEntries(ctx, a.ID, nil, []activation.Entry{creation(0, activation.KindGroup, "X", activation.ObjectRef{Kind: activation.KindCampaign, ID: activation.NewObjectID(99999)}, activation.EntryHeld)}, activation.EntryWrite{})
	w.equal(activation.Invalid, activation.KindOf(err))
	audit, err := w.Store.Audit(ctx, store.AuditFilter{Verb: "upload"})
	w.ok(err)
	w.equal(fmt.Sprintf(`{"entries":4,"first_entry":%d}`, first), audit[0].After)
	w.equal("ann", audit[0].Actor)
}
