package linkedin

import (
	"slices"
	"strings"

	"usher/sandbox/behind"
)

// infoFields are the names of a member's values that are no ids.
var infoFields = []string{"firstName", "lastName", "title", "company", "country"}

// parts divides the values of a member into ids by LinkedIn's idTypes and the rest.
func parts(m behind.Member) (ids []identity, info map[string]string) {
	info = map[string]string{}
	for name, v := range m {
		if slices.Contains(infoFields, name) {
			info[name] = v
		} else {
			ids = append(ids, identity{name, v})
		}
	}
	return ids, info
}

// PutMembers brings people into a segment behind the caller's back.
func (n *Network) PutMembers(id string, members []behind.Member) bool {
	return n.meddle(id, func(r *roster) {
		for _, m := range members {
			r.add(parts(m))
		}
	})
}

// DropMembers takes out whoever has any of the ids.
func (n *Network) DropMembers(id string, members []behind.Member) (dropped int, ok bool) {
	ok = n.meddle(id, func(r *roster) {
		for _, m := range members {
			ids, _ := parts(m)
			dropped += r.remove(ids)
		}
	})
	return dropped, ok
}

// DropSome takes out the first members in the order of Members.
func (n *Network) DropSome(id string, count int) (dropped int, ok bool) {
	ok = n.meddle(id, func(r *roster) {
		all := make([]*member, 0, len(r.members))
		for m := range r.members {
			all = append(all, m)
		}
		slices.SortFunc(all, func(a, b *member) int { return strings.Compare(a.show().text(), b.show().text()) })
		for _, m := range all[:min(count, len(all))] {
			r.drop(m)
			dropped++
		}
	})
	return dropped, ok
}

// meddle changes a segment, if there is one.
func (n *Network) meddle(id string, change func(*roster)) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segments[id]
	if s == nil {
		return false
	}
	change(&s.roster)
	return true
}
