package fault_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/sandbox/fault"
)

// TestServe: what the caller gets of each fault, and what the network did and
// noted, in order.
func TestServe(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fault.Fault
		did   string
		got   string // status and body; "broken" = the connection ended
	}{
		"slow":           {fault.Fault{Kind: fault.Slow, Delay: 1}, "usual", "200 usual"},
		"invalid":        {fault.Fault{Kind: fault.Invalid, Rows: 1}, "usual", "200 usual"},
		"a page":         {fault.Fault{Kind: fault.HTML}, "log 502", "502 <p>"},
		"a page, as":     {fault.Fault{Kind: fault.HTML, Status: 503, Applied: true}, "apply log 503", "503 <p>"},
		"cut":            {fault.Fault{Kind: fault.Cut}, "log 0", "broken"},
		"cut in half":    {fault.Fault{Kind: fault.Cut, Applied: true}, "apply log 0", `201 {"answer": broken`},
		"never answered": {fault.Fault{Kind: fault.Timeout, Applied: true, Delay: 1}, "apply log 0", "broken"},
		"refused":        {fault.Fault{Kind: fault.Throttle}, "refuse", "400 refused"},
		"refused after":  {fault.Fault{Kind: fault.Status, Applied: true}, "apply refuse", "400 refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var did []string
			note := func(what string) {
				mu.Lock()
				defer mu.Unlock()
				did = append(did, what)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fault.Met{
					Writer: w, Request: r, Closing: make(chan struct{}), Page: "<p>",
					Usual:  func() { note("usual"); _, _ = io.WriteString(w, "usual") },
					Apply:  func() (int, any) { note("apply"); return 201, map[string]string{"answer": "of some length"} },
					Log:    func(status int) { note(fmt.Sprint("log ", status)) },
					Refuse: func() { note("refuse"); w.WriteHeader(400); _, _ = io.WriteString(w, "refused") },
				}.Serve(tc.fault)
			}))
			defer server.Close()
			got := "broken"
			if resp, err := http.Get(server.URL); err == nil {
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				got = strings.TrimSpace(resp.Status[:3] + " " + string(body))
				if err != nil {
					got = resp.Status[:3] + " " + string(body[:10]) + " broken"
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if strings.Join(did, " ") != tc.did || got != tc.got {
				t.Errorf("did %q and answered %q, want %q and %q", did, got, tc.did, tc.got)
			}
		})
	}
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		fault.Hold(t.Context(), make(chan struct{}), time.Minute)
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("held for %s", d)
		}
		closing := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(closing) })
		fault.Hold(t.Context(), closing, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		fault.Hold(ctx, make(chan struct{}), 0)
		if d := time.Since(begin); d != 2*time.Hour+time.Minute {
			t.Errorf("held for %s in all", d)
		}
	})
}
