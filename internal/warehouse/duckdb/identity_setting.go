package duckdb

import (
	"slices"
	"strings"
	"unicode/utf8"

	"usher/internal/warehouse"
)

// How people are told apart is part of the declaration. A change of it, like that
// of a field's rank, takes effect at the next rebuild, unless nobody has been
// told apart yet.

// nameIdentity names the setting in errors and among what waits for a rebuild.
const nameIdentity = "identity"

const (
	leastCap, mostCap = 2, 1000
	maxStopList       = 10_000
)

func validateIdentity(id warehouse.Identity) error {
	if id.MaxIdentifiers != 0 && (id.MaxIdentifiers < leastCap || id.MaxIdentifiers > mostCap) {
		return refuse(nameIdentity, "max_identifiers: %d values for one person; use %d to %d, or 0 for %d", id.MaxIdentifiers, leastCap, mostCap, warehouse.DefaultMaxIdentifiers)
	}
	if len(id.StopList) > maxStopList {
		return refuse(nameIdentity, "the stop-list has %d values: at most %d", len(id.StopList), maxStopList)
	}
	for i, v := range id.StopList {
		switch {
		case v == "" || v != strings.TrimSpace(v):
			return refuse(nameIdentity, "value %d of the stop-list is empty or has space around it", i+1)
		case len(v) > maxIdentifier:
			return refuse(nameIdentity, "value %d of the stop-list is longer than %d bytes, as no identifier is", i+1, maxIdentifier)
		case !utf8.ValidString(v) || strings.Contains(v, "\x00"):
			return refuse(nameIdentity, "value %d of the stop-list is no text", i+1)
		case v != strings.ToLower(v):
			return refuse(nameIdentity, "value %d of the stop-list must be in lower case; it stands for values in either case", i+1)
		}
	}
	return nil
}

// declaredIdentity is what is declared after next was, over old. An empty stop-list
// that is not nil clears it.
func declaredIdentity(old, next warehouse.Identity) warehouse.Identity {
	if next.MaxIdentifiers == 0 && next.StopList == nil {
		return old
	}
	if next.StopList = slices.Clone(next.StopList); len(next.StopList) == 0 {
		next.StopList = nil
	}
	return next
}

// sameIdentity reports whether two declarations tell people apart in the same way.
func sameIdentity(a, b warehouse.Identity) bool {
	values := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return capOf(a) == capOf(b) && slices.Equal(values(a.StopList), values(b.StopList))
}

// activeIdentity is how people are told apart until the next rebuild.
func activeIdentity(active warehouse.Schema, declared warehouse.Identity, used map[string]bool) warehouse.Identity {
	told := slices.ContainsFunc(active.Mappings, func(m warehouse.Mapping) bool {
		f, _ := findField(active.Fields, m.Field)
		return f.Rank > 0 && used[m.Stream]
	})
	if told {
		return active.Identity
	}
	return declared
}
