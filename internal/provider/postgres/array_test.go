package postgres

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// FuzzArray: whatever a server writes, a list is JSON and nothing breaks.
func FuzzArray(f *testing.F) {
	for _, v := range []string{"{}", "{a,NULL}", `{"a\"b\\",""}`, "{{1},{2}}", `{"a`, `{"\`, "{,}", "{a,}"} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		if elements, ok := parseArray(v); ok && !json.Valid(appendArray(nil, pgtype.TextOID, elements)) {
			t.Fatalf("%q is no list", v)
		}
	})
}
