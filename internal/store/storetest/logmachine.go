package storetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

// logMachine drives the store and the model of the Activity Log with the same random
// edits, commands, calls, outcomes, crashes and readings.
type logMachine struct {
	*activityLog
	w       *world
	ctx     context.Context //nolint:containedctx // lives as long as the test
	a       activation.PublisherAccount
	pass    activation.Pass
	old     *activation.Pass // an attempt that was taken over
	created int
}

// fewAccounts is how many sequences are tried, unless the command line asks for more:
// each of them asks the store for everything after every step.
const fewAccounts = 8

func manyChecks() bool {
	f := flag.Lookup("rapid.checks")
	return f != nil && f.Value.String() != randomChecks
}

// logInAnyOrder compares them after each step.
func logInAnyOrder(t *testing.T, env Env) {
	w := newWorld(t, env)
	limitChecks(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > fewAccounts && !manyChecks() {
			return
		}
		a := w.account(fmt.Sprint("account ", n))
		w.InPieces(rapid.SampledFrom([]int{1000, 2, 1}).Draw(rt, "entries in a transaction"))
		m := &logMachine{
			activityLog: &activityLog{entries: map[activation.EntryID]*activation.Entry{}, objects: map[activation.ObjectRef]*theirObject{}},
			w:           w, ctx: t.Context(), a: a, pass: w.poster(a),
		}
		m.begin(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":           m.compare,
			"write":      m.doWrite,
			"write more": m.doWrite,
			"move":       m.doMove,
			"move more":  m.doMove,
			"claim":      m.doClaim,
			"claim more": m.doClaim,
			"settle":     m.doSettle,
			"crash":      m.doCrash,
			"read":       m.doRead,
			"read all":   m.doReadAll,
		})
	})
}

func (m *logMachine) begin(rt *rapid.T) {
	var seen []activation.PublisherObject
	for _, kind := range activation.ObjectKinds {
		o := activation.PublisherObject{ObjectRef: activation.ObjectRef{Kind: kind, ID: "1"}, Type: string(kind), Confirmed: map[string]string{"name": "one", "bid": "1"}}
		seen = append(seen, o)
		m.objects[o.ObjectRef] = &theirObject{values: maps.Clone(o.Confirmed)}
	}
	if _, err := m.w.SaveObjects(m.ctx, m.pass, m.a.ID, seen, nil); err != nil {
		rt.Fatal(err)
	}
}

var values = rapid.SampledFrom([]string{"1", "2", "3", ""})

func (m *logMachine) doWrite(rt *rapid.T) {
	var entries []activation.Entry
	var creates []int
	var planned []activation.ObjectRef
	for _, ref := range m.refs() {
		if o := m.objects[ref]; o == nil || !o.removed {
			planned = append(planned, ref)
		}
	}
	if len(planned) == 0 {
		rt.Skip("all objects are gone")
	}
	for i := range rapid.IntRange(1, 4).Draw(rt, "entries") {
		kind := rapid.SampledFrom(activation.ObjectKinds).Draw(rt, "kind")
		e := activation.Entry{
			Origin: rapid.SampledFrom(activation.Origins).Draw(rt, "origin"), By: "ann", Source: "api", Text: "t",
			Status:    rapid.SampledFrom([]activation.EntryStatus{isHeld, toBeSent, isQueued, isQueued}).Draw(rt, "status"),
			Operation: rapid.SampledFrom([]activation.Operation{activation.OpCreate, activation.OpCreate, activation.OpEdit, activation.OpBid, activation.OpDelete}).Draw(rt, "operation"),
		}
		switch e.Operation {
		case activation.OpCreate:
			e.Object = activation.ObjectRef{Kind: kind, ID: activation.PendingObjectID(i)}
			e.Type = string(kind)
			e.Changes = []activation.Change{{Field: "name", After: "n"}, {Field: "bid", After: values.Draw(rt, "bid")}}
		default:
			e.Object = rapid.SampledFrom(planned).Draw(rt, "object")
			if e.Operation != activation.OpDelete {
				e.Changes = []activation.Change{{Field: rapid.SampledFrom([]string{"bid", "label"}).Draw(rt, "field"), After: values.Draw(rt, "value")}}
			}
		}
		if e.Operation != activation.OpDelete {
			m.link(rt, &e, creates, planned)
		}
		if e.Operation == activation.OpCreate {
			creates = append(creates, i)
		}
		entries = append(entries, e)
	}
	var parent *activation.Entry
	if rapid.Bool().Draw(rt, "upload") {
		parent = &activation.Entry{Origin: activation.OriginUser, By: "ann", Source: "upload", Text: "file"}
	}
	out, err := m.w.WriteEntries(m.ctx, m.a.ID, parent, entries, activation.EntryWrite{})
	if err != nil {
		rt.Fatal(err)
	}
	if len(out) < len(entries) { // the first piece; the others follow it
		first := out[0].ID
		out = nil
		if err := m.w.EachEntry(m.ctx, activation.EntryQuery{Publisher: m.a.ID}, func(e activation.Entry) error {
			if e.ID >= first {
				out = append(out, e)
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
	}
	for i := range out {
		out[i].Status = entries[i].Status // what it comes to is the model's to say
		out[i].Changes = slices.Clone(out[i].Changes)
		out[i].Refers = slices.Clone(out[i].Refers)
	}
	m.written(out)
}

// link lets an entry refer to a create of the same writing, or to one that waits.
func (m *logMachine) link(rt *rapid.T, e *activation.Entry, creates []int, planned []activation.ObjectRef) {
	if len(creates) > 0 && rapid.Bool().Draw(rt, "refers here") {
		e.Changes = append(e.Changes, activation.Change{Field: "link", After: activation.PendingObjectID(rapid.SampledFrom(creates).Draw(rt, "create")), Object: true})
	}
	var waiting []activation.ObjectRef
	for _, ref := range planned {
		if m.objects[ref] == nil && ref != e.Object {
			waiting = append(waiting, ref)
		}
	}
	for _, field := range []string{"link 2", "link 3"} {
		if len(waiting) > 0 && rapid.Bool().Draw(rt, "refers there") {
			e.Changes = append(e.Changes, activation.Change{Field: field, After: rapid.SampledFrom(waiting).Draw(rt, "there").ID, Object: true})
		}
	}
}

func (m *logMachine) all() []activation.EntryID { return slices.Sorted(maps.Keys(m.entries)) }

func (m *logMachine) doMove(rt *rapid.T) {
	if len(m.entries) == 0 {
		rt.Skip("nothing to move")
	}
	c := rapid.SampledFrom([]activation.EntryCommand{
		activation.CommandPost, activation.CommandPost, activation.CommandPostAll, activation.CommandHold, activation.CommandRelease, activation.CommandCancel, activation.CommandRetry,
	}).Draw(rt, "command")
	sel := activation.EntryQuery{Publisher: m.a.ID}
	selected := m.all()
	if c != activation.CommandPostAll && rapid.IntRange(0, 3).Draw(rt, "all") > 0 {
		selected = rapid.SliceOfNDistinct(rapid.SampledFrom(selected), 1, min(4, len(selected)), rapid.ID[activation.EntryID]).Draw(rt, "selected")
		sel = activation.EntryQuery{IDs: selected}
	}
	would, err := m.w.MoveEntries(m.ctx, c, sel, "ann", true)
	if err != nil {
		rt.Fatal(err)
	}
	m.compare(rt) // asking changes nothing
	did, err := m.w.MoveEntries(m.ctx, c, sel, "ann", false)
	if err != nil {
		rt.Fatal(err)
	}
	done, also := m.move(c, selected)
	if did.Done != done || did.Also != also || would.Done != done || would.Also != also {
		rt.Fatalf("%s moved %d and %d along, and was to move %d and %d; the model %d and %d", c, did.Done, did.Also, would.Done, would.Also, done, also)
	}
}

func (m *logMachine) doClaim(rt *rapid.T) {
	queue := m.ordered(of(isQueued))
	if len(queue) == 0 {
		rt.Skip("nothing is queued")
	}
	busy := len(m.ordered(of(isProcessing))) > 0
	if len(queue) > 1 && rapid.IntRange(0, 4).Draw(rt, "skipping") == 0 {
		if _, err := m.w.ClaimEntries(m.ctx, m.pass, m.a.ID, queue[1:2]); !errors.Is(err, activation.ErrConflict) {
			rt.Fatalf("one that is not the first was claimed: %v", err)
		}
	}
	if m.old != nil {
		if _, err := m.w.ClaimEntries(m.ctx, *m.old, m.a.ID, queue[:1]); !errors.Is(err, activation.ErrFenced) {
			rt.Fatalf("an attempt that was taken over claimed: %v", err)
		}
	}
	batch := queue[:rapid.IntRange(1, min(4, len(queue))).Draw(rt, "batch")]
	claimed, err := m.w.ClaimEntries(m.ctx, m.pass, m.a.ID, batch)
	if busy {
		if !errors.Is(err, activation.ErrConflict) {
			rt.Fatalf("claimed beside what is under way: %v", err)
		}
		return
	}
	if err != nil || !slices.Equal(entryIDs(claimed), batch) {
		rt.Fatalf("claimed %v, %v; want %v", entryIDs(claimed), err, batch)
	}
	for _, id := range batch {
		m.entries[id].Status = isProcessing
	}
}

// underWay is what is processing, in the order of its call.
func (m *logMachine) underWay(rt *rapid.T) []activation.Entry {
	entries, err := m.w.TakeOverEntries(m.ctx, m.pass, m.a.ID, 0)
	if err != nil {
		rt.Fatal(err)
	}
	if len(entries) == 0 {
		rt.Skip("nothing is under way")
	}
	return entries
}

func (m *logMachine) doSettle(rt *rapid.T) {
	var outcomes []activation.EntryOutcome
	became := map[activation.EntryID]activation.EntryStatus{}
	for _, e := range m.underWay(rt) {
		possible := []activation.EntryStatus{isDone, isDone, isDone, isFailed, isQueued, isHeld}
		for _, need := range e.Refers {
			if became[need] != isDone {
				possible = []activation.EntryStatus{isFailed, isQueued}
			}
		}
		o := activation.EntryOutcome{Entry: e.ID, Status: rapid.SampledFrom(possible).Draw(rt, "outcome")}
		became[e.ID] = o.Status
		their := m.objects[e.Object]
		switch {
		case o.Status == isDone && e.Operation == activation.OpCreate:
			m.created++
			o.ID = fmt.Sprint("made-", m.created)
		case o.Status == isDone && e.Operation == activation.OpDelete:
			o.Gone = true
		case o.Status == isDone && their != nil:
			o.Confirmed = maps.Clone(their.values)
			for _, c := range e.Changes {
				if o.Confirmed[c.Field] = c.After; c.After == "" {
					delete(o.Confirmed, c.Field)
				}
			}
			for field, v := range o.Confirmed {
				if create, ok := activation.CreatedBy(v); ok && became[create] == isDone { // it is called by its real name then
					delete(o.Confirmed, field)
				}
			}
		case o.Status == isHeld:
			o.Reason, o.Theirs = activation.ReasonConflict, map[string]string{"bid": "7"}
		}
		outcomes = append(outcomes, o)
	}
	if m.old != nil {
		if err := m.w.SettleEntries(m.ctx, *m.old, m.a.ID, outcomes); !errors.Is(err, activation.ErrFenced) {
			rt.Fatalf("an attempt that was taken over settled: %v", err)
		}
	}
	if err := m.w.SettleEntries(m.ctx, m.pass, m.a.ID, outcomes); err != nil {
		rt.Fatal(err)
	}
	m.settle(outcomes)
}

// doCrash lets another attempt take the pass over: what was under way is its own then.
func (m *logMachine) doCrash(rt *rapid.T) {
	before := m.pass
	m.w.clock.Add(lease + time.Second)
	p, err := m.w.TakePass(m.ctx, m.a.PostJob, "n2", lease)
	if err != nil {
		rt.Fatal(err)
	}
	m.old, m.pass = &before, p
	entries, err := m.w.TakeOverEntries(m.ctx, p, m.a.ID, 0)
	if err != nil {
		rt.Fatal(err)
	}
	want := m.ordered(of(isProcessing))
	if got := entryIDs(entries); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		rt.Fatalf("took over %v, want %v", got, want)
	}
}

func (m *logMachine) changed(rt *rapid.T, ref activation.ObjectRef) map[string]string {
	now := maps.Clone(m.objects[ref].values)
	field := rapid.SampledFrom([]string{"bid", "label"}).Draw(rt, "field")
	if now[field] = values.Draw(rt, "now"); now[field] == "" {
		delete(now, field)
	}
	return now
}

func (m *logMachine) anyObject(rt *rapid.T) activation.ObjectRef {
	refs := slices.DeleteFunc(m.refs(), func(ref activation.ObjectRef) bool { return m.objects[ref] == nil })
	return rapid.SampledFrom(refs).Draw(rt, "object")
}

func (m *logMachine) doRead(rt *rapid.T) {
	ref := m.anyObject(rt)
	if rapid.IntRange(0, 5).Draw(rt, "gone") == 0 {
		if _, err := m.w.SaveObjects(m.ctx, m.pass, m.a.ID, nil, []activation.ObjectRef{ref}); err != nil {
			rt.Fatal(err)
		}
		m.read(ref, nil)
		return
	}
	now := m.changed(rt, ref)
	seen := []activation.PublisherObject{{ObjectRef: ref, Type: string(ref.Kind), Confirmed: now}}
	if _, err := m.w.SaveObjects(m.ctx, m.pass, m.a.ID, seen, nil); err != nil {
		rt.Fatal(err)
	}
	m.read(ref, now)
}

func (m *logMachine) doReadAll(rt *rapid.T) {
	reading, err := m.w.BeginStructure(m.ctx, m.pass, m.a.ID)
	if err != nil {
		rt.Fatal(err)
	}
	for _, ref := range m.refs() {
		their := m.objects[ref]
		if their == nil {
			continue
		}
		if rapid.IntRange(0, 8).Draw(rt, "gone") == 0 {
			m.read(ref, nil)
			continue
		}
		if their.removed {
			continue
		}
		now := m.changed(rt, ref)
		seen := []activation.PublisherObject{{ObjectRef: ref, Type: string(ref.Kind), Confirmed: now}}
		if _, err := m.w.SaveStructure(m.ctx, m.pass, m.a.ID, reading, seen); err != nil {
			rt.Fatal(err)
		}
		m.read(ref, now)
	}
	if _, err := m.w.EndStructure(m.ctx, m.pass, m.a.ID, reading, m.w.clock.Now()); err != nil {
		rt.Fatal(err)
	}
}

// compare asks the store for everything that it keeps, and the model what it must be.
func (m *logMachine) compare(rt *rapid.T) {
	counts := map[activation.EntryStatus]int64{}
	children := map[activation.EntryID]map[activation.EntryStatus]int64{}
	parents := map[activation.EntryID]activation.Entry{}
	n := 0
	err := m.w.EachEntry(m.ctx, activation.EntryQuery{Publisher: m.a.ID}, func(got activation.Entry) error {
		if got.IsParent() {
			parents[got.ID] = got
			return nil
		}
		n++
		want := m.entries[got.ID]
		face := func(e activation.Entry) string {
			return fmt.Sprint(e.ID, e.Status, e.Reason, e.Object, e.ObjectParent, e.Changes, e.Refers)
		}
		shown := *want
		if shown.Status == isHeld && shown.Reason == "" {
			shown.Reason = activation.ReasonUser
		}
		if face(got) != face(shown) {
			return fmt.Errorf("an entry is\n%s, the model says\n%s", face(got), face(shown))
		}
		counts[got.Status]++
		if got.Parent != 0 {
			if children[got.Parent] == nil {
				children[got.Parent] = map[activation.EntryStatus]int64{}
			}
			children[got.Parent][got.Status]++
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	if n != len(m.entries) {
		rt.Fatalf("%d entries, the model has %d", n, len(m.entries))
	}
	for id, parent := range parents {
		if !maps.Equal(parent.Children, children[id]) || parent.Status != activation.ParentStatus(children[id]) || parent.EndedAt.IsZero() != parent.Status.Waits() {
			rt.Fatalf("an upload is %s with %v, ended %s; want %v", parent.Status, parent.Children, parent.EndedAt, children[id])
		}
	}
	got, err := m.w.EntryCounts(m.ctx, m.a.ID)
	if err != nil || !maps.Equal(got, counts) {
		rt.Fatalf("counts are %v, %v; want %v", got, err, counts)
	}
	m.compareOrder(rt)
	m.compareSearch(rt)
	m.compareObjects(rt)
}

func (m *logMachine) compareOrder(rt *rapid.T) {
	queue := m.ordered(of(isQueued))
	head, objects, err := m.w.QueueHead(m.ctx, m.a.ID, 1000)
	if err != nil || !slices.Equal(entryIDs(head), queue) {
		rt.Fatalf("queued are %v, %v; want %v", entryIDs(head), err, queue)
	}
	for _, e := range head {
		o, ok := objects[e.Object]
		if !ok {
			rt.Fatalf("the object of %d is not with it", e.ID)
		}
		if their := m.objects[e.Object]; their != nil && (!maps.Equal(o.Confirmed, their.values) || o.Removed != their.removed) {
			rt.Fatalf("the object of %d is %v, removed %v; the publisher has %v", e.ID, o.Confirmed, o.Removed, their)
		}
	}
	var waiting []activation.EntryID
	q := activation.EntryQuery{Publisher: m.a.ID, Posting: true, Limit: 3}
	for {
		page, next, err := m.w.Entries(m.ctx, q)
		if err != nil {
			rt.Fatal(err)
		}
		waiting = append(waiting, entryIDs(page)...)
		if q.After = next; next == "" {
			break
		}
	}
	want := m.ordered(func(e *activation.Entry) bool { return e.Status.Waits() })
	if !slices.Equal(waiting, want) {
		rt.Fatalf("what waits is in the order %v, want %v", waiting, want)
	}
	unsent := slices.DeleteFunc(want, func(id activation.EntryID) bool { return m.entries[id].Status == isProcessing })
	if len(unsent) > 0 {
		m.compareAhead(rt, rapid.SampledFrom(unsent).Draw(rt, "ahead of"))
	}
}

// grouped counts entries by key and upload, and says which is the first of each.
func (m *logMachine) grouped(ids []activation.EntryID) map[string]string {
	n, first := map[string]int{}, map[string]activation.EntryID{}
	for _, id := range ids {
		e := m.entries[id]
		group := fmt.Sprint(e.Origin, e.Object.Kind, e.Operation, e.Parent)
		if n[group]++; first[group] == 0 || id < first[group] {
			first[group] = id
		}
	}
	out := map[string]string{}
	for group := range n {
		out[group] = fmt.Sprint(n[group], " from ", first[group])
	}
	return out
}

// compareSearch finds entries by what no index has, looking at few at a time.
func (m *logMachine) compareSearch(rt *rapid.T) {
	q := activation.EntryQuery{Publisher: m.a.ID, Limit: 2, Most: rapid.IntRange(1, 4).Draw(rt, "most")}
	q.Kinds = []activation.ObjectKind{rapid.SampledFrom(activation.ObjectKinds).Draw(rt, "kind")}
	if rapid.Bool().Draw(rt, "of a status") {
		q.Statuses = []activation.EntryStatus{rapid.SampledFrom([]activation.EntryStatus{isQueued, toBeSent, isFailed, isCancelled}).Draw(rt, "status")}
	}
	q.Posting = rapid.IntRange(0, 2).Draw(rt, "in order") == 0
	which := func(e *activation.Entry) bool {
		return slices.Contains(q.Kinds, e.Object.Kind) && (len(q.Statuses) == 0 || slices.Contains(q.Statuses, e.Status))
	}
	var want []activation.EntryID
	if q.Posting {
		all := m.ordered(func(e *activation.Entry) bool { return e.Status.Waits() })
		want = slices.DeleteFunc(all, func(id activation.EntryID) bool { return !which(m.entries[id]) })
	} else {
		for id, e := range m.entries {
			if which(e) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		slices.Reverse(want)
	}
	var got []activation.EntryID
	for pages := 0; ; pages++ {
		page, next, err := m.w.Entries(m.ctx, q)
		if err != nil || pages > 2*len(m.entries)+10 {
			rt.Fatal(pages, " pages: ", err)
		}
		got = append(got, entryIDs(page)...)
		if q.After = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("found %v by %+v, want %v", got, q, want)
	}
}

// compareAhead asks what goes before an entry that is not under way.
func (m *logMachine) compareAhead(rt *rapid.T, id activation.EntryID) {
	under := len(m.ordered(of(isProcessing)))
	e := m.entries[id]
	// As if it were released now, with all that it needs.
	released := map[activation.EntryID]bool{id: true}
	for _, n := range m.needs(e) {
		released[n.ID] = true
	}
	order := m.ordered(func(e *activation.Entry) bool {
		return e.Status == isQueued || released[e.ID] && e.Status.Waits() && e.Status != isProcessing
	})
	at := slices.Index(order, id)
	groups, err := m.w.EntriesAhead(m.ctx, id)
	if err != nil {
		rt.Fatal(err)
	}
	ahead := 0
	queued := map[string]string{}
	for _, g := range groups {
		ahead += int(g.Count)
		if g.Status == isQueued {
			queued[fmt.Sprint(g.Origin, g.Kind, g.Operation, g.Parent)] = fmt.Sprint(g.Count, " from ", g.First)
		}
	}
	if at >= 0 && e.Status == isQueued {
		if want := m.grouped(order[:at]); !maps.Equal(queued, want) {
			rt.Fatalf("ahead of %d are %v, want %v", id, queued, want)
		}
	}
	if ahead != at+under {
		rt.Fatalf("%d are ahead of %d (%v), want %d: %v", ahead, id, groups, at+under, order)
	}
	before, err := m.w.EntryBefore(m.ctx, id)
	if err != nil {
		rt.Fatal(err)
	}
	switch {
	case at > 0 && (before == nil || before.ID != order[at-1]), at == 0 && under == 0 && before != nil, at == 0 && under > 0 && (before == nil || before.Status != isProcessing):
		rt.Fatalf("before %d goes %v, want %v", id, before, order[:at])
	}
}

func (m *logMachine) compareObjects(rt *rapid.T) {
	refs := m.refs()
	have, _, err := m.w.Objects(m.ctx, activation.ObjectQuery{Publisher: m.a.ID, Removed: true, Limit: 10000})
	if err != nil || len(have) != len(refs) {
		rt.Fatalf("%d objects, %v; want %v", len(have), err, refs)
	}
	got, err := m.w.ObjectsOf(m.ctx, m.a.ID, refs)
	if err != nil {
		rt.Fatal(err)
	}
	for _, ref := range refs {
		o, their := got[ref], m.objects[ref]
		values, waiting, deleted := m.local(ref)
		if !maps.Equal(o.Local, values) || o.Waiting != waiting || o.Deleted != deleted {
			rt.Fatalf("%v is %v, %d wait, deleted %v; want %v, %d, %v", ref, o.Local, o.Waiting, o.Deleted, values, waiting, deleted)
		}
		if their == nil && o.Confirmed != nil || their != nil && (!maps.Equal(o.Confirmed, their.values) || o.Removed != their.removed) {
			rt.Fatalf("%v is confirmed as %v, removed %v; want %v", ref, o.Confirmed, o.Removed, their)
		}
	}
}
