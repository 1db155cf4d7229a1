package activation_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"usher/internal/activation"
)

// waiting is an entry of the order's tests, in the words of its four keys.
func waiting(id activation.EntryID, origin activation.Origin, kind activation.ObjectKind, op activation.Operation, refers ...activation.EntryID) activation.Entry {
	e := activation.Entry{ID: id, Origin: origin, Object: activation.ObjectRef{Kind: kind, ID: fmt.Sprint("o", id)}, Operation: op, Refers: refers}
	if op == activation.OpCreate {
		e.Object.ID = activation.NewObjectID(id)
	}
	return e
}

func idsInOrder(entries []activation.Entry) []activation.EntryID {
	var ids []activation.EntryID
	for _, e := range activation.PostingOrder(entries) {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestPostingOrder(t *testing.T) {
	const (
		user, system, sched = activation.OriginUser, activation.OriginSystem, activation.OriginScheduled
		campaign, group     = activation.KindCampaign, activation.KindGroup
		creative, other     = activation.KindCreative, activation.KindOther
		create, edit, bid   = activation.OpCreate, activation.OpEdit, activation.OpBid
		del, sync, pause    = activation.OpDelete, activation.OpSync, activation.OpStatus
	)
	edited := waiting(9, sched, campaign, pause)
	edited.Object.ID = activation.NewObjectID(4)
	for name, c := range map[string]struct {
		entries []activation.Entry
		want    []activation.EntryID
	}{
		"nothing": {nil, nil},
		"origin comes first": {
			[]activation.Entry{waiting(1, system, campaign, sync), waiting(2, user, campaign, edit), waiting(3, sched, other, del)},
			[]activation.EntryID{3, 2, 1},
		},
		"then the object": {
			[]activation.Entry{waiting(1, user, other, sync), waiting(2, user, creative, create), waiting(3, user, group, del), waiting(4, user, campaign, del)},
			[]activation.EntryID{4, 3, 2, 1},
		},
		"then the operation, and what changes fields or deletes is equal": {
			[]activation.Entry{waiting(1, user, group, del), waiting(2, user, group, bid), waiting(3, user, group, create), waiting(4, user, group, sync), waiting(5, user, group, edit)},
			[]activation.EntryID{4, 3, 1, 2, 5},
		},
		"a create is pulled in front of what refers to it": {
			[]activation.Entry{waiting(1, user, other, create), waiting(2, user, campaign, create, 1), waiting(3, user, campaign, edit), waiting(4, user, other, create)},
			[]activation.EntryID{1, 2, 3, 4},
		},
		"a chain is pulled whole, what is needed first": {
			[]activation.Entry{waiting(1, system, other, create), waiting(2, system, group, create, 1), waiting(3, user, creative, edit, 2), waiting(4, user, campaign, edit)},
			[]activation.EntryID{4, 1, 2, 3},
		},
		"a diamond is pulled once": {
			[]activation.Entry{waiting(1, user, other, create), waiting(2, user, other, create, 1), waiting(3, user, other, create, 1), waiting(4, user, campaign, edit, 2, 3)},
			[]activation.EntryID{1, 2, 3, 4},
		},
		"two that are pulled keep their order": {
			[]activation.Entry{waiting(1, system, campaign, create), waiting(2, user, other, create), waiting(3, sched, campaign, edit, 1, 2)},
			[]activation.EntryID{2, 1, 3},
		},
		"the earliest that refers to it pulls it": {
			[]activation.Entry{waiting(1, user, other, create), waiting(2, user, group, edit, 1), waiting(3, user, campaign, edit, 1), waiting(5, user, campaign, edit)},
			[]activation.EntryID{1, 3, 5, 2},
		},
		"an edit of an object needs its create": {
			[]activation.Entry{waiting(1, user, campaign, edit), waiting(4, user, campaign, create), edited},
			[]activation.EntryID{4, 9, 1},
		},
		"what is not waiting moves nothing": {
			[]activation.Entry{waiting(2, user, group, edit, 1), waiting(3, user, campaign, edit)},
			[]activation.EntryID{3, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := idsInOrder(c.entries); !slices.Equal(got, c.want) {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// byMoving is the order as section 6 tells it, without any cleverness: sort by the
// four keys, and as long as something comes before a create that it needs, move
// that create directly in front of it.
func byMoving(entries []activation.Entry) []activation.EntryID {
	rank := func(e activation.Entry) [4]int {
		op := map[activation.Operation]int{activation.OpSync: 0, activation.OpCreate: 1}
		r, known := op[e.Operation]
		if !known {
			r = 2
		}
		return [4]int{
			map[activation.Origin]int{activation.OriginScheduled: 0, activation.OriginUser: 1, activation.OriginSystem: 2}[e.Origin],
			map[activation.ObjectKind]int{"campaign": 0, "group": 1, "creative": 2, "keyword": 3, "other": 4}[e.Object.Kind], r, int(e.ID),
		}
	}
	less := func(a, b activation.Entry) int { ra, rb := rank(a), rank(b); return slices.Compare(ra[:], rb[:]) }
	list := slices.SortedFunc(slices.Values(entries), less)
	for moved := true; moved; {
		moved = false
		for i, e := range list {
			best := -1
			for j := i + 1; j < len(list); j++ {
				if slices.Contains(e.Refers, list[j].ID) && (best < 0 || less(list[j], list[best]) < 0) {
					best = j
				}
			}
			if best >= 0 {
				create := list[best]
				list = slices.Insert(slices.Delete(list, best, best+1), i, create)
				moved = true
				break
			}
		}
	}
	var ids []activation.EntryID
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return ids
}

func someEntries(t *rapid.T) []activation.Entry {
	var entries []activation.Entry
	var creates []activation.EntryID
	for id := range activation.EntryID(rapid.IntRange(0, 14).Draw(t, "entries")) {
		e := waiting(id+1, rapid.SampledFrom(activation.Origins).Draw(t, "origin"), rapid.SampledFrom(activation.ObjectKinds).Draw(t, "kind"), rapid.SampledFrom(slices.Concat(activation.Operations, []activation.Operation{activation.OpCreate, activation.OpCreate, activation.OpCreate})).Draw(t, "operation"))
		if len(creates) > 0 && e.Operation != activation.OpSync {
			e.Refers = rapid.SliceOfNDistinct(rapid.SampledFrom(creates), 0, min(3, len(creates)), rapid.ID[activation.EntryID]).Draw(t, "refers")
		}
		if e.Operation == activation.OpCreate {
			creates = append(creates, e.ID)
		}
		entries = append(entries, e)
	}
	return entries
}

func TestPostingOrderIsThatOfMoving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := someEntries(t)
		want := byMoving(entries)
		if got := idsInOrder(rapid.Permutation(entries).Draw(t, "given")); !slices.Equal(got, want) {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
}

func TestLocalValues(t *testing.T) {
	set := func(e activation.Entry, field, after string) activation.Entry {
		e.Changes = append(e.Changes, activation.Change{Field: field, After: after})
		return e
	}
	group := activation.KindGroup
	first := set(set(waiting(1, activation.OriginSystem, group, activation.OpBid), "bid", "1.10"), "label", "x")
	second := set(waiting(2, activation.OriginUser, group, activation.OpBid), "bid", "2.00")
	third := set(waiting(3, activation.OriginUser, group, activation.OpEdit), "label", "")
	for name, c := range map[string]struct {
		confirmed map[string]string
		waiting   []activation.Entry
		want      map[string]string
		deleted   bool
	}{
		"nothing":                            {nil, nil, map[string]string{}, false},
		"what is confirmed":                  {map[string]string{"bid": "1"}, nil, map[string]string{"bid": "1"}, false},
		"the last posted wins, not the last": {map[string]string{"bid": "1"}, []activation.Entry{first, second}, map[string]string{"bid": "1.10", "label": "x"}, false},
		"no value clears":                    {map[string]string{"label": "y", "bid": "1"}, []activation.Entry{third}, map[string]string{"bid": "1"}, false},
		"a create":                           {nil, []activation.Entry{set(waiting(4, activation.OriginUser, group, activation.OpCreate), "name", "n")}, map[string]string{"name": "n"}, false},
		"a delete":                           {map[string]string{"bid": "1"}, []activation.Entry{waiting(5, activation.OriginUser, group, activation.OpDelete)}, map[string]string{"bid": "1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(c.confirmed)
			got, deleted := activation.LocalValues(c.confirmed, c.waiting)
			if !maps.Equal(got, c.want) || deleted != c.deleted {
				t.Errorf("got %v, %v; want %v, %v", got, deleted, c.want, c.deleted)
			}
			if !maps.Equal(before, c.confirmed) {
				t.Error("it changed what is confirmed")
			}
		})
	}
}
