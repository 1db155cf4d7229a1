package singer

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

const (
	// maxLineBytes bounds one message.
	maxLineBytes = 4 << 20
	// maxDepth is how deep objects are taken apart; what lies deeper is a text.
	maxDepth = 8
	// separator stands between the names of an object and of what is in it.
	separator = "__"
)

// message is one line of a tap. Of its kinds RECORD and STATE matter; SCHEMA,
// ACTIVATE_VERSION and those of later versions are passed over.
type message struct {
	Type   string          `json:"type"`
	Stream string          `json:"stream"`
	Record json.RawMessage `json:"record"`
	Value  json.RawMessage `json:"value"`
}

// parse reads a line. A line of blanks is a message of no type.
func parse(line []byte) (m message, err error) {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return m, nil
	}
	err = json.Unmarshal(line, &m)
	switch {
	case err != nil || m.Type == "":
		// The decoder's own error may quote the line.
		return m, invalid(codeOutput, "", "the tap prints a line that is no Singer message")
	case m.Type == "RECORD" && (len(m.Record) == 0 || m.Record[0] != '{'):
		return m, invalid(codeOutput, "", "the tap prints a RECORD without an object")
	case m.Type == "STATE" && len(m.Value) == 0:
		return m, invalid(codeOutput, "", "the tap prints a STATE without a value")
	}
	return m, nil
}

// appendRow appends a record as one line of NDJSON: nested objects are taken
// apart, a__b for what is in a; lists of texts, numbers and booleans stay, without
// their nulls; other lists are JSON texts; null is a missing field. Of two fields
// that come to one name the outer one counts.
func appendRow(out []byte, record json.RawMessage) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(record))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return out, invalid(codeOutput, "", "the tap prints a RECORD that is no object")
	}
	flat := map[string]any{}
	flatten(flat, "", fields, 1)
	text, err := encode(flat)
	if err != nil {
		return out, internal("a record can't be written as JSON", nil)
	}
	return append(out, text...), nil
}

func flatten(flat map[string]any, prefix string, fields map[string]any, depth int) {
	var inner []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		full := prefix + name
		switch v := fields[name].(type) {
		case nil:
			continue
		case map[string]any:
			if depth < maxDepth {
				inner = append(inner, name)
				continue
			}
		case []any:
			if list, ok := scalars(v); ok {
				put(flat, full, list)
				continue
			}
		default:
			put(flat, full, v)
			continue
		}
		if text, err := encode(fields[name]); err == nil {
			put(flat, full, string(bytes.TrimSuffix(text, []byte("\n"))))
		}
	}
	for _, name := range inner {
		if object, ok := fields[name].(map[string]any); ok {
			flatten(flat, prefix+name+separator, object, depth+1)
		}
	}
}

func put(flat map[string]any, name string, v any) {
	if _, taken := flat[name]; !taken {
		flat[name] = v
	}
}

// scalars returns a list without its nulls; ok is false where it holds a list or
// an object.
func scalars(list []any) (out []any, ok bool) {
	out = []any{}
	for _, v := range list {
		switch v.(type) {
		case nil:
		case map[string]any, []any:
			return nil, false
		default:
			out = append(out, v)
		}
	}
	return out, true
}

// encode writes JSON and a line feed, without the escapes that HTML needs.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return out.Bytes(), err
}
