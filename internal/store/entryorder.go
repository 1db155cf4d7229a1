package store

import (
	"cmp"
	"slices"

	"usher/internal/activation"
)

// entryOrder is one of the two orders that are kept: of all that waits, and of what is
// released. Every create that an entry in an order needs is in it too, or is done.
type entryOrder struct{ place, before, statuses string }

var (
	waitingOrder  = entryOrder{"place", "place_before", waitingStatuses}
	releasedOrder = entryOrder{"turn", "turn_before", releasedStatuses}
)

// placed is an entry as an order knows it.
type placed struct {
	id     activation.EntryID
	own    int64
	needs  []activation.EntryID
	place  int64
	before int64
	was    [2]int64 // place and before as they are stored
}

// placedIn reads entries that are in an order.
func (t *tx) placedIn(o entryOrder, ids []activation.EntryID) (out []*placed, err error) {
	err = inChunks(0, ids, func(marks string, args []any) error {
		rows, err := t.query(`SELECT e.id, e.own, e.refers, e.`+o.place+`, e.`+o.before+` FROM entries e WHERE e.id IN `+marks+` AND e.status IN `+o.statuses, args...)
		some, err := collect(rows, err, func(r scanner) (*placed, error) {
			var p placed
			err := r.Scan(&p.id, &p.own, sparse{&p.needs}, &p.place, &p.before)
			p.was = [2]int64{p.place, p.before}
			return &p, err
		})
		out = append(out, some...)
		return err
	})
	return out, err
}

// needed adds to members what they need, and what that needs, as far as it is in the
// order and take agrees.
func (t *tx) needed(o entryOrder, members map[activation.EntryID]*placed, from []*placed, take func(*placed) bool) error {
	for len(from) > 0 {
		var look []activation.EntryID
		asked := map[activation.EntryID]bool{}
		for _, p := range from {
			for _, need := range p.needs {
				if members[need] == nil && !asked[need] {
					asked[need] = true
					look = append(look, need)
				}
			}
		}
		found, err := t.placedIn(o, look)
		if err != nil {
			return err
		}
		from = nil
		for _, p := range found {
			if take(p) {
				members[p.id] = p
				from = append(from, p)
			}
		}
	}
	return nil
}

// join puts entries into an order that they were not in; their status says already
// that they are. Nothing that is in it needs them yet, but they among each other may.
func (t *tx) join(c *entryTally, o entryOrder, fresh []*placed) error {
	members := make(map[activation.EntryID]*placed, len(fresh))
	for _, p := range fresh {
		p.place, p.before = p.own, 0
		members[p.id] = p
	}
	if err := t.needed(o, members, fresh, func(*placed) bool { return true }); err != nil {
		return err
	}
	slices.SortFunc(fresh, func(a, b *placed) int { return cmp.Compare(a.own, b.own) })
	pulling(members, fresh)
	units := map[int64][]*placed{}
	for _, p := range members {
		if p.place != p.own && p.place != p.was[0] {
			units[p.place] = append(units[p.place], p)
		}
	}
	for root, pulled := range units {
		lineUp(members[rootOf(root)], pulled)
	}
	return t.savePlaces(c, o, members)
}

// pulling gives what entries of an order need, they themselves by their own places, the
// place of the first that needs it.
func pulling(members map[activation.EntryID]*placed, fresh []*placed) {
	var pull func(p *placed, root int64)
	pull = func(p *placed, root int64) {
		for _, need := range p.needs {
			if m := members[need]; m != nil && m.place > root {
				m.place = root
				pull(m, root)
			}
		}
	}
	for _, p := range fresh {
		pull(p, p.place)
	}
}

// lineUp gives those that an entry pulls their places in front of it.
func lineUp(root *placed, pulled []*placed) {
	all := append([]*placed{root}, pulled...)
	byID := make(map[activation.EntryID]*placed, len(all))
	entries := make([]activation.Entry, len(all))
	for i, p := range all {
		byID[p.id] = p
		entries[i] = unpacked(p)
	}
	ordered := activation.PostingOrder(entries)
	for i, e := range ordered {
		byID[e.ID].before = int64(i + 1 - len(ordered))
	}
}

// unpacked is an entry that has the key and the needs of p.
func unpacked(p *placed) activation.Entry {
	class := p.own >> keyBits
	e := activation.Entry{
		ID: p.id, Origin: activation.Origins[class>>5], Operation: []activation.Operation{activation.OpSync, activation.OpCreate, activation.OpEdit}[class&3], Refers: p.needs,
	}
	if kind := class>>2&7 - 1; kind >= 0 {
		e.Object.Kind = activation.ObjectKinds[kind]
	}
	return e
}

// savePlaces stores the places that have changed.
func (t *tx) savePlaces(c *entryTally, o entryOrder, members map[activation.EntryID]*placed) error {
	for _, p := range members {
		if p.was == [2]int64{p.place, p.before} {
			continue
		}
		if _, err := t.exec(`UPDATE entries SET `+o.place+` = $1, `+o.before+` = $2 WHERE id = $3`, p.place, p.before, p.id); err != nil {
			return err
		}
		if o == releasedOrder {
			c.turned(p.was[0])
			c.turned(p.place)
		}
		p.was = [2]int64{p.place, p.before}
	}
	return nil
}

// leave takes entries out of an order; their status says already that they are not in
// it. What they had pulled goes to whoever needs it next, or to its own place. Only
// those that need something are given.
func (t *tx) leave(c *entryTally, o entryOrder, gone []*placed) error {
	roots := make(map[int64]bool, len(gone))
	for _, p := range gone {
		roots[p.own] = true
	}
	orphans := map[activation.EntryID]*placed{}
	if err := t.needed(o, orphans, gone, func(p *placed) bool { return roots[p.place] && p.place != p.own }); err != nil || len(orphans) == 0 {
		return err
	}
	entries := make([]activation.Entry, 0, len(orphans))
	for _, p := range orphans {
		entries = append(entries, unpacked(p))
	}
	units := map[int64]bool{}
	for _, e := range slices.Backward(activation.PostingOrder(entries)) { // those that need others first
		p := orphans[e.ID]
		p.place, p.before = p.own, 0
		var first *int64
		if err := t.row(`SELECT min(e.`+o.place+`) FROM entry_refers r JOIN entries e ON e.id = r.entry_id WHERE r.publisher_id = (SELECT m.publisher_id FROM entries m WHERE m.id = $1) AND r.needs = $1
			AND e.status IN `+o.statuses, p.id).Scan(&first); err != nil {
			return err
		}
		if first != nil && *first < p.own {
			p.place = *first
			units[p.place] = true
		}
		if err := t.savePlaces(c, o, map[activation.EntryID]*placed{p.id: p}); err != nil {
			return err
		}
	}
	for place := range units {
		if err := t.lineUpUnit(c, o, place); err != nil {
			return err
		}
	}
	return nil
}

// lineUpUnit gives all that are in the place of one entry their places in front of it.
func (t *tx) lineUpUnit(c *entryTally, o entryOrder, place int64) error {
	root, err := t.placedIn(o, []activation.EntryID{rootOf(place)})
	if err != nil || len(root) == 0 {
		return err
	}
	members := map[activation.EntryID]*placed{root[0].id: root[0]}
	if err := t.needed(o, members, root, func(p *placed) bool { return p.place == place }); err != nil {
		return err
	}
	pulled := make([]*placed, 0, len(members))
	for id, p := range members {
		if id != root[0].id {
			pulled = append(pulled, p)
		}
	}
	lineUp(root[0], pulled)
	return t.savePlaces(c, o, members)
}
