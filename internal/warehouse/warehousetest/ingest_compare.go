package warehousetest

import (
	"context"
	"maps"
	"reflect"

	"usher/internal/warehouse"
)

// Compare checks that the warehouse holds exactly the people of the model, and
// returns their ids by identifier.
func (l *Loader) Compare(t T, m *Model) map[string]int64 {
	t.Helper()
	people := m.Profiles()
	n, err := l.Store.CountProfiles(context.Background())
	if err != nil {
		t.Fatalf("count profiles: %v", err)
	}
	if n != int64(len(people)) {
		t.Fatalf("%d profiles, want %d", n, len(people))
	}
	ids := make(map[string]int64)
	taken := make(map[int64]bool)
	for _, want := range people {
		got := l.findPerson(t, want)
		if taken[got.ID] {
			t.Fatalf("profile %d is found by the identifiers of two people", got.ID)
		}
		taken[got.ID] = true
		compareFields(t, got.Values, want.Values)
		for field, values := range want.Identifiers {
			for _, v := range values {
				ids[field+"="+v] = got.ID
			}
		}
	}
	return ids
}

// findPerson finds one person by every identifier; all must lead to one profile.
func (l *Loader) findPerson(t T, want ModelProfile) warehouse.Profile {
	t.Helper()
	var found warehouse.Profile
	for field, values := range want.Identifiers {
		for _, v := range values {
			p := l.Find(t, field, v)
			if found.ID != 0 && found.ID != p.ID {
				t.Fatalf("identifiers %v lead to the profiles %d and %d", want.Identifiers, found.ID, p.ID)
			}
			found = p
		}
	}
	return found
}

func compareFields(t T, got, want map[string]any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	all := maps.Clone(want)
	maps.Copy(all, got)
	for f := range all {
		if !reflect.DeepEqual(got[f], want[f]) {
			t.Errorf("field %s is %#v, want %#v", f, got[f], want[f])
		}
	}
	t.Fatalf("profile is %v, want %v", got, want)
}
