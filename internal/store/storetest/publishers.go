package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

// moving: what commands say of entries that do not take them, and of uploads.
func moving(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	p := w.poster(a)
	w.have(a, p, "1", "2", "3")
	parent := &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "bids.csv"}
	out, err := w.WriteEntries(ctx, a.ID, parent, []activation.Entry{
		edit("1", "bid", "1.00", "2.00", activation.EntryToBeSent), edit("2", "bid", "1.00", "2.00", activation.EntryHeld), edit("3", "bid", "1.00", "2.00", activation.EntryToBeSent),
	}, activation.EntryWrite{})
	w.ok(err)
	upload := out[0].Parent
	m := w.moved(activation.CommandPost, out[0].ID)
	w.equal([]activation.PublisherID{a.ID}, m.Publishers)
	m = w.moved(activation.CommandHold, upload) // its rows
	w.equal(int64(1), m.Done)
	w.equal(1, len(m.Refused))
	w.equal("PUB-STATE-001", m.Refused[0].Code)
	w.equal(out[0].ID, m.Refused[0].Example)
	m = w.moved(activation.CommandCancel, upload)
	w.equal(int64(2), m.Done)
	w.equal(int64(1), m.Refused[0].Count)
	w.equal("1.00", w.anObject(a, group("2")).Local["bid"])
	w.equal(activation.EntryQueued, w.anEntry(upload).Status)
	claimed, err := w.ClaimEntries(ctx, p, a.ID, w.head(a))
	w.ok(err)
	w.ok(w.SettleEntries(ctx, p, a.ID, []activation.EntryOutcome{{Entry: claimed[0].ID, Status: activation.EntryFailed, ErrorCode: "META-100", ErrorText: "no", ErrorField: "bid", RequestID: "r1", Answer: "refused"}}))
	up := w.anEntry(upload)
	w.equal(activation.EntryFailed, up.Status)
	w.equal(false, up.EndedAt.IsZero())
	failed := w.anEntry(claimed[0].ID)
	w.equal([]string{"META-100", "no", "bid", "r1", "refused"}, []string{failed.ErrorCode, failed.ErrorText, failed.ErrorField, failed.RequestID, failed.Answer})
	w.equal(1, failed.Attempt)
	w.equal("1.00", w.anObject(a, group("1")).Local["bid"])
	m = w.moved(activation.CommandRetry, upload)
	w.equal(int64(1), m.Done)
	w.equal("2.00", w.anObject(a, group("1")).Local["bid"])
	again := w.anEntry(failed.ID)
	w.equal("", again.ErrorCode+again.ErrorField)
	w.equal(activation.EntryQueued, w.anEntry(upload).Status)
	w.equal(true, w.anEntry(upload).EndedAt.IsZero())

	// What needs a held create, or one that has failed, does not go alone.
	camp := w.write(a, creation(0, activation.KindCampaign, "C", activation.ObjectRef{}, activation.EntryHeld))[0]
	child := w.write(a, creation(0, activation.KindGroup, "G", camp.Object, activation.EntryToBeSent))[0]
	m = w.moved(activation.CommandPost, child.ID)
	w.equal("PUB-NEEDS-002", m.Refused[0].Code)
	w.equal(0, len(m.Publishers))
	n, err := w.ReleaseWaiting(ctx, p, a.ID)
	w.ok(err)
	w.equal(int64(0), n)
	w.equal(int64(2), w.moved(activation.CommandPost, child.ID, camp.ID).Done)
	w.equal([]activation.EntryID{camp.ID, child.ID, again.ID}, w.head(a))
	_, err = w.ClaimEntries(ctx, p, a.ID, []activation.EntryID{camp.ID})
	w.ok(err)
	w.ok(w.SettleEntries(ctx, p, a.ID, []activation.EntryOutcome{{Entry: camp.ID, Status: activation.EntryFailed, ErrorCode: "META-100"}}))
	w.equal("PUB-NEEDS-001", w.anEntry(child.ID).ErrorCode)
	_, err = w.Object(ctx, a.ID, camp.Object)
	w.is(activation.ErrNotFound, err)
	m = w.moved(activation.CommandRetry, child.ID)
	w.equal("PUB-NEEDS-001", m.Refused[0].Code)
	w.equal(int64(2), w.moved(activation.CommandRetry, child.ID, camp.ID).Done)
	w.equal("C", w.anObject(a, camp.Object).Name())
	w.equal([]activation.EntryID{camp.ID, child.ID, again.ID}, w.head(a))

	// Nightly releases what is to be sent, and never what is held.
	w.write(a, edit("2", "bid", "1.00", "5.00", activation.EntryToBeSent), edit("3", "bid", "1.00", "5.00", activation.EntryHeld))
	n, err = w.ReleaseWaiting(ctx, p, a.ID)
	w.ok(err)
	w.equal(int64(1), n)
	busy, err := w.HasQueued(ctx, a.ID)
	w.ok(err)
	w.equal(true, busy)
	_, err = w.MoveEntries(ctx, activation.CommandHold, activation.EntryQuery{Publisher: "nothing"}, "ann", false)
	w.is(activation.ErrNotFound, err)
}

// conflicting: what was changed at the publisher holds the first entry that sets it, and
// is overwritten or taken.
func conflicting(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	p := w.poster(a)
	w.have(a, p, "1", "2", "3")
	out := w.write(a, edit("1", "bid", "1.00", "2.00", activation.EntryQueued), edit("1", "bid", "2.00", "3.00", activation.EntryQueued),
		edit("2", "bid", "1.00", "4.00", activation.EntryToBeSent), edit("3", "bid", "1.00", "2.00", activation.EntryQueued))
	reading, err := w.BeginStructure(ctx, p, a.ID)
	w.ok(err)
	see := func(id, bid string) activation.PublisherObject {
		return activation.PublisherObject{ObjectRef: group(id), Type: "group", Confirmed: map[string]string{"name": "Group " + id, "bid": bid, "status": "enabled"}}
	}
	read, err := w.SaveStructure(ctx, p, a.ID, reading, []activation.PublisherObject{see("1", "7.00"), see("2", "4.00"), see("9", "1.00")})
	w.ok(err)
	w.equal(activation.StructureRead{New: 1, Changed: 2, Conflicts: 1}, read)
	read, err = w.EndStructure(ctx, p, a.ID, reading, w.clock.Now())
	w.ok(err)
	w.equal(activation.StructureRead{Removed: 1, Conflicts: 1}, read)
	first := w.anEntry(out[0].ID)
	w.equal(activation.EntryHeld, first.Status)
	w.equal(activation.ReasonConflict, first.Reason)
	w.equal("7.00", first.Changes[0].Theirs)
	w.equal(activation.EntryQueued, w.anEntry(out[1].ID).Status)
	w.equal(activation.EntryToBeSent, w.anEntry(out[2].ID).Status) // it sets just that
	w.equal("removed", w.anEntry(out[3].ID).Changes[0].Theirs)
	w.equal("PUB-CONFLICT-001", w.moved(activation.CommandRelease, first.ID).Refused[0].Code)
	w.equal("PUB-GONE-001", w.moved(activation.CommandPost, out[3].ID).Refused[0].Code)
	w.equal(int64(1), w.moved(activation.CommandPost, first.ID).Done)
	first = w.anEntry(first.ID)
	w.equal([]activation.Change{{Field: "bid", Before: "7.00", After: "2.00"}}, first.Changes)
	w.moved(activation.CommandCancel, out[3].ID)
	w.equal(int64(0), w.anObject(a, group("3")).Waiting)
	shown, _, err := w.Objects(ctx, activation.ObjectQuery{Publisher: a.ID})
	w.ok(err)
	w.equal(3, len(shown)) // the removed one is not
	account, err := w.Publisher(ctx, a.ID)
	w.ok(err)
	w.equal(w.clock.Now(), account.SyncedAt)
}

// listingObjects: pages, filters and names.
func listingObjects(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	p := w.poster(a)
	w.have(a, p, "1", "2", "3", "10")
	w.write(a, edit("2", "status", "enabled", "paused", activation.EntryHeld))
	var names []string
	q := activation.ObjectQuery{Publisher: a.ID, Kind: activation.KindGroup, Limit: 3}
	for {
		page, next, err := w.Objects(ctx, q)
		w.ok(err)
		for _, o := range page {
			names = append(names, o.Name())
		}
		if q.After = next; next == "" {
			break
		}
	}
	w.equal([]string{"Group 1", "Group 10", "Group 2", "Group 3"}, names)
	for _, c := range []struct {
		q    activation.ObjectQuery
		want int
	}{{activation.ObjectQuery{Status: "paused"}, 1}, {activation.ObjectQuery{Waiting: true}, 1}, {activation.ObjectQuery{Text: "GROUP 1"}, 2}, {activation.ObjectQuery{Kind: activation.KindKeyword}, 0}, {activation.ObjectQuery{Type: "group"}, 4}} {
		c.q.Publisher = a.ID
		page, _, err := w.Objects(ctx, c.q)
		w.ok(err)
		w.equal(c.want, len(page))
	}
	found, err := w.FindObjects(ctx, a.ID, activation.KindGroup, activation.ObjectRef{}, []string{"group 3", "group 10", "nothing"})
	w.ok(err)
	w.equal(2, len(found))
	_, _, err = w.Objects(ctx, activation.ObjectQuery{After: "nonsense"})
	w.equal(activation.Invalid, activation.KindOf(err))
}

// listingEntries: pages and filters of the log.
func listingEntries(w *world) {
	ctx := w.t.Context()
	a, b := w.account("Shop"), w.account("Store")
	w.have(a, w.poster(a), "1", "2")
	w.have(b, w.poster(b), "1")
	begun := w.clock.Now()
	loose := w.write(a, edit("1", "bid", "1.00", "2.00", activation.EntryHeld))[0]
	w.clock.Add(3600e9)
	parent := &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "All bids.csv"}
	out, err := w.WriteEntries(ctx, a.ID, parent, []activation.Entry{edit("1", "bid", "1.00", "2.00", activation.EntryQueued), edit("2", "label", "", "x", activation.EntryQueued)}, activation.EntryWrite{})
	w.ok(err)
	upload := out[0].Parent
	far := w.write(b, edit("1", "bid", "1.00", "2.00", activation.EntryQueued))[0]
	for _, c := range []struct {
		name string
		q    activation.EntryQuery
		want []activation.EntryID
	}{
		{"all", activation.EntryQuery{}, []activation.EntryID{far.ID, out[1].ID, out[0].ID, upload, loose.ID}},
		{"of one account", activation.EntryQuery{Publisher: a.ID}, []activation.EntryID{out[1].ID, out[0].ID, upload, loose.ID}},
		{"at the top", activation.EntryQuery{Top: true}, []activation.EntryID{far.ID, upload, loose.ID}},
		{"rows", activation.EntryQuery{Parent: upload}, []activation.EntryID{out[1].ID, out[0].ID}},
		{"queued", activation.EntryQuery{Statuses: []activation.EntryStatus{activation.EntryQueued}}, []activation.EntryID{far.ID, out[1].ID, out[0].ID, upload}},
		{"of an object", activation.EntryQuery{Publisher: a.ID, Object: group("1")}, []activation.EntryID{out[0].ID, loose.ID}},
		{"by text", activation.EntryQuery{Text: "BIDS.csv"}, []activation.EntryID{upload}},
		{"by number", activation.EntryQuery{Text: fmt.Sprintf("#%d", loose.ID)}, []activation.EntryID{loose.ID}},
		{"by ids", activation.EntryQuery{IDs: []activation.EntryID{loose.ID, far.ID}}, []activation.EntryID{far.ID, loose.ID}},
		{"until", activation.EntryQuery{Until: begun.Add(1000)}, []activation.EntryID{loose.ID}},
		{"since", activation.EntryQuery{Publisher: a.ID, Since: begun.Add(1000), Ops: []activation.Operation{activation.OpEdit}}, []activation.EntryID{out[1].ID, out[0].ID}},
		{"by origin and kind", activation.EntryQuery{Origins: []activation.Origin{activation.OriginSystem}, Kinds: []activation.ObjectKind{activation.KindGroup}}, nil},
		{"posting", activation.EntryQuery{Publisher: a.ID, Posting: true}, []activation.EntryID{loose.ID, out[0].ID, out[1].ID}},
	} {
		var got []activation.EntryID
		for c.q.Limit = 2; ; {
			page, next, err := w.Entries(ctx, c.q)
			w.ok(err)
			got = append(got, entryIDs(page)...)
			if c.q.After = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, c.want) {
			w.t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
	counts, err := w.EntryCounts(ctx, "")
	w.ok(err)
	w.equal(map[activation.EntryStatus]int64{activation.EntryHeld: 1, activation.EntryQueued: 3}, counts)
	groups, err := w.EntriesAhead(ctx, loose.ID)
	w.ok(err)
	w.equal(0, len(groups))
	last := w.write(a, edit("1", "bid", "2.00", "3.00", activation.EntryQueued))[0]
	groups, err = w.EntriesAhead(ctx, last.ID)
	w.ok(err)
	w.equal([]activation.AheadGroup{{Origin: "user", Kind: "group", Operation: "edit", Parent: upload, First: out[0].ID, Status: activation.EntryQueued, Count: 2}}, groups)
	_, _, err = w.Entries(ctx, activation.EntryQuery{After: "x"})
	w.equal(activation.Invalid, activation.KindOf(err))
}

// plans: scheduled operations move on once, strategies and drops are kept.
func plans(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	w.have(a, w.poster(a), "1")
	now := w.clock.Now()
	o, err := w.PutSchedule(ctx, activation.ScheduledOperation{Publisher: a.ID, Object: group("1"), Action: activation.ActionPause, At: now, Days: []int{1, 7}, Hour: 9}, "ann")
	w.ok(err)
	w.equal("ann", o.CreatedBy)
	due, err := w.DueSchedules(ctx, now, 10)
	w.ok(err)
	w.equal(1, len(due))
	w.equal([]int{1, 7}, due[0].Days)
	on := due[0]
	on.At = now.Add(24 * 3600e9)
	entry := edit("1", "status", "enabled", "paused", activation.EntryQueued)
	entry.Origin = activation.OriginScheduled
	out, err := w.WriteEntries(ctx, a.ID, nil, []activation.Entry{entry}, activation.EntryWrite{Schedule: &on})
	w.ok(err)
	_, err = w.WriteEntries(ctx, a.ID, nil, []activation.Entry{entry}, activation.EntryWrite{Schedule: &on})
	w.is(activation.ErrConflict, err)
	list, err := w.Schedules(ctx, a.ID)
	w.ok(err)
	w.equal(out[0].ID, list[0].LastEntry)
	w.equal(on.At, list[0].At)
	on.At = time.Time{}
	_, err = w.WriteEntries(ctx, a.ID, nil, []activation.Entry{entry}, activation.EntryWrite{Schedule: &on})
	w.ok(err)
	due, err = w.DueSchedules(ctx, now.Add(1000*3600e9), 10)
	w.ok(err)
	w.equal(0, len(due))
	o.Hour, o.At = 10, now
	o, err = w.PutSchedule(ctx, o, "bob")
	w.ok(err)
	w.equal(10, o.Hour)
	w.ok(w.DeleteSchedule(ctx, a.ID, o.ID, "ann"))
	w.is(activation.ErrNotFound, w.DeleteSchedule(ctx, a.ID, o.ID, "ann"))

	st, err := w.PutStrategy(ctx, activation.Strategy{Publisher: a.ID, Name: "CPA", Goal: "cpa", Target: 12.5, Kind: activation.KindGroup, Floor: 0.1, Ceiling: 3, Mode: "preview"}, "ann")
	w.ok(err)
	_, err = w.PutStrategy(ctx, activation.Strategy{Publisher: a.ID, Name: "CPA"}, "ann")
	w.is(activation.ErrConflict, err)
	st.Mode, st.Overrides = "traffic", []activation.BidOverride{{Object: group("1"), Bid: 1.5, Until: "2026-12-31"}}
	_, err = w.PutStrategy(ctx, st, "bob")
	w.ok(err)
	w.ok(w.SaveProposals(ctx, a.ID, st.ID, now, []activation.BidProposal{{Object: group("1"), Old: 1, New: 1.2}}))
	st, err = w.Strategy(ctx, a.ID, st.ID)
	w.ok(err)
	w.equal([]any{"traffic", "ann", 12.5, now, 1}, []any{st.Mode, st.CreatedBy, st.Target, st.RunAt, len(st.Overrides)})
	made, err := w.Proposals(ctx, a.ID, st.ID)
	w.ok(err)
	w.equal(1.2, made[0].New)
	all, err := w.Strategies(ctx, a.ID)
	w.ok(err)
	w.equal(1, len(all))
	w.ok(w.DeleteStrategy(ctx, a.ID, st.ID, "ann"))
	_, err = w.Strategy(ctx, a.ID, st.ID)
	w.is(activation.ErrNotFound, err)

	job := w.importJob("drops", nil)
	state, err := w.DropState(ctx, job.ID)
	w.ok(err)
	w.equal(0, len(state))
	w.ok(w.SaveDropState(ctx, job.ID, []byte(`{"at":1}`)))
	_, err = w.WriteEntries(ctx, a.ID, nil, []activation.Entry{entry}, activation.EntryWrite{DropJob: job.ID, DropState: []byte(`{"at":2}`)})
	w.ok(err)
	state, err = w.DropState(ctx, job.ID)
	w.ok(err)
	w.equal(`{"at":2}`, string(state))
}

// costs: a report replaces what is there, and what it does not bring any more goes.
func costs(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	w.have(a, w.poster(a), "1", "2")
	cost := func(date, id, currency string, micros int64) activation.Cost {
		return activation.Cost{Date: date, Object: group(id), Currency: currency, Impressions: 10, Clicks: 2, Micros: micros, Conversions: 0.5, Value: 1.25}
	}
	first, err := w.BeginCosts(ctx, a.ID)
	w.ok(err)
	w.ok(w.SaveCosts(ctx, a.ID, first, []activation.Cost{cost("2026-11-20", "1", "EUR", 100), cost("2026-11-20", "2", "EUR", 50), cost("2026-11-21", "1", "EUR", 7), cost("2026-11-21", "2", "USD", 9)}))
	w.ok(w.EndCosts(ctx, a.ID, first, "2026-11-20", "2026-11-21", w.clock.Now()))
	rows, err := w.Costs(ctx, activation.CostQuery{Publisher: a.ID, By: "object"})
	w.ok(err)
	w.equal(3, len(rows)) // never summed across currencies
	w.equal(int64(107), rows[0].Micros)
	w.equal("Group 1", rows[0].Name)
	w.equal(1.0, rows[0].Conversions)
	rows, err = w.Costs(ctx, activation.CostQuery{Publisher: a.ID, Kind: activation.KindGroup, Objects: []string{"2", "3"}, By: "object", Currency: "EUR"})
	w.ok(err)
	w.equal(1, len(rows)) // only what is asked for
	w.equal("2", rows[0].Object.ID)
	w.equal(int64(50), rows[0].Micros)
	rows, err = w.Costs(ctx, activation.CostQuery{Publisher: a.ID, By: "date", Currency: "EUR", From: "2026-11-20", Until: "2026-11-20"})
	w.ok(err)
	w.equal(1, len(rows))
	w.equal(int64(150), rows[0].Micros)
	// The next reading changes one and does not bring the other of that day.
	next, err := w.BeginCosts(ctx, a.ID)
	w.ok(err)
	w.ok(w.SaveCosts(ctx, a.ID, next, []activation.Cost{cost("2026-11-21", "1", "EUR", 8), cost("2026-11-21", "1", "EUR", 9)}))
	// What a reading that is not the last still brings is refused.
	for _, err := range []error{w.SaveCosts(ctx, a.ID, first, []activation.Cost{cost("2026-11-21", "1", "EUR", 1)}), w.EndCosts(ctx, a.ID, first, "2026-11-20", "2026-11-21", w.clock.Now())} {
		w.equal(true, errors.Is(err, activation.ErrFenced))
	}
	w.ok(w.EndCosts(ctx, a.ID, next, "2026-11-21", "2026-11-21", w.clock.Now().Add(1e9)))
	rows, err = w.Costs(ctx, activation.CostQuery{Publisher: a.ID})
	w.ok(err)
	w.equal(3, len(rows))
	w.equal(int64(9), rows[2].Micros)
	account, err := w.Publisher(ctx, a.ID)
	w.ok(err)
	w.equal(w.clock.Now().Add(1e9), account.CostAt)
	_, err = w.Costs(ctx, activation.CostQuery{By: "week"})
	w.equal(activation.Invalid, activation.KindOf(err))
}

// createdObjects: what a create made is called by its real name everywhere, and nightly
// progress is kept.
func createdObjects(w *world) {
	ctx := w.t.Context()
	a := w.account("Shop")
	p := w.poster(a)
	out := w.write(a, creation(0, activation.KindCampaign, "C", activation.ObjectRef{}, activation.EntryQueued),
		creation(1, activation.KindGroup, "G", activation.ObjectRef{Kind: activation.KindCampaign, ID: activation.PendingObjectID(0)}, activation.EntryQueued))
	later := edit(out[1].Object.ID, "bid", "", "2.00", activation.EntryHeld)
	later = w.write(a, later)[0]
	w.equal([]activation.EntryID{out[1].ID}, later.Refers)
	_, err := w.PutSchedule(ctx, activation.ScheduledOperation{Publisher: a.ID, Object: out[0].Object, Action: activation.ActionPause, At: w.clock.Now()}, "ann")
	w.ok(err)
	_, err = w.ClaimEntries(ctx, p, a.ID, entryIDs(out))
	w.ok(err)
	// Both went in one call: what the second refers to gets its name in the same settling.
	w.ok(w.SettleEntries(ctx, p, a.ID, []activation.EntryOutcome{
		{Entry: out[0].ID, Status: activation.EntryDone, ID: "c9"}, {Entry: out[1].ID, Status: activation.EntryDone, ID: "g9", Confirmed: map[string]string{"name": "G", "status": "paused"}},
	}))
	g := w.anObject(a, group("g9"))
	w.equal(activation.ObjectRef{Kind: activation.KindCampaign, ID: "c9"}, g.Parent)
	w.equal("2.00", g.Local["bid"])
	w.equal("paused", g.Confirmed["status"])
	w.equal("C", w.anObject(a, activation.ObjectRef{Kind: activation.KindCampaign, ID: "c9"}).Confirmed["name"])
	w.equal("c9", w.anEntry(out[1].ID).ObjectParent.ID)
	w.equal(group("g9"), w.anEntry(later.ID).Object)
	w.equal(0, len(w.anEntry(later.ID).Refers))
	list, err := w.Schedules(ctx, a.ID)
	w.ok(err)
	w.equal("c9", list[0].Object.ID)
	// An id that was given before is understood after.
	known := w.write(a, creation(0, activation.KindCreative, "A", out[1].Object, activation.EntryHeld))[0]
	w.equal("g9", known.ObjectParent.ID)
	w.equal(0, len(known.Refers))

	w.ok(w.SaveNightly(ctx, p, a.ID, activation.Nightly{Pass: p.ID, Step: 3, Released: 2}))
	n, err := w.Nightly(ctx, a.ID)
	w.ok(err)
	w.equal(3, n.Step)
	stale := p
	stale.Attempt--
	w.is(activation.ErrFenced, w.SaveNightly(ctx, stale, a.ID, n))
}

// pulledBack: what an entry had pulled goes to the next that needs it, or to its own
// place, when that entry is cancelled or held by a conflict.
func pulledBack(w *world) {
	a := w.account("Shop")
	p := w.poster(a)
	camp := activation.ObjectRef{Kind: activation.KindCampaign, ID: "7"}
	word := activation.ObjectRef{Kind: activation.KindKeyword, ID: "8"}
	see := func(budget string) {
		w.t.Helper()
		_, err := w.SaveObjects(w.t.Context(), p, a.ID, []activation.PublisherObject{
			{ObjectRef: camp, Type: "campaign", Confirmed: map[string]string{"name": "C", "budget": budget}}, {ObjectRef: word, Type: "keyword", Confirmed: map[string]string{"name": "W"}},
		}, nil)
		w.ok(err)
	}
	see("1")
	w.have(a, p, "1")
	for _, status := range []activation.EntryStatus{activation.EntryToBeSent, activation.EntryQueued} {
		order := func() []activation.EntryID {
			w.t.Helper()
			if status == activation.EntryQueued {
				return w.head(a)
			}
			page, _, err := w.Entries(w.t.Context(), activation.EntryQuery{Publisher: a.ID, Posting: true})
			w.ok(err)
			return entryIDs(page)
		}
		create := creation(0, activation.KindOther, "B", activation.ObjectRef{}, status)
		link := activation.Change{Field: "shared_budget", After: activation.PendingObjectID(0), Object: true}
		first, third := edit("7", "budget", "1", "2", status), edit("8", "label", "", "x", status)
		first.Object, third.Object = camp, word
		first.Changes, third.Changes = append(first.Changes, link), append(third.Changes, link)
		out := entryIDs(w.write(a, create, first, edit("1", "bid", "1.00", "2.00", status), third))
		w.equal([]activation.EntryID{out[0], out[1], out[2], out[3]}, order())
		w.equal(out[1], w.anEntry(out[0]).For)
		if status == activation.EntryQueued {
			see("5")
		} else {
			w.moved(activation.CommandCancel, out[1])
		}
		w.equal([]activation.EntryID{out[2], out[0], out[3]}, order())
		w.equal(out[3], w.anEntry(out[0]).For)
		if status == activation.EntryToBeSent {
			w.moved(activation.CommandCancel, out[3])
			w.equal([]activation.EntryID{out[2], out[0]}, order())
			w.equal(activation.EntryID(0), w.anEntry(out[0]).For)
			w.moved(activation.CommandCancel, out...)
		}
	}
}
