package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"usher/sandbox"
	"usher/sandbox/fault"
)

// start serves a sandbox until the test ends and returns its address.
func start(t *testing.T, s *sandbox.Sandbox) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ln, err := sandbox.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

// ask sends JSON and returns status and answer.
func ask(t *testing.T, method, url string, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sandbox-token")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s %s: %s", method, url, text)
		}
	}
	return resp.StatusCode, out
}

const newAudience = `{"name":"VIPs","subtype":"CUSTOM","customer_file_source":"USER_PROVIDED_ONLY"}`

func TestAudiencesOutliveTheProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sandbox.jsonl")
	first, err := sandbox.Open(sandbox.Options{Seed: 1, StateFile: file})
	if err != nil {
		t.Fatal(err)
	}
	base := start(t, first)
	_, made := ask(t, "POST", base+"/meta/v26.0/act_7/customaudiences", newAudience)
	id, _ := made["id"].(string)
	if id == "" {
		t.Fatalf("no id in %v", made)
	}
	status, _ := ask(t, "POST", base+"/meta/v26.0/"+id+"/users", `{"payload":{"schema":["EXTERN_ID"],"data":[["a"],["b"]]}}`)
	if status != 200 {
		t.Fatalf("status %d", status)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := sandbox.Open(sandbox.Options{Seed: 1, StateFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	members, ok := second.Meta().Members(id)
	if !ok || len(members) != 2 {
		t.Fatalf("after the restart: %v %v", members, ok)
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	s := sandbox.New(sandbox.Options{})
	base := start(t, s)
	status, _ := ask(t, "POST", base+"/_sandbox/faults", `{"op":"me","kind":"html"}`)
	if status != 200 {
		t.Fatalf("add fault: %d", status)
	}
	resp, err := http.Get(base + "/meta/me?access_token=sandbox-token")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("status %d, %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if status, out := ask(t, "GET", base+"/meta/me", ""); status != 200 || out["id"] == nil {
		t.Fatalf("after the fault: %d %v", status, out)
	}
	if met := s.Faults()[0].Met; met != 1 {
		t.Fatalf("fault met %d calls", met)
	}
	if _, err := s.Fault(fault.Fault{Kind: "nonsense"}); err == nil {
		t.Fatal("an unknown kind was taken")
	}
}
