package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"usher/internal/activation"
)

// HasQueued reports whether something of an account is queued or processing.
func (s *Store) HasQueued(ctx context.Context, id activation.PublisherID) (bool, error) {
	var n int64
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM entry_counts WHERE publisher_id = $1 AND n > 0 AND status IN `+releasedStatuses, id).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for what is queued: %w", err)
	}
	return n > 0, nil
}

// TakeOverEntries makes everything of the account that is processing this attempt's,
// and returns up to limit of it (0 = all) in the order of its call.
func (s *Store) TakeOverEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, limit int) (out []activation.Entry, err error) {
	err = s.posting(ctx, "take over entries of", p, id, func(t *tx, _ activation.PublisherAccount) error {
		if _, err := t.exec(`UPDATE entries SET pass_id = $1, pass_attempt = $2 WHERE publisher_id = $3 AND status = 'processing' AND operation <> 'upload'`, p.ID, p.Attempt, id); err != nil {
			return err
		}
		out, err = t.processing(id, limit)
		return err
	})
	return out, err
}

// processing reads what is under way, in the order of its call.
func (t *tx) processing(id activation.PublisherID, limit int) ([]activation.Entry, error) {
	w := where{args: []any{id}}
	text := `SELECT ` + entryColumns + ` FROM entries e WHERE e.publisher_id = $1 AND e.status = 'processing' AND e.operation <> 'upload' ORDER BY e.batch, e.batch_place`
	if limit > 0 {
		text += ` LIMIT ` + w.next(limit)
	}
	rows, err := t.query(text, w.args...)
	return collect(rows, err, scanEntry)
}

// queueKey is as much of a queued entry as the index of the order has.
type queueKey struct {
	id, parent activation.EntryID
	turn       int64
}

// queueKeys finds the head of the order in its index alone.
func (t *tx) queueKeys(id activation.PublisherID, limit int) ([]queueKey, error) {
	rows, err := t.query(`SELECT e.id, coalesce(e.parent_id, 0), e.turn FROM entries e WHERE e.publisher_id = $1 AND e.status = 'queued' AND e.operation <> 'upload' ORDER BY e.turn, e.turn_before LIMIT $2`, id, limit)
	return collect(rows, err, func(r scanner) (k queueKey, err error) { return k, r.Scan(&k.id, &k.parent, &k.turn) })
}

// queueHead reads queued entries from the head of the order.
func (t *tx) queueHead(id activation.PublisherID, limit int) ([]activation.Entry, error) {
	rows, err := t.query(`SELECT `+entryColumns+` FROM entries e WHERE e.publisher_id = $1 AND e.status = 'queued' AND e.operation <> 'upload' ORDER BY e.turn, e.turn_before LIMIT $2`, id, limit)
	return collect(rows, err, scanEntry)
}

// QueueHead returns up to limit queued entries from the head of the order, with the
// objects that they are about as the publisher has them, without local values: this is
// read anew for every call. It changes nothing.
func (s *Store) QueueHead(ctx context.Context, id activation.PublisherID, limit int) (head []activation.Entry, objects map[activation.ObjectRef]activation.PublisherObject, err error) {
	err = s.view(ctx, func(t *tx) error {
		if head, err = t.queueHead(id, limit); err != nil {
			return err
		}
		refs := make([]activation.ObjectRef, len(head))
		for i, e := range head {
			refs[i] = e.Object
		}
		objects, err = t.confirmedObjects(id, refs)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the head of the queue: %w", err)
	}
	return head, objects, nil
}

// ClaimEntries makes these entries processing, as one call, and returns them as they are
// now. They must be the first of the order still, and nothing else under way, or it is
// ErrConflict and nothing is claimed.
func (s *Store) ClaimEntries(ctx context.Context, p activation.Pass, id activation.PublisherID, entries []activation.EntryID) (out []activation.Entry, err error) {
	err = s.posting(ctx, "claim entries of", p, id, func(t *tx, _ activation.PublisherAccount) error {
		busy, err := t.processing(id, 1)
		if err != nil {
			return err
		}
		if len(busy) > 0 {
			return conflict("entry #%d is under way, and what became of it is not known", busy[0].ID)
		}
		head, err := t.queueKeys(id, len(entries))
		if err != nil {
			return err
		}
		if !slices.EqualFunc(head, entries, func(k queueKey, id activation.EntryID) bool { return k.id == id }) {
			return conflict("what is sent next has changed")
		}
		var batch int64
		if err := t.row(`UPDATE publishers SET batch = batch + 1 WHERE id = $1 RETURNING batch`, id).Scan(&batch); err != nil {
			return fmt.Errorf("number the call: %w", err)
		}
		tally := newTally(id)
		for i, k := range head {
			if _, err := t.exec(`UPDATE entries SET status = 'processing', attempt = attempt + 1, batch = $1, batch_place = $2, pass_id = $3, pass_attempt = $4, posted_at = $5, answer = '', request_id = '' WHERE id = $6`,
				batch, i, p.ID, p.Attempt, t.micros(), int64(k.id)); err != nil {
				return err
			}
			tally.move(k.parent, activation.EntryQueued, activation.EntryProcessing)
			tally.turned(k.turn)
		}
		if err := t.tallied(tally); err != nil {
			return err
		}
		out, err = t.processing(id, 0)
		return err
	})
	return out, err
}

// ReleaseWaiting queues what is to be sent, for the nightly sync, and returns how many
// entries that are.
func (s *Store) ReleaseWaiting(ctx context.Context, p activation.Pass, id activation.PublisherID) (n int64, err error) {
	var out activation.EntriesMoved
	m := &move{command: activation.CommandPostAll, out: &out}
	err = s.moveAll(ctx, m, id, activation.EntryQuery{Publisher: id}, systemUser, func(fn func(t *tx, a activation.PublisherAccount) error) error {
		return s.posting(ctx, "release what waits of", p, id, fn)
	})
	return out.Done + out.Also, err
}

// EntriesAhead says what is posted before an entry, in groups by key and upload, in
// order. Of an entry that is not queued it is what would be if it were released now.
func (s *Store) EntriesAhead(ctx context.Context, id activation.EntryID) (out []activation.AheadGroup, err error) {
	err = s.view(ctx, func(t *tx) error {
		out = nil
		at, err := t.standOf(id)
		if err != nil || !at.entry.Status.Waits() {
			return err
		}
		if out, err = t.underWay(at.entry); err != nil || at.entry.Status == activation.EntryProcessing {
			return err
		}
		groups, err := t.queuedAhead(at.entry.Publisher, at.turn, at.before)
		out = append(out, groups...)
		for _, e := range at.along {
			if !at.queued[e.ID] {
				out = addAhead(out, e)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look what is ahead of entry %d: %w", id, err)
	}
	return out, nil
}

// underWay groups what is being posted before an entry.
func (t *tx) underWay(e activation.Entry) (out []activation.AheadGroup, err error) {
	entries, err := t.processing(e.Publisher, 0)
	for _, p := range entries {
		if p.ID == e.ID {
			break
		}
		out = addAhead(out, p)
	}
	return out, err
}

func addAhead(groups []activation.AheadGroup, e activation.Entry) []activation.AheadGroup {
	for i := range groups {
		if g := &groups[i]; g.Origin == e.Origin && g.Kind == e.Object.Kind && g.Operation == e.Operation && g.Parent == e.Parent && g.Status == e.Status {
			g.Count++
			g.First = min(g.First, e.ID)
			return groups
		}
	}
	return append(groups, activation.AheadGroup{Origin: e.Origin, Kind: e.Object.Kind, Operation: e.Operation, Parent: e.Parent, First: e.ID, Status: e.Status, Count: 1})
}

// stand is where an entry stands among what is released, or would if it were released
// with all that it needs, which is along: entries in order, their places, and whether
// they are queued in front of it already.
type stand struct {
	entry        activation.Entry
	turn, before int64
	along        []activation.Entry
	places       map[activation.EntryID]int64
	queued       map[activation.EntryID]bool
}

func (t *tx) standOf(id activation.EntryID) (stand, error) {
	e, err := t.entry(id)
	s := stand{entry: e, turn: packed(e.Key()), places: map[activation.EntryID]int64{}, queued: map[activation.EntryID]bool{}}
	if err != nil || e.Status == activation.EntryProcessing || !e.Status.Waits() {
		return s, err
	}
	if e.Status == activation.EntryQueued {
		err := t.row(`SELECT turn, turn_before FROM entries WHERE id = $1`, id).Scan(&s.turn, &s.before)
		return s, err
	}
	net := entryNet{id: {id: id, needs: e.Refers}}
	if err := t.complete(net); err != nil {
		return s, err
	}
	var ids []activation.EntryID
	for _, n := range net.closure(id) {
		if n.status.Waits() && n.status != activation.EntryProcessing {
			ids = append(ids, n.id)
			s.places[n.id] = n.own
		}
	}
	turns, err := t.placedIn(releasedOrder, ids)
	if err != nil {
		return s, err
	}
	for _, p := range turns {
		s.places[p.id] = p.place
		s.queued[p.id] = p.place < s.turn
	}
	along, err := t.entriesByID(ids)
	if err != nil {
		return s, err
	}
	var pull func(needs []activation.EntryID, place int64)
	pull = func(needs []activation.EntryID, place int64) {
		for _, need := range needs {
			if had, ok := s.places[need]; ok && had > place {
				s.places[need] = place
				pull(net[need].needs, place)
			}
		}
	}
	for _, n := range ids {
		pull(net[n].needs, s.places[n])
	}
	pull(e.Refers, s.turn)
	for _, a := range activation.PostingOrder(append(along, e)) {
		if a.ID != id {
			s.along = append(s.along, a)
		}
	}
	slices.SortStableFunc(s.along, func(a, b activation.Entry) int { return cmp.Compare(s.places[a.ID], s.places[b.ID]) })
	return s, nil
}

// EntryBefore returns the entry that goes directly before one that waits, or nil.
func (s *Store) EntryBefore(ctx context.Context, id activation.EntryID) (before *activation.Entry, err error) {
	err = s.view(ctx, func(t *tx) error {
		before = nil
		at, err := t.standOf(id)
		if err != nil || !at.entry.Status.Waits() {
			return err
		}
		if at.entry.Status != activation.EntryProcessing {
			if before, err = t.queuedBefore(at); err != nil || before != nil {
				return err
			}
		}
		entries, err := t.processing(at.entry.Publisher, 0)
		for i := range entries {
			if entries[i].ID == id {
				break
			}
			before = &entries[i]
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look what is before entry %d: %w", id, err)
	}
	return before, nil
}

// queuedBefore is the entry of those that are released, or would be along with this
// one, that goes directly before it.
func (t *tx) queuedBefore(at stand) (*activation.Entry, error) {
	rows, err := t.query(`SELECT e.id, e.turn FROM entries e WHERE e.publisher_id = $1 AND e.status = 'queued' AND e.operation <> 'upload' AND (e.turn, e.turn_before) < ($2, $3)
		ORDER BY e.turn DESC, e.turn_before DESC LIMIT $4`, at.entry.Publisher, at.turn, at.before, len(at.along)+1)
	queued, err := collect(rows, err, func(r scanner) (p placed, err error) { return p, r.Scan(&p.id, &p.place) })
	if err != nil {
		return nil, err
	}
	var last *activation.Entry
	if n := len(at.along); n > 0 {
		last = &at.along[n-1]
	}
	for _, p := range queued {
		if _, along := at.places[p.id]; along {
			continue
		}
		if last != nil && at.places[last.ID] > p.place {
			break
		}
		e, err := t.entry(p.id)
		return &e, err
	}
	return last, nil
}
