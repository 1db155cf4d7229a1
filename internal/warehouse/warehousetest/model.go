package warehousetest

import (
	"cmp"
	"maps"
	"strings"

	"usher/internal/warehouse"
)

// Row is one message as a load brings it; a missing column is a missing value.
type Row struct {
	Time   int64 // Unix microseconds
	Values map[string]string
}

// Model is what a warehouse should hold, kept in maps: every message that
// counts, and nothing else. Profiles are worked out from them anew each time,
// so nothing in it can depend on the order of arrival but ties.
type Model struct {
	Schema   warehouse.Schema
	seq      int64
	messages map[string][]modelMessage // by stream
	byID     map[string]int            // index in messages, by stream and message id
	loads    map[string]warehouse.LoadResult
	gone     map[identifier]bool // identifiers of those who were forgotten
}

type modelMessage struct {
	seq int64
	Row
}

// NewModel returns an empty model.
func NewModel(s warehouse.Schema) *Model {
	return &Model{Schema: s, messages: make(map[string][]modelMessage), byID: make(map[string]int), loads: make(map[string]warehouse.LoadResult)}
}

// Merge takes one load; again, if it came before, without effect.
func (m *Model) Merge(id, stream string, rows []Row) warehouse.LoadResult {
	if r, ok := m.loads[id]; ok {
		return r
	}
	result := warehouse.LoadResult{Rows: int64(len(rows))}
	for _, row := range rows {
		m.seq++
		if m.suppressed(stream, modelMessage{m.seq, row}) {
			result.Suppressed++
			continue
		}
		switch m.receive(stream, modelMessage{m.seq, row}) {
		case "duplicate":
			result.Duplicates++
		case "corrected":
			result.Corrected++
		}
	}
	m.loads[id] = result
	return result
}

// receive adds one message and says what it was.
func (m *Model) receive(stream string, msg modelMessage) string {
	id := m.messageID(stream, msg.Row)
	if id == "" {
		m.messages[stream] = append(m.messages[stream], msg)
		return "new"
	}
	id = stream + "\x00" + id
	i, known := m.byID[id]
	if !known {
		m.byID[id] = len(m.messages[stream])
		m.messages[stream] = append(m.messages[stream], msg)
		return "new"
	}
	if maps.Equal(present(m.messages[stream][i].Values), present(msg.Values)) {
		return "duplicate"
	}
	m.messages[stream][i] = msg
	return "corrected"
}

// messageID joins the columns that name a message, "" = none has a value.
func (m *Model) messageID(stream string, r Row) string {
	var parts []string
	for _, s := range m.Schema.Streams {
		if s.Name == stream {
			for _, c := range s.MessageID {
				parts = append(parts, r.Values[c])
			}
		}
	}
	if strings.Join(parts, "") == "" {
		return ""
	}
	return strings.Join(parts, "\x00")
}

// present drops the missing values.
func present(values map[string]string) map[string]string {
	out := make(map[string]string)
	for k, v := range values {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// lookUp returns a column of the present row of a reference stream.
func (m *Model) lookUp(stream, key, column string) string {
	var best *modelMessage
	for _, s := range m.Schema.Streams {
		if s.Name != stream {
			continue
		}
		for i, msg := range m.messages[stream] {
			if msg.Values[s.ReferenceKey] != key || key == "" {
				continue
			}
			if best == nil || later(msg, *best) > 0 {
				best = &m.messages[stream][i]
			}
		}
	}
	if best == nil {
		return ""
	}
	return best.Values[column]
}

// later compares messages by message time, then by receipt.
func later(a, b modelMessage) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.seq, b.seq))
}

// ModelProfile is one person of a model.
type ModelProfile struct {
	// Identifiers are the values that find the person, by field.
	Identifiers map[string][]string
	Values      map[string]any
}

// Profiles works out all people.
func (m *Model) Profiles() []ModelProfile {
	people := newComponents()
	var all []identified
	for _, s := range m.Schema.Streams {
		for _, msg := range m.messages[s.Name] {
			keys := m.identifiers(s.Name, msg)
			if len(keys) == 0 {
				continue
			}
			for _, k := range keys {
				people.join(keys[0], k)
			}
			all = append(all, identified{s.Name, msg, keys[0]})
		}
	}
	byRoot := make(map[identifier][]identified)
	for _, msg := range all {
		root := people.root(msg.key)
		byRoot[root] = append(byRoot[root], msg)
	}
	var out []ModelProfile
	for root, messages := range byRoot {
		p := ModelProfile{Identifiers: make(map[string][]string), Values: m.fold(messages)}
		for k := range people.parent {
			if people.root(k) == root {
				p.Identifiers[k.field] = append(p.Identifiers[k.field], k.value)
			}
		}
		out = append(out, p)
	}
	return out
}

type identifier struct{ field, value string }

type identified struct {
	stream string
	modelMessage
	key identifier
}

// identifiers returns the identifier values of a message.
func (m *Model) identifiers(stream string, msg modelMessage) []identifier {
	var keys []identifier
	for _, f := range m.Schema.Fields {
		if f.Rank == 0 {
			continue
		}
		// "none" stands for all that people type where they have no identifier.
		if v, ok := m.value(stream, f, msg); ok && v != "none" {
			keys = append(keys, identifier{f.Name, identifierText(v)})
		}
	}
	return keys
}

// components is a union-find over identifier values.
type components struct{ parent map[identifier]identifier }

func newComponents() *components { return &components{make(map[identifier]identifier)} }

func (c *components) root(k identifier) identifier {
	p, ok := c.parent[k]
	if !ok {
		c.parent[k] = k
		return k
	}
	if p == k {
		return k
	}
	return c.root(p)
}

func (c *components) join(a, b identifier) { c.parent[c.root(a)] = c.root(b) }
