package linkedin

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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	testAccount = "500000001"
	remoteID    = "10804"
)

// noon is the time at LinkedIn and here when a test begins.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// network is a scripted far side: each call takes the next answer.
type network struct {
	t       *testing.T
	mu      sync.Mutex
	now     time.Time
	answers []answer
	calls   []string // method, path, query, headers and body as a text
}

// answer is what one call is answered with; after is how much later.
type answer struct {
	status int
	header map[string]string
	body   string
	after  time.Duration
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
	n.now = n.now.Add(a.after)
	w.Header().Set("Date", n.now.Format(http.TimeFormat))
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(max(a.status, 200))
	_, _ = io.WriteString(w, a.body)
}

func (n *network) time() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

func (n *network) pass(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = n.now.Add(d)
}

func (n *network) expect(answers ...answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers = append(n.answers, answers...)
}

// printed is the request as it is compared with the golden files.
func printed(r *http.Request, body []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.Path)
	if r.URL.RawQuery != "" {
		fmt.Fprintf(&b, "? %s\n", r.URL.RawQuery)
	}
	for _, k := range []string{"Accept", "Authorization", "Content-Length", "Content-Type", "LinkedIn-Version", "X-Restli-Method", "X-Restli-Protocol-Version"} {
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

// fakeTokens gives first, and once it was refused next.
type fakeTokens struct {
	mu      sync.Mutex
	list    []string
	refused []string
	err     error // once the list is used up
}

func (f *fakeTokens) Token(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		return "", f.err
	}
	return f.list[0], nil
}

func (f *fakeTokens) Refused(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, token)
	if len(f.list) > 1 || f.err != nil {
		f.list = f.list[1:]
	}
}

func deps(t *testing.T, base string) provider.Deps {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return provider.Deps{
		Auth:    map[string]provider.Secret{"base_url": provider.Secret(base)},
		Account: testAccount, Config: map[string]string{"source_platform": "ACME_DMP"},
		Tokens: &fakeTokens{list: []string{"token-one"}},
		HTTP:   outbound.New(outbound.Config{Timeout: time.Minute, AllowedHosts: []string{u.Host}, Log: log, Now: time.Now}),
		Log:    log, Now: time.Now,
	}
}

func serve(t *testing.T, answers []answer) (provider.Deps, *network) {
	t.Helper()
	n := &network{t: t, answers: answers, now: noon}
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	d := deps(t, server.URL+"/rest/")
	d.Now = n.time
	t.Cleanup(d.HTTP.CloseIdleConnections)
	return d, n
}

// open starts the scripted network and a destination for segments that calls it.
func open(t *testing.T, answers ...answer) (*segments, *network) {
	t.Helper()
	deps, n := serve(t, answers)
	d, err := New(deps)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := d.(*segments)
	return s, n
}

// openReady is open with a segment that is known to take people.
func openReady(t *testing.T, answers ...answer) (*segments, *network) {
	t.Helper()
	s, n := open(t, answers...)
	s.memory.learn(remoteID, func(m *note) { *m = note{ready: true, created: noon.Add(-time.Hour)} })
	return s, n
}

func openConversions(t *testing.T, answers ...answer) (*conversions, *network) {
	t.Helper()
	deps, n := serve(t, answers)
	d, err := NewConversions(deps)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := d.(*conversions)
	return c, n
}

func keysOf(rs matchkey.RuleSet, names ...string) (keys []matchkey.Key) {
	for _, name := range names {
		k, ok := rs.Key(name)
		if !ok {
			panic(name)
		}
		keys = append(keys, k)
	}
	return keys
}

func fill(keys []matchkey.Key, raw []map[string]string) (values [][]byte) {
	mapping := map[string]string{}
	for _, k := range keys {
		mapping[k.Name] = k.Name
	}
	set, err := matchkey.NewSet(matchkey.RuleSet{Name: "test/1", Keys: keys}, mapping, "")
	if err != nil {
		panic(err)
	}
	var buf []byte
	for _, row := range raw {
		in, out := make([]string, len(keys)), make([][]byte, len(keys))
		for i, k := range keys {
			in[i] = row[k.Name]
		}
		_, buf = set.Compute(in, out, buf)
		values = append(values, out...)
	}
	return values
}

// batch has n people with every form of key.
func batch(n int) provider.Batch {
	keys := keysOf(RuleSet(), keyEmail, keyGoogle, keyFirstName, keyLastName, keyTitle, keyCompany, keyCountry)
	raw := make([]map[string]string, n)
	for i := range raw {
		raw[i] = map[string]string{
			keyEmail: fmt.Sprintf(" Person %d@Example.com", i), keyFirstName: "Zoë", keyLastName: "O'Neil", keyTitle: `CTO "acting"`,
			keyCompany: strings.Repeat("Acme ", 10+i%2), keyCountry: "USA",
		}
		if i%2 == 0 {
			raw[i][keyGoogle] = fmt.Sprintf("EA7583CD-A667-48BC-B806-%012X", i)
		}
	}
	return provider.Batch{Run: "run", Item: "item", Attempt: 1, Remote: remoteID, Op: activation.OpAdd, Keys: keys, Values: fill(keys, raw)}
}

// events is a batch of n conversions.
func events(n int) provider.Batch {
	keys := append(eventKeys(), keysOf(conversionRules(), keyEmail, keyGoogle, keyFirstName, keyLastName, keyTitle, keyCompany, keyCountry)...)
	raw := make([]map[string]string, n)
	for i := range raw {
		raw[i] = map[string]string{
			keyEventID: fmt.Sprintf("o-%d", i), keyHappenedAt: noon.Add(-time.Duration(i) * time.Minute).Format(time.RFC3339),
			keyValue: "50.0", keyCurrency: "usd", keyExternal: fmt.Sprintf("u-%d", i), keyEmail: fmt.Sprintf("person%d@example.com", i),
			keyGoogle: "ea7583cd-a667-48bc-b806-42ecb2b48606", keyFirstName: "Ana", keyLastName: "Ng", keyTitle: "CTO", keyCompany: "Acme", keyCountry: "us",
		}
		if i%2 == 1 {
			raw[i][keyTracking], raw[i][keyAcxiom], raw[i][keyMoat] = "df5gf5-gh6t7", "ax-1", "moat-1"
			delete(raw[i], keyValue)
			delete(raw[i], keyFirstName)
		}
	}
	return provider.Batch{
		Run: "run", Item: "item", Attempt: 1, Op: activation.OpAdd, Keys: keys, Values: fill(keys, raw),
		Audience: provider.Audience{Marker: "t1.g1", Name: "Orders", Config: map[string]string{"conversion": "104"}},
	}
}

// answered is LinkedIn's answer to a batch.
func answered(status ...int) answer {
	parts := make([]string, len(status))
	for i, s := range status {
		parts[i] = fmt.Sprintf(`{"status":%d}`, s)
		if s >= 400 {
			parts[i] = fmt.Sprintf(`{"status":%d,"error":{"status":%d,"message":"ana@example.com is wrong"}}`, s, s)
		}
	}
	return answer{body: `{"elements":[` + strings.Join(parts, ",") + `]}`, header: map[string]string{"X-Li-Uuid": "AAYH-uuid==", "X-Li-Request-Id": "req-1", "Set-Cookie": "a=b"}}
}

func found(created time.Time, more ...string) answer {
	return answer{body: fmt.Sprintf(`{"id":%s,"account":"urn:li:sponsoredAccount:%s","type":"USER","created":%d,"destinations":[{"destination":"LINKEDIN","status":%q}]}`,
		remoteID, testAccount, created.UnixMilli(), append(more, "BUILDING")[0])}
}

var (
	absentAnswer  = answer{status: 404, body: `{"status":404,"code":"NOT_FOUND","message":"x"}`}
	accountAnswer = answer{body: `{"id":` + testAccount + `,"status":"ACTIVE"}`}
	nobody        = answer{body: `{"elements":[],"paging":{"start":0,"count":0,"total":0}}`}
	ruleAnswer    = answer{body: `{"id":104,"conversionMethod":"CONVERSIONS_API","enabled":true}`}
	audience      = provider.Audience{Marker: "usher-7-1", Name: `VIPs "gold"`}
)

func made(id string) answer { return answer{status: 201, header: map[string]string{"X-Restli-Id": id}} }

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
	for _, tc := range []struct {
		name    string
		answers []answer
		do      func(s *segments) error
	}{
		{"check", []answer{accountAnswer}, func(s *segments) error { return s.Check(ctx) }},
		{"add", []answer{found(noon.Add(-time.Hour)), answered(201, 201, 201)}, func(s *segments) error { _, err := s.Deliver(ctx, batch(3)); return err }},
		{"remove", []answer{found(noon.Add(-time.Hour)), answered(201, 201)}, func(s *segments) error { _, err := s.Deliver(ctx, remove); return err }},
		{"create", []answer{nobody, made(remoteID)}, func(s *segments) error { return ensured(s, audience, remoteID) }},
		{"known", []answer{found(noon)}, func(s *segments) error {
			return ensured(s, provider.Audience{Marker: "m", Name: "n", Remote: remoteID}, remoteID)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, n := open(t, tc.answers...)
			if err := tc.do(s); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name, strings.Join(n.calls, "\n"))
			if len(n.answers) > 0 {
				t.Errorf("%d answers were not asked for", len(n.answers))
			}
		})
	}
	t.Run("conversions", func(t *testing.T) {
		c, n := openConversions(t, ruleAnswer, answered(201, 201))
		b := events(2)
		if id, err := c.EnsureAudience(ctx, b.Audience); err != nil || id != "104" {
			t.Fatalf("%q %v", id, err)
		}
		if _, err := c.Deliver(ctx, b); err != nil {
			t.Fatal(err)
		}
		golden(t, "conversions", strings.Join(n.calls, "\n"))
	})
}

func ensured(d provider.Destination, a provider.Audience, want provider.RemoteID) error {
	got, err := d.EnsureAudience(context.Background(), a)
	if err == nil && got != want {
		err = fmt.Errorf("got audience %q, want %q", got, want)
	}
	return err
}

func TestOneOutcomePerPerson(t *testing.T) {
	s, _ := openReady(t, answered(201, 400, 200, 500, 422, 429, 302, 0))
	b := batch(9)
	for j := range b.Keys { // row 4 has no id: it is never sent
		if b.Keys[j].Identifies {
			b.Values[4*len(b.Keys)+j] = nil
		}
	}
	rc, err := s.Deliver(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	want := []activation.Exception{
		{Ordinal: 1, Outcome: activation.Rejected, Code: "LINKEDIN-ROW"},
		{Ordinal: 3, Outcome: activation.Unknown, Code: "LINKEDIN-UNAVAILABLE"},
		{Ordinal: 4, Outcome: activation.Rejected, Code: "LINKEDIN-ROW"},
		{Ordinal: 5, Outcome: activation.Rejected, Code: "LINKEDIN-ROW"},
		{Ordinal: 6, Outcome: activation.Unsent, Code: "LINKEDIN-THROTTLE"},
		{Ordinal: 7, Outcome: activation.Unknown, Code: "LINKEDIN-ANSWER"},
		{Ordinal: 8, Outcome: activation.Unknown, Code: "LINKEDIN-ANSWER"},
	}
	if !slices.Equal(rc.Exceptions, want) {
		t.Errorf("exceptions %+v", rc.Exceptions)
	}
	if rc.Accepted != 2 || rc.Rejected != 3 || rc.Unknown != 3 || rc.Unsent != 1 || rc.Unplaced != 0 {
		t.Errorf("receipt %+v", rc)
	}
	if rc.RequestID != "AAYH-uuid==" || rc.HTTPStatus != 200 || rc.Headers["x-li-request-id"] != "req-1" || rc.Headers["set-cookie"] != "" {
		t.Errorf("request %q, status %d, headers %v", rc.RequestID, rc.HTTPStatus, rc.Headers)
	}
}

func TestAnotherNumberOfElementsIsUnknown(t *testing.T) {
	for _, a := range []answer{answered(), answered(201), answered(201, 201, 201), {body: `{}`}, {body: `{"elements":{}}`}, {body: ``}} {
		s, _ := openReady(t, a)
		_, err := s.Deliver(context.Background(), batch(2))
		if e := asError(t, err); e.Code != "LINKEDIN-ANSWER" || !e.MayHaveApplied {
			t.Errorf("%s: %v", a.body, e)
		}
	}
}

func TestNothingIsSentThatIsNothing(t *testing.T) {
	s, n := openReady(t)
	b := batch(3)
	for i := range b.Values {
		if b.Keys[i%len(b.Keys)].Identifies {
			b.Values[i] = nil
		}
	}
	rc, err := s.Deliver(context.Background(), b)
	if err != nil || rc.Rejected != 3 || len(n.calls) > 0 {
		t.Errorf("people without ids: %+v %v", rc, err)
	}
	if rc, err := s.Deliver(context.Background(), batch(0)); err != nil || rc.Accepted != 0 {
		t.Errorf("empty batch: %+v %v", rc, err)
	}
	_, err = s.Deliver(context.Background(), batch(maxRows+1))
	wantError(t, err, activation.RefusedWhole, "LINKEDIN-SIZE")
	if len(n.calls) > 0 {
		t.Error("something was sent")
	}
}

func TestAppleIDsOnlyWhereTheDestinationSendsThem(t *testing.T) {
	b := batch(1)
	b.Keys = keysOf(RuleSet(), keyApple)
	b.Values = fill(b.Keys, []map[string]string{{keyApple: "EA7583CD-A667-48BC-B806-42ECB2B48606"}})
	s, n := openReady(t)
	_, err := s.Deliver(context.Background(), b)
	if e := asError(t, err); e.Kind != activation.Invalid || e.Field != "send_apple_idfa" || len(n.calls) > 0 {
		t.Errorf("off: %v", err)
	}
	s, n = openReady(t, answered(201))
	s.apple = true
	if _, err := s.Deliver(context.Background(), b); err != nil || !strings.Contains(n.calls[0], `"idType": "APPLE_IDFA"`) {
		t.Errorf("on: %v %s", err, n.calls)
	}
}

func TestNewNamesTheWrongField(t *testing.T) {
	for field, change := range map[string]func(*provider.Deps){
		"refresh_token":   func(d *provider.Deps) { d.Tokens = nil },
		"account":         func(d *provider.Deps) { d.Account = "12/../34" },
		"base_url":        func(d *provider.Deps) { d.Auth["base_url"] = "https://user:pw@x" },
		"api_version":     func(d *provider.Deps) { d.Config = map[string]string{"api_version": "202613"} },
		"source_platform": func(d *provider.Deps) { d.Config = map[string]string{"source_platform": "a b&c"} },
		"send_apple_idfa": func(d *provider.Deps) { d.Config = map[string]string{"send_apple_idfa": "yes"} },
	} {
		d := deps(t, defaultBaseURL)
		change(&d)
		_, err := New(d)
		wantError(t, err, activation.Invalid, "LINKEDIN-SETTINGS")
		if e := asError(t, err); e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, account := range []string{testAccount, " urn:li:sponsoredAccount:" + testAccount} {
		d := deps(t, defaultBaseURL)
		d.Account, d.Config = account, nil
		if _, err := New(d); err != nil {
			t.Errorf("account %q: %v", account, err)
		}
	}
}

func TestSegmentsNeedTheirPlatform(t *testing.T) {
	s, n := open(t)
	s.platform = ""
	_, err := s.EnsureAudience(context.Background(), audience)
	if e := asError(t, err); e.Field != "source_platform" || len(n.calls) > 0 {
		t.Errorf("got %v", err)
	}
}

func wantError(t *testing.T, err error, kind activation.Kind, code string) {
	t.Helper()
	if activation.KindOf(err) != kind || activation.CodeOf(err) != code {
		t.Errorf("got %v, want kind %s code %s", err, kind, code)
	}
}

func asError(t *testing.T, err error) *activation.Error {
	t.Helper()
	e, ok := err.(*activation.Error)
	if !ok {
		t.Fatalf("got %T %v", err, err)
	}
	return e
}

// BenchmarkElements writes a full body.
func BenchmarkElements(b *testing.B) {
	full := batch(maxRows)
	c := &client{}
	b.ReportAllocs()
	for b.Loop() {
		list := make([]user, maxRows)
		for i := range list {
			list[i] = userOf(full, i)
		}
		body, err := c.writeJSON(map[string]any{"elements": list})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(body.B)))
		body.Release()
	}
}
