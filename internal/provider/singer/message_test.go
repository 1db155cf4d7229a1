package singer

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzParse: whatever a tap prints, a record becomes one line that is a JSON
// object of texts, numbers, booleans and lists of those.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		`{"type":"RECORD","stream":"a","record":{"a":{"b":{"c":1e400}},"a__b":2,"l":[1,null,"x"],"m":[[1]]}}`,
		`{"type":"STATE","value":null}`, `{"type":"SCHEMA"}`, `{"type":"RECORD","record":null}`, ` `, `[]`, `{"type":1}`, `{"type":"RECORD","record":{"":{"":{}}}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parse(line)
		if err != nil || m.Type != "RECORD" {
			return
		}
		row, err := appendRow(nil, m.Record)
		if err != nil {
			return
		}
		if bytes.Count(row, []byte("\n")) != 1 || !bytes.HasSuffix(row, []byte("}\n")) {
			t.Fatalf("%q is no line", row)
		}
		d := json.NewDecoder(bytes.NewReader(row))
		d.UseNumber()
		var fields map[string]any
		if err := d.Decode(&fields); err != nil {
			t.Fatal(err)
		}
		for name, v := range fields {
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			for _, one := range list {
				switch one.(type) {
				case string, json.Number, bool:
				default:
					t.Fatalf("%s is %v", name, one)
				}
			}
		}
	})
}
