package meta_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/meta"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// peer is a network under test and a caller of it.
type peer struct {
	t      *testing.T
	net    *meta.Network
	faults *fault.Plan
	clock  *clock
	base   string
	token  string
	logs   *strings.Builder
}

func newPeer(t *testing.T, o meta.Options) *peer { return newPeerWith(t, o, "") }

func newPeerWith(t *testing.T, o meta.Options, stateFile string) *peer {
	t.Helper()
	p := &peer{
		t: t, faults: fault.NewPlan(1), token: meta.DefaultToken, logs: &strings.Builder{},
		clock: &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
	}
	n, err := meta.New(o, meta.Deps{
		Seed: 1, Now: p.clock.Now, Faults: p.faults, StateFile: stateFile,
		Log: slog.New(slog.NewJSONHandler(&lockedWriter{w: p.logs}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.net = n
	server := httptest.NewServer(n)
	p.base = server.URL
	t.Cleanup(func() {
		n.Release()
		server.Close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// object is any JSON object.
type object = map[string]any

// reply is what a call was answered with.
type reply struct {
	status int
	header http.Header
	text   string
	body   object
}

// fault returns "code/subcode" of an error reply, "" of a good one.
func (r reply) fault() string {
	e, ok := r.body["error"].(object)
	if !ok {
		return ""
	}
	if e["error_subcode"] == nil {
		return fmt.Sprint(e["code"])
	}
	return fmt.Sprintf("%.0f/%.0f", e["code"], e["error_subcode"])
}

// call sends body as JSON (a string as it is) and requires an answer.
func (p *peer) call(method, path string, body any) reply {
	p.t.Helper()
	r, err := p.try(method, path, body, nil)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (p *peer) try(method, path string, body any, header map[string]string) (reply, error) {
	var text string
	switch b := body.(type) {
	case nil:
	case string:
		text = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			p.t.Fatal(err)
		}
		text = string(raw)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	if text != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for name, v := range header {
		req.Header.Set(name, v)
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(raw)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && !strings.HasPrefix(r.text, "[") {
		if err := json.Unmarshal(raw, &r.body); err != nil {
			p.t.Fatalf("%s %s answered %q", method, path, raw)
		}
	}
	return r, nil
}

func settings() object {
	return object{"name": "VIPs", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
}

// with returns a copy of o with one value changed; nil takes it out.
func with(o object, name string, v any) object {
	out := maps.Clone(o)
	if v == nil {
		delete(out, name)
	} else {
		out[name] = v
	}
	return out
}

// audience makes an audience of account 7 and returns its id.
func (p *peer) audience(settings object) string {
	p.t.Helper()
	r := p.call("POST", "/v26.0/act_7/customaudiences", settings)
	id, _ := r.body["id"].(string)
	if r.status != 200 || id == "" {
		p.t.Fatalf("create: %d %s", r.status, r.text)
	}
	return id
}

// hash is some 64 lower-case hexadecimal digits.
func hash(text string) string { return fmt.Sprintf("%064x", text)[:64] }

// body is the parameters of a users call without session.
func body(schema []string, data ...[]any) object {
	return object{"payload": object{"schema": schema, "data": data}}
}

// members returns the EXTERN_IDs of an audience's members, joined.
func (p *peer) members(id string) string {
	p.t.Helper()
	list, ok := p.net.Members(id)
	if !ok {
		p.t.Fatalf("no audience %s", id)
	}
	var names []string
	for _, m := range list {
		names = append(names, m.ExternID)
	}
	return strings.Join(names, " ")
}

func (p *peer) books(id string) meta.Books {
	p.t.Helper()
	a, ok := p.net.Audience(id)
	if !ok {
		p.t.Fatalf("no audience %s", id)
	}
	return a.Books
}

func stateFile(t *testing.T) string { return filepath.Join(t.TempDir(), "state.jsonl") }
