package webhook

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/alerttest"
	"usher/sandbox/alertsink"
)

const (
	testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
	path       = "/hooks/xyzsecretxyz"
)

// start serves a receiver.
func start(t *testing.T) (alerttest.Far, *alertsink.Sink) {
	t.Helper()
	sink := alertsink.Webhook(testSecret)
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	faults := map[alerttest.Fault]alertsink.Fault{
		alerttest.Throttled: {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "30"}},
		alerttest.Down:      {Status: http.StatusRequestTimeout},
		alerttest.Lost:      {Applied: true, Cut: true},
		alerttest.Gone:      {Status: http.StatusGone},
		alerttest.Refused:   {Status: http.StatusUnprocessableEntity},
		alerttest.Denied:    {Status: http.StatusForbidden},
	}
	return alerttest.Far{
		Auth: map[string]provider.Secret{"webhook_url": provider.Secret(server.URL + path), "signing_secret": testSecret},
		Host: strings.TrimPrefix(server.URL, "http://"),
		Seen: func() (out []alerttest.Seen) {
			for _, one := range sink.Taken() {
				out = append(out, alerttest.Seen{ID: one.ID, Text: one.Text})
			}
			return out
		},
		Script: func(f alerttest.Fault) bool {
			fault, ok := faults[f]
			sink.Script(fault)
			return ok
		},
	}, sink
}

func TestConformance(t *testing.T) {
	alerttest.Run(t, alerttest.Suite{
		Definition: Definition(), HasID: true, Secrets: []string{path}, Required: []string{"webhook_url"},
		Start: func(t *testing.T) alerttest.Far { far, _ := start(t); return far },
	})
}

// TestTheirLibraryVerifies: what we sign, the public library takes; and what was
// changed on the way, it does not.
func TestTheirLibraryVerifies(t *testing.T) {
	theirs, err := standardwebhooks.NewWebhook(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	var verified, changed error
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verified = theirs.Verify(body, r.Header)
		changed = theirs.Verify(append(body, ' '), r.Header)
	}))
	defer server.Close()
	far := alerttest.Far{Auth: map[string]provider.Secret{"webhook_url": provider.Secret(server.URL), "signing_secret": testSecret}}
	client, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler), strings.TrimPrefix(server.URL, "http://")))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := client.Notify(t.Context(), alerttest.Notice("n1")); err != nil || answer != "HTTP 200" {
		t.Errorf("answer %q, error %v", answer, err)
	}
	if verified != nil || changed == nil {
		t.Errorf("their library says %v of ours and %v of a changed one", verified, changed)
	}
}

// TestARetryAfterIsObeyed: a receiver that names a time is left alone until then,
// whether it answers 429 or 503; without one a 503 says nothing of the notice.
func TestARetryAfterIsObeyed(t *testing.T) {
	for _, tc := range []struct {
		status int
		after  string
		want   activation.Kind
		may    bool
	}{
		{http.StatusTooManyRequests, "30", activation.WaitUntil, false},
		{http.StatusServiceUnavailable, "30", activation.WaitUntil, false},
		{http.StatusServiceUnavailable, "", activation.Unavailable, true},
	} {
		far, sink := start(t)
		fault := alertsink.Fault{Status: tc.status}
		if tc.after != "" {
			fault.Header = map[string]string{"Retry-After": tc.after}
		}
		sink.Script(fault)
		client, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler), far.Host))
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Notify(t.Context(), alerttest.Notice("n1"))
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != tc.want || e.MayHaveApplied != tc.may || e.Until.IsZero() != (tc.want != activation.WaitUntil) {
			t.Errorf("%d, Retry-After %q: %+v", tc.status, tc.after, e)
		}
	}
}

func TestSecrets(t *testing.T) {
	far, _ := start(t)
	for secret, good := range map[string]bool{testSecret: true, strings.TrimPrefix(testSecret, "whsec_"): true, "whsec_c2hvcnQ=": false, "whsec_***": false} {
		far.Auth["signing_secret"] = provider.Secret(secret)
		_, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler)))
		if (err == nil) != good || (err != nil && strings.Contains(err.Error(), secret)) {
			t.Errorf("a secret that is good (%t): %v", good, err)
		}
	}
}
