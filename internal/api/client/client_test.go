package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usher/internal/api/client"
)

// serve answers every request with a status and a body.
func serve(t *testing.T, status int, body string) *client.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("Authorization is %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return &client.Client{URL: s.URL + "/", Token: "secret"}
}

func TestDo(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		next   string
		out    string
		err    string
	}{
		{"success", 200, `{"data":"x","status":200,"message":"success","_next":"7"}`, "7", "x", ""},
		{"success without data", 200, `{"data":null,"status":200,"message":"deleted"}`, "", "", ""},
		{"refused", 400, `{"data":null,"status":400,"message":"name: is needed","errors":[{"code":"BADREQ-001","message":"name: is needed"}],"request_id":"ab"}`, "", "", "name: is needed (BADREQ-001), request ab"},
		{"refused, older envelope", 404, `{"status":404,"message":"not found"}`, "", "", "not found"},
		{"not our server", 200, `<html>`, "", "", "is this an Usher server?"},
		{"a proxy's error", 502, `Bad Gateway`, "", "", "502"},
		{"data of another type", 200, `{"data":7,"status":200}`, "", "", "decode answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out string
			next, err := serve(t, c.status, c.body).Do(t.Context(), http.MethodGet, "/v2/x", nil, &out)
			if c.err == "" && (err != nil || next != c.next || out != c.out) {
				t.Errorf("%q, %q, %v; want %q, %q", next, out, err, c.next, c.out)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("error is %v, want %q in it and no token", err, c.err)
			}
		})
	}
}

// TestUnreachable tells a server that is not there from a caller that stops.
func TestUnreachable(t *testing.T) {
	nobody := &client.Client{URL: "http://127.0.0.1:1"}
	if _, err := nobody.Do(t.Context(), http.MethodGet, "/", nil, nil); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := nobody.Do(ctx, http.MethodGet, "/", nil, nil); errors.Is(err, client.ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
	defer cancel()
	if err := nobody.WaitReady(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait: %v", err)
	}
}
