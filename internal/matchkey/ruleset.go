// Package matchkey turns profile attributes into the keys a network matches
// people by: normalised exactly as the network asks, then hashed where it asks
// for a hash. Hashed or not, a match key is personal data.
//
// It owns the normalisers and the RuleSet type; which normaliser a network
// wants is in that network's RuleSet, in its provider folder. It does no I/O
// and never logs. An empty value is left out, never hashed: the SHA-256 of
// nothing (e3b0c442…) matches nobody and breaks whole batches.
package matchkey

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Key is one match key of a network, such as EMAIL at Meta.
type Key struct {
	// Name is the network's own name of the key.
	Name string
	// Help says in one sentence what the key is and how it is normalised.
	Help string
	// Hash is true where the network wants the SHA-256 of the normalised value.
	Hash bool
	// Identifies is true for a key that finds a person on its own (an e-mail, a
	// phone, a device id). Others (a name, a city) only help beside one. A row
	// without any identifying key is unusable; removals carry identifying keys only.
	Identifies bool
	// Normalize returns the normalised value, or "" when there is none or the
	// value cannot be a key of this kind. row gives the other values of the
	// same person by key name (a postal code depends on the country). It must
	// be idempotent.
	Normalize func(value string, row Row) string
}

// Row gives the raw values of one person by key name, and the settings a
// normaliser may need.
type Row interface {
	// Value returns the raw value mapped to the named key, or "".
	Value(key string) string
	// DefaultCountry is the ISO 3166-1 alpha-2 code assumed for phones without
	// a country code; "" when none is declared.
	DefaultCountry() string
}

// RuleSet is the versioned list of a network's match keys.
type RuleSet struct {
	// Name is network/version, such as "meta/1". A change of any rule is a new
	// version, because the old values must stay known until they are removed.
	Name string
	Keys []Key
}

// Key returns the named key.
func (rs RuleSet) Key(name string) (Key, bool) {
	i := slices.IndexFunc(rs.Keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return rs.Keys[i], true
}

// Set is a RuleSet together with a destination's mapping: which profile field
// feeds which key. Destinations whose rule set and mapping are equal share it,
// and so share the computed keys.
type Set struct {
	// ID names the set: rule set version and a hash of the mapping and country.
	ID string
	// Keys are the mapped keys in the rule set's order; Fields[i] feeds Keys[i].
	Keys   []Key
	Fields []string
	// Country is the default country for phones, or "".
	Country string
}

// NewSet binds mapping (key name -> profile field) to rs. It refuses a mapping
// that names an unknown key or has no identifying key.
func NewSet(rs RuleSet, mapping map[string]string, country string) (Set, error) {
	for _, name := range slices.Sorted(maps.Keys(mapping)) {
		if _, ok := rs.Key(name); !ok {
			names := make([]string, len(rs.Keys))
			for i, k := range rs.Keys {
				names[i] = k.Name
			}
			return Set{}, fmt.Errorf("match key %q is not known to %s: use one of %s", name, rs.Name, strings.Join(names, ", "))
		}
	}
	s := Set{Country: strings.ToUpper(country)}
	identifies := false
	for _, k := range rs.Keys {
		if f := mapping[k.Name]; f != "" {
			s.Keys = append(s.Keys, k)
			s.Fields = append(s.Fields, f)
			identifies = identifies || k.Identifies
		}
	}
	if !identifies {
		return Set{}, fmt.Errorf("the mapping has no key that identifies a person: map at least one of %s", strings.Join(identifying(rs), ", "))
	}
	h := sha256.New()
	for i, k := range s.Keys {
		fmt.Fprintf(h, "%q=%q;", k.Name, s.Fields[i])
	}
	fmt.Fprintf(h, "%q", s.Country)
	s.ID = fmt.Sprintf("%s-%x", rs.Name, h.Sum(nil)[:8])
	return s, nil
}

func identifying(rs RuleSet) []string {
	var names []string
	for _, k := range rs.Keys {
		if k.Identifies {
			names = append(names, k.Name)
		}
	}
	return names
}

// Fingerprint is a 128-bit digest of a person's keys. Equal keys have equal
// fingerprints; the zero fingerprint means no usable key.
type Fingerprint [16]byte

// Compute writes the keys of one person into out, which has one entry per key
// of the set: raw SHA-256 (32 bytes) for hashed keys, UTF-8 for plain ones,
// nil for none. values[i] is the raw value of Fields[i]. It returns the
// fingerprint of the result, zero when no identifying key came out. buf is
// reused between calls; pass nil the first time and what came back after.
func (s *Set) Compute(values []string, out [][]byte, buf []byte) (Fingerprint, []byte) {
	row := setRow{s, values}
	buf = buf[:0]
	usable := false
	for i := range s.Keys {
		k := &s.Keys[i]
		out[i] = nil
		if values[i] == "" {
			continue
		}
		v := k.Normalize(values[i], row)
		if v == "" {
			continue
		}
		if k.Hash {
			if h, ok := parseSHA256(v); ok {
				out[i] = h
			} else {
				sum := sha256.Sum256([]byte(v))
				out[i] = append([]byte(nil), sum[:]...)
			}
		} else {
			out[i] = []byte(v)
		}
		usable = usable || k.Identifies
	}
	if !usable {
		for i := range out {
			out[i] = nil
		}
		return Fingerprint{}, buf
	}
	for _, v := range out {
		buf = binary.AppendUvarint(buf, uint64(len(v)))
		buf = append(buf, v...)
	}
	sum := sha256.Sum256(buf)
	return Fingerprint(sum[:16]), buf
}

type setRow struct {
	s      *Set
	values []string
}

func (r setRow) Value(key string) string {
	for i := range r.s.Keys {
		if r.s.Keys[i].Name == key {
			return r.values[i]
		}
	}
	return ""
}

func (r setRow) DefaultCountry() string { return r.s.Country }

// parseSHA256 reads a value that is already a SHA-256 in hexadecimal.
func parseSHA256(v string) ([]byte, bool) {
	if len(v) != 64 {
		return nil, false
	}
	out := make([]byte, 32)
	for i := range out {
		hi, ok1 := nibble(v[2*i])
		lo, ok2 := nibble(v[2*i+1])
		if !ok1 || !ok2 {
			return nil, false
		}
		out[i] = hi<<4 | lo
	}
	return out, true
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
