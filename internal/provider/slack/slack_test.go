package slack

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

const path = "/services/T000/B000/xyzsecretxyz"

// start serves a stand-in of Slack.
func start(t *testing.T) (alerttest.Far, *alertsink.Sink) {
	t.Helper()
	sink := alertsink.Slack()
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	faults := map[alerttest.Fault]alertsink.Fault{
		alerttest.Throttled: {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "30"}, Body: "rate_limited"},
		alerttest.Down:      {Status: http.StatusRequestTimeout},
		alerttest.Lost:      {Applied: true, Cut: true},
		alerttest.Strange:   {Status: http.StatusOK, Body: "<html>proxy</html>"},
		alerttest.Gone:      {Status: http.StatusNotFound, Body: "no_service"},
		alerttest.Refused:   {Status: http.StatusBadRequest, Body: "invalid_blocks"},
		alerttest.Denied:    {Status: http.StatusUnauthorized, Body: "?"},
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
		Definition: Definition(), Secrets: []string{path}, Required: []string{"webhook_url"},
		Start: func(t *testing.T) alerttest.Far { far, _ := start(t); return far },
	})
}

// TestAnswers holds each answer of Slack and what it means together.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   activation.Kind
		field  string
		may    bool
	}{
		{400, "invalid_payload", activation.RefusedWhole, "", false},
		{400, "no_text", activation.RefusedWhole, "", false},
		{400, "user_not_found", activation.Invalid, "webhook_url", false},
		{400, "something new", activation.RefusedWhole, "", false},
		{403, "action_prohibited", activation.Invalid, "webhook_url", false},
		{403, "invalid_token", activation.Invalid, "webhook_url", false},
		{404, "channel_not_found", activation.Invalid, "webhook_url", false},
		{404, "", activation.Invalid, "webhook_url", false},
		{410, "channel_is_archived", activation.Invalid, "webhook_url", false},
		{302, "", activation.Invalid, "webhook_url", false},
		{429, "", activation.WaitUntil, "", false},
		{500, "rollup_error", activation.Unavailable, "", true},
		{503, "<html>", activation.Unavailable, "", true},
		{200, "", activation.Unavailable, "", true},
	} {
		far, sink := start(t)
		sink.Script(alertsink.Fault{Status: c.status, Body: c.body})
		client, err := New(alerttest.Deps(far, slog.New(slog.DiscardHandler), far.Host))
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Notify(t.Context(), alerttest.Notice("n1"))
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Field != c.field || e.MayHaveApplied != c.may {
			t.Errorf("%d %q is %+v; want %s, field %q, may have applied %t", c.status, c.body, e, c.kind, c.field, c.may)
		}
	}
}

func TestEscapes(t *testing.T) {
	n := alerttest.Notice("n1")
	n.SubjectName, n.Message, n.Link = "<!channel>", "<@U1> & co", "https://usher.example.com/a|b>c"
	text := ""
	m := message(n)
	for _, b := range m.Blocks {
		if b.Type == "section" {
			text += b.Text.Text
		}
	}
	if want := "&lt;@U1&gt; &amp; co\n<https://usher.example.com/a%7Cb%3Ec|Open in Usher>"; text != want {
		t.Errorf("the section is %q, want %q", text, want)
	}
	if want := "🔴 Job &lt;!channel&gt; failed"; m.Text != want {
		t.Errorf("the text is %q, want %q", m.Text, want)
	}
}
