package singer

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// catalog is the part of a catalog that selecting a stream touches; everything
// else goes through as it came.
type catalog map[string]any

// choose selects one stream of a catalog and no other. whole selects all its
// fields too, as is wanted of a catalog that nobody has looked at.
func choose(text []byte, stream, method, key string, whole bool) ([]byte, error) {
	var c catalog
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, invalid(codeOutput, "", "the catalog is no JSON object")
	}
	streams, _ := c["streams"].([]any)
	var names []string
	found := false
	for _, one := range streams {
		s, ok := one.(map[string]any)
		if !ok {
			continue
		}
		id, _ := s["tap_stream_id"].(string)
		name, _ := s["stream"].(string)
		is := !found && (id == stream || name == stream)
		names = append(names, id)
		found = found || is
		pick(s, is, is && whole)
		if is {
			set(s, "replication_method", "replication-method", method)
			set(s, "replication_key", "replication-key", key)
		}
	}
	if !found {
		list := strings.Join(names[:min(len(names), 20)], ", ")
		if list == "" {
			list = "no stream at all"
		}
		return nil, invalid(codeStream, tapField, "the catalog has no stream of this name; it has "+list)
	}
	return json.Marshal(c)
}

// entry returns the metadata of a breadcrumb, making it where it is missing.
func entry(s map[string]any, breadcrumb ...string) map[string]any {
	all, _ := s["metadata"].([]any)
	for _, one := range all {
		m, _ := one.(map[string]any)
		at, ok := m["breadcrumb"].([]any)
		if ok && slices.EqualFunc(at, breadcrumb, func(a any, b string) bool { return a == b }) {
			if of, ok := m["metadata"].(map[string]any); ok {
				return of
			}
		}
	}
	of := map[string]any{}
	at := make([]any, len(breadcrumb))
	for i, b := range breadcrumb {
		at[i] = b
	}
	s["metadata"] = append(all, map[string]any{"breadcrumb": at, "metadata": of})
	return of
}

// pick says whether a stream is read, in all the ways that taps look for it.
func pick(s map[string]any, selected, whole bool) {
	entry(s)["selected"] = selected
	s["selected"] = selected
	schema, _ := s["schema"].(map[string]any)
	if schema != nil {
		schema["selected"] = selected
	}
	if !whole || schema == nil {
		return
	}
	fields, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if m := entry(s, "properties", name); m["inclusion"] != "unsupported" {
			m["selected"] = true
		}
	}
}

func set(s map[string]any, old, name, value string) {
	if value == "" {
		return
	}
	s[old] = value
	entry(s)[name] = value
}
