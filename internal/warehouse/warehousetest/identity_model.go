package warehousetest

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"slices"
	"strings"

	"usher/internal/warehouse"
)

// Whose a message is, by definition (docs/identity.md), worked out from nothing
// but the messages that count, their ranks, the cap and the stop-list.

// value is one identifier value.
type value struct {
	field, text string
	rank        int
}

// said is one message that counts.
type said struct {
	id     string
	values []value
}

// definition tells people apart.
type definition struct {
	messages []said
	most     int
	// whole is the connected component of each value, cut the person of each value
	// that links or has a person of its own.
	whole, cut map[value]*group
	capped     map[value]bool
}

type group struct{ values []value }

// define tells the people of these messages apart.
func define(messages []said, id warehouse.Identity) *definition {
	d := &definition{messages: messages, most: cmp.Or(id.MaxIdentifiers, warehouse.DefaultMaxIdentifiers), whole: make(map[value]*group), cut: make(map[value]*group), capped: make(map[value]bool)}
	d.connect()
	for _, v := range inOrder(d.whole) {
		if len(d.whole[v].values) <= d.most {
			d.cut[v] = d.whole[v]
			continue
		}
		d.take(v)
	}
	return d
}

// connect finds the connected components.
func (d *definition) connect() {
	for _, m := range d.messages {
		var all []value
		for _, v := range m.values {
			if g := d.whole[v]; g != nil {
				all = append(all, g.values...)
			}
			all = append(all, v)
		}
		g := &group{unique(all)}
		for _, v := range g.values {
			d.whole[v] = g
		}
	}
}

// take joins a value to the values before it that messages link it with, or
// caps it.
func (d *definition) take(v value) {
	all := []value{v}
	for _, m := range d.messages {
		if !slices.Contains(m.values, v) {
			continue
		}
		for _, w := range m.values {
			if before(w, v) < 0 && !d.capped[w] {
				all = append(all, d.cut[w].values...)
			}
		}
	}
	g := &group{unique(all)}
	if len(g.values) > d.most {
		d.capped[v] = true
		return
	}
	for _, w := range g.values {
		d.cut[w] = g
	}
}

// owner returns the value by which a message belongs to its person.
func (d *definition) owner(m said) (value, bool) {
	values := slices.SortedFunc(slices.Values(m.values), before)
	for _, v := range values {
		if !d.capped[v] {
			return v, true
		}
	}
	if len(values) == 0 {
		return value{}, false
	}
	return values[0], true
}

// people returns the ids of the messages of the person each value finds; a
// capped value that finds nobody is absent.
func (d *definition) people() map[value][]string {
	of := make(map[*group][]string)
	alone := make(map[value][]string)
	for _, m := range d.messages {
		v, ok := d.owner(m)
		switch {
		case !ok:
		case d.capped[v]:
			alone[v] = append(alone[v], m.id)
		default:
			of[d.cut[v]] = append(of[d.cut[v]], m.id)
		}
	}
	out := make(map[value][]string)
	for v := range d.whole {
		ids := of[d.cut[v]]
		if d.capped[v] {
			ids = alone[v]
		}
		if len(ids) > 0 {
			out[v] = slices.Sorted(slices.Values(ids))
		}
	}
	return out
}

// before is the order in which values are taken: by rank, then by digest, which
// is the MD5 of field=value as a number whose lowest byte comes first.
func before(a, b value) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), bytes.Compare(digestOf(a), digestOf(b)))
}

func digestOf(v value) []byte {
	sum := md5.Sum([]byte(v.field + "=" + v.text))
	slices.Reverse(sum[:])
	return sum[:]
}

func inOrder(all map[value]*group) []value {
	var out []value
	for v := range all {
		out = append(out, v)
	}
	slices.SortFunc(out, before)
	return out
}

func unique(all []value) []value {
	var out []value
	for _, v := range all {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// nobody reports whether a value identifies nobody.
func nobody(text string, id warehouse.Identity) bool {
	text = strings.ToLower(text)
	return text == "" || len(text) > 256 || slices.Contains(warehouse.Placeholders, text) || slices.Contains(id.StopList, text)
}
