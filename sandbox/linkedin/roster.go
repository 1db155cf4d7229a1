package linkedin

import (
	"maps"
	"slices"
)

// identity is one id of a member.
type identity struct{ kind, value string }

// member is one person as the network knows them in one segment.
type member struct {
	ids  []identity
	info map[string]string // names, company, title and country
}

// roster is the members of one segment and the way to find them. See the
// package comment for the rules.
type roster struct {
	members map[*member]struct{}
	byID    map[identity][]*member
}

func newRoster() roster {
	return roster{members: map[*member]struct{}{}, byID: map[identity][]*member{}}
}

// add lets somebody be a member and reports whether they are new.
func (r *roster) add(ids []identity, info map[string]string) bool {
	var m *member
	var parts []*member
	for _, id := range ids {
		for _, other := range r.byID[id] {
			switch {
			case within(ids, other.ids):
				m = other
			case within(other.ids, ids) && !slices.Contains(parts, other):
				parts = append(parts, other)
			}
		}
	}
	isNew := m == nil && len(parts) == 0
	if m == nil {
		m = &member{info: map[string]string{}}
		for _, part := range parts {
			maps.Copy(m.info, part.info)
			r.drop(part)
		}
		m.ids = slices.Clone(ids)
		r.members[m] = struct{}{}
		for _, id := range m.ids {
			r.byID[id] = append(r.byID[id], m)
		}
	}
	maps.Copy(m.info, info)
	return isNew
}

func within(part, whole []identity) bool {
	return !slices.ContainsFunc(part, func(id identity) bool { return !slices.Contains(whole, id) })
}

// remove takes away every member that has any of the ids, and returns how many.
func (r *roster) remove(ids []identity) int {
	removed := 0
	for _, id := range ids {
		for _, m := range slices.Clone(r.byID[id]) {
			r.drop(m)
			removed++
		}
	}
	return removed
}

func (r *roster) drop(m *member) {
	delete(r.members, m)
	for _, id := range m.ids {
		left := slices.DeleteFunc(r.byID[id], func(other *member) bool { return other == m })
		if len(left) == 0 {
			delete(r.byID, id)
		} else {
			r.byID[id] = left
		}
	}
}
