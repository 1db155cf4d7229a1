package store

import (
	"cmp"
	"context"
	"slices"

	"usher/internal/activation"
)

// A command on many entries is done in pieces, a transaction each, between which others
// write.

// in is the same command in a transaction.
func (m *move) in(t *tx, a activation.PublisherAccount) *move {
	return &move{t: t, account: a, command: m.command, tally: newTally(a.ID), out: m.out}
}

// moveOf does it for one account; like says the command, and where the answer goes.
func (s *Store) moveOf(ctx context.Context, like *move, id activation.PublisherID, sel activation.EntryQuery, user string, dryRun bool) error {
	if dryRun {
		before := *like.out
		return s.view(ctx, func(t *tx) error {
			*like.out = copyOf(before)
			a, err := scanPublisher(t.row(`SELECT `+publisherColumns+` FROM publishers p WHERE p.id = $1`, id))
			if a, err = found(a, err, "publisher account", id); err != nil {
				return err
			}
			return like.in(t, a).do(sel, user, true)
		})
	}
	return s.moveAll(ctx, like, id, sel, user, func(fn func(t *tx, a activation.PublisherAccount) error) error {
		return s.do(ctx, func(t *tx) error {
			a, err := t.publisher(id)
			if err != nil {
				return err
			}
			return fn(t, a)
		})
	})
}

// moveAll moves the entries of an account in as many pieces as it takes; do runs each
// in a transaction that has locked the account.
func (s *Store) moveAll(ctx context.Context, like *move, id activation.PublisherID, sel activation.EntryQuery, user string, do func(func(t *tx, a activation.PublisherAccount) error) error) error {
	var nodes []*entryNode
	if err := s.view(ctx, func(t *tx) (err error) {
		nodes, err = t.selected(id, sel, like.command == activation.CommandPostAll)
		return err
	}); err != nil {
		return err
	}
	piece := func(fn func(m *move) error) error {
		before := *like.out
		return do(func(t *tx, a activation.PublisherAccount) error {
			*like.out = copyOf(before)
			return fn(like.in(t, a))
		})
	}
	if len(nodes) <= s.piece {
		return piece(func(m *move) error { return m.do(sel, user, false) })
	}
	if like.command == activation.CommandCancel {
		slices.Reverse(nodes) // what needs others first
	}
	told := false
	return s.inTurn(nodes, like.command, func(ids []activation.EntryID, all map[activation.EntryID]activation.EntryStatus) error {
		err := piece(func(m *move) error {
			m.all, m.untold = all, told
			return m.doPiece(ids, sel, user)
		})
		told = told || like.out.Done > 0
		return err
	})
}

// inTurn calls fn for some of the nodes at a time: where they are released in the order
// in which they will be posted, else in their own. all are those of all pieces.
func (s *Store) inTurn(nodes []*entryNode, c activation.EntryCommand, fn func(ids []activation.EntryID, all map[activation.EntryID]activation.EntryStatus) error) error {
	all := make(map[activation.EntryID]activation.EntryStatus, len(nodes))
	for _, n := range nodes {
		all[n.id] = n.status
	}
	unit := func(i int) int64 { return int64(i) }
	if c == activation.CommandPost || c == activation.CommandPostAll || c == activation.CommandRetry {
		places := turnsOf(nodes)
		slices.SortFunc(nodes, func(a, b *entryNode) int {
			p, q := places[a.id], places[b.id]
			return cmp.Or(cmp.Compare(p.place, q.place), cmp.Compare(p.before, q.before))
		})
		unit = func(i int) int64 { return places[nodes[i].id].place }
	}
	for from := 0; from < len(nodes); {
		to := min(from+s.piece, len(nodes))
		for to < len(nodes) && unit(to) == unit(to-1) { // what goes together stays together
			to++
		}
		ids := make([]activation.EntryID, 0, to-from)
		for _, n := range nodes[from:to] {
			ids = append(ids, n.id)
		}
		if err := fn(ids, all); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// turnsOf are the places that nodes have among each other when they are released.
func turnsOf(nodes []*entryNode) map[activation.EntryID]*placed {
	members := make(map[activation.EntryID]*placed, len(nodes))
	order := make([]*placed, len(nodes))
	for i, n := range nodes {
		order[i] = &placed{id: n.id, own: n.own, needs: n.needs, place: n.own}
		members[n.id] = order[i]
	}
	slices.SortFunc(order, func(a, b *placed) int { return cmp.Compare(a.own, b.own) })
	pulling(members, order)
	units := map[int64][]*placed{}
	for _, p := range order {
		if p.place != p.own {
			units[p.place] = append(units[p.place], p)
		}
	}
	for root, pulled := range units {
		lineUp(members[rootOf(root)], pulled)
	}
	return members
}

// doPiece does it for some of what was selected. What was moved since, by another piece
// or somebody else, so that it would not be selected any more, is left as it is.
func (m *move) doPiece(ids []activation.EntryID, sel activation.EntryQuery, user string) error {
	nodes, err := m.t.nodes(ids)
	if err != nil {
		return err
	}
	nodes = slices.DeleteFunc(nodes, func(n *entryNode) bool {
		if n.status == m.all[n.id] {
			return false
		}
		return m.command == activation.CommandPostAll || len(sel.Statuses) > 0 || m.arrived(n.status)
	})
	slices.SortFunc(nodes, func(a, b *entryNode) int { return cmp.Compare(a.id, b.id) })
	return m.these(nodes, user, false)
}

// arrived reports whether the command brings entries to a status.
func (m *move) arrived(s activation.EntryStatus) bool {
	switch m.command {
	case activation.CommandPost, activation.CommandPostAll, activation.CommandRetry:
		return s != activation.EntryFailed && s != activation.EntryHeld && s != activation.EntryToBeSent
	case activation.CommandHold:
		return s == activation.EntryHeld
	case activation.CommandRelease:
		return s == activation.EntryToBeSent
	case activation.CommandCancel:
		return s == activation.EntryCancelled
	}
	return false
}

// copyOf is an answer that can be added to without changing the other.
func copyOf(m activation.EntriesMoved) activation.EntriesMoved {
	m.Refused, m.Publishers = slices.Clone(m.Refused), slices.Clone(m.Publishers)
	return m
}
