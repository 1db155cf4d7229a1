package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher/internal/activation"
)

// writing is one call of WriteEntries in one transaction, or a piece of one.
type writing struct {
	t       *tx
	account activation.PublisherAccount
	w       activation.EntryWrite
	tally   *entryTally
	parent  *activation.Entry
	runs    []entryRun // the ids that its entries have
	// hidden: it is a piece of a load that is not shown yet.
	hidden bool
	// creates are those of other writings that entries need, as they are.
	creates map[activation.EntryID]activation.Entry
	// linked are the entries that need others; status says what they are written as.
	linked []*placed
	status map[activation.EntryID]activation.EntryStatus
	lower  map[activation.EntryID]bool // those that do not go at once although they were to
}

// entryRun are ids, one after the other, of the entries from an index on.
type entryRun struct {
	index, n int
	first    activation.EntryID
}

// anew is a writing in another transaction that goes on where wr is.
func (wr *writing) anew(t *tx, a activation.PublisherAccount, w activation.EntryWrite) *writing {
	tally := newTally(a.ID)
	if wr.tally != nil {
		tally.add(wr.tally)
	}
	return &writing{
		t: t, account: a, w: w, tally: tally, parent: wr.parent, runs: slices.Clone(wr.runs), hidden: true,
		creates: map[activation.EntryID]activation.Entry{}, status: map[activation.EntryID]activation.EntryStatus{}, lower: map[activation.EntryID]bool{},
	}
}

// idOf is the id of the entry at an index of the call, as far as they are given.
func (wr *writing) idOf(index int) (activation.EntryID, bool) {
	for _, r := range wr.runs {
		if index >= r.index && index < r.index+r.n {
			return r.first + activation.EntryID(index-r.index), true
		}
	}
	return 0, false
}

// has reports whether an entry is of the writing.
func (wr *writing) has(id activation.EntryID) bool {
	return slices.ContainsFunc(wr.runs, func(r entryRun) bool { return id >= r.first && id < r.first+activation.EntryID(r.n) })
}

// base is the id of index 0, 0 = there is none.
func (wr *writing) base() activation.EntryID {
	id, _ := wr.idOf(0)
	return id
}

// WriteEntries stores entries of one account, in their order; see publishing.Entries.
// What cannot go at once, because a create it needs is held, is written to be sent; and
// a create to be sent that is needed at once is released along. Many entries are stored
// in pieces (entryload.go), and seen when all of them are.
func (s *Store) WriteEntries(ctx context.Context, id activation.PublisherID, parent *activation.Entry, entries []activation.Entry, w activation.EntryWrite) (out []activation.Entry, err error) {
	next := s.pieces(entries, w.More)
	first, err := next()
	if err != nil {
		return nil, fmt.Errorf("write entries: %w", err)
	}
	second, err := next()
	if err == nil && len(second) > 0 {
		given := [][]activation.Entry{first, second}
		out, err = s.loadEntries(ctx, id, parent, func() ([]activation.Entry, error) {
			if len(given) == 0 {
				return next()
			}
			piece := given[0]
			given = given[1:]
			return piece, nil
		}, w)
	} else if err == nil {
		out, err = s.writeAtOnce(ctx, id, parent, first, w)
	}
	if err != nil {
		return nil, fmt.Errorf("write entries: %w", err)
	}
	return out, nil
}

// pieces cuts what is to be written, and what more gives when that is used up, into
// what one transaction takes; none = that was all.
func (s *Store) pieces(entries []activation.Entry, more func() ([]activation.Entry, error)) func() ([]activation.Entry, error) {
	return func() (piece []activation.Entry, err error) {
		if len(entries) == 0 && more != nil {
			if entries, err = more(); err != nil {
				return nil, err
			}
			if len(entries) == 0 {
				more = nil
			}
		}
		piece = entries[:min(len(entries), s.piece)]
		entries = entries[len(piece):]
		return piece, nil
	}
}

// writeAtOnce stores entries in one transaction.
func (s *Store) writeAtOnce(ctx context.Context, id activation.PublisherID, parent *activation.Entry, entries []activation.Entry, w activation.EntryWrite) (out []activation.Entry, err error) {
	err = s.do(ctx, func(t *tx) error {
		a, err := t.publisher(id)
		if err != nil {
			return err
		}
		wr := (&writing{}).anew(t, a, w)
		wr.hidden = false
		if err := wr.begin(parent); err != nil {
			return err
		}
		if out, err = wr.write(entries); err != nil {
			return err
		}
		if err := wr.end(); err != nil {
			return err
		}
		for i := range out {
			if wr.lower[out[i].ID] {
				out[i].Status, out[i].ReleasedAt = activation.EntryToBeSent, time.Time{}
			}
		}
		return nil
	})
	return out, err
}

// takeIDs returns the first of n ids that nobody has. Until the transaction ends
// nobody else gets one.
func (t *tx) takeIDs(n int) (activation.EntryID, error) {
	var last int64
	if err := t.row(`UPDATE entry_ids SET last = last + $1 WHERE one = 1 RETURNING last`, n).Scan(&last); err != nil {
		return 0, fmt.Errorf("number entries: %w", err)
	}
	return activation.EntryID(last - int64(n) + 1), nil
}

func (wr *writing) begin(parent *activation.Entry) (err error) {
	if parent == nil {
		return nil
	}
	p := *parent
	p.Operation, p.Status, p.Publisher, p.CreatedAt = activation.OpUpload, activation.EntryDone, wr.account.ID, wr.t.now
	if p.ID, err = wr.t.takeIDs(1); err != nil {
		return err
	}
	wr.parent = &p
	return wr.t.insertEntries([]activation.Entry{p})
}

// write stores some of the entries.
func (wr *writing) write(given []activation.Entry) ([]activation.Entry, error) {
	if err := wr.check(given); err != nil || len(given) == 0 {
		return nil, err
	}
	first, err := wr.t.takeIDs(len(given))
	if err != nil {
		return nil, err
	}
	index := 0
	for _, r := range wr.runs {
		index += r.n
	}
	wr.runs = append(wr.runs, entryRun{index: index, n: len(given), first: first})
	entries := slices.Clone(given)
	for i := range entries {
		if err := wr.name(&entries[i], first+activation.EntryID(i)); err != nil {
			return nil, err
		}
	}
	if err := wr.meet(entries, first); err != nil {
		return nil, err
	}
	if err := wr.t.insertEntries(entries); err != nil {
		return nil, err
	}
	var refers [][]any
	var refs []activation.ObjectRef
	fresh := map[activation.ObjectRef][]activation.Entry{}
	for _, e := range entries {
		wr.tally.move(e.Parent, "", e.Status)
		if e.Status == activation.EntryQueued {
			wr.tally.turned(packed(e.Key()))
		}
		for _, need := range e.Refers {
			refers = append(refers, []any{wr.account.ID, int64(need), int64(e.ID)})
		}
		if len(e.Refers) > 0 {
			own := packed(e.Key())
			wr.linked = append(wr.linked, &placed{id: e.ID, own: own, needs: e.Refers, was: [2]int64{own, 0}})
		}
		if len(e.Refers) > 0 || e.Operation == activation.OpCreate {
			wr.status[e.ID] = e.Status
		}
		if e.Object.ID != "" {
			if fresh[e.Object] == nil {
				refs = append(refs, e.Object)
			}
			fresh[e.Object] = append(fresh[e.Object], e)
		}
	}
	if err := wr.t.insertAll(`INSERT INTO entry_refers (publisher_id, needs, entry_id)`, ``, refers); err != nil {
		return nil, err
	}
	if wr.hidden {
		return entries, nil
	}
	return entries, wr.t.recompute(wr.account.ID, refs, fresh)
}

// check asks the caller whether what is there now allows the entries.
func (wr *writing) check(entries []activation.Entry) error {
	if wr.w.Check == nil {
		return nil
	}
	refs := make([]activation.ObjectRef, 0, len(entries))
	for _, e := range entries {
		for _, ref := range []activation.ObjectRef{e.Object, e.ObjectParent} {
			if _, pending := activation.PendingIndex(ref.ID); ref.ID != "" && !pending {
				refs = append(refs, ref)
			}
		}
	}
	have, err := wr.t.objectRows(wr.account.ID, refs)
	if err != nil {
		return err
	}
	return wr.w.Check(entries, plain(have))
}

// name gives an entry its id, and real names to what it calls by index.
func (wr *writing) name(e *activation.Entry, id activation.EntryID) error {
	e.ID, e.Publisher, e.CreatedAt, e.Parent = id, wr.account.ID, wr.t.now, 0
	if wr.parent != nil {
		e.Parent = wr.parent.ID
	}
	switch e.Status {
	case activation.EntryHeld:
		if e.Reason == "" {
			e.Reason = activation.ReasonUser
		}
	case activation.EntryQueued:
		if e.ReleasedAt = wr.t.now; wr.hidden {
			e.Status, e.Reason, e.ReleasedAt = activation.EntryToBeSent, reasonReleasing, time.Time{}
		}
	case activation.EntryToBeSent:
	case activation.EntryProcessing, activation.EntryDone, activation.EntryFailed, activation.EntryCancelled, activation.EntryPartial:
		return conflict("an entry is not written as %s", e.Status)
	}
	real := func(object string) string {
		if i, ok := activation.PendingIndex(object); ok {
			if id, ok := wr.idOf(i); ok {
				return activation.NewObjectID(id)
			}
		}
		return object
	}
	e.Object.ID, e.ObjectParent.ID = real(e.Object.ID), real(e.ObjectParent.ID)
	if e.Operation == activation.OpCreate {
		e.Object.ID = activation.NewObjectID(id)
	}
	e.Changes = slices.Clone(e.Changes)
	e.Refers = slices.Clone(e.Refers)
	for i, need := range e.Refers {
		if need >= 0 {
			continue
		}
		var ok bool
		if e.Refers[i], ok = wr.idOf(int(-1 - need)); !ok {
			return invalid("refers", "an entry of the writing needs one that comes after it")
		}
	}
	for i, c := range e.Changes {
		if !c.Object {
			continue
		}
		e.Changes[i].After = real(c.After)
		if create, ok := activation.CreatedBy(e.Changes[i].After); ok {
			e.Refers = append(e.Refers, create)
		}
	}
	e.Refers = e.Needs()
	return nil
}

// meet looks at the creates of other writings that entries need: what is done already
// is called by its real name, and what has ended otherwise can't be needed.
func (wr *writing) meet(entries []activation.Entry, first activation.EntryID) error {
	var look []activation.EntryID
	for _, e := range entries {
		for _, need := range e.Refers {
			if _, known := wr.creates[need]; !known && !wr.has(need) {
				wr.creates[need] = activation.Entry{}
				look = append(look, need)
			}
		}
	}
	found, err := wr.t.entriesByID(look)
	if err != nil {
		return err
	}
	for _, e := range found {
		unseen, err := wr.t.hidden(e.ID)
		if err != nil {
			return err
		}
		if e.Publisher == wr.account.ID && e.Operation == activation.OpCreate && !unseen {
			wr.creates[e.ID] = e
		}
	}
	for i := range entries {
		e := &entries[i]
		if len(e.Refers) == 0 {
			continue
		}
		keep := e.Refers[:0]
		for _, need := range e.Refers {
			create, other := wr.creates[need]
			switch {
			case !other || create.Status.Waits():
				keep = append(keep, need)
			case create.Status == activation.EntryDone:
				renamed(e, need, create.Object.ID)
			default:
				return invalid("refers", "entry %d of the writing needs the create #%d, which does not wait", int(e.ID-first), need)
			}
		}
		e.Refers = keep
	}
	return nil
}

// renamed calls what a create made by its real id, wherever e names it, and reports
// whether e did.
func renamed(e *activation.Entry, create activation.EntryID, id string) bool {
	old, done := activation.NewObjectID(create), false
	for _, at := range []*string{&e.Object.ID, &e.ObjectParent.ID} {
		if *at == old {
			*at, done = id, true
		}
	}
	for i, c := range e.Changes {
		if c.Object && c.After == old {
			e.Changes[i].After, done = id, true
		}
		if c.Object && c.Before == old {
			e.Changes[i].Before, done = id, true
		}
	}
	return done
}

// end links what needs others, counts, and stores what goes with the entries.
func (wr *writing) end() error {
	t := wr.t
	if err := t.join(wr.tally, waitingOrder, wr.linked); err != nil {
		return err
	}
	if err := wr.release(); err != nil {
		return err
	}
	if err := t.tallied(wr.tally); err != nil {
		return err
	}
	if wr.tally.n[activation.EntryQueued] > 0 {
		t.Enqueue(WakePass, string(wr.account.PostJob))
	}
	if wr.w.DropJob != "" {
		if err := t.saveDrop(wr.w.DropJob, wr.w.DropState); err != nil {
			return err
		}
	}
	if wr.w.Schedule != nil {
		if err := t.moveSchedule(*wr.w.Schedule, wr.base()); err != nil {
			return err
		}
	}
	base, n := wr.base(), 0
	for _, r := range wr.runs {
		n += r.n
	}
	if wr.w.Audit == "" || n == 0 {
		return nil
	}
	by := ""
	if wr.parent != nil {
		by = wr.parent.By
	} else if e, err := t.entry(base); err == nil {
		by = e.By
	} else if !errors.Is(err, activation.ErrNotFound) {
		return err
	}
	return t.audit(activation.AuditEntry{
		Actor: by, Verb: wr.w.Audit, SubjectType: "publisher", SubjectID: string(wr.account.ID),
		After: encode(map[string]int64{"first_entry": int64(base), "entries": int64(n)}),
	})
}

// release puts what goes at once into the order of what is released. It takes the
// creates along that are needed; what needs a held one is to be sent instead.
func (wr *writing) release() error {
	var queued []*placed
	for _, p := range wr.linked {
		if wr.status[p.id] == activation.EntryQueued {
			queued = append(queued, p)
		}
	}
	if len(queued) == 0 {
		return nil
	}
	net := entryNet{}
	for _, p := range queued {
		net[p.id] = &entryNode{id: p.id, status: wr.status[p.id], needs: p.needs, own: p.own, parent: wr.parentID()}
	}
	if err := wr.t.complete(net); err != nil {
		return err
	}
	var joins []*placed
	var along, lower []*entryNode
	taken := map[activation.EntryID]bool{}
	for _, p := range queued {
		needs := net.closure(p.id)
		if blocked(needs, nil) != nil {
			wr.lower[p.id] = true
			lower = append(lower, net[p.id])
			continue
		}
		joins = append(joins, p)
		for _, n := range needs {
			if n.status == activation.EntryToBeSent && !taken[n.id] {
				taken[n.id] = true
				along = append(along, n)
			}
		}
	}
	for _, n := range along {
		if len(n.needs) > 0 {
			joins = append(joins, &placed{id: n.id, own: n.own, needs: n.needs})
		}
	}
	if err := wr.t.restatus(wr.tally, lower, activation.EntryToBeSent, ""); err != nil {
		return err
	}
	if err := wr.t.restatus(wr.tally, along, activation.EntryQueued, ""); err != nil {
		return err
	}
	for _, p := range joins {
		p.was = [2]int64{p.own, 0}
	}
	return wr.t.join(wr.tally, releasedOrder, joins)
}

func (wr *writing) parentID() activation.EntryID {
	if wr.parent == nil {
		return 0
	}
	return wr.parent.ID
}

// insertEntries stores new entries, each in its own place.
func (t *tx) insertEntries(entries []activation.Entry) error {
	rows := make([][]any, 0, len(entries))
	for _, e := range entries {
		own := packed(e.Key())
		var parent any
		if e.Parent != 0 {
			parent = int64(e.Parent)
		}
		detail := "{}"
		if len(e.Detail) > 0 {
			detail = encode(e.Detail)
		}
		rows = append(rows, []any{
			int64(e.ID), e.Publisher, parent, e.Row, e.Status, e.Reason, e.Origin, e.By, e.Source, e.Operation, e.Object.Kind, e.Object.ID, e.Type, e.ObjectName,
			e.ObjectParent.Kind, e.ObjectParent.ID, list(e.Changes), list(e.Refers), e.Text, detail, own, own, own, at(e.CreatedAt), at(e.ReleasedAt),
		})
	}
	return t.insertAll(`INSERT INTO entries (id, publisher_id, parent_id, file_row, status, reason, origin, made_by, source, operation, kind, object_id, type, object_name,
		parent_kind, parent_object, changes, refers, wording, detail, own, place, turn, created_at, released_at)`, ``, rows)
}
