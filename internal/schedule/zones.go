package schedule

import (
	_ "embed" // for zones.txt
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// zones.txt has the names of the IANA time zone database, one a line. It makes
// a name mean the same on every machine: what a machine finds in its own files
// ("posixrules", "right/UTC", names in the wrong case) is no zone here.
//
//go:embed zones.txt
var zoneList string

// zoneNames maps the names in lower case to the names.
var zoneNames = sync.OnceValue(func() map[string]string {
	names := map[string]string{}
	for _, name := range Zones() {
		names[strings.ToLower(name)] = name
	}
	return names
})

// Zones lists the names of all time zones, sorted.
func Zones() []string { return strings.Fields(zoneList) }

// loaded keeps the zones that were asked for: name to *time.Location.
var loaded sync.Map

// zone returns the zone of a name, UTC for "". It reports false for a name that
// is none.
func zone(name string) (*time.Location, bool) {
	if name == "" {
		return time.UTC, true
	}
	if loc, ok := loaded.Load(name); ok {
		return loc.(*time.Location), true
	}
	if zoneNames()[strings.ToLower(name)] != name {
		return nil, false
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	loaded.Store(name, loc)
	return loc, true
}

// readZone returns the name of a zone as the database writes it. why says what
// is wrong; "" = nothing.
func readZone(s string) (name, why string) {
	s = strings.ToLower(strings.Join(strings.Fields(s), "_"))
	if s == "" {
		return "", ""
	}
	if name, ok := zoneNames()[s]; ok {
		if _, ok := zone(name); !ok {
			return "", "this machine has no data for that time zone"
		}
		return name, ""
	}
	if near := nearest(s); near != "" {
		return "", fmt.Sprintf("no such time zone; did you mean %s?", near)
	}
	return "", "must be the name of an IANA time zone, such as Europe/Berlin or UTC"
}

// nearest returns the zone that a wrong name most likely means: of the same
// place, or of one that is written almost so.
func nearest(s string) string {
	if len(s) > 64 {
		return ""
	}
	meant := place(s)
	limit := 1
	switch {
	case len(meant) < 5:
		limit = 0 // most short words are a letter from some place
	case len(meant) >= 8:
		limit = 2
	}
	best, least := "", limit+1
	for _, name := range Zones() {
		if d := distance(meant, place(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// place is the last part of the name of a zone, in lower case.
func place(name string) string {
	name = name[strings.LastIndex(name, "/")+1:]
	return strings.ReplaceAll(strings.ToLower(name), "-", "_")
}

// distance is how many letters must be changed, added or left out to make one
// text the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = slices.Min([]int{change, row[j] + 1, row[j+1] + 1})
		}
	}
	return row[len(b)]
}
