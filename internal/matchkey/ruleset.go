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
	"sync"
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
	// Exact is true where the far side wants the value as the profile has it:
	// times with their time of day, sets as a JSON list. Otherwise a time is its
	// date and a set its first value, which is what networks match by.
	Exact bool
	// Required is true for a key of an event without which the network refuses
	// it; such an event is left out.
	Required bool
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
		if k.Exact && k.Identifies {
			fmt.Fprint(h, "id;") // only where people choose it
		}
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
// fingerprint of the result, zero when no identifying key came out.
//
// What out holds stays valid: it lies in buf, which is filled and never
// overwritten. Pass nil the first time and what came back after; a full buf is
// left to its values and a new one begun.
func (s *Set) Compute(values []string, out [][]byte, buf []byte) (Fingerprint, []byte) {
	row, _ := rows.Get().(*setRow)
	row.s, row.values = s, values
	defer rows.Put(row)
	buf = room(buf, len(s.Keys)*(sha256.Size+1))
	start := len(buf)
	usable := false
	for i := range s.Keys {
		k := &s.Keys[i]
		out[i] = nil
		v := ""
		if values[i] != "" {
			v = k.Normalize(values[i], row)
		}
		switch {
		case v == "":
			buf = append(buf, 0)
			continue
		case k.Hash:
			buf = appendSHA256(append(buf, sha256.Size), v)
			out[i] = buf[len(buf)-sha256.Size : len(buf) : len(buf)]
		default:
			buf = append(binary.AppendUvarint(buf, uint64(len(v))), v...)
			out[i] = buf[len(buf)-len(v) : len(buf) : len(buf)]
		}
		usable = usable || k.Identifies
	}
	if !usable {
		clear(out)
		return Fingerprint{}, buf[:start]
	}
	// The fingerprint is over every value with its length before it, which is
	// how they lie in buf.
	sum := sha256.Sum256(buf[start:])
	return Fingerprint(sum[:16]), buf
}

// chunk is how much memory the values of consecutive calls share.
const chunk = 32 << 10

// room returns buf when it has n bytes left, else a fresh one.
func room(buf []byte, n int) []byte {
	if cap(buf)-len(buf) >= n {
		return buf
	}
	return make([]byte, 0, max(chunk, n))
}

func appendSHA256(buf []byte, v string) []byte {
	if len(v) == 2*sha256.Size {
		if h, ok := appendUnhex(buf, v); ok {
			return h
		}
	}
	n := len(buf)
	buf = append(buf, v...)
	sum := sha256.Sum256(buf[n:])
	return append(buf[:n], sum[:]...)
}

// rows spares Compute an allocation a call; a Row is only good for that call.
var rows = sync.Pool{New: func() any { return new(setRow) }}

type setRow struct {
	s      *Set
	values []string
}

func (r *setRow) Value(key string) string {
	for i := range r.s.Keys {
		if r.s.Keys[i].Name == key {
			return r.values[i]
		}
	}
	return ""
}

func (r *setRow) DefaultCountry() string { return r.s.Country }

// appendUnhex appends the bytes of v, a digest in hexadecimal.
func appendUnhex(buf []byte, v string) ([]byte, bool) {
	for i := 0; i < len(v); i += 2 {
		hi, ok1 := nibble(v[i])
		lo, ok2 := nibble(v[i+1])
		if !ok1 || !ok2 {
			return nil, false
		}
		buf = append(buf, hi<<4|lo)
	}
	return buf, true
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
