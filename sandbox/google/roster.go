package google

import "time"

// identifier is one value by which Google knows somebody: a kind, such as
// emailAddress, and the value in lower-case hexadecimal where it is a hash.
type identifier struct{ kind, text string }

// person is one member by all that is known of them.
type person struct {
	ids   map[identifier]bool
	added time.Time
}

// roster is the members of one list. See the package comment for the rules.
type roster struct {
	by     map[identifier]*person
	people map[*person]bool
}

func newRoster() roster { return roster{by: map[identifier]*person{}, people: map[*person]bool{}} }

func (r *roster) size() int { return len(r.people) }

// add lets who has these identifiers be one member. Whoever has one of them
// already is the same.
func (r *roster) add(ids []identifier, at time.Time) {
	var into *person
	for _, id := range ids {
		p := r.by[id]
		switch {
		case p == nil || p == into:
		case into == nil:
			into = p
		default:
			for other := range p.ids {
				r.by[other], into.ids[other] = into, true
			}
			delete(r.people, p)
		}
	}
	if into == nil {
		into = &person{ids: map[identifier]bool{}}
		r.people[into] = true
	}
	for _, id := range ids {
		r.by[id], into.ids[id] = into, true
	}
	into.added = at
}

// remove takes the identifiers off the list.
func (r *roster) remove(ids []identifier) {
	for _, id := range ids {
		p := r.by[id]
		if p == nil {
			continue
		}
		delete(r.by, id)
		if delete(p.ids, id); len(p.ids) == 0 {
			delete(r.people, p)
		}
	}
}

// clear takes away who was added before the time.
func (r *roster) clear(before time.Time) {
	for p := range r.people {
		if p.added.Before(before) {
			r.drop(p)
		}
	}
}

// drop takes somebody away with all their identifiers.
func (r *roster) drop(p *person) {
	for id := range p.ids {
		delete(r.by, id)
	}
	delete(r.people, p)
}
