package meta

import (
	"maps"
	"slices"
	"time"

	"usher/sandbox/behind"
)

// PutMembers brings people into an audience behind the caller's back, by their
// values under the keys of a schema. It is in no books.
func (n *Network) PutMembers(id string, members []behind.Member) bool {
	_, ok := n.meddle(id, opAdd, members)
	return ok
}

// DropMembers takes out whoever has any of the identifying values.
func (n *Network) DropMembers(id string, members []behind.Member) (dropped int, ok bool) {
	return n.meddle(id, opRemove, members)
}

// DropSome takes out the first members in the order of Members, and nobody who
// only shares a value with them.
func (n *Network) DropSome(id string, count int) (dropped int, ok bool) {
	return n.record(id, &upload{Op: opFirst, Total: int64(count)})
}

// opFirst is the operation that takes out the first Total members.
const opFirst = "first"

// meddle adds or removes these people.
func (n *Network) meddle(id, op string, members []behind.Member) (int, bool) {
	var ups []*upload
	for _, m := range members {
		up := &upload{Op: op, Keys: slices.Sorted(maps.Keys(m))}
		row := make([]string, 0, len(m))
		for _, key := range up.Keys {
			row = append(row, m[key])
		}
		up.Rows = [][]string{row}
		ups = append(ups, up)
	}
	return n.record(id, ups...)
}

// record makes each change an event of its own, so that it is there after a
// restart, and returns by how many members the audience differs.
func (n *Network) record(id string, ups ...*upload) (int, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.audiences[id]
	if a == nil {
		return 0, false
	}
	a.settle(n.deps.Now())
	before := len(a.roster.members)
	for _, up := range ups {
		if n.commit(event{Kind: eventMeddle, At: n.deps.Now(), Audience: id, Upload: up}) != nil {
			return 0, false
		}
	}
	after := len(a.roster.members)
	return max(before, after) - min(before, after), true
}

// meddled carries the change out.
func (a *audience) meddled(at time.Time, u *upload) {
	a.settle(at)
	if u.Op == opFirst {
		for _, id := range a.roster.ordered()[:min(int(u.Total), len(a.roster.members))] {
			a.roster.drop(id)
		}
		return
	}
	for _, cells := range u.Rows {
		row := u.values(cells)
		if u.Op == opRemove {
			a.roster.remove(row)
		} else {
			a.roster.add(row)
		}
	}
}

// values are the cells of a row under the keys that they count as.
func (u *upload) values(cells []string) []value {
	row := make([]value, 0, len(cells))
	for i, text := range cells {
		if c, ok := columnOf(u.Keys[i]); ok && text != "" {
			row = append(row, value{c.as, text})
		}
	}
	return row
}
