package warehousetest

import (
	"maps"
	"slices"
	"strings"
)

// Forget takes a person out of the model, and keeps every identifier of theirs
// away. It returns how many messages went, and whether anybody was there.
func (m *Model) Forget(field, value string) (messages int64, known bool) {
	if m.gone == nil {
		m.gone = map[identifier]bool{}
	}
	them := map[identifier]bool{{field, value}: true}
	for _, p := range m.Profiles() {
		if !slices.Contains(p.Identifiers[field], value) {
			continue
		}
		known = true
		for f, values := range p.Identifiers {
			for _, v := range values {
				them[identifier{f, v}] = true
			}
		}
	}
	maps.Copy(m.gone, them)
	names := map[string]bool{}
	for k := range them {
		if known && len(k.value) >= 5 && strings.Contains(k.value, "@") {
			names[k.value] = true
		}
	}
	return m.drop(func(stream string, msg modelMessage) bool {
		if m.suppressed(stream, msg) {
			return true
		}
		if len(m.identifiers(stream, msg)) > 0 {
			return false
		}
		for _, v := range msg.Values { // nobody's, and names the person
			if names[strings.ToLower(strings.TrimSpace(v))] {
				return true
			}
		}
		return false
	}), known
}

// DropForgotten drops the messages that name somebody who was forgotten, as the
// present mappings find them.
func (m *Model) DropForgotten() { m.drop(m.suppressed) }

// suppressed reports whether a message carries an identifier that is kept away.
func (m *Model) suppressed(stream string, msg modelMessage) bool {
	return !m.isReference(stream) && slices.ContainsFunc(m.identifiers(stream, msg), func(k identifier) bool { return m.gone[k] })
}

func (m *Model) isReference(stream string) bool {
	for _, s := range m.Schema.Streams {
		if s.Name == stream {
			return s.ReferenceKey != ""
		}
	}
	return false
}

// drop takes messages away and returns how many.
func (m *Model) drop(which func(stream string, msg modelMessage) bool) (n int64) {
	m.byID = make(map[string]int)
	for stream, all := range m.messages {
		m.messages[stream] = slices.DeleteFunc(all, func(msg modelMessage) bool {
			gone := !m.isReference(stream) && which(stream, msg)
			if gone {
				n++
			}
			return gone
		})
		for i, msg := range m.messages[stream] {
			if id := m.messageID(stream, msg.Row); id != "" {
				m.byID[stream+"\x00"+id] = i
			}
		}
	}
	return n
}
