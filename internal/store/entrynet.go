package store

import (
	"slices"

	"usher/internal/activation"
)

// entryNode is as much of an entry as a command on many needs.
type entryNode struct {
	id, parent activation.EntryID
	status     activation.EntryStatus
	reason     string
	needs      []activation.EntryID
	own        int64
}

const nodeColumns = `e.id, coalesce(e.parent_id, 0), e.status, e.reason, e.refers, e.own`

func scanNode(r scanner) (*entryNode, error) {
	var n entryNode
	err := r.Scan(&n.id, &n.parent, &n.status, &n.reason, sparse{&n.needs}, &n.own)
	return &n, err
}

// entryNet is some entries and what they need.
type entryNet map[activation.EntryID]*entryNode

// complete adds what is needed, and what that needs.
func (t *tx) complete(net entryNet) error {
	var from []*entryNode
	for _, n := range net {
		if len(n.needs) > 0 {
			from = append(from, n)
		}
	}
	for len(from) > 0 {
		asked := map[activation.EntryID]bool{}
		var look []activation.EntryID
		for _, n := range from {
			for _, need := range n.needs {
				if net[need] == nil && !asked[need] {
					asked[need] = true
					look = append(look, need)
				}
			}
		}
		var err error
		if from, err = t.nodes(look); err != nil {
			return err
		}
		for _, n := range from {
			net[n.id] = n
		}
	}
	return nil
}

func (t *tx) nodes(ids []activation.EntryID) (out []*entryNode, err error) {
	err = inChunks(0, ids, func(marks string, args []any) error {
		rows, err := t.query(`SELECT `+nodeColumns+` FROM entries e WHERE e.id IN `+marks, args...)
		some, err := collect(rows, err, scanNode)
		out = append(out, some...)
		return err
	})
	return out, err
}

// closure is all that an entry of the net needs.
func (net entryNet) closure(id activation.EntryID) []*entryNode {
	var out []*entryNode
	seen := map[activation.EntryID]bool{id: true}
	from := net[id].needs
	for len(from) > 0 {
		var next []activation.EntryID
		for _, need := range from {
			n := net[need]
			if n == nil || seen[need] {
				continue
			}
			seen[need] = true
			out = append(out, n)
			next = append(next, n.needs...)
		}
		from = next
	}
	return out
}

// blocked returns the first of needs that will not be done of itself: it is held or
// has ended, and is not among those that move too.
func blocked(needs []*entryNode, moving map[activation.EntryID]bool) *entryNode {
	for _, n := range needs {
		stuck := n.status == activation.EntryHeld || n.status == activation.EntryFailed || n.status == activation.EntryCancelled
		if stuck && !moving[n.id] {
			return n
		}
	}
	return nil
}

// dependants are the entries that need these, directly or not, and are of one of
// the statuses listed.
func (t *tx) dependants(account activation.PublisherID, of []activation.EntryID, statuses string) (out []*entryNode, err error) {
	seen := map[activation.EntryID]bool{}
	for _, id := range of {
		seen[id] = true
	}
	for len(of) > 0 {
		var found []*entryNode
		err := inChunks(1, of, func(marks string, args []any) error {
			rows, err := t.query(`SELECT `+nodeColumns+` FROM entry_refers r JOIN entries e ON e.id = r.entry_id WHERE r.publisher_id = $1 AND r.needs IN `+marks+` AND e.status IN `+statuses,
				append([]any{account}, args...)...)
			some, err := collect(rows, err, scanNode)
			found = append(found, some...)
			return err
		})
		if err != nil {
			return nil, err
		}
		of = nil
		for _, n := range found {
			unseen, err := t.hidden(n.id)
			if err != nil {
				return nil, err
			}
			if !seen[n.id] && !unseen {
				seen[n.id] = true
				out = append(out, n)
				of = append(of, n.id)
			}
		}
	}
	return out, nil
}

// restatus moves entries to a status. Their places in the two orders are to be brought
// up to date: released ones, and those that wait again, are in their own first.
func (t *tx) restatus(c *entryTally, nodes []*entryNode, to activation.EntryStatus, reason string) error {
	var set string
	switch to { // every text has the same parameters
	case activation.EntryQueued:
		set = `released_at = $3, ended_at = NULL, error_code = '', error_text = '', error_field = '', turn = own, turn_before = 0, place = CASE WHEN status = 'failed' THEN own ELSE place END,
			place_before = CASE WHEN status = 'failed' THEN 0 ELSE place_before END`
	case activation.EntryToBeSent, activation.EntryHeld:
		set = `released_at = CASE WHEN CAST($3 AS BIGINT) > 0 THEN NULL ELSE released_at END`
	case activation.EntryProcessing, activation.EntryDone, activation.EntryFailed, activation.EntryCancelled, activation.EntryPartial:
		set = `ended_at = $3`
	}
	ids := make([]activation.EntryID, len(nodes))
	var leaving []activation.EntryID
	for i, n := range nodes {
		ids[i] = n.id
		if n.status == activation.EntryQueued {
			leaving = append(leaving, n.id)
		}
		if to == activation.EntryQueued {
			c.turned(n.own)
		}
	}
	if err := t.turnedOf(c, leaving); err != nil {
		return err
	}
	err := inChunks(3, ids, func(marks string, args []any) error {
		_, err := t.exec(`UPDATE entries SET status = $1, reason = $2, `+set+` WHERE id IN `+marks, append([]any{to, reason, t.micros()}, args...)...)
		return err
	})
	for _, n := range nodes {
		c.move(n.parent, n.status, to)
		n.status, n.reason = to, reason
	}
	return err
}

// linkedOf are those of the nodes that need others, as an order knows them.
func linkedOf(nodes []*entryNode) []*placed {
	var out []*placed
	for _, n := range nodes {
		if len(n.needs) > 0 {
			out = append(out, &placed{id: n.id, own: n.own, needs: slices.Clone(n.needs), was: [2]int64{n.own, 0}})
		}
	}
	return out
}
