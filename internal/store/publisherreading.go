package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"usher/internal/activation"
)

// theirsRemoved stands in Change.Theirs for an object that is gone.
const theirsRemoved = "removed"

// BeginStructure begins a reading of the whole structure and returns its number.
func (s *Store) BeginStructure(ctx context.Context, p activation.Pass, id activation.PublisherID) (reading int64, err error) {
	err = s.posting(ctx, "begin to read", p, id, func(t *tx, _ activation.PublisherAccount) error {
		reading, err = t.count(`UPDATE publishers SET reading = reading + 1 WHERE id = $1 RETURNING reading`, id)
		return err
	})
	return reading, err
}

// SaveStructure stores some of what a reading saw.
func (s *Store) SaveStructure(ctx context.Context, p activation.Pass, id activation.PublisherID, reading int64, seen []activation.PublisherObject) (read activation.StructureRead, err error) {
	err = s.posting(ctx, "store the structure of", p, id, func(t *tx, _ activation.PublisherAccount) error {
		read = activation.StructureRead{}
		return t.readObjects(id, reading, seen, nil, &read)
	})
	return read, err
}

// SaveObjects stores objects as they were read back on their own; gone names those that
// were asked for and are not there.
func (s *Store) SaveObjects(ctx context.Context, p activation.Pass, id activation.PublisherID, seen []activation.PublisherObject, gone []activation.ObjectRef) (read activation.StructureRead, err error) {
	err = s.posting(ctx, "store objects of", p, id, func(t *tx, _ activation.PublisherAccount) error {
		read = activation.StructureRead{}
		reading, err := t.count(`SELECT reading FROM publishers WHERE id = $1`, id)
		if err != nil {
			return err
		}
		return t.readObjects(id, reading, seen, gone, &read)
	})
	return read, err
}

// endPage is how many objects EndStructure looks at at a time.
const endPage = 1000

// EndStructure marks what a reading did not see as removed, and notes when it was.
func (s *Store) EndStructure(ctx context.Context, p activation.Pass, id activation.PublisherID, reading int64, when time.Time) (read activation.StructureRead, err error) {
	err = s.posting(ctx, "end to read", p, id, func(t *tx, _ activation.PublisherAccount) error {
		read = activation.StructureRead{}
		for {
			rows, err := t.query(`SELECT o.kind, o.id FROM publisher_objects o WHERE o.publisher_id = $1 AND o.seen < $2 AND o.confirmed IS NOT NULL AND NOT o.removed LIMIT $3`, id, reading, endPage)
			gone, err := collect(rows, err, func(r scanner) (ref activation.ObjectRef, err error) { return ref, r.Scan(&ref.Kind, &ref.ID) })
			if err != nil {
				return err
			}
			if len(gone) == 0 {
				break
			}
			if err := t.readObjects(id, reading, nil, gone, &read); err != nil {
				return err
			}
		}
		_, err := t.exec(`UPDATE publishers SET synced_at = $1 WHERE id = $2`, at(when), id)
		return err
	})
	return read, err
}

// readObjects stores objects as the publisher has them, and flags what conflicts.
func (t *tx) readObjects(id activation.PublisherID, reading int64, seen []activation.PublisherObject, gone []activation.ObjectRef, read *activation.StructureRead) error {
	refs := slices.Clone(gone)
	for _, o := range seen {
		refs = append(refs, o.ObjectRef)
	}
	have, err := t.objectRows(id, refs)
	if err != nil {
		return err
	}
	var busy []activation.ObjectRef
	for ref, row := range have {
		if row.Waiting > 0 {
			busy = append(busy, ref)
		}
	}
	waiting := map[activation.ObjectRef][]activation.Entry{}
	if err := t.waitingEntries(id, busy, waiting); err != nil {
		return err
	}
	flagged := map[activation.EntryID]*activation.Entry{}
	for _, o := range seen {
		row, known := have[o.ObjectRef]
		switch {
		case !known:
			row = objectRow{PublisherObject: activation.PublisherObject{Publisher: id, ObjectRef: o.ObjectRef}}
			read.New++
		case row.Removed || row.Confirmed == nil || row.Type != o.Type || row.Parent != o.Parent || !maps.Equal(row.Confirmed, o.Confirmed):
			read.Changed++
		}
		if known && row.Confirmed != nil {
			flagChanged(row.Confirmed, o.Confirmed, waiting[o.ObjectRef], flagged)
		}
		row.Confirmed, row.Type, row.Parent = settingsOf(o.Confirmed), o.Type, o.Parent
		row.Removed, row.ConfirmedAt, row.seen = false, t.now, reading
		have[o.ObjectRef] = row
	}
	for _, ref := range gone {
		row, known := have[ref]
		if !known || row.Removed {
			continue
		}
		row.Removed, row.ConfirmedAt, row.seen = true, t.now, reading
		have[ref] = row
		read.Removed++
		flagGone(waiting[ref], flagged)
	}
	n, err := t.flag(id, flagged)
	if err != nil {
		return err
	}
	read.Conflicts += n
	return t.saveLocal(id, refs, have, waiting, false)
}

// open are the entries of an object that are not sent yet, in the order of posting;
// processing ones are under way.
func open(waiting []activation.Entry) (open, processing []activation.Entry) {
	for _, e := range activation.PostingOrder(waiting) {
		if e.Status == activation.EntryProcessing {
			processing = append(processing, e)
		} else {
			open = append(open, e)
		}
	}
	return open, processing
}

// flagChanged flags, for every field that the publisher has changed, the first entry
// that sets it to something else.
func flagChanged(before, now map[string]string, waiting []activation.Entry, flagged map[activation.EntryID]*activation.Entry) {
	if len(waiting) == 0 || maps.Equal(before, now) {
		return
	}
	unsent, processing := open(waiting)
	fields := map[string]bool{}
	for _, values := range []map[string]string{before, now} {
		for field := range values {
			fields[field] = before[field] != now[field]
		}
	}
	for field, changed := range fields {
		if !changed || sets(processing, field, now[field]) {
			continue
		}
		for _, e := range unsent {
			i := slices.IndexFunc(e.Changes, func(c activation.Change) bool { return c.Field == field })
			if i < 0 {
				continue
			}
			if e.Changes[i].After != now[field] {
				f := flagged[e.ID]
				if f == nil {
					e.Changes = slices.Clone(e.Changes)
					f = &e
					flagged[e.ID] = f
				}
				f.Changes[i].Theirs = now[field]
			}
			break
		}
	}
}

// sets reports whether one of the entries gives the field this value.
func sets(entries []activation.Entry, field, value string) bool {
	return slices.ContainsFunc(entries, func(e activation.Entry) bool {
		return slices.ContainsFunc(e.Changes, func(c activation.Change) bool { return c.Field == field && c.After == value })
	})
}

// flagGone flags all that would change an object that is gone. What deletes it wants
// just that.
func flagGone(waiting []activation.Entry, flagged map[activation.EntryID]*activation.Entry) {
	unsent, _ := open(waiting)
	for _, e := range unsent {
		if e.Operation == activation.OpDelete {
			continue
		}
		e.Changes = slices.Clone(e.Changes)
		for i := range e.Changes {
			e.Changes[i].Theirs = theirsRemoved
		}
		flagged[e.ID] = &e
	}
}

// flag holds the entries that conflict, and returns how many were not held for that
// before.
func (t *tx) flag(id activation.PublisherID, flagged map[activation.EntryID]*activation.Entry) (n int64, err error) {
	if len(flagged) == 0 {
		return 0, nil
	}
	tally := newTally(id)
	var nodes, left []*entryNode
	for _, key := range slices.Sorted(maps.Keys(flagged)) {
		e := flagged[key]
		if _, err := t.exec(`UPDATE entries SET changes = $1 WHERE id = $2`, list(e.Changes), int64(e.ID)); err != nil {
			return 0, err
		}
		if e.Status == activation.EntryHeld && e.Reason == activation.ReasonConflict {
			continue
		}
		node := &entryNode{id: e.ID, parent: e.Parent, status: e.Status, reason: e.Reason, needs: e.Refers, own: packed(e.Key())}
		nodes = append(nodes, node)
		if e.Status == activation.EntryQueued {
			left = append(left, node)
		}
	}
	if err := t.restatus(tally, nodes, activation.EntryHeld, activation.ReasonConflict); err != nil {
		return 0, err
	}
	if err := t.leave(tally, releasedOrder, linkedOf(left)); err != nil {
		return 0, err
	}
	return int64(len(nodes)), t.tallied(tally)
}
