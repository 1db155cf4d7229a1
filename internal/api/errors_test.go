package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/ingest"
	"usher/internal/warehouse/inbox"
)

// TestFail: each kind of error of a use case has its status; what is our own
// fault is logged with its cause and shown without it.
func TestFail(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	secret := errors.New("disk /dev/sda1 and the token abc")
	coded := func(kind activation.Kind, code, text string, cause error) error {
		return fmt.Errorf("use case: %w", &activation.Error{Kind: kind, Code: code, Message: text, Err: cause})
	}
	for _, c := range []struct {
		name          string
		err           error
		status        int
		code, message string
		logged        bool
	}{
		{"invalid", coded(activation.Invalid, "BADREQ-001", "x: is needed", secret), 400, "BADREQ-001", "x: is needed", false},
		{"a network refuses the credentials", coded(activation.Unauthorized, "META-AUTH", "the token has expired", secret), 400, "META-AUTH", "the token has expired", false},
		{"not there", fmt.Errorf("job %q: %w", "1", activation.ErrNotFound), 404, "NOTFOUND-003", "not found", false},
		{"not there, with a code", fmt.Errorf("%w: %w", activation.ErrNotFound, coded(activation.Invalid, "WF-NOTFOUND-005", "no such workflow", nil)), 404, "WF-NOTFOUND-005", "no such workflow", false},
		{"conflict", activation.ErrConflict, 409, "JOB-FAULT-022", "not possible in the present state", false},
		{"conflict with a reason", coded(activation.Invalid, "CONFLICT", "run #3 is open", activation.ErrConflict), 409, "CONFLICT", "run #3 is open", false},
		{"network down", coded(activation.Unavailable, "META-UNAVAILABLE", "Meta is down", secret), 502, "META-UNAVAILABLE", "Meta is down", false},
		{"gone", coded(activation.Gone, "META-GONE", "the audience is gone", secret), 502, "META-GONE", "the audience is gone", false},
		{"too large", coded(activation.Invalid, "BADREQ-001", "too large", ingest.ErrTooLarge), 413, "BADREQ-001", "too large", false},
		{"disk full", coded(activation.Internal, "INTERNAL-019", "the server's disk is full", errors.Join(inbox.ErrDiskFull, secret)), 507, "INTERNAL-019", "the server's disk is full", true},
		{"ours", secret, 500, "INTERNAL-019", "internal error", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			a := &API{Deps{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }}}
			var f *failure
			if !errors.As(a.fail(context.Background(), c.err), &f) {
				t.Fatal("no failure")
			}
			if f.Code != c.status || f.Message != c.message || len(f.Errors) != 1 || f.Errors[0].Code != c.code {
				t.Errorf("%d %q %+v, want %d %q %s", f.Code, f.Message, f.Errors, c.status, c.message, c.code)
			}
			if strings.Contains(log.String(), "abc") != c.logged {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

// TestRetryAfter: a network that names a time is passed on, rounded up.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	a := &API{Deps{Now: func() time.Time { return now }}}
	for want, until := range map[string]time.Time{"90": now.Add(89*time.Second + 1), "1": now.Add(-time.Hour), "2": now.Add(1500 * time.Millisecond)} {
		var f *failure
		errors.As(a.fail(context.Background(), &activation.Error{Kind: activation.WaitUntil, Code: "META-THROTTLE", Message: "wait", Until: until}), &f)
		w := httptest.NewRecorder()
		writeFailure(w, httptest.NewRequest(http.MethodGet, "/", nil), f)
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != want {
			t.Errorf("until %s: %d, Retry-After %q, want 429 and %s", until, w.Code, w.Header().Get("Retry-After"), want)
		}
	}
}

// TestFlag: a switch that cannot be read is refused: a dry run never turns real.
func TestFlag(t *testing.T) {
	for query, want := range map[string]string{"": "false", "dryrun": "true", "dryrun=": "true", "dryrun=1": "true", "dryrun=false": "false", "dryrun=yes": "error", "dryrun=on": "error"} {
		r := httptest.NewRequest(http.MethodPost, "/?"+query, nil)
		on, err := flag(r.URL.Query(), "dryrun")
		got := fmt.Sprint(on)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q is %s, want %s", query, got, want)
		}
	}
}
