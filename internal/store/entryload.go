package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/internal/activation"
)

// A writing of many entries is a load. It goes through these states, in transactions of
// few entries each, between which others write:
//
//  1. Its entries are stored, each with a number taken in the transaction that stores
//     it. They are in no list, no count and no command, and no value of an object comes
//     from them (hiding). What changes an object that they are about makes the load
//     stale, and it begins anew.
//  2. One small transaction shows all of them.
//  3. The objects are brought up to date. Until that is done who reads one is given what
//     follows from the entries (current).
//  4. What goes at once is released, in the order in which it is posted.
//
// An account has one at a time. A load that was left in the first state is taken away,
// one that was left later is brought to its end (SettleLoads).

const (
	// entryPiece is how many entries one transaction takes.
	entryPiece = 1000
	// loadLease is how long after its last piece a load counts as left.
	loadLease = time.Minute
	// reasonReleasing marks the entries of a load that go at once, until they do.
	reasonReleasing = "releasing"
)

// entrySpan is a range of ids, both ends in it.
type entrySpan [2]activation.EntryID

// entryLoad is a load as it is stored.
type entryLoad struct {
	id      activation.EntryID
	account activation.PublisherID
	spans   []entrySpan
	shown   bool
	stale   bool
	upTo    activation.EntryID
	touched time.Time
}

// leftAfter is loadLease as SQL has it.
var leftAfter = strconv.FormatInt(loadLease.Microseconds(), 10)

func (l entryLoad) left(now time.Time) bool { return now.Sub(l.touched) > loadLease }

// within is the condition that an entry e is one of the load.
func (l entryLoad) within() string {
	parts := make([]string, len(l.spans))
	for i, s := range l.spans {
		parts[i] = "e.id BETWEEN " + strconv.FormatInt(int64(s[0]), 10) + " AND " + strconv.FormatInt(int64(s[1]), 10)
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// entryLoads reads the loads there are, once in a transaction.
func (t *tx) entryLoads() ([]entryLoad, error) {
	if t.loads != nil {
		return *t.loads, nil
	}
	rows, err := t.query(`SELECT l.id, l.publisher_id, l.spans, l.shown, l.stale, l.up_to, l.touched_at FROM entry_loads l ORDER BY l.id`)
	loads, err := collect(rows, err, func(r scanner) (l entryLoad, err error) {
		return l, r.Scan(&l.id, &l.account, object{&l.spans}, &l.shown, &l.stale, &l.upTo, stamp{&l.touched})
	})
	if err != nil {
		return nil, fmt.Errorf("read what is being written: %w", err)
	}
	t.loads = &loads
	return loads, nil
}

// load returns one load, nil = there is none.
func (t *tx) load(id activation.EntryID) (*entryLoad, error) {
	loads, err := t.entryLoads()
	if i := slices.IndexFunc(loads, func(l entryLoad) bool { return l.id == id }); i >= 0 {
		return &loads[i], err
	}
	return nil, err
}

// setLoad changes a load; the text follows SET, its parameters begin at $2.
func (t *tx) setLoad(id activation.EntryID, text string, args ...any) error {
	t.loads = nil
	_, err := t.exec(`UPDATE entry_loads SET `+text+` WHERE id = $1`, append([]any{int64(id)}, args...)...)
	return err
}

// hiding is the condition, to follow others, that an entry e is not one of a load that
// is not shown yet.
func (t *tx) hiding() (string, error) {
	loads, err := t.entryLoads()
	var b strings.Builder
	for _, l := range loads {
		if !l.shown {
			b.WriteString(" AND NOT " + l.within())
		}
	}
	return b.String(), err
}

// hideFrom adds that condition.
func (t *tx) hideFrom(w *where) error {
	text, err := t.hiding()
	if text != "" {
		w.conditions = append(w.conditions, strings.TrimPrefix(text, " AND "))
	}
	return err
}

// hidden reports whether an entry is one of a load that is not shown yet.
func (t *tx) hidden(id activation.EntryID) (bool, error) {
	loads, err := t.entryLoads()
	for _, l := range loads {
		if !l.shown && slices.ContainsFunc(l.spans, func(s entrySpan) bool { return s[0] <= id && id <= s[1] }) {
			return true, err
		}
	}
	return false, err
}

// current gives objects the local values that follow from the entries of a load which
// was just shown, as they will be stored.
func (t *tx) current(account activation.PublisherID, refs []activation.ObjectRef, rows map[activation.ObjectRef]objectRow) error {
	loads, err := t.entryLoads()
	if err != nil || !slices.ContainsFunc(loads, func(l entryLoad) bool { return l.shown && l.account == account }) {
		return err
	}
	waiting := map[activation.ObjectRef][]activation.Entry{}
	if err := t.waitingEntries(account, refs, waiting); err != nil {
		return err
	}
	for ref, entries := range waiting {
		o, there := rows[ref]
		create, creating := createAmong(entries)
		if !there {
			if !creating {
				continue
			}
			o.Publisher, o.ObjectRef = account, ref
		}
		if creating && o.Confirmed == nil {
			o.Type, o.Parent = create.Type, create.ObjectParent
		}
		o.Local, o.Deleted = activation.LocalValues(o.Confirmed, entries)
		o.Waiting = int64(len(entries))
		rows[ref] = o
	}
	return nil
}

// outdate makes stale the loads of an account that are not shown yet and are about one
// of these objects, which have changed. Where gone, an object is there no more, and
// what is to lie in it is not looked for one by one.
func (t *tx) outdate(account activation.PublisherID, changed []activation.ObjectRef, gone bool) error {
	if len(changed) == 0 {
		return nil
	}
	loads, err := t.entryLoads()
	if err != nil {
		return err
	}
	for _, l := range slices.Clone(loads) {
		if l.account != account || l.shown || l.stale {
			continue
		}
		hit := gone
		for kind, ids := range byKind(changed) {
			if err := inChunks(2, ids, func(marks string, args []any) error {
				if hit {
					return nil
				}
				n, err := t.count(`SELECT count(*) FROM entries e WHERE e.publisher_id = $1 AND e.kind = $2 AND e.object_id IN `+marks+` AND `+l.within(), append([]any{account, kind}, args...)...)
				hit = n > 0
				return err
			}); err != nil {
				return err
			}
		}
		if hit {
			if err := t.setLoad(l.id, `stale = TRUE`); err != nil {
				return err
			}
		}
	}
	return nil
}

// loading is a load by who writes it.
type loading struct {
	s       *Store
	account activation.PublisherID
	parent  *activation.Entry
	w       activation.EntryWrite
	id      activation.EntryID
	spans   []entrySpan
	wrote   writing // what all pieces have in common
	first   []activation.EntryID
}

// errBusy is told when the account has another load.
var errBusy = errors.New("another load is under way")

// loadEntries stores entries piece by piece; next gives the pieces.
func (s *Store) loadEntries(ctx context.Context, account activation.PublisherID, parent *activation.Entry, next func() ([]activation.Entry, error), w activation.EntryWrite) ([]activation.Entry, error) {
	l := &loading{s: s, account: account, parent: parent, w: w}
	if err := l.store(ctx, next); err != nil {
		if l.id != 0 && ctx.Err() == nil { // otherwise the sweeper takes it away
			err = errors.Join(err, s.dropLoad(ctx, l.id))
		}
		return nil, err
	}
	if err := s.finishLoad(ctx, l.id); err != nil {
		return nil, err
	}
	var out []activation.Entry
	err := s.view(ctx, func(t *tx) (err error) {
		out, err = t.entriesByID(l.first)
		return err
	})
	slices.SortFunc(out, func(a, b activation.Entry) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// store stores all entries, and shows them.
func (l *loading) store(ctx context.Context, next func() ([]activation.Entry, error)) error {
	for try := 1; ; {
		piece, err := next()
		if err != nil {
			return err
		}
		if len(piece) == 0 {
			return l.show(ctx)
		}
		for {
			err := l.piece(ctx, piece)
			if err == nil {
				break
			}
			if !errors.Is(err, errBusy) {
				return err
			}
			if err := l.s.SettleLoads(ctx, l.account); err != nil {
				return err
			}
			if err := pause(ctx, try); err != nil {
				return err
			}
			try++
		}
	}
}

// piece stores some entries.
func (l *loading) piece(ctx context.Context, entries []activation.Entry) error {
	var wr *writing
	var stored []activation.Entry
	var id activation.EntryID
	var spans []entrySpan
	err := l.s.do(ctx, func(t *tx) error {
		a, err := t.publisher(l.account)
		if err != nil {
			return err
		}
		if err := l.mine(t); err != nil {
			return err
		}
		wr = l.wrote.anew(t, a, l.w)
		if l.id == 0 {
			if err := wr.begin(l.parent); err != nil {
				return err
			}
		}
		if stored, err = wr.write(entries); err != nil {
			return err
		}
		if err := t.join(wr.tally, waitingOrder, wr.linked); err != nil {
			return err
		}
		last := wr.runs[len(wr.runs)-1]
		span := entrySpan{last.first, last.first + activation.EntryID(last.n) - 1}
		if id = l.id; id == 0 {
			if id = span[0]; wr.parent != nil {
				id = wr.parent.ID
			}
			span[0] = id
		}
		spans = slices.Clone(l.spans)
		if n := len(spans); n > 0 && spans[n-1][1]+1 == span[0] {
			spans[n-1][1] = span[1]
		} else {
			spans = append(spans, span)
		}
		if l.id == 0 {
			t.loads = nil
			_, err = t.exec(`INSERT INTO entry_loads (id, publisher_id, spans, touched_at) VALUES ($1, $2, $3, $4)`, int64(id), l.account, encode(spans), t.micros())
			return err
		}
		return t.setLoad(id, `spans = $2, touched_at = $3`, encode(spans), t.micros())
	})
	if err != nil {
		return err
	}
	if l.id == 0 {
		for _, e := range stored {
			l.first = append(l.first, e.ID)
		}
	}
	l.id, l.spans, l.wrote = id, spans, *wr
	return nil
}

// mine looks whether the load can go on: it is there and not stale, or can begin.
func (l *loading) mine(t *tx) error {
	loads, err := t.entryLoads()
	if err != nil {
		return err
	}
	for _, other := range loads {
		switch {
		case other.account != l.account:
		case other.id != l.id:
			return errBusy
		case other.stale:
			return fmt.Errorf("objects have changed while entries were written: %w", activation.ErrOutdated)
		default:
			return nil
		}
	}
	if l.id != 0 {
		return fmt.Errorf("the writing was taken away because it stood still: %w", activation.ErrOutdated)
	}
	return nil
}

// show makes all that was stored part of the log.
func (l *loading) show(ctx context.Context) error {
	return l.s.do(ctx, func(t *tx) error {
		a, err := t.publisher(l.account)
		if err != nil {
			return err
		}
		if err := l.mine(t); err != nil {
			return err
		}
		wr := l.wrote.anew(t, a, l.w)
		wr.linked = nil
		if err := t.setLoad(l.id, `shown = TRUE, touched_at = $2`, t.micros()); err != nil {
			return err
		}
		return wr.end()
	})
}

// finishLoad does what is left of a load that is shown.
func (s *Store) finishLoad(ctx context.Context, id activation.EntryID) error {
	for done := false; !done; {
		err := s.do(ctx, func(t *tx) error {
			done = false
			l, err := t.load(id)
			if err != nil || l == nil {
				done = true
				return err
			}
			if _, err := t.publisher(l.account); err != nil {
				return err
			}
			upTo, refs := l.upTo, []activation.ObjectRef(nil)
			rows, err := t.query(`SELECT e.id, e.kind, e.object_id FROM entries e WHERE e.id > $1 AND e.id <= $2 AND `+l.within()+` ORDER BY e.id LIMIT $3`, int64(l.upTo), int64(l.spans[len(l.spans)-1][1]), s.piece)
			if _, err := collect(rows, err, func(r scanner) (struct{}, error) {
				var ref activation.ObjectRef
				err := r.Scan(&upTo, &ref.Kind, &ref.ID)
				if ref.ID != "" {
					refs = append(refs, ref)
				}
				return struct{}{}, err
			}); err != nil {
				return err
			}
			if done = upTo == l.upTo; done {
				return nil
			}
			if err := t.recompute(l.account, refs, nil); err != nil {
				return err
			}
			return t.setLoad(id, `up_to = $2, touched_at = $3`, int64(upTo), t.micros())
		})
		if err != nil {
			return fmt.Errorf("bring objects up to date: %w", err)
		}
	}
	if err := s.releaseLoad(ctx, id); err != nil {
		return fmt.Errorf("release what goes at once: %w", err)
	}
	return s.do(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM entry_loads WHERE id = $1`, int64(id))
		return err
	})
}

// releaseLoad releases the entries of a load that go at once.
func (s *Store) releaseLoad(ctx context.Context, id activation.EntryID) error {
	var nodes []*entryNode
	var account activation.PublisherID
	if err := s.view(ctx, func(t *tx) error {
		nodes = nil
		l, err := t.load(id)
		if err != nil || l == nil {
			return err
		}
		account = l.account
		rows, err := t.query(`SELECT `+nodeColumns+` FROM entries e WHERE e.publisher_id = $1 AND e.status = 'to_be_sent' AND e.reason = '`+reasonReleasing+`' AND `+l.within()+` ORDER BY e.id`, account)
		nodes, err = collect(rows, err, scanNode)
		return err
	}); err != nil || len(nodes) == 0 {
		return err
	}
	return s.inTurn(nodes, activation.CommandPost, func(ids []activation.EntryID, all map[activation.EntryID]activation.EntryStatus) error {
		return s.do(ctx, func(t *tx) error {
			a, err := t.publisher(account)
			if err != nil {
				return err
			}
			var out activation.EntriesMoved
			m := &move{t: t, account: a, command: activation.CommandPost, tally: newTally(account), out: &out, all: all, untold: true}
			if err := m.doPiece(ids, activation.EntryQuery{Statuses: []activation.EntryStatus{activation.EntryToBeSent}}, ""); err != nil {
				return err
			}
			if err := inChunks(0, ids, func(marks string, args []any) error {
				_, err := t.exec(`UPDATE entries SET reason = '' WHERE status = 'to_be_sent' AND reason = '`+reasonReleasing+`' AND id IN `+marks, args...)
				return err
			}); err != nil {
				return err
			}
			return t.setLoad(id, `touched_at = $2`, t.micros())
		})
	})
}

// dropLoad takes a load away that is not shown, the last entries first.
func (s *Store) dropLoad(ctx context.Context, id activation.EntryID) error {
	for done := false; !done; {
		err := s.do(ctx, func(t *tx) error {
			done = true
			l, err := t.load(id)
			if err != nil || l == nil || l.shown {
				return err
			}
			if _, err := t.publisher(l.account); err != nil {
				return err
			}
			rows, err := t.query(`SELECT `+nodeColumns+` FROM entries e WHERE e.id <= $1 AND `+l.within()+` ORDER BY e.id DESC LIMIT $2`, int64(l.spans[len(l.spans)-1][1]), s.piece)
			nodes, err := collect(rows, err, scanNode)
			if err != nil {
				return err
			}
			if len(nodes) == 0 {
				_, err := t.exec(`DELETE FROM entry_loads WHERE id = $1`, int64(id))
				return err
			}
			done = false
			if err := t.dropNodes(l.account, nodes); err != nil {
				return err
			}
			return t.setLoad(id, `stale = TRUE, touched_at = $2`, t.micros())
		})
		if err != nil {
			return fmt.Errorf("take away what was stored: %w", err)
		}
	}
	return nil
}

// dropNodes deletes entries that wait and that nobody sees.
func (t *tx) dropNodes(account activation.PublisherID, nodes []*entryNode) error {
	ids := make([]activation.EntryID, len(nodes))
	for i, n := range nodes {
		ids[i] = n.id
		for _, need := range n.needs {
			if _, err := t.exec(`DELETE FROM entry_refers WHERE publisher_id = $1 AND needs = $2 AND entry_id = $3`, account, int64(need), int64(n.id)); err != nil {
				return err
			}
		}
	}
	if err := inChunks(0, ids, func(marks string, args []any) error {
		_, err := t.exec(`DELETE FROM entries WHERE id IN `+marks, args...)
		return err
	}); err != nil {
		return err
	}
	return t.leave(newTally(account), waitingOrder, linkedOf(nodes))
}

// SettleLoads ends the loads of an account, or of all (""), that were left: what is not
// shown is taken away, what is shown is brought to its end.
func (s *Store) SettleLoads(ctx context.Context, account activation.PublisherID) error {
	var left []entryLoad
	if err := s.view(ctx, func(t *tx) error {
		left = nil
		loads, err := t.entryLoads()
		for _, l := range loads {
			if (account == "" || l.account == account) && l.left(t.now) {
				left = append(left, l)
			}
		}
		return err
	}); err != nil {
		return err
	}
	var errs []error
	for _, l := range left {
		if l.shown {
			errs = append(errs, s.finishLoad(ctx, l.id))
		} else {
			errs = append(errs, s.dropLoad(ctx, l.id))
		}
	}
	return errors.Join(errs...)
}
