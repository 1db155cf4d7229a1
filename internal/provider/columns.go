package provider

import (
	"maps"
	"slices"
	"strings"

	"usher/internal/matchkey"
)

// OpenColumns is a far side that takes any columns: a file, a table, a webhook.
// The destination's mapping then names them: column -> profile field.
type OpenColumns struct {
	// Rules is the name of the rule set, such as "sftp/1".
	Rules string
	// Column returns the key of one column by the destination's settings: whether
	// it is hashed and how it is normalised. nil = as the profile has it.
	Column func(name string, config map[string]string) matchkey.Key
}

const (
	// IDColumnField is the destination setting that names the column by which the
	// far side finds a person; "" = the first one by name.
	IDColumnField = "id_column"
	// HashColumnsField is the destination setting that lists the columns which
	// leave as the SHA-256 of their value, trimmed and in lower case.
	HashColumnsField = "hash_columns"
)

// Rules returns the match keys that a destination with these settings and this
// mapping has: the provider's own, or the columns that the mapping names.
func (d Definition) Rules(config, mapping map[string]string) matchkey.RuleSet {
	if d.OpenColumns == nil {
		return d.RuleSet
	}
	names := slices.Sorted(maps.Keys(mapping))
	id := Setting(d.DestinationFields, config, IDColumnField)
	if id == "" && len(names) > 0 {
		id = names[0]
	}
	hashed := List(Setting(d.DestinationFields, config, HashColumnsField))
	rs := matchkey.RuleSet{Name: d.OpenColumns.Rules}
	for _, name := range names {
		k := matchkey.Key{Name: name, Exact: true, Normalize: matchkey.Plain, Help: "A column of your own."}
		if d.OpenColumns.Column != nil {
			k = d.OpenColumns.Column(name, config)
		}
		if slices.Contains(hashed, name) {
			k.Hash, k.Exact, k.Normalize = true, false, matchkey.Lower
		}
		k.Name, k.Identifies = name, name == id
		rs.Keys = append(rs.Keys, k)
	}
	if len(hashed) > 0 {
		rs.Name += "+" + strings.Join(hashed, "+")
	}
	return rs
}
