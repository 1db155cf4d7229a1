package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"usher/internal/server/servertest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestOpenAPI compares the document the server serves with the golden one, so
// that no change of the contract goes unseen.
func TestOpenAPI(t *testing.T) {
	s := servertest.Start(t)
	a := call(t, s, "", http.MethodGet, "/openapi.json", nil)
	if a.StatusCode != http.StatusOK || a.Header.Get("X-Request-Id") == "" {
		t.Fatalf("status %d, headers %v", a.StatusCode, a.Header)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, []byte(a.body), "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the OpenAPI document differs from testdata/openapi.json: if that is meant, run go test ./internal/api -run TestOpenAPI -update")
	}
}
