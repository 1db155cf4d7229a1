package google

import (
	"fmt"
	"slices"
	"strings"

	"usher/sandbox/behind"
)

// identifiers are the values of a member by Google's kinds of them, such as
// emailAddress.
func identifiers(m behind.Member) []identifier {
	ids := make([]identifier, 0, len(m))
	for kind, text := range m {
		ids = append(ids, identifier{kind, text})
	}
	return ids
}

// PutMembers brings people into a list behind the caller's back.
func (n *Network) PutMembers(id string, members []behind.Member) bool {
	return n.meddle(id, func(r *roster) {
		for _, m := range members {
			r.add(identifiers(m), n.deps.Now())
		}
	})
}

// DropMembers takes out whoever has any of the identifiers, with all they have.
func (n *Network) DropMembers(id string, members []behind.Member) (dropped int, ok bool) {
	ok = n.meddle(id, func(r *roster) {
		before := r.size()
		for _, m := range members {
			for _, found := range identifiers(m) {
				if p := r.by[found]; p != nil {
					r.drop(p)
				}
			}
		}
		dropped = before - r.size()
	})
	return dropped, ok
}

// DropSome takes out the first members in the order of Members.
func (n *Network) DropSome(id string, count int) (dropped int, ok bool) {
	ok = n.meddle(id, func(r *roster) {
		all := make([]*person, 0, r.size())
		for p := range r.people {
			all = append(all, p)
		}
		slices.SortFunc(all, func(a, b *person) int {
			return strings.Compare(fmt.Sprint(a.show().Identifiers), fmt.Sprint(b.show().Identifiers))
		})
		for _, p := range all[:min(count, len(all))] {
			r.drop(p)
			dropped++
		}
	})
	return dropped, ok
}

// meddle changes a list with all that is due done, if there is one.
func (n *Network) meddle(id string, change func(*roster)) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle(n.deps.Now())
	l := n.lists[id]
	if l == nil {
		return false
	}
	change(&l.roster)
	return true
}
