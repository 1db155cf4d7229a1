package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usher/sandbox"
	"usher/sandbox/fault"
)

func TestReadBack(t *testing.T) {
	s := sandbox.New(sandbox.Options{})
	base := start(t, s)
	_, made := ask(t, "POST", base+"/meta/v26.0/act_7/customaudiences", newAudience)
	id := made["id"].(string)
	ask(t, "POST", base+"/meta/v26.0/"+id+"/users", `{"payload":{"schema":["EXTERN_ID","FN"],"data":[["a",""]]}}`)

	_, out := ask(t, "GET", base+"/_sandbox/", "")
	if n := out["networks"].(map[string]any)["meta"].(map[string]any)["audiences"]; n != 1.0 {
		t.Errorf("overview: %v", out)
	}
	_, out = ask(t, "GET", base+"/_sandbox/meta/audiences", "")
	if list := out["audiences"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != id {
		t.Errorf("audiences: %v", out)
	}
	_, out = ask(t, "GET", base+"/_sandbox/meta/audiences/"+id, "")
	if out["members"] != 1.0 || out["books"].(map[string]any)["add_rows"] != 1.0 {
		t.Errorf("audience: %v", out)
	}
	_, out = ask(t, "GET", base+"/_sandbox/meta/audiences/"+id+"/members", "")
	if list := out["members"].([]any); len(list) != 1 || list[0].(map[string]any)["extern_id"] != "a" {
		t.Errorf("members: %v", out)
	}
	_, out = ask(t, "GET", base+"/_sandbox/meta/calls", "")
	if list := out["calls"].([]any); len(list) != 2 || list[1].(map[string]any)["rows"] != 1.0 || list[1].(map[string]any)["op"] != "add" {
		t.Errorf("calls: %v", out)
	}
	_, out = ask(t, "GET", base+"/_sandbox/meta/counters", "")
	if out["calls"] != 2.0 || out["by_op"].(map[string]any)["create"] != 1.0 {
		t.Errorf("counters: %v", out)
	}
	ask(t, "DELETE", base+"/_sandbox/meta/calls", "")
	if got := s.Meta().Counters(); got.Calls != 0 || len(s.Meta().Calls()) != 0 {
		t.Errorf("after forgetting: %v", got)
	}
}

func TestControl(t *testing.T) {
	s := sandbox.New(sandbox.Options{})
	base := start(t, s)
	_, made := ask(t, "POST", base+"/meta/v26.0/act_7/customaudiences", newAudience)
	id := made["id"].(string)
	here, nowhere := base+"/_sandbox/meta/audiences/"+id, base+"/_sandbox/meta/audiences/1"
	steps := []struct {
		method, url, body string
		status            int
	}{
		{"POST", here + "/flag", `{"flagged":true}`, 204},
		{"POST", base + "/meta/v26.0/" + id + "/users", `{"payload":{"schema":["EXTERN_ID"],"data":[["a"]]}}`, 400},
		{"POST", here + "/flag", `{}`, 400},
		{"POST", here + "/flag", ``, 400},
		{"POST", nowhere + "/flag", `{"flagged":true}`, 404},
		{"GET", nowhere, ``, 404},
		{"GET", nowhere + "/members", ``, 404},
		{"DELETE", nowhere, ``, 404},
		{"DELETE", here, ``, 204},
		{"GET", base + "/meta/v26.0/" + id, ``, 400},
		{"POST", base + "/_sandbox/faults", `{"kind":"dance"}`, 400},
		{"POST", base + "/_sandbox/faults", `[{"op":"me","kind":"status"},{"op":"me","kind":"token"}]`, 200},
		{"GET", base + "/meta/me", ``, 503},
		{"GET", base + "/_sandbox/faults", ``, 200},
		{"DELETE", base + "/_sandbox/faults", ``, 204},
		{"GET", base + "/meta/me", ``, 200},
		{"POST", base + "/_sandbox/meta/tokens", `{"value":"sandbox-token","subcode":467}`, 204},
		{"GET", base + "/meta/me", ``, 401},
		{"POST", base + "/_sandbox/meta/tokens", `{"value":""}`, 400},
	}
	for _, step := range steps {
		if status, out := ask(t, step.method, step.url, step.body); status != step.status {
			t.Errorf("%s %s %s: %d %v, want %d", step.method, strings.TrimPrefix(step.url, base), step.body, status, out, step.status)
		}
	}
}

func TestReadBackIsForThisMachineOnly(t *testing.T) {
	h := sandbox.New(sandbox.Options{}).Handler()
	tests := []struct {
		name, peer, host, origin string
		status                   int
	}{
		{"this machine", "127.0.0.1:5", "127.0.0.1:80", "", 200},
		{"this machine, by name", "[::1]:5", "localhost:80", "", 200},
		{"another machine", "192.0.2.1:5", "127.0.0.1", "", 403},
		{"a name that leads here", "127.0.0.1:5", "evil.example", "", 403},
		{"a page of another site", "127.0.0.1:5", "127.0.0.1:80", "https://evil.example", 403},
		{"no address", "", "127.0.0.1:80", "", 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/_sandbox/meta/audiences", nil)
			r.RemoteAddr, r.Host = tt.peer, tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
		})
	}
}

func TestServeStopsAlthoughACallIsHeld(t *testing.T) {
	s := sandbox.New(sandbox.Options{})
	if _, err := s.Fault(fault.Fault{Kind: fault.Timeout}); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	t.Run("serving", func(t *testing.T) {
		base := start(t, s) // its clean-up waits for Serve
		go func() {
			resp, err := http.Get(base + "/meta/me")
			if err == nil {
				resp.Body.Close()
			}
			held <- err
		}()
		for len(s.Meta().Calls()) == 0 {
			time.Sleep(time.Millisecond)
		}
	})
	if err := <-held; err == nil {
		t.Error("the held call was answered")
	}
}
