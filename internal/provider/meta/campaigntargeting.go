package meta

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"usher/internal/provider"
)

// Meta replaces the whole targeting of an ad set, so what is not modelled here is
// read before and written back.

// where each part is: below geo_locations, or a list of {"id": …} at the top.
var targetingLists = map[string]string{fieldAudiences: "custom_audiences", fieldExcluded: "excluded_custom_audiences"}

// targets reports whether an edit changes targeting.
func targets(e provider.Edit) bool {
	for _, f := range []string{fieldCountries, fieldAudiences, fieldExcluded} {
		if _, ok := e.Set[f]; ok || slices.Contains(e.Clear, f) {
			return true
		}
	}
	return false
}

// mergeTargeting returns was with the parts that an edit sets. was may be empty.
func mergeTargeting(was json.RawMessage, e provider.Edit) (json.RawMessage, bool) {
	all := map[string]json.RawMessage{}
	if len(was) > 0 && json.Unmarshal(was, &all) != nil {
		return nil, false
	}
	for field, key := range targetingLists {
		if ids, ok := wanted(e, field); ok {
			set(all, key, references(all[key], ids))
		}
	}
	if codes, ok := wanted(e, fieldCountries); ok {
		places := map[string]json.RawMessage{}
		if len(all["geo_locations"]) > 0 && json.Unmarshal(all["geo_locations"], &places) != nil {
			return nil, false
		}
		set(places, "countries", codes)
		set(all, "geo_locations", places)
	}
	out, err := json.Marshal(all)
	return out, err == nil
}

// wanted is what an edit makes of a list, ok = false where it leaves it alone.
func wanted(e provider.Edit, field string) ([]string, bool) {
	if v, ok := e.Set[field]; ok {
		return provider.List(v), true
	}
	return nil, slices.Contains(e.Clear, field)
}

// set puts a list or an object in its place, or takes the place away where it is
// empty.
func set[T []string | []json.RawMessage | map[string]json.RawMessage](in map[string]json.RawMessage, key string, v T) {
	text, err := json.Marshal(v)
	if err != nil || len(v) == 0 {
		delete(in, key)
		return
	}
	in[key] = text
}

// references are the ids as Meta has them, with all it said of those that were
// there before.
func references(was json.RawMessage, ids []string) []json.RawMessage {
	var old []json.RawMessage
	_ = json.Unmarshal(was, &old) // none, then
	out := make([]json.RawMessage, 0, len(ids))
	for _, id := range ids {
		if i := slices.IndexFunc(old, func(r json.RawMessage) bool { return idOf(r) == id }); i >= 0 {
			out = append(out, old[i])
			continue
		}
		text, err := json.Marshal(map[string]string{"id": id})
		if err == nil {
			out = append(out, text)
		}
	}
	return out
}

// idOf is the id of {"id": …}, which may be a number.
func idOf(r json.RawMessage) string {
	var in struct {
		ID json.RawMessage `json:"id"`
	}
	_ = json.Unmarshal(r, &in) // none, then
	return scalar(in.ID)
}

// readTargeting takes the fields out of a targeting.
func readTargeting(raw json.RawMessage, into map[string]string) {
	var in map[string]json.RawMessage
	if json.Unmarshal(raw, &in) != nil || len(in) == 0 {
		return
	}
	for field, key := range targetingLists {
		var list []json.RawMessage
		_ = json.Unmarshal(in[key], &list) // none, then
		ids := make([]string, 0, len(list))
		for _, r := range list {
			if id := idOf(r); id != "" {
				ids = append(ids, id)
			}
		}
		put(into, field, strings.Join(ids, ","))
	}
	var places struct {
		Countries []string `json:"countries"`
	}
	_ = json.Unmarshal(in["geo_locations"], &places) // none, then
	put(into, fieldCountries, strings.Join(places.Countries, ","))
	put(into, fieldTargeting, canonical(raw))
}

// canonical is a JSON value in one form: keys in order, no spaces.
func canonical(raw json.RawMessage) string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return ""
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimSpace(out.String())
}

func put(into map[string]string, field, value string) {
	if value != "" {
		into[field] = value
	}
}
