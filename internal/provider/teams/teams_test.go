package teams

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/provider/alerttest"
	"usher/sandbox/alertsink"
)

const path = "/workflows/0123/triggers/manual/paths/invoke?sig=xyzsecretxyz"

// start serves a stand-in of a flow.
func start(t *testing.T) (alerttest.Far, *alertsink.Sink) {
	t.Helper()
	sink := alertsink.Teams()
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	faults := map[alerttest.Fault]alertsink.Fault{
		alerttest.Throttled: {Status: http.StatusTooManyRequests},
		alerttest.Down:      {Status: http.StatusRequestTimeout},
		alerttest.Lost:      {Applied: true, Cut: true},
		alerttest.Strange:   {Status: http.StatusOK, Body: "<!doctype html><p>sign in to the wifi"},
		alerttest.Gone:      {Status: http.StatusNotFound, Body: `{"error":{"code":"WorkflowNotFound"}}`},
		alerttest.Refused:   {Status: http.StatusBadRequest, Body: `{"error":{"code":"TriggerInputSchemaMismatch"}}`},
		alerttest.Denied:    {Status: http.StatusUnauthorized},
	}
	return alerttest.Far{
		Auth: map[string]provider.Secret{"webhook_url": provider.Secret(server.URL + path)},
		Host: strings.TrimPrefix(server.URL, "http://"),
		Seen: func() (out []alerttest.Seen) {
			for _, one := range sink.Taken() {
				out = append(out, alerttest.Seen{Text: one.Text})
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
		Definition: Definition(), Secrets: []string{path, "xyzsecretxyz"}, Required: []string{"webhook_url"},
		Start: func(t *testing.T) alerttest.Far { far, _ := start(t); return far },
	})
}

// TestAnswers holds each answer of a flow, and of a connector, and what it means
// together.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   activation.Kind
		field  string
		may    bool
	}{
		{202, "", "", "", false},
		{200, "1", "", "", false},
		{200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0", activation.WaitUntil, "", false},
		{200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 500", activation.Unavailable, "", false},
		{400, `{"error":{"code":"WorkflowTriggerIsNotEnabled"}}`, activation.Invalid, "webhook_url", false},
		{401, `{"error":{"code":"DirectApiAuthorizationRequired"}}`, activation.Invalid, "webhook_url", false},
		{410, "", activation.Invalid, "webhook_url", false},
		{413, "", activation.RefusedWhole, "", false},
		{502, `{"error":{"code":"NoResponse"}}`, activation.Unavailable, "", true},
	} {
		far, sink := start(t)
		sink.Script(alertsink.Fault{Status: c.status, Body: c.body})
		client, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler), far.Host))
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Notify(t.Context(), alerttest.Notice("n1"))
		if c.kind == "" && err == nil {
			continue
		}
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Field != c.field || e.MayHaveApplied != c.may {
			t.Errorf("%d %q is %+v; want %s, field %q, may have applied %t", c.status, c.body, e, c.kind, c.field, c.may)
		}
	}
}
