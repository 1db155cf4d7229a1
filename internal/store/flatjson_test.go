package store

import (
	"encoding/json"
	"reflect"
	"testing"

	"usher/internal/activation"
)

// FuzzFlat: whatever is read without encoding/json is read as encoding/json does.
func FuzzFlat(f *testing.F) {
	for _, text := range []string{
		`{"bid":"1.00","name":"Group 1"}`, `{"":""}`, `{"a":true}`, `{"a":"b","a":"c"}`, `{"a":"b",}`, `{"a":"\u003c"}`, `{"a":"b"}x`, `{"a":1}`, `{a:"b"}`, `{"a" :"b"}`,
		`[{"field":"bid","before":"1","after":"2"}]`, `[{"field":"bid","before":"","after":"new-7","theirs":"x","object":true},{"field":"b","before":"","after":""}]`, `[{"field":true}]`,
		`[{"object":"true"}]`, `[{"field":"a"}`, `[{"field":"a"},]`, `[{"other":"a"}]`, `[]`, `{}`, ``, `[{}]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var m, wantMap map[string]string
		if flat(text, &m) {
			if err := json.Unmarshal([]byte(text), &wantMap); err != nil || !reflect.DeepEqual(m, wantMap) {
				t.Errorf("%q is %v, want %v, %v", text, m, wantMap, err)
			}
		}
		var c, wantChanges []activation.Change
		if flat(text, &c) {
			if err := json.Unmarshal([]byte(text), &wantChanges); err != nil || !reflect.DeepEqual(c, wantChanges) {
				t.Errorf("%q is %v, want %v, %v", text, c, wantChanges, err)
			}
		}
	})
}

// TestFlatReadsWhatIsStored: what the log stores is read without encoding/json.
func TestFlatReadsWhatIsStored(t *testing.T) {
	changes := []activation.Change{{Field: "bid", Before: "1.00", After: "2.50"}, {Field: "budget", After: "new-7", Theirs: "é{}[],:", Object: true}}
	var got []activation.Change
	if !flat(list(changes), &got) || !reflect.DeepEqual(got, changes) {
		t.Errorf("%s is read as %v", list(changes), got)
	}
	values := map[string]string{"name": "Group: 1, {2}", "status": "enabled", "": ""}
	var m map[string]string
	if !flat(encode(values), &m) || !reflect.DeepEqual(m, values) {
		t.Errorf("%s is read as %v", encode(values), m)
	}
}
