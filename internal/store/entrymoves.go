package store

import (
	"context"
	"fmt"
	"slices"

	"usher/internal/activation"
)

// Why entries are not moved.
const (
	codeNeedsFailed = "PUB-NEEDS-001"
	codeNeedsHeld   = "PUB-NEEDS-002"
	codeState       = "PUB-STATE-001"
	codeConflict    = "PUB-CONFLICT-001"
	codeGone        = "PUB-GONE-001"
)

// move is a command on the entries of one account.
type move struct {
	t       *tx
	account activation.PublisherAccount
	command activation.EntryCommand
	tally   *entryTally
	out     *activation.EntriesMoved
	// moving are the entries that the command is for and that can take it.
	moving []*entryNode
	// all are the entries of all pieces as they were selected, where this is one; nil =
	// this is all.
	all map[activation.EntryID]activation.EntryStatus
	// untold: the audit log has it already.
	untold bool
}

// MoveEntries does a command on all entries of sel; a selected upload stands for its
// rows. With dryRun it only tells what it would do. Many entries are moved in pieces,
// between which others write: released ones in the order in which they are posted, so
// that what is released is at any time what comes first.
func (s *Store) MoveEntries(ctx context.Context, c activation.EntryCommand, sel activation.EntryQuery, user string, dryRun bool) (out activation.EntriesMoved, err error) {
	var accounts []activation.PublisherID
	if err = s.view(ctx, func(t *tx) error {
		accounts, err = t.accountsOf(sel)
		return err
	}); err == nil {
		for _, id := range accounts {
			m := &move{command: c, out: &out}
			if err = s.moveOf(ctx, m, id, sel, user, dryRun); err != nil {
				break
			}
		}
	}
	if err != nil {
		return activation.EntriesMoved{}, fmt.Errorf("%s entries: %w", c, err)
	}
	return out, nil
}

// accountsOf are the accounts that entries of a query may be of, in the order in which
// they are locked.
func (t *tx) accountsOf(q activation.EntryQuery) ([]activation.PublisherID, error) {
	if q.Publisher != "" {
		return []activation.PublisherID{q.Publisher}, nil
	}
	scan := func(r scanner) (id activation.PublisherID, err error) { return id, r.Scan(&id) }
	if len(q.IDs) == 0 {
		rows, err := t.query(`SELECT id FROM publishers ORDER BY id`)
		return collect(rows, err, scan)
	}
	var out []activation.PublisherID
	err := inChunks(0, q.IDs, func(marks string, args []any) error {
		rows, err := t.query(`SELECT DISTINCT publisher_id FROM entries WHERE id IN `+marks, args...)
		some, err := collect(rows, err, scan)
		out = append(out, some...)
		return err
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

// selected reads the entries that a query means, by id.
func (t *tx) selected(account activation.PublisherID, q activation.EntryQuery, postAll bool) ([]*entryNode, error) {
	ids := q.IDs
	q.IDs, q.Publisher = nil, account
	var out []*entryNode
	read := func(more string, args []any) error {
		w := where{args: args}
		if more != "" {
			w.conditions = append(w.conditions, more)
		}
		equal(&w, "e.publisher_id", account)
		in(&w, "e.status", q.Statuses)
		if postAll {
			w.conditions = append(w.conditions, `e.status = 'to_be_sent'`)
		}
		entryConditions(&w, q)
		w.conditions = append(w.conditions, `e.operation <> 'upload'`)
		if err := t.hideFrom(&w); err != nil {
			return err
		}
		rows, err := t.query(`SELECT `+nodeColumns+` FROM entries e`+w.sql(), w.args...)
		some, err := collect(rows, err, scanNode)
		out = append(out, some...)
		return err
	}
	// Uploads that are selected stand for all of their rows.
	uploads, err := t.uploadsOf(account, q, ids)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		err = read("", nil)
	} else {
		err = inChunks(0, ids, func(marks string, args []any) error { return read("e.id IN "+marks, args) })
	}
	if err != nil {
		return nil, err
	}
	q = activation.EntryQuery{Publisher: account}
	if err := inChunks(0, uploads, func(marks string, args []any) error { return read("e.parent_id IN "+marks, args) }); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b *entryNode) int { return int(a.id - b.id) })
	return slices.CompactFunc(out, func(a, b *entryNode) bool { return a.id == b.id }), nil
}

// uploadsOf are the uploads among what is selected: by their ids, or by a query for
// what is at the top.
func (t *tx) uploadsOf(account activation.PublisherID, q activation.EntryQuery, ids []activation.EntryID) (out []activation.EntryID, err error) {
	scan := func(r scanner) (id activation.EntryID, err error) { return id, r.Scan(&id) }
	hiding, err := t.hiding()
	if err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		err := inChunks(1, ids, func(marks string, args []any) error {
			rows, err := t.query(`SELECT e.id FROM entries e WHERE e.publisher_id = $1 AND e.operation = 'upload' AND e.id IN `+marks+hiding, append([]any{account}, args...)...)
			some, err := collect(rows, err, scan)
			out = append(out, some...)
			return err
		})
		slices.Sort(out)
		return slices.Compact(out), err
	}
	if !q.Top {
		return nil, nil
	}
	var w where
	equal(&w, "e.publisher_id", account)
	in(&w, "e.status", q.Statuses)
	entryConditions(&w, q)
	w.conditions = append(w.conditions, `e.operation = 'upload'`+hiding)
	rows, err := t.query(`SELECT e.id FROM entries e`+w.sql(), w.args...)
	return collect(rows, err, scan)
}

func (m *move) refuse(n *entryNode, code, reason string) {
	for i := range m.out.Refused {
		if r := &m.out.Refused[i]; r.Code == code && r.Reason == reason {
			r.Count++
			return
		}
	}
	m.out.Refused = append(m.out.Refused, activation.EntryRefusal{Code: code, Reason: reason, Count: 1, Example: n.id})
}

func (m *move) do(sel activation.EntryQuery, user string, dryRun bool) error {
	nodes, err := m.t.selected(m.account.ID, sel, m.command == activation.CommandPostAll)
	if err != nil {
		return err
	}
	return m.these(nodes, user, dryRun)
}

// these does it for entries.
func (m *move) these(nodes []*entryNode, user string, dryRun bool) (err error) {
	if err := m.take(nodes); err != nil {
		return err
	}
	done := m.out.Done
	switch m.command {
	case activation.CommandPost, activation.CommandPostAll, activation.CommandRetry:
		err = m.release(dryRun)
	case activation.CommandHold, activation.CommandRelease:
		to, reason := activation.EntryHeld, activation.ReasonUser
		if m.command == activation.CommandRelease {
			to, reason = activation.EntryToBeSent, ""
		}
		m.out.Done += int64(len(m.moving))
		if !dryRun {
			err = m.t.restatus(m.tally, m.moving, to, reason)
		}
	case activation.CommandCancel:
		err = m.cancel(dryRun)
	}
	if err != nil || dryRun || m.out.Done == done {
		return err
	}
	if err := m.t.tallied(m.tally); err != nil || m.untold {
		return err
	}
	after := map[string]int64{"entries": m.out.Done - done}
	if m.all != nil { // the first piece tells of all that are to follow
		after = map[string]int64{"selected": int64(len(m.all))}
	}
	return m.t.audit(activation.AuditEntry{
		Actor: user, Verb: string(m.command), SubjectType: "publisher", SubjectID: string(m.account.ID), After: encode(after),
	})
}

// take sorts out which of the selected take the command. Those that it changes nothing
// of are neither moved nor refused.
func (m *move) take(nodes []*entryNode) error {
	const held, waits, failed = activation.EntryHeld, activation.EntryToBeSent, activation.EntryFailed
	var conflicts []*entryNode
	for _, n := range nodes {
		released := n.status == activation.EntryQueued || n.status == activation.EntryProcessing
		switch m.command {
		case activation.CommandPost, activation.CommandPostAll:
			switch {
			case n.status == held && n.reason == activation.ReasonConflict:
				conflicts = append(conflicts, n)
			case n.status == held || n.status == waits:
				m.moving = append(m.moving, n)
			case !released:
				m.refuse(n, codeState, "it has ended as "+string(n.status)+"; what has failed can be retried")
			}
		case activation.CommandRetry:
			if n.status == failed {
				m.moving = append(m.moving, n)
			} else {
				m.refuse(n, codeState, "it is "+string(n.status)+"; only what has failed can be retried")
			}
		case activation.CommandRelease:
			switch {
			case n.status == held && n.reason == activation.ReasonConflict:
				m.refuse(n, codeConflict, "it is held because the object was changed at the publisher; post it now to overwrite that, or cancel it")
			case n.status == held:
				m.moving = append(m.moving, n)
			case n.status != waits:
				m.refuse(n, codeState, "it is "+string(n.status)+"; only what is held can be released")
			}
		case activation.CommandHold:
			switch n.status {
			case waits:
				m.moving = append(m.moving, n)
			case held:
			case activation.EntryQueued, activation.EntryProcessing, activation.EntryDone, activation.EntryFailed, activation.EntryCancelled, activation.EntryPartial:
				m.refuse(n, codeState, "it is "+string(n.status)+"; it can be held until it is queued")
			}
		case activation.CommandCancel:
			switch {
			case n.status == held || n.status == waits:
				m.moving = append(m.moving, n)
			case n.status != activation.EntryCancelled:
				m.refuse(n, codeState, "it is "+string(n.status)+"; it can be cancelled until it is queued")
			}
		}
	}
	return m.overwrite(conflicts)
}

// overwrite takes conflicts that are to be posted although the publisher's value has
// changed. An object that is gone can't be overwritten.
func (m *move) overwrite(conflicts []*entryNode) error {
	ids := make([]activation.EntryID, len(conflicts))
	byID := make(map[activation.EntryID]*entryNode, len(conflicts))
	for i, n := range conflicts {
		ids[i], byID[n.id] = n.id, n
	}
	entries, err := m.t.entriesByID(ids)
	if err != nil {
		return err
	}
	var refs []activation.ObjectRef
	for _, e := range entries {
		refs = append(refs, e.Object)
	}
	have, err := m.t.objectRows(m.account.ID, refs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if have[e.Object].Removed {
			m.refuse(byID[e.ID], codeGone, "the publisher has no such object any more; cancel it")
			continue
		}
		m.moving = append(m.moving, byID[e.ID])
	}
	return nil
}

// release queues what moves, and the creates that it needs along with it.
func (m *move) release(dryRun bool) error {
	net, selected := entryNet{}, map[activation.EntryID]bool{}
	for _, n := range m.moving {
		selected[n.id] = true
		net[n.id] = n
	}
	if err := m.t.complete(net); err != nil {
		return err
	}
	var ready, along []*entryNode
	taken := map[activation.EntryID]bool{}
	for _, n := range m.moving {
		if len(n.needs) == 0 {
			ready = append(ready, n)
			continue
		}
		needs := net.closure(n.id)
		if stuck := blocked(needs, selected); stuck != nil {
			if stuck.status == activation.EntryHeld {
				m.refuse(n, codeNeedsHeld, "what it needs is held; post that too")
			} else {
				m.refuse(n, codeNeedsFailed, "what it needs was not created; retry that too")
			}
			continue
		}
		ready = append(ready, n)
		for _, need := range needs {
			if need.status == activation.EntryToBeSent && !selected[need.id] && !taken[need.id] {
				taken[need.id] = true
				along = append(along, need)
			}
		}
	}
	m.out.Done += int64(len(ready))
	m.out.Also += int64(len(along))
	if dryRun || len(ready) == 0 {
		return nil
	}
	return m.queue(append(ready, along...))
}

// queue puts entries into the order of what is released.
func (m *move) queue(nodes []*entryNode) error {
	var anew, overwrite []activation.EntryID
	for _, n := range nodes {
		if n.status == activation.EntryFailed {
			anew = append(anew, n.id)
		}
		if n.reason == activation.ReasonConflict {
			overwrite = append(overwrite, n.id)
		}
	}
	if err := m.t.agreeWithTheirs(overwrite); err != nil {
		return err
	}
	if err := m.t.restatus(m.tally, nodes, activation.EntryQueued, ""); err != nil {
		return err
	}
	if len(anew) > 0 {
		if err := m.t.join(m.tally, waitingOrder, linkedOf(nodes)); err != nil {
			return err
		}
		if err := m.t.recomputeOf(m.account.ID, anew); err != nil {
			return err
		}
	}
	if err := m.t.join(m.tally, releasedOrder, linkedOf(nodes)); err != nil {
		return err
	}
	if !slices.Contains(m.out.Publishers, m.account.ID) {
		m.out.Publishers = append(m.out.Publishers, m.account.ID)
	}
	m.t.Enqueue(WakePass, string(m.account.PostJob))
	return nil
}

// agreeWithTheirs makes what the publisher has the value that conflicts go from.
func (t *tx) agreeWithTheirs(ids []activation.EntryID) error {
	entries, err := t.entriesByID(ids)
	if err != nil {
		return err
	}
	for _, e := range entries {
		have, err := t.objectRows(e.Publisher, []activation.ObjectRef{e.Object})
		if err != nil {
			return err
		}
		for i, c := range e.Changes {
			e.Changes[i].Theirs = ""
			if o, ok := have[e.Object]; ok && o.Confirmed != nil {
				e.Changes[i].Before = o.Confirmed[c.Field]
			} else if c.Theirs != "" {
				e.Changes[i].Before = c.Theirs
			}
		}
		if _, err := t.exec(`UPDATE entries SET changes = $1 WHERE id = $2`, list(e.Changes), e.ID); err != nil {
			return err
		}
	}
	return nil
}

// cancel ends what moves, and what can't be without it.
func (m *move) cancel(dryRun bool) error {
	ids := make([]activation.EntryID, len(m.moving))
	selected := map[activation.EntryID]bool{}
	for i, n := range m.moving {
		ids[i] = n.id
		selected[n.id] = true
	}
	found, err := m.t.dependants(m.account.ID, ids, waitingStatuses)
	if err != nil {
		return err
	}
	var also []*entryNode
	for _, n := range found {
		switch {
		case selected[n.id]:
		case m.all[n.id] != "" && (n.status == activation.EntryHeld || n.status == activation.EntryToBeSent):
			m.moving = append(m.moving, n) // of another piece
		default:
			also = append(also, n)
		}
	}
	m.out.Done += int64(len(m.moving))
	m.out.Also += int64(len(also))
	if dryRun {
		return nil
	}
	if err := m.t.restatus(m.tally, m.moving, activation.EntryCancelled, activation.ReasonUser); err != nil {
		return err
	}
	if err := m.t.restatus(m.tally, also, activation.EntryCancelled, "what it needs was cancelled"); err != nil {
		return err
	}
	all := append(m.moving, also...)
	if err := m.t.leave(m.tally, waitingOrder, linkedOf(all)); err != nil {
		return err
	}
	gone := make([]activation.EntryID, len(all))
	for i, n := range all {
		gone[i] = n.id
	}
	return m.t.recomputeOf(m.account.ID, gone)
}

// recomputeOf brings the objects of entries up to date.
func (t *tx) recomputeOf(account activation.PublisherID, ids []activation.EntryID) error {
	seen := map[activation.ObjectRef]bool{}
	var refs []activation.ObjectRef
	err := inChunks(0, ids, func(marks string, args []any) error {
		rows, err := t.query(`SELECT DISTINCT e.kind, e.object_id FROM entries e WHERE e.object_id <> '' AND e.id IN `+marks, args...)
		some, err := collect(rows, err, func(r scanner) (ref activation.ObjectRef, err error) { return ref, r.Scan(&ref.Kind, &ref.ID) })
		for _, ref := range some {
			if !seen[ref] {
				seen[ref] = true
				refs = append(refs, ref)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return t.recompute(account, refs, nil)
}
