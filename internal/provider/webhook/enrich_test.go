package webhook_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/webhook"
	"usher/internal/provider/webhook/webhooktest"
	sandboxwebhook "usher/sandbox/webhook"
)

func enricher(t *testing.T, d provider.Deps, hosts []string, settings map[string]string) (provider.Enricher, error) {
	t.Helper()
	d.Workflow, d.Config, d.Log, d.Now = "webhook_enrichment", settings, slog.New(slog.DiscardHandler), time.Now
	d.HTTP = outbound.New(outbound.Config{AllowedHosts: hosts, Log: d.Log, Now: time.Now, MaxAnswerBytes: 1 << 20})
	return webhook.Definition().NewEnricher(d)
}

func people(n int) []provider.AskedPerson {
	out := make([]provider.AskedPerson, n)
	for i := range out {
		out[i] = provider.AskedPerson{ID: int64(1000 + i), Values: map[string]any{"email": fmt.Sprintf("p%d@example.com", i), "orders": i}}
	}
	return out
}

// TestAsking asks the sandbox, which verifies signatures and headers by code of
// its own, about people one by one and many at a time.
func TestAsking(t *testing.T) {
	n, err := webhooktest.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	d := n.Deps()
	d.Auth["webhook_url"] = provider.Secret(strings.Replace(d.Auth["webhook_url"].Reveal(), "/hooks/", "/enrich/", 1))
	for _, size := range []int{1, 40} {
		e, err := enricher(t, d, n.Hosts(), map[string]string{"stream": "scores", "batch_requests": fmt.Sprint(size > 1)})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Check(t.Context()); err != nil {
			t.Error(err)
		}
		known := 0
		all := people(40)
		for i := 0; i < len(all); i += size {
			replies, err := e.Ask(t.Context(), all[i:i+size])
			if err != nil || len(replies) != size {
				t.Fatalf("%d replies, %v", len(replies), err)
			}
			for j, r := range replies {
				want, ok := sandboxwebhook.Known(fmt.Sprint(all[i+j].ID), 2)
				if r.Known != ok || ok && (fmt.Sprint(r.Values["score"]) != fmt.Sprint(want["score"]) || r.Values["class"] != want["class"]) {
					t.Errorf("of %d we know %v, want %v", all[i+j].ID, r, want)
				}
				if ok {
					known++
				}
			}
		}
		if known < 20 || known == 40 {
			t.Errorf("%d are known", known)
		}
	}
	if c := n.Far.Counters(); c.Asked != 80 || c.Events != 0 {
		t.Errorf("the receiver counted %+v", c)
	}
}

func TestAnswersAboutPeople(t *testing.T) {
	for _, c := range []struct {
		name   string
		people int
		status int
		header string
		body   string
		want   string // the replies, or the code and kind of the error
	}{
		{"an object", 1, 200, "", `{"score":1.50,"tags":["a",1,true],"more":{"x":[1]},"none":null}`, `[{true map[more:{"x":[1]} score:1.50 tags:[a 1 true]]}]`},
		{"data", 1, 200, "", `{"id":"1000","data":{"id":"theirs"}}`, `[{true map[id:theirs]}]`},
		{"an id as a number", 1, 200, "", `{"id":1000,"data":{"a":"b"}}`, `[{true map[a:b]}]`},
		{"somebody else", 1, 200, "", `{"id":"7","data":{"a":"b"}}`, "WEBHOOK-ANSWER unavailable"},
		{"an empty object", 1, 200, "", `{}`, `[{false map[]}]`},
		{"null", 1, 200, "", `null`, `[{false map[]}]`},
		{"no body", 1, 200, "", ``, `[{false map[]}]`},
		{"no content", 3, 204, "", ``, `[{false map[]} {false map[]} {false map[]}]`},
		{"not found", 1, 404, "", `{"error":"x"}`, `[{false map[]}]`},
		{"not found, of several", 2, 404, "", ``, "WEBHOOK-REFUSED-404 refused_whole"},
		{"a list out of order", 3, 200, "", `[{"id":"1002","a":2},{"id":9,"a":9},{"id":1000,"data":{"a":0}},{"id":"1000","a":7},{"a":1}]`, `[{true map[a:0]} {false map[]} {true map[a:2]}]`},
		{"an object about several", 2, 200, "", `{"a":1}`, "WEBHOOK-ANSWER unavailable"},
		{"a list of texts", 2, 200, "", `["a"]`, "WEBHOOK-ANSWER unavailable"},
		{"a page", 1, 200, "", `<html>hello ann@example.com</html>`, "WEBHOOK-ANSWER unavailable"},
		{"two values", 1, 200, "", `{"a":1}{"b":2}`, "WEBHOOK-ANSWER unavailable"},
		{"too long", 1, 200, "", `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, "OUTBOUND-NOANSWER unavailable"},
		{"credentials", 1, 401, "", `{}`, "WEBHOOK-AUTH unauthorized"},
		{"a limit", 1, 429, "120", `{}`, "WEBHOOK-LIMIT wait_until"},
		{"out of order", 1, 503, "", `{}`, "WEBHOOK-UNAVAILABLE unavailable"},
		{"refused", 1, 422, "", `{}`, "WEBHOOK-REFUSED-422 refused_whole"},
		{"gone", 1, 410, "", `{}`, "WEBHOOK-GONE invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer far.Close()
			d := provider.Deps{Auth: map[string]provider.Secret{"webhook_url": provider.Secret(far.URL)}}
			e, err := enricher(t, d, []string{strings.TrimPrefix(far.URL, "http://")}, map[string]string{"batch_requests": fmt.Sprint(c.people > 1)})
			if err != nil {
				t.Fatal(err)
			}
			replies, err := e.Ask(t.Context(), people(c.people))
			got := fmt.Sprint(replies)
			if err != nil {
				got = fmt.Sprint(activation.CodeOf(err), " ", activation.KindOf(err))
				if strings.Contains(err.Error(), "ann@") || strings.Contains(err.Error(), "p0@") {
					t.Errorf("the error tells of people: %v", err)
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s (%v)", got, c.want, err)
			}
			var own *activation.Error
			if errors.As(err, &own) && own.Kind == activation.WaitUntil && time.Until(own.Until) < time.Minute {
				t.Errorf("until %v", own.Until)
			}
		})
	}
}

func TestEnrichmentSettings(t *testing.T) {
	for field, settings := range map[string]map[string]string{
		"http_method": {"http_method": "GET"}, "timeout": {"timeout": "2m"}, "do_not_retry": {"do_not_retry": "100"}, "batch_requests": {"batch_requests": "x"},
	} {
		_, err := enricher(t, provider.Deps{Auth: map[string]provider.Secret{"webhook_url": "https://example.com/x"}}, nil, settings)
		var own *activation.Error
		if !errors.As(err, &own) || own.Field != field || own.Code != "WEBHOOK-SETTINGS" {
			t.Errorf("%s: %v", field, err)
		}
	}
}
