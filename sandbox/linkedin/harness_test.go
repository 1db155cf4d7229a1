package linkedin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const accountURN = "urn:li:sponsoredAccount:123"

// world is a network with a clock of its own.
type world struct {
	*Network
	t      *testing.T
	now    time.Time
	faults *fault.Plan
}

func open(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{t: t, now: noon, faults: fault.NewPlan(1)}
	n, err := New(o, Deps{Seed: 1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now }, Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	w.Network = n
	t.Cleanup(func() { _ = n.Close() })
	return w
}

// request is a good one that a test may change before it is made.
func request(method, path, restMethod, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+DefaultToken)
	r.Header.Set("LinkedIn-Version", "202607")
	r.Header.Set("X-Restli-Protocol-Version", "2.0.0")
	if restMethod != "" {
		r.Header.Set("X-RestLi-Method", restMethod)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	return r
}

type result struct {
	status int
	header http.Header
	body   string
	fields map[string]any
}

func (w *world) do(r *http.Request) result {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	out := result{status: rec.Code, header: rec.Header(), body: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &out.fields)
	return out
}

func (w *world) call(method, path, restMethod, body string) result {
	w.t.Helper()
	return w.do(request(method, path, restMethod, body))
}

func (w *world) want(got result, status int, part string) {
	w.t.Helper()
	if got.status != status || !strings.Contains(got.body, part) {
		w.t.Errorf("got %d %s, want %d with %q", got.status, got.body, status, part)
	}
}

const goodSegment = `{"name":"VIPs","account":"` + accountURN + `","accessPolicy":"PRIVATE","type":"USER",
	"sourcePlatform":"USHER","sourceSegmentId":"our-42","destinations":[{"destination":"LINKEDIN"}]}`

// segment makes one and lets it settle.
func (w *world) segment() string {
	w.t.Helper()
	got := w.call("POST", "/rest/dmpSegments", "CREATE", goodSegment)
	w.want(got, 201, "")
	w.now = w.now.Add(2 * time.Minute)
	return got.header.Get("X-Restli-Id")
}

func find(account, source string) string {
	q := url.Values{"q": {"account"}, "account": {account}, "sourceSegmentId": {source}, "sourcePlatform": {"USHER"}}
	return "/rest/dmpSegments?" + q.Encode()
}
