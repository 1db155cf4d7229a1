package store

import (
	"context"
	"fmt"
	"slices"

	"usher/internal/activation"
)

// settling is one call of SettleEntries in one transaction.
type settling struct {
	t       *tx
	account activation.PublisherID
	reading int64
	tally   *entryTally
	have    map[activation.ObjectRef]objectRow
	refs    []activation.ObjectRef // those whose local values change
	hand    map[activation.EntryID]*activation.Entry
	// failed and held are creates. left are entries that need others and are not released
	// any more; those of ended do not wait either.
	failed, held []activation.EntryID
	left, ended  []*entryNode
}

// SettleEntries stores what became of processing entries; see publishing.Posting.
func (s *Store) SettleEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, outcomes []activation.EntryOutcome) error {
	return s.posting(ctx, "settle entries of", p, id, func(t *tx, a activation.PublisherAccount) error {
		ids := make([]activation.EntryID, len(outcomes))
		for i, o := range outcomes {
			ids[i] = o.Entry
		}
		entries, err := t.inHand(p, id, ids)
		if err != nil {
			return err
		}
		st := &settling{t: t, account: id, tally: newTally(id), hand: entries}
		for _, o := range outcomes {
			st.refs = append(st.refs, entries[o.Entry].Object)
		}
		if st.have, err = t.objectRows(id, st.refs); err != nil {
			return err
		}
		if st.reading, err = t.count(`SELECT reading FROM publishers WHERE id = $1`, id); err != nil {
			return err
		}
		for _, o := range outcomes {
			if err := st.settle(*entries[o.Entry], o); err != nil {
				return fmt.Errorf("entry %d: %w", o.Entry, err)
			}
		}
		if err := st.follow(); err != nil {
			return err
		}
		if err := t.recomputeRows(id, st.refs, st.have, nil, false); err != nil {
			return err
		}
		if st.tally.n[activation.EntryQueued] > 0 {
			t.Enqueue(WakePass, string(a.PostJob))
		}
		if err := t.turnedOf(st.tally, ids); err != nil {
			return err
		}
		return t.tallied(st.tally)
	})
}

// inHand reads entries that this attempt is posting; ErrFenced where one is not.
func (t *tx) inHand(p activation.Pass, account activation.PublisherID, ids []activation.EntryID) (map[activation.EntryID]*activation.Entry, error) {
	mine := make(map[activation.EntryID]*activation.Entry, len(ids))
	err := inChunks(3, ids, func(marks string, args []any) error {
		rows, err := t.query(`SELECT `+entryColumns+` FROM entries e WHERE e.publisher_id = $1 AND e.status = 'processing' AND e.pass_id = $2 AND e.pass_attempt = $3 AND e.id IN `+marks,
			append([]any{account, p.ID, p.Attempt}, args...)...)
		some, err := collect(rows, err, scanEntry)
		for i := range some {
			mine[some[i].ID] = &some[i]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if mine[id] == nil {
			return nil, fmt.Errorf("entry %d is not under way by this attempt: %w", id, activation.ErrFenced)
		}
	}
	return mine, nil
}

// settle stores what became of one entry.
func (st *settling) settle(e activation.Entry, o activation.EntryOutcome) error {
	ended := at(st.t.now)
	switch o.Status {
	case activation.EntryDone:
		if err := st.done(&e, o); err != nil {
			return err
		}
	case activation.EntryFailed:
		if e.Operation == activation.OpCreate {
			st.failed = append(st.failed, e.ID)
		}
		if len(e.Refers) > 0 {
			st.ended = append(st.ended, &entryNode{id: e.ID, own: packed(e.Key()), needs: e.Refers})
		}
	case activation.EntryQueued:
		ended = nil
	case activation.EntryHeld:
		ended = nil
		if o.Reason == "" {
			o.Reason = activation.ReasonConflict
		}
		for i, c := range e.Changes {
			e.Changes[i].Theirs = o.Theirs[c.Field]
		}
		if e.Operation == activation.OpCreate {
			st.held = append(st.held, e.ID)
		}
		if len(e.Refers) > 0 {
			st.left = append(st.left, &entryNode{id: e.ID, own: packed(e.Key()), needs: e.Refers})
		}
	case activation.EntryToBeSent, activation.EntryProcessing, activation.EntryCancelled, activation.EntryPartial:
		return conflict("posting does not make an entry %s", o.Status)
	default:
		return conflict("there is no status %q of entries", o.Status)
	}
	if o.Status != activation.EntryDone {
		st.confirm(e.Object, o)
	}
	st.tally.move(e.Parent, activation.EntryProcessing, o.Status)
	_, err := st.t.exec(`UPDATE entries SET status = $1, reason = $2, ended_at = $3, answer = $4, error_code = $5, error_text = $6, request_id = $7, kind = $8, object_id = $9, changes = $10, error_field = $12,
		released_at = CASE WHEN $1 = 'held' THEN NULL ELSE released_at END, pass_id = NULL WHERE id = $11`,
		o.Status, o.Reason, ended, o.Answer, o.ErrorCode, o.ErrorText, o.RequestID, e.Object.Kind, e.Object.ID, list(e.Changes), int64(e.ID), o.ErrorField)
	return err
}

// confirm notes the values of an object as the publisher has them now.
func (st *settling) confirm(ref activation.ObjectRef, o activation.EntryOutcome) {
	row, ok := st.have[ref]
	if !ok || o.Confirmed == nil && !o.Gone {
		return
	}
	if o.Confirmed != nil {
		row.Confirmed, row.Removed = o.Confirmed, false
	}
	row.Removed = o.Gone
	row.ConfirmedAt, row.seen = st.t.now, max(row.seen, st.reading)
	st.have[ref] = row
}

// done makes what a create made an object of the account; of others it notes how the
// object is now.
func (st *settling) done(e *activation.Entry, o activation.EntryOutcome) error {
	if e.Operation != activation.OpCreate {
		st.confirm(e.Object, o)
		return nil
	}
	if o.ID == "" {
		return conflict("what the create made has no id")
	}
	planned, made := e.Object, activation.ObjectRef{Kind: e.Object.Kind, ID: o.ID}
	there, err := st.t.objectRows(st.account, []activation.ObjectRef{made})
	if err != nil {
		return err
	}
	row, known := there[made]
	if was, ok := st.have[made]; ok {
		row, known = was, true
	}
	if !known {
		row = objectRow{PublisherObject: activation.PublisherObject{Publisher: st.account, ObjectRef: made, Type: e.Type, Parent: e.ObjectParent}}
	}
	if row.Confirmed = o.Confirmed; row.Confirmed == nil {
		row.Confirmed, _ = activation.LocalValues(nil, []activation.Entry{*e})
	}
	row.Removed, row.ConfirmedAt, row.seen = o.Gone, st.t.now, max(row.seen, st.reading)
	st.have[made] = row
	st.refs = append(st.refs, made)
	if _, err := st.t.exec(`DELETE FROM publisher_objects WHERE publisher_id = $1 AND kind = $2 AND id = $3`, st.account, planned.Kind, planned.ID); err != nil {
		return err
	}
	delete(st.have, planned)
	e.Object = made
	return st.rename(e.ID, planned, made)
}

// rename calls what a create made by its real id wherever the old one stands.
func (st *settling) rename(create activation.EntryID, planned, made activation.ObjectRef) error {
	rows, err := st.t.query(`SELECT `+entryColumns+` FROM entry_refers r JOIN entries e ON e.id = r.entry_id WHERE r.publisher_id = $1 AND r.needs = $2`, st.account, int64(create))
	users, err := collect(rows, err, scanEntry)
	if err != nil {
		return err
	}
	for _, u := range users {
		renamed(&u, create, made.ID)
		keep := u.Refers[:0]
		for _, need := range u.Refers {
			if need != create {
				keep = append(keep, need)
			}
		}
		u.Refers = keep
		if mine := st.hand[u.ID]; mine != nil {
			mine.Object, mine.ObjectParent, mine.Changes, mine.Refers = u.Object, u.ObjectParent, u.Changes, u.Refers
		}
		if _, err := st.t.exec(`UPDATE entries SET object_id = $1, parent_object = $2, changes = $3, refers = $4 WHERE id = $5`,
			u.Object.ID, u.ObjectParent.ID, list(u.Changes), list(u.Refers), int64(u.ID)); err != nil {
			return err
		}
		if u.Object.ID != "" {
			if err := st.look(u.Object); err != nil {
				return err
			}
		}
	}
	if _, err := st.t.exec(`DELETE FROM entry_refers WHERE publisher_id = $1 AND needs = $2`, st.account, int64(create)); err != nil {
		return err
	}
	for ref, row := range st.have {
		if row.Parent == planned {
			row.Parent = made
			st.have[ref] = row
		}
	}
	for _, statement := range []string{
		`UPDATE publisher_objects SET parent_id = $1 WHERE publisher_id = $2 AND parent_kind = $3 AND parent_id = $4`,
		`UPDATE publisher_schedules SET object_id = $1 WHERE publisher_id = $2 AND kind = $3 AND object_id = $4`,
	} {
		if _, err := st.t.exec(statement, made.ID, st.account, planned.Kind, planned.ID); err != nil {
			return err
		}
	}
	_, err = st.t.exec(`UPDATE publisher_strategies SET body = replace(body, $1, $2) WHERE publisher_id = $3`, `"id":`+encode(planned.ID), `"id":`+encode(made.ID), st.account)
	return err
}

// look adds an object to those that are brought up to date.
func (st *settling) look(ref activation.ObjectRef) error {
	st.refs = append(st.refs, ref)
	if _, ok := st.have[ref]; ok {
		return nil
	}
	some, err := st.t.objectRows(st.account, []activation.ObjectRef{ref})
	for ref, row := range some {
		st.have[ref] = row
	}
	return err
}

// follow does what follows for others: what needs a failed create fails, what needs one
// that is held waits with it, and what they had pulled goes elsewhere.
func (st *settling) follow() error {
	t := st.t
	failed, err := t.dependants(st.account, st.failed, `('held', 'to_be_sent', 'queued')`)
	if err != nil {
		return err
	}
	if err := t.restatus(st.tally, failed, activation.EntryFailed, ""); err != nil {
		return err
	}
	ids := make([]activation.EntryID, len(failed))
	for i, n := range failed {
		ids[i] = n.id
	}
	const text = "what it needs was not created; see the entries that it refers to"
	if err := inChunks(2, ids, func(marks string, args []any) error {
		_, err := t.exec(`UPDATE entries SET error_code = $1, error_text = $2 WHERE id IN `+marks, append([]any{codeNeedsFailed, text}, args...)...)
		return err
	}); err != nil {
		return err
	}
	entries, err := t.entriesByID(ids)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := st.look(e.Object); err != nil {
			return err
		}
	}
	back, err := t.dependants(st.account, st.held, `('queued')`)
	if err != nil {
		return err
	}
	if err := t.restatus(st.tally, back, activation.EntryToBeSent, ""); err != nil {
		return err
	}
	failed = append(failed, st.ended...)
	if err := t.leave(st.tally, waitingOrder, linkedOf(failed)); err != nil {
		return err
	}
	return t.leave(st.tally, releasedOrder, linkedOf(slices.Concat(failed, back, st.left)))
}
