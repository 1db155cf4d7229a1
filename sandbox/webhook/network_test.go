package webhook

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the legacy signature
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"usher/sandbox/fault"
)

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, o Options) *Network {
	t.Helper()
	n, err := New(o, Deps{Now: func() time.Time { return at }, Faults: fault.NewPlan(1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// request is a good one, signed by the public library.
func request(t *testing.T, body string) *http.Request {
	t.Helper()
	theirs, err := standardwebhooks.NewWebhook(DefaultSecret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := theirs.Sign("msg_1", at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hook?key=k1", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("webhook-id", "msg_1")
	r.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	r.Header.Set("webhook-signature", "v1,bm9uZSBvZiBvdXJz "+signature)
	mac := hmac.New(sha1.New, []byte("old"))
	mac.Write([]byte(body))
	r.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("X-Api-Key", "h1")
	return r
}

func call(n *Network, r *http.Request) int {
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w.Code
}

const example = `{"id":"msg_1","data":{"email":"ana@example.com","segment_events":[{"id":"a1","slug":"vip","event":"enter","enter":"2026-11-22T12:00:00Z"}]},"meta":{"object":"user"}}`

// TestRefusesEachCorruption: what is good is taken; each single thing that is
// wrong about it is refused, and nothing of it is kept.
func TestRefusesEachCorruption(t *testing.T) {
	strict := Options{Legacy: "old", Headers: map[string]string{"X-Api-Key": "h1"}, Params: map[string]string{"key": "k1"}}
	for _, tc := range []struct {
		name   string
		spoil  func(r *http.Request)
		body   string
		status int
	}{
		{"nothing is wrong", nil, example, 204},
		{"put", func(r *http.Request) { r.Method = http.MethodPut }, example, 204},
		{"a list", nil, `[` + example + `]`, 204},
		{"method", func(r *http.Request) { r.Method = http.MethodDelete }, example, 405},
		{"content type", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, example, 415},
		{"no id", func(r *http.Request) { r.Header.Del("webhook-id") }, example, 400},
		{"an id with a full stop", func(r *http.Request) { r.Header.Set("webhook-id", "msg.1") }, example, 400},
		{"another id", func(r *http.Request) { r.Header.Set("webhook-id", "msg_2") }, example, 401},
		{"no time", func(r *http.Request) { r.Header.Del("webhook-timestamp") }, example, 400},
		{"another time", func(r *http.Request) { r.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()+1)) }, example, 401},
		{"an old time", func(r *http.Request) { r.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()-301)) }, example, 400},
		{"milliseconds", func(r *http.Request) { r.Header.Set("webhook-timestamp", fmt.Sprint(at.UnixMilli())) }, example, 400},
		{"no signature", func(r *http.Request) { r.Header.Del("webhook-signature") }, example, 401},
		{"a signature without its version", func(r *http.Request) {
			r.Header.Set("webhook-signature", strings.ReplaceAll(r.Header.Get("webhook-signature"), "v1,", ""))
		}, example, 401},
		{"no legacy signature", func(r *http.Request) { r.Header.Del("X-Signature") }, example, 401},
		{"an upper-case legacy signature", func(r *http.Request) { r.Header.Set("X-Signature", strings.ToUpper(r.Header.Get("X-Signature"))) }, example, 401},
		{"no header", func(r *http.Request) { r.Header.Del("X-Api-Key") }, example, 403},
		{"another parameter", func(r *http.Request) { r.URL.RawQuery = "key=k2" }, example, 403},
		{"no JSON", nil, `{"id":`, 400},
		{"two values", nil, example + example, 400},
		{"a text", nil, `"hello"`, 400},
		{"an empty list", nil, `[]`, 413},
		{"a list of texts", nil, `["a"]`, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := open(t, strict)
			r := request(t, tc.body)
			if tc.spoil != nil {
				tc.spoil(r)
			}
			if got := call(n, r); got != tc.status {
				t.Errorf("answered %d, want %d", got, tc.status)
			}
			if kept := len(n.Events()); (kept == 1) != (tc.status == 204) {
				t.Errorf("%d events were kept", kept)
			}
		})
	}
}

func TestRepetitionsAreDropped(t *testing.T) {
	n := open(t, Options{})
	for range 3 {
		if got := call(n, request(t, example)); got != 204 {
			t.Fatal(got)
		}
	}
	if c := n.Counters(); c.Events != 1 || c.Repeated != 2 || len(n.Events()) != 1 || n.Events()[0].Repeated != 2 {
		t.Errorf("%+v %+v", c, n.Events())
	}
	call(n, request(t, `[{"id":"a"},{"id":"b"},{"id":"a"},{"x":1}]`))
	if c := n.Counters(); c.Events != 4 || c.Repeated != 3 {
		t.Errorf("a list: %+v", c)
	}
}

func TestTokens(t *testing.T) {
	n := open(t, Options{ClientID: "c", ClientSecret: "s"})
	ask := func(form string) (int, string) {
		w := httptest.NewRecorder()
		n.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth/token", strings.NewReader(form)))
		_, rest, _ := strings.Cut(w.Body.String(), `"access_token":"`)
		text, _, _ := strings.Cut(rest, `"`)
		return w.Code, text
	}
	for form, want := range map[string]int{
		"grant_type=client_credentials&client_id=c&client_secret=s": 200, "grant_type=client_credentials&client_id=c&client_secret=x": 401,
		"grant_type=password&client_id=c&client_secret=s": 400, "client_id=c&client_secret=s": 400,
	} {
		if got, _ := ask(form); got != want {
			t.Errorf("%s: %d, want %d", form, got, want)
		}
	}
	_, text := ask("grant_type=client_credentials&client_id=c&client_secret=s")
	r := request(t, example)
	if got := call(n, r); got != 401 {
		t.Errorf("without a token: %d", got)
	}
	r = request(t, example)
	r.Header.Set("Authorization", "Bearer "+text)
	if got := call(n, r); got != 204 {
		t.Errorf("with a token: %d", got)
	}
	n.ExpireTokens()
	r = request(t, example)
	r.Header.Set("Authorization", "Bearer "+text)
	if got := call(n, r); got != 401 {
		t.Errorf("with an expired token: %d", got)
	}
}

func TestFaultsAndReadBack(t *testing.T) {
	n := open(t, Options{})
	for _, tc := range []struct {
		fault  fault.Fault
		status int
		kept   int
	}{
		{fault.Fault{Kind: fault.Status, Status: 500, Applied: true}, 500, 1},
		{fault.Fault{Kind: fault.Status}, 503, 0},
		{fault.Fault{Kind: fault.HTML}, 502, 0},
		{fault.Fault{Kind: fault.Throttle, Minutes: 7}, 429, 0},
		{fault.Fault{Kind: fault.Token}, 401, 0},
		{fault.Fault{Kind: fault.Gone}, 410, 0},
		{fault.Fault{Kind: fault.Invalid, Rows: 1}, 422, 0},
		{fault.Fault{Kind: fault.Slow, Delay: 1}, 204, 1},
	} {
		n.Forget()
		if _, err := n.deps.Faults.Add(tc.fault); err != nil {
			t.Fatal(err)
		}
		if got := call(n, request(t, example)); got != tc.status || len(n.Events()) != tc.kept {
			t.Errorf("%s: %d, %d events; want %d, %d", tc.fault.Kind, got, len(n.Events()), tc.status, tc.kept)
		}
	}
	w := httptest.NewRecorder()
	n.Control().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil))
	if !strings.Contains(w.Body.String(), `"webhook_id":"msg_1"`) || !strings.Contains(w.Body.String(), "ana@example.com") {
		t.Errorf("read-back: %s", w.Body)
	}
	for _, path := range []string{"/events", "/tokens"} {
		w = httptest.NewRecorder()
		n.Control().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, path, nil))
		if w.Code != 204 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if len(n.Events()) != 0 {
		t.Error("events were not forgotten")
	}
}

// FuzzRead: no body is taken that is not JSON objects, each with an id.
func FuzzRead(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`[{"id":"a"},{}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := read("msg", raw)
		if (len(list) == 0) == (err == nil) {
			t.Fatalf("%d events and error %v", len(list), err)
		}
		for _, e := range list {
			if _, ok := e.Body.(map[string]any); !ok || e.ID == "" {
				t.Errorf("%+v", e)
			}
		}
	})
}
