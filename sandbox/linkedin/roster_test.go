package linkedin

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the roster told in a few lines: members are sets of ids.
type model [][]identity

func (m model) add(ids []identity) model {
	if slices.ContainsFunc(m, func(have []identity) bool { return within(ids, have) }) {
		return m
	}
	m = slices.DeleteFunc(m, func(have []identity) bool { return within(have, ids) })
	return append(m, slices.Clone(ids))
}

func (m model) remove(ids []identity) model {
	return slices.DeleteFunc(m, func(have []identity) bool {
		return slices.ContainsFunc(ids, func(id identity) bool { return slices.Contains(have, id) })
	})
}

// TestRosterFollowsItsRules plays adds and removes against the model.
func TestRosterFollowsItsRules(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		real, told := newRoster(), model{}
		var all []identity
		for i := range 4 {
			all = append(all, identity{"SHA256_EMAIL", fmt.Sprint(i)}, identity{"GOOGLE_AID", fmt.Sprint(i)})
		}
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			ids := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 3, func(i identity) identity { return i }).Draw(r, "ids")
			if rapid.IntRange(0, 2).Draw(r, "op") == 0 {
				real.remove(ids)
				told = told.remove(ids)
				for _, id := range ids {
					if len(real.byID[id]) > 0 {
						r.Fatalf("%v is held after its removal", id)
					}
				}
			} else {
				real.add(ids, nil)
				told = told.add(ids)
				if len(real.members) != len(told) {
					r.Fatalf("%d members, want %d", len(real.members), len(told))
				}
				if !slices.ContainsFunc(real.byID[ids[0]], func(m *member) bool { return within(ids, m.ids) }) {
					r.Fatalf("no member has %v", ids)
				}
			}
			indexed := 0
			for id, list := range real.byID {
				for _, m := range list {
					if _, is := real.members[m]; !is || !slices.Contains(m.ids, id) {
						r.Fatalf("%v leads to nobody", id)
					}
					indexed++
				}
			}
			sum := 0
			for m := range real.members {
				sum += len(m.ids)
			}
			if sum != indexed {
				r.Fatalf("%d ids, %d indexed", sum, indexed)
			}
			for _, id := range all {
				held := slices.ContainsFunc(told, func(m []identity) bool { return slices.Contains(m, id) })
				if held != (len(real.byID[id]) > 0) {
					r.Fatalf("%v held: %v", id, !held)
				}
			}
		}
	})
}

func TestAddTwiceIsOnce(t *testing.T) {
	r := newRoster()
	mail, phone, other := identity{"SHA256_EMAIL", "a"}, identity{"GOOGLE_AID", "b"}, identity{"GOOGLE_AID", "c"}
	if !r.add([]identity{mail}, nil) || r.add([]identity{mail, phone}, map[string]string{"firstName": "Ana"}) || r.add([]identity{phone}, nil) {
		t.Error("one person became several")
	}
	if !r.add([]identity{mail, other}, nil) || len(r.members) != 2 {
		t.Error("two people with one address became one")
	}
	if r.remove([]identity{phone}) != 1 || len(r.byID[mail]) != 1 || r.remove([]identity{mail}) != 1 || len(r.members) != 0 {
		t.Error("removals reach the wrong people")
	}
}
