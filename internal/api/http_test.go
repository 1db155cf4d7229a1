package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/server/servertest"
)

// TestNoRoute: what no route takes answers in our envelope, never in plain text.
func TestNoRoute(t *testing.T) {
	s := servertest.Start(t)
	for _, c := range []struct {
		path   string
		status int
		allow  string
	}{
		{"GET /v2/nothing", 404, ""},
		{"POST /v2/", 404, ""},
		{"DELETE /collect/nothing", 404, ""},
		{"GET /v2/job/1/2/3/4/5", 404, ""},
		{"PATCH /v2/job", 405, "GET, POST"},
		{"OPTIONS /v2/segment/high", 405, "DELETE, GET, PUT"},
		{"POST /v2/run", 405, "GET"},
		{"GET /collect/bulk/people", 405, "POST"},
		{"POST /healthz", 405, "GET"},
		{"DELETE /openapi.json", 405, "GET"},
		{"POST /docs/api", 405, "GET"},
	} {
		t.Run(c.path, func(t *testing.T) {
			method, path, _ := strings.Cut(c.path, " ")
			a := call(t, s, s.Tokens[activation.RoleAdmin], method, path, nil)
			checkAnswer(t, s, a, c.status)
			if got := a.Header.Get("Allow"); got != c.allow {
				t.Errorf("Allow is %q, want %q", got, c.allow)
			}
		})
	}
}

// TestHeaders: every answer has a request id of its own and is kept by nobody;
// the reference page may load and run nothing.
func TestHeaders(t *testing.T) {
	s := servertest.Start(t)
	seen := map[string]bool{}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/openapi.yaml", "/docs/api", "/v2/job", "/v2/nothing", "/collect/bulk/x"} {
		h := call(t, s, "", http.MethodGet, path, nil).Header
		if id := h.Get("X-Request-Id"); len(id) != 16 || seen[id] {
			t.Errorf("%s: request id %q", path, id)
		} else {
			seen[id] = true
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
	a := call(t, s, "", http.MethodGet, "/docs/api", nil)
	for name, part := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Content-Type": "text/html",
	} {
		if !strings.Contains(a.Header.Get(name), part) {
			t.Errorf("%s is %q, want %q in it", name, a.Header.Get(name), part)
		}
	}
	for _, text := range []string{"/v2/job/{id}/pause", "/collect/bulk/{stream}", "openapi.json"} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the reference page lacks %q", text)
		}
	}
	if strings.Contains(a.body, "<script") {
		t.Error("the reference page has a script")
	}
}

// TestCurl: what curl sends with -d alone is JSON.
func TestCurl(t *testing.T) {
	s := servertest.Start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v2/segment/validate", strings.NewReader(`{"segment_ql":"FILTER *"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", s.Tokens[activation.RoleOperator])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %d, want 200", res.StatusCode)
	}
}

// TestIdempotencyKey: the same key makes one job, on both routes.
func TestIdempotencyKey(t *testing.T) {
	s := servertest.Start(t)
	shop := s.Declare()
	for i, path := range []string{"/v2/job", "/v2/job/meta-custom-audience"} {
		slug := fmt.Sprintf("once-%d", i)
		s.Must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": slug, "name": slug, "segment_ql": "FILTER score > 1"}, nil)
		body := map[string]any{"workflow": "meta-custom-audience", "name": slug, "destination_id": shop.Destination, "segment_ids": []string{slug}}
		send := func(key string) (client.Job, error) {
			var j client.Job
			_, err := s.Client(activation.RoleOperator).Send(t.Context(), http.MethodPost, path, http.Header{"Idempotency-Key": {key}}, body, &j)
			return j, err
		}
		first, err := send(slug)
		again, err2 := send(slug)
		if err != nil || err2 != nil || first.ID == "" || first.ID != again.ID {
			t.Errorf("%s: %q, then %q: %v, %v", path, first.ID, again.ID, err, err2)
		}
		body["description"] = "another request"
		var e *client.Error
		if _, err := send(slug); !errors.As(err, &e) || e.Status != http.StatusBadRequest || !strings.Contains(e.Message, "Idempotency-Key") {
			t.Errorf("%s: the key for another request: %v", path, err)
		}
		if _, err := send(slug + "-fresh"); !errors.As(err, &e) || e.Status != http.StatusConflict {
			t.Errorf("%s: a fresh key for a name that is taken: %v", path, err)
		}
	}
}
