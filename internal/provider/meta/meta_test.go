package meta

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	testToken   = "EAAtoken0123456789"
	testSecret  = "app-secret-0123456789"
	testAccount = "1234567890"
)

// network is a scripted far side: each call takes the next answer.
type network struct {
	t       *testing.T
	mu      sync.Mutex
	answers []answer
	calls   []string // method, path, query, headers and body as a text
}

type answer struct {
	status int
	header map[string]string
	body   string
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, printed(r, body))
	if len(n.answers) == 0 {
		n.t.Errorf("unexpected call %s %s", r.Method, r.URL.Path)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	a := n.answers[0]
	n.answers = n.answers[1:]
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(max(a.status, 200))
	_, _ = io.WriteString(w, a.body)
}

// printed is the request as it is compared with the golden files.
func printed(r *http.Request, body []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.Path)
	query := r.URL.Query()
	for _, k := range sortedKeys(query) {
		fmt.Fprintf(&b, "? %s = %s\n", k, query.Get(k))
	}
	for _, k := range []string{"Accept", "Authorization", "Content-Type"} {
		if v := r.Header.Get(k); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", k, v)
		}
	}
	if len(body) > 0 {
		var pretty bytes.Buffer
		if json.Indent(&pretty, body, "", "  ") == nil {
			body = pretty.Bytes()
		}
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	return b.String()
}

func sortedKeys(q url.Values) []string {
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// open starts the scripted network and a destination that calls it.
func open(t *testing.T, answers ...answer) (*destination, *network) {
	t.Helper()
	n := &network{t: t, answers: answers}
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	d, err := New(deps(t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := d.(*destination)
	t.Cleanup(m.http.CloseIdleConnections)
	return m, n
}

func deps(t *testing.T, base string) provider.Deps {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return provider.Deps{
		Auth:    map[string]provider.Secret{"access_token": testToken, "app_secret": testSecret, "base_url": provider.Secret(base)},
		Account: "act_" + testAccount,
		HTTP:    outbound.New(outbound.Config{Timeout: time.Minute, AllowedHosts: []string{u.Host}, Log: log, Now: time.Now}),
		Log:     log, Now: time.Now,
	}
}

// batch has n people with every form of key.
func batch(n int) provider.Batch {
	rs := RuleSet()
	var keys []matchkey.Key
	for _, name := range []string{"EXTERN_ID", "EMAIL", "FN", "LN", "COUNTRY", "MADID"} {
		k, _ := rs.Key(name)
		keys = append(keys, k)
	}
	mapping := map[string]string{}
	for _, k := range keys {
		mapping[k.Name] = k.Name
	}
	set, err := matchkey.NewSet(rs, mapping, "")
	if err != nil {
		panic(err)
	}
	b := provider.Batch{
		Run: "0123456789abcdef0123456789abcdef", Item: "00000000000000000000000000000001",
		Attempt: 1, Remote: "238000001", Op: activation.OpAdd, Keys: keys,
	}
	var buf []byte
	for i := range n {
		madid := ""
		if i%2 == 0 {
			madid = fmt.Sprintf("EA7583CD-A667-48BC-B806-%012X", i)
		}
		out := make([][]byte, len(keys))
		_, buf = set.Compute([]string{fmt.Sprintf(`cust-"%d"`, i), fmt.Sprintf("Person%d@Example.com", i), "Zoë", "O'Neil", "USA", madid}, out, buf)
		b.Values = append(b.Values, out...)
	}
	return b
}

func received(n, invalid int) answer {
	return answer{
		header: map[string]string{"X-Fb-Trace-Id": "Atrace", "Facebook-Api-Version": "v26.0", "Set-Cookie": "a=b"},
		body:   fmt.Sprintf(`{"audience_id":"238000001","session_id":"42","num_received":%d,"num_invalid_entries":%d,"invalid_entry_samples":["x"]}`, n, invalid),
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the request is not %s (run with -update if it should change):\n%s", path, got)
	}
}

func TestRequests(t *testing.T) {
	ctx := context.Background()
	remove := batch(2)
	remove.Op = activation.OpRemove
	audience := provider.Audience{Marker: "t1.g1", Name: "VIPs \"gold\""}
	for _, tc := range []struct {
		name    string
		answers []answer
		do      func(m *destination) error
	}{
		{
			"check",
			[]answer{{body: `{"account_id":"1234567890","id":"act_1234567890"}`}},
			func(m *destination) error { return m.Check(ctx) },
		},
		{
			"add",
			[]answer{received(3, 0)},
			func(m *destination) error { _, err := m.Deliver(ctx, batch(3)); return err },
		},
		{
			"remove",
			[]answer{received(2, 0)},
			func(m *destination) error { _, err := m.Deliver(ctx, remove); return err },
		},
		{
			"create",
			[]answer{
				{body: `{"data":[{"id":"7","description":"[usher:t1.g10]"}],"paging":{"cursors":{"after":"AFTER"},"next":"https://x?access_token=t"}}`},
				{body: `{"data":[],"paging":{}}`},
				{body: `{"id":"238000001"}`},
			},
			func(m *destination) error { return ensured(m, audience, "238000001") },
		},
		{
			"find",
			[]answer{
				{body: `{"data":[{"id":"9","description":"by hand, mark [usher:t1.g1] kept"},{"id":"30"}],"paging":{"cursors":{"after":"A"},"next":"n"}}`},
				{body: `{"data":[{"id":"8","description":"[usher:t1.g1]"}],"paging":{"cursors":{"after":"B"}}}`},
			},
			func(m *destination) error { return ensured(m, audience, "8") },
		},
		{
			"create_all",
			[]answer{{body: `{"data":[]}`}, {body: `{"id":"238000001"}`}},
			func(m *destination) error {
				a := audience
				a.Config = everySetting()
				return ensured(m, a, "238000001")
			},
		},
		{
			"add_value",
			[]answer{received(2, 0)},
			func(m *destination) error {
				_, err := m.Deliver(ctx, valued(activation.OpAdd, "12.50", "0"))
				return err
			},
		},
		{
			"remove_value",
			[]answer{received(2, 0)},
			func(m *destination) error {
				_, err := m.Deliver(ctx, valued(activation.OpRemove, "12.50", "0"))
				return err
			},
		},
		{
			"add_limited",
			[]answer{received(1, 0)},
			func(m *destination) error {
				b := batch(1)
				b.Audience.Config = map[string]string{optionsField: "LDU"}
				_, err := m.Deliver(ctx, b)
				return err
			},
		},
		{
			"remove_limited_there",
			[]answer{received(1, 0)},
			func(m *destination) error {
				b := batch(1)
				b.Op = activation.OpRemove
				b.Audience.Config = map[string]string{optionsField: "LDU", optionsCountry: "1", optionsState: "1000"}
				_, err := m.Deliver(ctx, b)
				return err
			},
		},
		{
			"known",
			[]answer{{body: `{"id":"238000001","operation_status":{"code":200}}`}},
			func(m *destination) error {
				return ensured(m, provider.Audience{Marker: "t1.g1", Name: "VIPs", Remote: "238000001"}, "238000001")
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, n := open(t, tc.answers...)
			if err := tc.do(m); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name, strings.Join(n.calls, "\n"))
			if len(n.answers) > 0 {
				t.Errorf("%d answers were not asked for", len(n.answers))
			}
		})
	}
}

func ensured(m *destination, a provider.Audience, want provider.RemoteID) error {
	got, err := m.EnsureAudience(context.Background(), a)
	if err == nil && got != want {
		err = fmt.Errorf("got audience %q, want %q", got, want)
	}
	return err
}

func TestBodyIsWhatEncodingJSONReads(t *testing.T) {
	b := batch(5)
	b.Values[0] = []byte("tab\t\"quote\" \\ ü \u2028 <")
	b.Values[len(b.Keys)] = nil
	var got struct {
		Session struct {
			ID    int64 `json:"session_id"`
			Seq   int   `json:"batch_seq"`
			Last  bool  `json:"last_batch_flag"`
			Total int64 `json:"estimated_num_total"`
		} `json:"session"`
		Payload struct {
			Schema []string   `json:"schema"`
			Data   [][]string `json:"data"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(appendUsers(nil, b, limits{}, nil), &got); err != nil {
		t.Fatal(err)
	}
	if got.Session.ID <= 0 || got.Session.ID != sessionID(b.Item, 1) || got.Session.Seq != 1 || !got.Session.Last || got.Session.Total != 5 {
		t.Errorf("session %+v", got.Session)
	}
	for i := range b.Rows() {
		for j, v := range b.Row(i) {
			want := string(v)
			if b.Keys[j].Hash && v != nil {
				want = fmt.Sprintf("%x", v)
			}
			if got.Payload.Data[i][j] != want || got.Payload.Schema[j] != b.Keys[j].Name {
				t.Errorf("row %d %s: got %q, want %q", i, got.Payload.Schema[j], got.Payload.Data[i][j], want)
			}
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("a\"b\\\x00ü\u2028"))
	f.Add([]byte("\xff\xc3"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var got string
		if err := json.Unmarshal(appendText(nil, in), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(string(in), "\ufffd"); utf8.Valid(in) && got != want {
			t.Errorf("%q came back as %q", in, got)
		}
	})
}

func TestReceipt(t *testing.T) {
	m, _ := open(t, received(3, 2))
	rc, err := m.Deliver(context.Background(), batch(3))
	if err != nil {
		t.Fatal(err)
	}
	if rc.Accepted != 3 || rc.Unplaced != 2 || rc.Rejected+rc.Unknown+rc.Unsent != 0 || rc.RequestID != "Atrace" || rc.HTTPStatus != 200 {
		t.Errorf("receipt %+v", rc)
	}
	if _, ok := rc.Headers["set-cookie"]; ok || rc.Headers["facebook-api-version"] != "v26.0" {
		t.Errorf("headers %v", rc.Headers)
	}
}

func TestTooSmallRejectsRemovalsAndKeepsThem(t *testing.T) {
	m, _ := open(t, answer{status: 403, body: `{"error":{"code":200,"error_subcode":1870047}}`})
	b := batch(2)
	b.Op = activation.OpRemove
	rc, err := m.Deliver(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	if rc.Rejected != 2 || rc.Accepted != 0 || len(rc.Exceptions) != 2 || rc.Exceptions[1].Ordinal != 1 || rc.Exceptions[1].Code != "META-TOOSMALL" {
		t.Errorf("receipt %+v", rc)
	}
}

func TestLimitsAreKeptBeforeSending(t *testing.T) {
	m, n := open(t)
	m.maxBytes = 2000
	for _, b := range []provider.Batch{batch(10), batch(maxRows + 1)} {
		_, err := m.Deliver(context.Background(), b)
		if activation.KindOf(err) != activation.RefusedWhole || activation.CodeOf(err) != "META-SIZE" {
			t.Errorf("%d rows: %v", b.Rows(), err)
		}
	}
	if rc, err := m.Deliver(context.Background(), batch(0)); err != nil || rc.Accepted != 0 {
		t.Errorf("empty batch: %+v %v", rc, err)
	}
	if len(n.calls) > 0 {
		t.Error("something was sent")
	}
}

func TestGoneOnlyWhenTheAccountIsThere(t *testing.T) {
	const missing = `{"error":{"code":100,"error_subcode":33}}`
	for _, tc := range []struct {
		name    string
		answers []answer
		kind    activation.Kind
		code    string
	}{
		{"account there", []answer{{status: 400, body: missing}, {body: `{"account_id":"1234567890"}`}}, activation.Gone, "META-GONE"},
		{"account hidden", []answer{{status: 400, body: missing}, {status: 400, body: missing}}, activation.Invalid, "META-ACCOUNT"},
		{"token dead meanwhile", []answer{{status: 400, body: missing}, {status: 401, body: `{"error":{"code":190}}`}}, activation.Unauthorized, "META-AUTH"},
		{"account not reached", []answer{{status: 400, body: missing}, {status: 502, body: `<html>`}}, activation.Unavailable, "META-UNAVAILABLE"},
		{"401", []answer{{status: 401, body: missing}}, activation.Invalid, "META-PERMISSION"},
		{"403", []answer{{status: 403, body: missing}}, activation.Invalid, "META-PERMISSION"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, _ := open(t, tc.answers...)
			_, err := m.Deliver(context.Background(), batch(1))
			wantError(t, err, tc.kind, tc.code)
			m, _ = open(t, tc.answers...)
			_, err = m.EnsureAudience(context.Background(), provider.Audience{Marker: "x", Name: "x", Remote: "238000001"})
			wantError(t, err, tc.kind, tc.code)
		})
	}
}

func wantError(t *testing.T, err error, kind activation.Kind, code string) {
	t.Helper()
	if activation.KindOf(err) != kind || activation.CodeOf(err) != code {
		t.Errorf("got %v, want kind %s code %s", err, kind, code)
	}
}

func TestNewNamesTheWrongField(t *testing.T) {
	for field, change := range map[string]func(*provider.Deps){
		"access_token":      func(d *provider.Deps) { d.Auth["access_token"] = "" },
		"account":           func(d *provider.Deps) { d.Account = "act_12/../34" },
		"base_url":          func(d *provider.Deps) { d.Auth["base_url"] = "https://user:pw@x" },
		"api_version":       func(d *provider.Deps) { d.Config = map[string]string{"api_version": "26"} },
		"max_request_bytes": func(d *provider.Deps) { d.Config = map[string]string{"max_request_bytes": "1"} },
		"regain_unit":       func(d *provider.Deps) { d.Config = map[string]string{"regain_unit": "weeks"} },
	} {
		d := deps(t, defaultBaseURL)
		change(&d)
		_, err := New(d)
		wantError(t, err, activation.Invalid, "META-SETTINGS")
		if e, _ := err.(*activation.Error); e == nil || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestAnotherVersionIsWarnedOfOnce(t *testing.T) {
	var out bytes.Buffer
	other := received(1, 0)
	other.header["Facebook-Api-Version"] = "v25.0"
	m, _ := open(t, other, other)
	m.log = slog.New(slog.NewTextHandler(&out, nil))
	for range 2 {
		if _, err := m.Deliver(context.Background(), batch(1)); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(out.String(), "answered=v25.0") != 1 {
		t.Errorf("log: %s", out.String())
	}
}

// BenchmarkBody writes a full body; BenchmarkDeliver sends it to a server that
// reads and drops it.
func BenchmarkBody(b *testing.B) {
	full := batch(maxRows)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendUsers(buf[:0], full, limits{}, nil)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportMetric(float64(b.N*maxRows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkDeliver(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, `{"num_received":%d,"num_invalid_entries":0}`, maxRows)
	}))
	defer server.Close()
	u, _ := url.Parse(server.URL)
	log := slog.New(slog.DiscardHandler)
	d, err := New(provider.Deps{
		Auth: map[string]provider.Secret{"access_token": "t", "base_url": provider.Secret(server.URL)}, Account: "1",
		Config: map[string]string{"max_request_bytes": "100000000"},
		HTTP:   outbound.New(outbound.Config{AllowedHosts: []string{u.Host}, Log: log, Now: time.Now}), Log: log, Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	full := batch(maxRows)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Deliver(context.Background(), full); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*maxRows)/b.Elapsed().Seconds(), "rows/s")
}
