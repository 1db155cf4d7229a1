package postgres

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"usher/internal/matchkey"
)

// moment is a time as timestamptz takes it, in UTC; "" for what is no time of
// RFC 3339 in the years 1 to 9999.
func moment(value string, _ matchkey.Row) string {
	t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(value))
	if err != nil {
		return ""
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// document is a JSON text as jsonb takes it; "" for what is none. jsonb holds
// neither the character U+0000 nor half a surrogate pair ("8.14. JSON Types"):
// both become U+FFFD.
func document(value string, _ matchkey.Row) string {
	value = strings.TrimSpace(value)
	if !utf8.ValidString(value) || !json.Valid([]byte(value)) {
		return ""
	}
	if !strings.Contains(value, `\u`) {
		return value
	}
	d := json.NewDecoder(strings.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return ""
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(whole(v)); err != nil {
		return ""
	}
	return strings.TrimSpace(out.String())
}

// whole replaces U+0000 in all texts of v; half surrogate pairs are replaced by
// decoding.
func whole(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", "\ufffd")
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			out[strings.ReplaceAll(name, "\x00", "\ufffd")] = whole(x)
		}
		return out
	}
	return v
}

// storable reports whether PostgreSQL can hold the text: UTF-8 without U+0000.
func storable(value []byte) bool {
	return utf8.Valid(value) && !bytes.Contains(value, []byte{0})
}
