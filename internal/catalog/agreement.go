package catalog

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"usher/internal/activation"
	"usher/internal/provider"
)

// accepted begins the stored value of an agreement.
const accepted = "accepted by "

// isAccepted reports whether a value of an agreement says yes: true, or what is
// stored of an earlier yes.
func isAccepted(v string) bool {
	yes, err := strconv.ParseBool(v)
	return err == nil && yes || v == "on" || strings.HasPrefix(v, accepted)
}

// agree writes down who accepted what, and when. What was accepted before stays
// as it was written down then.
func agree(fields []provider.Field, config, given, before map[string]string, user string, now time.Time) {
	for _, f := range fields {
		if f.Type != "agreement" || !isAccepted(given[f.Name]) {
			continue
		}
		if config[f.Name] = before[f.Name]; !strings.HasPrefix(before[f.Name], accepted) {
			config[f.Name] = accepted + user + " at " + now.UTC().Format(time.RFC3339)
		}
	}
}

// maxColumn is how long the name of a column may be.
const maxColumn = 128

// columns checks the columns that people name themselves.
func (p *problems) columns(d activation.Destination) {
	for i, name := range slices.Sorted(maps.Keys(d.Mapping)) {
		if strings.TrimSpace(name) != name || name == "" || len(name) > maxColumn || strings.ContainsFunc(name, unicode.IsControl) {
			p.add("mapping", "column %d of the list has no usable name: 1 to %d characters without white space around them", i+1, maxColumn)
		}
	}
	for _, setting := range []string{provider.IDColumnField, provider.HashColumnsField} {
		for _, name := range provider.List(d.Config[setting]) {
			if _, ok := d.Mapping[name]; !ok {
				p.add("config."+setting, "names a column that the mapping does not have")
			}
		}
	}
}
