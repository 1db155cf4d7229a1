package tradedesk

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the network signs with it
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
)

// A body such as the vendor's page shows.
const example = `{"AdvertiserId":"sandboxadv","Items":[{"UID2":"BxZHBSkFmGGc9IVP9mRwBU3hTwfJRM3/g4Z/Ix3rWGU=","Data":[{"Name":"seg","TTLInMinutes":43200}]},{"DAID":"ea7583cd-a667-48bc-b806-42ecb2b48606","Data":[{"Name":"seg","TTLInMinutes":43200},{"Name":"other","TTLInMinutes":60}]}]}`

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func open(t *testing.T, o Options) (*Network, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	n, err := New(o, Deps{Log: slog.New(slog.DiscardHandler), Now: c.now, Faults: fault.NewPlan(1)})
	if err != nil {
		t.Fatal(err)
	}
	return n, c
}

func sign(secret, body string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// send posts a body; change alters the request that was right.
func send(t *testing.T, n *Network, body string, change func(*http.Request)) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/data/advertiser", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("TtdSignature", sign(DefaultSecret, body))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("answer %q: %v", w.Body, err)
	}
	return w.Code, out
}

func TestExampleIsTaken(t *testing.T) {
	n, c := open(t, Options{})
	status, out := send(t, n, example, nil)
	if status != 200 || len(out) != 0 {
		t.Fatalf("%d %v", status, out)
	}
	if got := n.Members("sandboxadv", "seg"); len(got) != 2 || got[0].Kind != "DAID" || !got[1].Until.Equal(c.at.Add(30*24*time.Hour)) {
		t.Errorf("seg: %+v", got)
	}
	c.at = c.at.Add(time.Hour)
	if got := n.Members("sandboxadv", "other"); len(got) != 0 {
		t.Errorf("an hour later other still has %+v", got)
	}
	status, _ = send(t, n, strings.ReplaceAll(example, "43200", "0"), nil)
	if got := n.Members("sandboxadv", "seg"); status != 200 || len(got) != 0 {
		t.Errorf("after a lifetime of 0: %d %+v", status, got)
	}
}

// TestOneChangeIsEnough refuses every corruption of a single thing.
func TestOneChangeIsEnough(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	swap := func(from, to string) string { return strings.Replace(example, from, to, 1) }
	for name, tc := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
		code   string
	}{
		"another path":          {example, func(r *http.Request) { r.URL.Path = "/data/thirdparty" }, 404, "NotFound"},
		"another method":        {example, func(r *http.Request) { r.Method = http.MethodPut }, 405, "MethodNotAllowed"},
		"no type":               {example, header("Content-Type", ""), 415, "SerializationFailed"},
		"no signature":          {example, header("TtdSignature", ""), 401, "AuthenticationFailed"},
		"another secret":        {example, header("TtdSignature", sign("x", example)), 401, "AuthenticationFailed"},
		"another body signed":   {example, header("TtdSignature", sign(DefaultSecret, example+" ")), 401, "AuthenticationFailed"},
		"signature in hex":      {example, header("TtdSignature", "da39a3ee5e6b4b0d3255bfef95601890afd80709"), 401, "AuthenticationFailed"},
		"unknown token":         {example, header("TTD-Auth", "x"), 401, "InvalidToken"},
		"unknown advertiser":    {swap("sandboxadv", "another"), nil, 401, "AuthenticationFailed"},
		"no advertiser":         {swap(`"AdvertiserId":"sandboxadv",`, ""), nil, 401, "AuthenticationFailed"},
		"unknown data provider": {swap(`"Items"`, `"DataProviderId":"x","Items"`), nil, 401, "AuthenticationFailed"},
		"unknown field":         {swap(`"Items"`, `"Extra":1,"Items"`), nil, 400, "SerializationFailed"},
		"unknown id":            {swap(`"UID2"`, `"EMAIL"`), nil, 400, "SerializationFailed"},
		"lifetime as text":      {swap("43200", `"43200"`), nil, 400, "SerializationFailed"},
		"not JSON":              {example[1:], nil, 400, "SerializationFailed"},
		"two bodies":            {example + example, nil, 400, "SerializationFailed"},
		"no items":              {`{"AdvertiserId":"sandboxadv","Items":[]}`, nil, 400, "MissingData"},
		"too large":             {example + strings.Repeat(" ", maxBytes), nil, 413, "MaxRequestSizeExceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := open(t, Options{})
			status, out := send(t, n, tc.body, tc.change)
			if status != tc.status || out["ErrorCode"] != tc.code {
				t.Errorf("%d %v, want %d %s", status, out, tc.status, tc.code)
			}
			if len(n.Elements("sandboxadv")) != 0 {
				t.Error("it took effect")
			}
		})
	}
}

// TestBadItemsAreNamed takes the good items of a call that has a bad one.
func TestBadItemsAreNamed(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, message string }{
		"no id":             {`"DAID":"ea7583cd-a667-48bc-b806-42ecb2b48606",`, ``, "Missing user id, item #2"},
		"two ids":           {`"DAID"`, `"TDID":"ea7583cd-a667-48bc-b806-42ecb2b48606","DAID"`, "More than one user id, item #2"},
		"an id in capitals": {"ea7583cd", "EA7583CD", "Invalid DAID, item #2"},
		"an empty id":       {"ea7583cd-a667-48bc-b806-42ecb2b48606", "", "Invalid DAID, item #2"},
		"no name":           {`"Name":"other",`, ``, "Invalid Name, item #2"},
		"no lifetime":       {`,"TTLInMinutes":60`, ``, "Invalid TTLInMinutes, item #2"},
		"too long a life":   {`60`, `259201`, "Invalid TTLInMinutes, item #2"},
		"a negative life":   {`60`, `-1`, "Invalid TTLInMinutes, item #2"},
		"no data":           {`[{"Name":"seg","TTLInMinutes":43200},{"Name":"other","TTLInMinutes":60}]`, `[]`, "Missing Data, item #2"},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := open(t, Options{})
			at := strings.LastIndex(example, tc.from)
			body := example[:at] + tc.to + example[at+len(tc.from):]
			status, out := send(t, n, body, nil)
			lines, _ := out["FailedLines"].([]any)
			if status != 200 || len(lines) != 1 || lines[0].(map[string]any)["Message"] != tc.message {
				t.Fatalf("%d %v, want %q", status, out, tc.message)
			}
			if got := n.Members("sandboxadv", "seg"); len(got) != 1 || got[0].Kind != "UID2" {
				t.Errorf("the good item: %+v", got)
			}
		})
	}
}

func TestWhoMaySend(t *testing.T) {
	n, _ := open(t, Options{
		Advertisers: map[string]string{"a": DefaultSecret, "b": "other", "c": DefaultSecret}, Providers: map[string]string{"dp": "dp-secret"},
		Tokens: map[string]string{"tok": "b"}, Misconfigured: []string{"c"}, MaxElements: 2,
	})
	for _, tc := range []struct {
		name, body string
		change     func(*http.Request)
		status     int
	}{
		{"by token", strings.Replace(example, "sandboxadv", "b", 1), func(r *http.Request) { r.Header.Del("TtdSignature"); r.Header.Set("TTD-Auth", "tok") }, 200},
		{"by another's token", strings.Replace(example, "sandboxadv", "a", 1), func(r *http.Request) { r.Header.Set("TTD-Auth", "tok") }, 401},
		{"misconfigured", strings.Replace(example, "sandboxadv", "c", 1), nil, 403},
		{"for a data provider", strings.Replace(example, `sandboxadv"`, `a","DataProviderId":"dp"`, 1), nil, 401},
		{"one element too many", strings.Replace(strings.Replace(example, "sandboxadv", "a", 1), `"seg"`, `"third"`, 1), nil, 403},
	} {
		status, out := send(t, n, tc.body, tc.change)
		if status != tc.status {
			t.Errorf("%s: %d %v, want %d", tc.name, status, out, tc.status)
		}
	}
	body := strings.Replace(example, `sandboxadv"`, `a","DataProviderId":"dp"`, 1)
	if status, out := send(t, n, body, func(r *http.Request) { r.Header.Set("TtdSignature-dp", sign("dp-secret", body)) }); status != 200 {
		t.Errorf("with both signatures: %d %v", status, out)
	}
}

func TestFaults(t *testing.T) {
	n, _ := open(t, Options{})
	for _, tc := range []struct {
		fault  fault.Fault
		status int
		taken  int
	}{
		{fault.Fault{Kind: fault.Status, Applied: true}, 503, 2},
		{fault.Fault{Kind: fault.Throttle, Minutes: 3}, 429, 0},
		{fault.Fault{Kind: fault.Token}, 401, 0},
		{fault.Fault{Kind: fault.Error, Code: 1}, 400, 0},
		{fault.Fault{Kind: fault.Invalid, Row: 1, Rows: 1}, 200, 1},
		{fault.Fault{Kind: fault.Slow, Delay: 1}, 200, 2},
	} {
		if _, err := n.deps.Faults.Add(tc.fault); err != nil {
			t.Fatal(err)
		}
		status, _ := send(t, n, example, nil)
		if got := len(n.Members("sandboxadv", "seg")); status != tc.status || got != tc.taken {
			t.Errorf("%s: status %d, %d taken; want %d, %d", tc.fault.Kind, status, got, tc.status, tc.taken)
		}
		n.Drop("sandboxadv", "seg")
	}
	calls := n.Calls()
	if last := calls[len(calls)-1]; last.Items != 2 || !last.Applied || last.Status != 200 || last.Fault != "slow" {
		t.Errorf("the log: %+v", last)
	}
}

func TestReadBack(t *testing.T) {
	n, _ := open(t, Options{})
	send(t, n, example, nil)
	get := func(method, path string) string {
		w := httptest.NewRecorder()
		n.Control().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
		return w.Body.String()
	}
	if got := get("GET", "/advertisers/sandboxadv/elements"); !strings.Contains(got, `["other","seg"]`) {
		t.Errorf("elements: %s", got)
	}
	if got := get("GET", "/advertisers/sandboxadv/elements/other"); !strings.Contains(got, `"kind":"DAID"`) {
		t.Errorf("members: %s", got)
	}
	if got := get("GET", "/calls"); !strings.Contains(got, `"items":2`) || bytes.Contains([]byte(got), []byte("UID2")) {
		t.Errorf("calls: %s", got)
	}
	get("DELETE", "/advertisers/sandboxadv/elements/other")
	if got := n.Elements("sandboxadv"); len(got) != 1 {
		t.Errorf("elements after one was taken away: %v", got)
	}
}
