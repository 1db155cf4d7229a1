package meta

import "slices"

// value is one value of a member under its key.
type value struct{ key, text string }

// member is one person as the network knows them in one audience.
type member struct {
	name   string // EXTERN_ID, or ""
	values []value
}

// roster is the members of one audience and the way to find them. See the
// package comment for the rules.
type roster struct {
	members map[int]*member
	byValue map[value][]int // identifying values only
	next    int
}

func newRoster() *roster {
	return &roster{members: map[int]*member{}, byValue: map[value][]int{}}
}

// add lets the row's person be a member. It reports whether a member was made
// and whether the row could be matched at all.
func (r *roster) add(row []value) (isNew, matchable bool) {
	ids := identifying(row)
	if len(ids) == 0 {
		return false, false
	}
	found := r.sameMember(ids)
	id := r.next
	switch {
	case len(found) > 0:
		id = found[0]
		r.merge(id, found[1:])
	default:
		r.next++
		r.members[id] = &member{name: nameOf(ids)}
		isNew = true
	}
	r.give(id, row)
	return isNew, true
}

// removal is what removing one row did.
type removal struct {
	removed    int
	collateral int // removed although they bear another EXTERN_ID than the row's
}

// remove takes away every member that has any identifying value of the row.
func (r *roster) remove(row []value) removal {
	var done removal
	ids := identifying(row)
	name := nameOf(ids)
	for _, v := range ids {
		for _, id := range slices.Clone(r.byValue[v]) {
			if m := r.members[id]; name != "" && m.name != "" && m.name != name {
				done.collateral++
			}
			r.drop(id)
			done.removed++
		}
	}
	return done
}

// sameMember returns, lowest first, the members that a row with these
// identifying values is the same as.
func (r *roster) sameMember(ids []value) []int {
	if name := nameOf(ids); name != "" {
		return r.byValue[value{keyExternID, name}]
	}
	var found []int
	for _, v := range ids {
		for _, id := range r.byValue[v] {
			if r.members[id].name == "" && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
	}
	slices.Sort(found)
	return found
}

func (r *roster) merge(into int, others []int) {
	for _, id := range others {
		values := r.members[id].values
		r.drop(id)
		r.give(into, values)
	}
}

func (r *roster) give(id int, row []value) {
	m := r.members[id]
	for _, v := range row {
		if v.text == "" || slices.Contains(m.values, v) {
			continue
		}
		m.values = append(m.values, v)
		if isIdentifying(v.key) {
			r.byValue[v] = append(r.byValue[v], id)
		}
	}
}

func (r *roster) drop(id int) {
	for _, v := range r.members[id].values {
		if !isIdentifying(v.key) {
			continue
		}
		rest := slices.DeleteFunc(r.byValue[v], func(other int) bool { return other == id })
		if len(rest) == 0 {
			delete(r.byValue, v)
		} else {
			r.byValue[v] = rest
		}
	}
	delete(r.members, id)
}

func identifying(row []value) []value {
	var ids []value
	for _, v := range row {
		if v.text != "" && isIdentifying(v.key) {
			ids = append(ids, v)
		}
	}
	return ids
}

func nameOf(ids []value) string {
	for _, v := range ids {
		if v.key == keyExternID {
			return v.text
		}
	}
	return ""
}
