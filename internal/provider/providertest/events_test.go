package providertest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/provider/providertest"
)

// post is a small network that takes events, each id once, and a provider of it
// that is honest. It exists to be lied about.
type post struct {
	server *httptest.Server

	mu      sync.Mutex
	fault   *providertest.Fault
	bad     int // the row that a fault made bad, -1 = none
	late    bool
	events  map[string]json.RawMessage
	order   []string
	writes  int
	calls   int
	answers map[string]string // what is asked for later
}

func openPost() (providertest.EventNetwork, error) {
	p := &post{events: map[string]json.RawMessage{}, answers: map[string]string{}, bad: -1}
	p.server = httptest.NewServer(p)
	return p, nil
}

func (p *post) Deps() provider.Deps {
	return provider.Deps{Auth: map[string]provider.Secret{"key": "the-secret-key", "base_url": provider.Secret(p.server.URL)}}
}

func (p *post) Hosts() []string {
	u, _ := url.Parse(p.server.URL)
	return []string{u.Host}
}

func (p *post) Fail(f providertest.Fault) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f.Kind {
	case providertest.BadRow:
		p.bad = f.Row
	case providertest.Late:
		p.late = true
	default:
		p.fault = &f
	}
	return nil
}

func (p *post) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.bad, p.late = nil, -1, false
}

func (p *post) Got(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.events[id]; ok {
		return 1
	}
	return 0
}

func (p *post) locked(get func() int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return get()
}

func (p *post) Count() int  { return p.locked(func() int { return len(p.events) }) }
func (p *post) Writes() int { return p.locked(func() int { return p.writes }) }
func (p *post) Calls() int  { return p.locked(func() int { return p.calls }) }

func (p *post) Order() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.order)
}

func (p *post) Value(id, key string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var e map[string]string
	_ = json.Unmarshal(p.events[id], &e)
	v, ok := e[key]
	return v, ok
}

func (p *post) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

func (p *post) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.calls++
	if r.Method == http.MethodPost {
		p.writes++
	}
	f, bad, late := p.fault, p.bad, p.late
	if f != nil && r.Method == http.MethodPost && f.Kind != providertest.BadToken {
		p.fault = nil
	}
	p.mu.Unlock()
	if f == nil {
		f = &providertest.Fault{}
	}
	switch {
	case f.Kind == providertest.BadToken || r.Header.Get("Authorization") != "Bearer the-secret-key":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.Method == http.MethodGet:
		p.mu.Lock()
		defer p.mu.Unlock()
		if answer := p.answers[r.URL.Query().Get("token")]; answer != "" && !p.late {
			_, _ = w.Write([]byte(answer))
			return
		}
		_, _ = w.Write([]byte(`{"later":"` + r.URL.Query().Get("token") + `"}`))
		return
	}
	switch f.Kind {
	case providertest.Throttle:
		if f.Wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.Wait/time.Second)))
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case providertest.RefuseWhole:
		w.WriteHeader(http.StatusBadRequest)
		return
	case providertest.Page:
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html>"))
		return
	}
	answer := p.take(body, bad)
	switch f.Kind {
	case providertest.NoAnswer:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case providertest.Cut:
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"bad"`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case providertest.Broken:
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if late {
		p.mu.Lock()
		token := fmt.Sprint(len(p.answers) + 1)
		p.answers[token] = answer
		p.mu.Unlock()
		answer = `{"later":"` + token + `"}`
	}
	_, _ = w.Write([]byte(answer))
}

// take lets the events of a body take effect, but the bad one.
func (p *post) take(body []byte, bad int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = -1
	var list []json.RawMessage
	_ = json.Unmarshal(body, &list)
	for i, text := range list {
		var e map[string]string
		_ = json.Unmarshal(text, &e)
		if _, known := p.events[e["id"]]; i != bad && !known {
			p.events[e["id"]] = text
			p.order = append(p.order, e["id"])
		}
	}
	return fmt.Sprintf(`{"bad":%d}`, bad)
}

func postDefinition(async bool) provider.Definition {
	plain := func(name string) matchkey.Key { return matchkey.Key{Name: name, Normalize: matchkey.Plain} }
	id, action := plain("id"), plain("action")
	id.Identifies, action.Required = true, true
	return provider.Definition{
		Name: "post", AuthFields: []provider.Field{{Name: "key", Secret: true}, {Name: "base_url"}},
		Workflows: []provider.Workflow{{
			Name: "post_events", Kind: provider.Event, Feed: provider.FeedStream,
			Events: []matchkey.Key{id, action, plain("amount")},
		}},
		RuleSet: matchkey.RuleSet{Name: "post/1", Keys: []matchkey.Key{{Name: "email", Hash: true, Identifies: true, Normalize: matchkey.Email}}},
		MaxRows: 20, Replay: provider.ReplayDeduplicated, ReplayWindow: time.Hour, Concurrency: 2, Async: async,
		NewDestination: func(d provider.Deps) (provider.Destination, error) { return postman{d}, nil },
	}
}

func postHarness(async bool) providertest.EventHarness {
	h := providertest.EventHarness{
		Definition: postDefinition(async), Workflow: "post_events", Open: openPost, ID: "id", Zero: "amount",
		Event: func(i int) map[string]string {
			return map[string]string{"id": fmt.Sprintf("order-%04d", i), "action": "bought", "amount": fmt.Sprint(i + 1), "email": fmt.Sprintf("person.%d@example.com", i)}
		},
		Skip: map[string]string{"one event is counted invalid without an index": "the network names the event"},
	}
	if async {
		h.Skip["a poll about events of a network that answers at once"] = "the network answers later"
	} else {
		h.Skip["an answer about events that comes late"] = "the network answers at once"
		h.Skip["a late answer that rejects one event"] = "the network answers at once"
	}
	return h
}

// postman is the honest provider.
type postman struct{ deps provider.Deps }

func (postman) String() string { return "postman" }

func refusal(kind activation.Kind, applied bool, until time.Time) error {
	return &activation.Error{Kind: kind, Code: "POST-1", Message: "the post refused it", MayHaveApplied: applied, Until: until}
}

func (m postman) call(ctx context.Context, method, path string, body []byte) (bad int, later string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, m.deps.Auth["base_url"].Reveal()+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+m.deps.Auth["key"].Reveal())
	a, err := outbound.Do(m.deps.HTTP, req)
	if err != nil {
		return 0, "", err
	}
	changes := method == http.MethodPost
	var out struct {
		Bad   *int   `json:"bad"`
		Later string `json:"later"`
	}
	switch {
	case a.Status == http.StatusUnauthorized:
		return 0, "", refusal(activation.Unauthorized, false, time.Time{})
	case a.Status == http.StatusTooManyRequests:
		until, ok := outbound.RetryAfter(a.Header, m.deps.Now())
		if !ok {
			until = m.deps.Now().Add(time.Minute)
		}
		return 0, "", refusal(activation.WaitUntil, false, until)
	case a.Status == http.StatusBadRequest:
		return 0, "", refusal(activation.RefusedWhole, false, time.Time{})
	case a.Status != http.StatusOK, json.Unmarshal(a.Body, &out) != nil, out.Bad == nil && out.Later == "" && changes:
		return 0, "", refusal(activation.Unavailable, changes, time.Time{})
	case out.Bad != nil:
		return *out.Bad, "", nil
	}
	return -1, cmp.Or(out.Later, "none"), nil
}

func (m postman) Check(ctx context.Context) error {
	_, _, err := m.call(ctx, http.MethodGet, "/", nil)
	return err
}

func (postman) EnsureAudience(context.Context, provider.Audience) (provider.RemoteID, error) {
	return "post", nil
}

func (m postman) Deliver(ctx context.Context, b provider.Batch) (activation.Receipt, error) {
	if b.Rows() == 0 {
		return activation.Receipt{}, nil
	}
	if b.Rows() > 20 {
		return activation.Receipt{}, refusal(activation.RefusedWhole, false, time.Time{})
	}
	var list []map[string]string
	for i := range b.Rows() {
		row := map[string]string{}
		for j, v := range b.Row(i) {
			switch {
			case v != nil && b.Keys[j].Hash:
				row[b.Keys[j].Name] = fmt.Sprintf("%x", v)
			case v != nil:
				row[b.Keys[j].Name] = string(v)
			case b.Keys[j].Required:
				return activation.Receipt{}, refusal(activation.RefusedWhole, false, time.Time{})
			}
		}
		list = append(list, row)
	}
	body, err := json.Marshal(list)
	if err != nil {
		return activation.Receipt{}, err
	}
	bad, later, err := m.call(ctx, http.MethodPost, "/", body)
	if err != nil {
		return activation.Receipt{}, err
	}
	return m.receipt(bad, later, int64(b.Rows())), nil
}

func (m postman) Poll(ctx context.Context, token string, rows int64) (activation.Receipt, error) {
	if token == "token" {
		return activation.Receipt{}, refusal(activation.Invalid, false, time.Time{})
	}
	bad, later, err := m.call(ctx, http.MethodGet, "/?token="+url.QueryEscape(token), nil)
	if err != nil {
		return activation.Receipt{}, err
	}
	return m.receipt(bad, later, rows), nil
}

func (m postman) receipt(bad int, later string, rows int64) activation.Receipt {
	switch {
	case later != "":
		return activation.Receipt{PollToken: later, PollAfter: m.deps.Now().Add(time.Minute)}
	case bad < 0:
		return activation.Receipt{Accepted: rows}
	}
	return activation.Receipt{Accepted: rows - 1, Rejected: 1, Exceptions: []activation.Exception{{Ordinal: int64(bad), Outcome: activation.Rejected, Code: "POST-2"}}}
}

// The two of them keep the contract, at once and later.
func TestEventConformance(t *testing.T) { providertest.RunEvents(t, postHarness(false)) }

func TestLateEventConformance(t *testing.T) { providertest.RunEvents(t, postHarness(true)) }

// eventLies are providers that are wrong in one way each, and the cases that are
// there for it.
var eventLies = map[string]struct {
	fails []string
	late  bool
	liar  liar
}{
	"calls failures good": {
		fails: []string{
			"no answer after events took effect", "cut after events took effect", "internal error after events took effect",
			"a web page instead of an answer to events", "events throttled without a time", "events are refused whole",
			"token refused between events", "events cancelled before the call", "events cancelled during the call",
			"a batch of events over the limit", "an event without a required value",
		},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			if err != nil {
				rc, err = activation.Receipt{Accepted: int64(b.Rows())}, nil
			}
			return rc, err
		}},
	},
	"says nothing was applied": {
		fails: []string{"no answer after events took effect", "cut after events took effect", "internal error after events took effect", "a web page instead of an answer to events", "events cancelled during the call"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			return rc, changed(err, func(e *activation.Error) { e.MayHaveApplied = false })
		}},
	},
	"says all may be applied": {
		fails: []string{"token refused between events", "events throttled for a time", "events throttled without a time", "events are refused whole", "events cancelled before the call"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			return rc, changed(err, func(e *activation.Error) { e.MayHaveApplied = true })
		}},
	},
	"waits as it likes": {
		fails: []string{"events throttled for a time"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			return rc, changed(err, func(e *activation.Error) { e.Until = time.Now().Add(time.Minute) })
		}},
	},
	"waits for nothing": {
		fails: []string{"events throttled without a time"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			return rc, changed(err, func(e *activation.Error) { e.Until = time.Time{} })
		}},
	},
	"loses an event": {
		fails: []string{"events are accepted", "event batches in parallel", "events keep their order"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			if b.Rows() < 2 {
				return l.Destination.Deliver(ctx, b)
			}
			b.Values = b.Values[len(b.Keys):]
			rc, err := l.Destination.Deliver(ctx, b)
			rc.Accepted++
			return rc, err
		}},
	},
	"turns events around": {
		fails: []string{"events keep their order"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			var turned [][]byte
			for i := range b.Rows() {
				turned = append(turned, b.Row(b.Rows()-1-i)...)
			}
			b.Values = turned
			return l.Destination.Deliver(ctx, b)
		}},
	},
	"names another event": {
		fails: []string{"one event is rejected at its index"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			for i := range rc.Exceptions {
				rc.Exceptions[i].Ordinal++
			}
			return rc, err
		}},
	},
	"counts and names none": {
		fails: []string{"one event is rejected at its index"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			rc.Accepted, rc.Rejected, rc.Exceptions = rc.Accepted+rc.Rejected, 0, nil
			return rc, err
		}},
	},
	"makes up what is missing": {
		fails: []string{"an event without a required value", "a zero is a value"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			b.Values = slices.Clone(b.Values)
			for i, v := range b.Values {
				if v == nil {
					b.Values[i] = []byte("0")
				}
			}
			return l.Destination.Deliver(ctx, b)
		}},
	},
	"takes zero for nothing": {
		fails: []string{"a zero is a value"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			b.Values = slices.Clone(b.Values)
			for i, v := range b.Values {
				if string(v) == "0" {
					b.Values[i] = nil
				}
			}
			return l.Destination.Deliver(ctx, b)
		}},
	},
	"wants every value": {
		fails: []string{"an event without an optional value"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			for _, v := range b.Values {
				if v == nil {
					return activation.Receipt{}, refusal(activation.RefusedWhole, false, time.Time{})
				}
			}
			return l.Destination.Deliver(ctx, b)
		}},
	},
	"gives a repetition another id": {
		fails: []string{"no answer after events took effect", "cut after events took effect", "internal error after events took effect", "events cancelled during the call"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			if b.Attempt > 1 {
				b.Values = slices.Clone(b.Values)
				for i := range b.Rows() {
					b.Row(i)[0] = []byte(fmt.Sprintf("%s-%d", b.Row(i)[0], b.Attempt))
				}
			}
			return l.Destination.Deliver(ctx, b)
		}},
	},
	"sends an empty batch": {
		fails: []string{"an empty batch of events"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			if b.Rows() == 0 {
				inner, _ := l.Destination.(postman)
				_, _, err := inner.call(ctx, http.MethodPost, "/", []byte("[]"))
				return activation.Receipt{}, err
			}
			return l.Destination.Deliver(ctx, b)
		}},
	},
	"cuts what is over the limit": {
		fails: []string{"a batch of events over the limit"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			over := max(0, b.Rows()-20)
			b.Values = b.Values[over*len(b.Keys):]
			rc, err := l.Destination.Deliver(ctx, b)
			rc.Accepted += int64(over)
			return rc, err
		}},
	},
	"ignores being cancelled": {
		fails: []string{"events cancelled before the call"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			return l.Destination.Deliver(context.WithoutCancel(ctx), b)
		}},
	},
	"has another id each time": {
		fails: []string{"what takes events is made sure of"},
		liar: liar{ensure: func(liar, context.Context, provider.Audience) (provider.RemoteID, error) {
			return provider.RemoteID(activation.NewID[activation.RunID]()), nil
		}},
	},
	"checks by sending": {
		fails: []string{"a check sends no event"},
		liar: liar{check: func(l liar, ctx context.Context) error {
			inner, _ := l.Destination.(postman)
			_, _, err := inner.call(ctx, http.MethodPost, "/", []byte(`[{"id":"test"}]`))
			return err
		}},
	},
	"checks nothing": {
		fails: []string{"a check for events finds a bad token"},
		liar:  liar{check: func(liar, context.Context) error { return nil }},
	},
	"tells an address": {
		fails: []string{"events are accepted", "event batches in parallel"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			for j, k := range b.Keys {
				if k.Hash && b.Rows() > 0 && b.Row(0)[j] != nil {
					l.deps.Log.DebugContext(ctx, "event", "value", fmt.Sprintf("%x", b.Row(0)[j]))
				}
			}
			return l.Destination.Deliver(ctx, b)
		}},
	},
	"tells the key": {
		fails: []string{"events are refused whole", "token refused between events"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			return rc, changed(err, func(e *activation.Error) { e.Err = errors.New(l.deps.Auth["key"].Reveal()) })
		}},
	},
	"never knows": {
		fails: []string{"an answer about events that comes late", "a late answer that rejects one event"},
		late:  true,
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			if rc.PollToken != "" {
				rc = activation.Receipt{Accepted: int64(b.Rows())}
			}
			return rc, err
		}},
	},
	"asks at once": {
		fails: []string{"an answer about events that comes late"},
		late:  true,
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			rc.PollAfter = time.Time{}
			return rc, err
		}},
	},
	"answers later although it says at once": {
		fails: []string{"events are accepted"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			_, err := l.Destination.Deliver(ctx, b)
			return activation.Receipt{PollToken: "1", PollAfter: time.Now()}, err
		}},
	},
	"answers and fails at once": {
		fails: []string{"events are refused whole"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			if err != nil {
				rc.Unsent = int64(b.Rows())
			}
			return rc, err
		}},
	},
	"has errors without a code": {
		fails: []string{"events are refused whole", "token refused between events"},
		liar: liar{deliver: func(l liar, ctx context.Context, b provider.Batch) (activation.Receipt, error) {
			rc, err := l.Destination.Deliver(ctx, b)
			return rc, changed(err, func(e *activation.Error) { e.Code = "" })
		}},
	},
	"answers whatever is asked": {
		fails: []string{"a poll about events of a network that answers at once"},
		liar: liar{poll: func(_ liar, _ context.Context, rows int64) (activation.Receipt, error) {
			return activation.Receipt{Accepted: rows}, nil
		}},
	},
}

// TestEventSuiteFindsLiars gives the suite providers that are wrong in one way
// each, and wants the cases to fail that are there for it.
func TestEventSuiteFindsLiars(t *testing.T) {
	caught := map[string]bool{}
	for name, tc := range eventLies {
		for _, c := range tc.fails {
			caught[c] = true
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := postHarness(tc.late)
			honest := h.Definition.NewDestination
			h.Definition.NewDestination = func(d provider.Deps) (provider.Destination, error) {
				inner, err := honest(d)
				l := tc.liar
				l.Destination, l.deps = inner, d
				return l, err
			}
			for _, c := range tc.fails {
				if err := h.Judge(c); err == nil {
					t.Errorf("the case %q passes", c)
				}
			}
		})
	}
	for _, c := range providertest.EventCases() {
		if !caught[c] && c != "one event is counted invalid without an index" {
			t.Errorf("no lie is there for the case %q", c)
		}
	}
}

func TestEventSkipsAreChecked(t *testing.T) {
	for name, want := range map[string]string{
		"no such case":                                          "is not a case",
		"events are accepted":                                   "may not be skipped",
		"internal error after events took effect":               "may not be skipped",
		"a poll about events of a network that answers at once": "only if",
		"a zero is a value":                                     "Zero",
	} {
		h := postHarness(false)
		h.Skip[name] = "because"
		if err := h.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("skip of %q: %v", name, err)
		}
	}
	h := postHarness(false)
	h.Transport, h.Skip["internal error after events took effect"] = providertest.Files, "files have no internal errors"
	if err := h.Validate(); err != nil {
		t.Errorf("files: %v", err)
	}
	h = postHarness(false)
	h.Skip["one event is rejected at its index"], h.Skip["events are refused whole"] = "because", "because"
	if err := h.Validate(); err == nil || !strings.Contains(err.Error(), "one of") {
		t.Errorf("a network that never says no: %v", err)
	}
	h = postHarness(false)
	h.Workflow = "another"
	if err := h.Validate(); err == nil {
		t.Error("a workflow that is not there passes")
	}
}
