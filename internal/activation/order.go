package activation

import (
	"maps"
	"slices"
)

// PendingReferIndex is the index that PendingRefer was made of; ok is false for the id
// of an entry.
func PendingReferIndex(id EntryID) (i int, ok bool) { return int(-1 - id), id < 0 }

// Needs are the creates that e cannot go without, by id: those it refers to, and
// those of the object it is about and of what that lies in. Some may be done.
func (e Entry) Needs() []EntryID {
	needs := slices.Clone(e.Refers)
	for _, ref := range []ObjectRef{e.Object, e.ObjectParent} {
		if create, ok := CreatedBy(ref.ID); ok && create != e.ID {
			needs = append(needs, create)
		}
	}
	slices.Sort(needs)
	return slices.Compact(needs)
}

// PostingOrder returns the entries of one account in the order in which they are
// posted: by Key, but a create that another entry needs goes directly in front of
// the first that needs it, and what that create needs in front of it. Needs
// that are not among the entries move nothing.
func PostingOrder(entries []Entry) []Entry {
	byKey := slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return a.Key().Compare(b.Key()) })
	at := make(map[EntryID]int, len(byKey))
	for i, e := range byKey {
		at[e.ID] = i
	}
	ordered := make([]Entry, 0, len(byKey))
	seen := make([]bool, len(byKey))
	var post func(i int)
	post = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		var first []int
		for _, need := range byKey[i].Needs() {
			if n, ok := at[need]; ok {
				first = append(first, n)
			}
		}
		slices.Sort(first)
		for _, n := range first {
			post(n)
		}
		ordered = append(ordered, byKey[i])
	}
	for i := range byKey {
		post(i)
	}
	return ordered
}

// LocalValues are the values of an object once all that waits of it has taken
// effect: confirmed, which may be nil, and then its waiting entries in the order of
// posting. Deleted: one of them deletes it.
func LocalValues(confirmed map[string]string, waiting []Entry) (local map[string]string, deleted bool) {
	local = make(map[string]string, len(confirmed))
	maps.Copy(local, confirmed)
	for _, e := range PostingOrder(waiting) {
		deleted = deleted || e.Operation == OpDelete
		for _, c := range e.Changes {
			if c.After == "" {
				delete(local, c.Field)
				continue
			}
			local[c.Field] = c.After
		}
	}
	return local, deleted
}
