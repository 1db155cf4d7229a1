package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// receiver answers by status and keeps what it got.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string
	ids    []string
	header http.Header
	target string
	answer func(n int, body string) (status int, header map[string]string)
}

func receive(t *testing.T, answer func(n int, body string) (int, map[string]string)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		n := len(r.got)
		r.got, r.ids, r.header, r.target = append(r.got, string(body)), append(r.ids, req.Header.Get("webhook-id")), req.Header, req.Method+" "+req.URL.String()
		r.mu.Unlock()
		status, header := 204, map[string]string(nil)
		if r.answer != nil {
			status, header = r.answer(n, string(body))
		}
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func status(code int) func(int, string) (int, map[string]string) {
	return func(int, string) (int, map[string]string) { return code, nil }
}

// open makes the destination of a workflow with these credentials.
func (r *receiver) open(t *testing.T, workflow string, auth map[string]string, template string) provider.Destination {
	t.Helper()
	d := provider.Deps{
		Auth: map[string]provider.Secret{"webhook_url": provider.Secret(r.URL + path)},
		HTTP: outbound.New(outbound.Config{AllowPrivate: true, BreakAfter: 1000, Log: slog.New(slog.DiscardHandler), Now: time.Now}),
		Log:  slog.New(slog.DiscardHandler), Now: time.Now,
		Template: func(_ context.Context, id string) (string, error) {
			if id != "tpl" {
				return "", fmt.Errorf("template: %w", activation.ErrNotFound)
			}
			return template, nil
		},
	}
	for name, value := range auth {
		d.Auth[name] = provider.Secret(value)
	}
	dest, err := Definition().For(workflow).NewDestination(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.HTTP.CloseIdleConnections)
	return dest
}

// people are the events of a batch, "person:event"; the columns are an id and a
// hashed e-mail.
func people(settings map[string]string, events ...string) provider.Batch {
	keys := append(slices.Clone(triggerKeys), matchkey.Key{Name: "customer", Identifies: true}, matchkey.Key{Name: "email", Hash: true}, matchkey.Key{Name: "phone"})
	b := provider.Batch{Item: "item", RunNumber: 7, Op: activation.OpAdd, Keys: keys, Audience: provider.Audience{Marker: "m1", Config: settings}}
	for _, e := range events {
		person, event, _ := strings.Cut(e, ":")
		for _, v := range []string{e, "2026-11-22T12:00:00Z", person, event, "vip", "a1", `["vip","all"]`, "c-" + person} {
			b.Values = append(b.Values, []byte(v))
		}
		b.Values = append(b.Values, []byte{0xab, 0xcd}, nil)
	}
	return b
}

// TestPayload: the body is the contract's, to the byte, and the same again.
func TestPayload(t *testing.T) {
	const want = `{"id":"msg_ID","data":{"customer":"c-p1","email":"abcd","segment_events":[{"id":"a1","slug":"vip","event":"enter","enter":"2026-11-22T12:00:00Z"}],"segments":["vip","all"]},"meta":{"object":"user","event_id":"p1:enter","timestamp":"2026-11-22T12:00:00Z","run":7}}`
	const left = `{"id":"msg_ID","data":{"customer":"c-p1","segment_events":[{"id":"a1","slug":"vip","event":"exit","exit":"2026-11-22T12:00:00Z"}]},"meta":{"object":"user","event_id":"p1:exit","timestamp":"2026-11-22T12:00:00Z","run":7}}`
	for _, tc := range []struct {
		event, want string
		settings    map[string]string
	}{
		{"p1:enter", want, map[string]string{"include_segs": "true"}},
		{"p1:enter", "[" + want + "]", map[string]string{"include_segs": "true", "batch_requests": "true"}},
		{"p1:exit", left, map[string]string{"user_fields": "customer, phone"}},
	} {
		r := receive(t, nil)
		d := r.open(t, "webhook_triggers", nil, "")
		for range 2 {
			if rc, err := d.Deliver(t.Context(), people(tc.settings, tc.event)); err != nil || rc.Accepted != 1 {
				t.Fatalf("%+v %v", rc, err)
			}
		}
		id := messageID("m1", tc.event)
		if got := strings.Replace(r.got[0], id, "msg_ID", 1); got != tc.want {
			t.Errorf("the body is\n%s, want\n%s", got, tc.want)
		}
		if r.got[0] != r.got[1] || r.ids[0] != r.ids[1] || (tc.want[0] == '{') != (r.ids[0] == id) {
			t.Errorf("sent again it is another: %v", r.ids)
		}
	}
}

// TestAnswers: what each status means, and what a list of the job's own changes.
func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		status  int
		header  map[string]string
		list    string
		kind    activation.Kind // "" = a receipt
		outcome activation.Outcome
		code    string
		applied bool
	}{
		{status: 200, outcome: activation.Accepted},
		{status: 299, header: map[string]string{"Content-Type": "text/html"}, outcome: activation.Accepted},
		{status: 302, kind: activation.Invalid, code: codeGone},
		{status: 400, outcome: activation.Rejected, code: "WEBHOOK-REFUSED-400"},
		{status: 401, kind: activation.Unauthorized, code: codeAuth},
		{status: 403, kind: activation.Unauthorized, code: codeAuth},
		{status: 404, outcome: activation.Rejected, code: "WEBHOOK-REFUSED-404"},
		{status: 408, kind: activation.Unavailable, code: codeUnavailable},
		{status: 409, kind: activation.Unavailable, code: codeUnavailable},
		{status: 410, kind: activation.Invalid, code: codeGone},
		{status: 413, outcome: activation.Rejected, code: "WEBHOOK-REFUSED-413"},
		{status: 425, kind: activation.Unavailable, code: codeUnavailable},
		{status: 429, kind: activation.WaitUntil, code: codeLimit},
		{status: 500, kind: activation.Unavailable, code: codeUnavailable, applied: true},
		{status: 503, kind: activation.Unavailable, code: codeUnavailable, applied: true},
		{status: 503, header: map[string]string{"Retry-After": "90"}, kind: activation.WaitUntil, code: codeLimit},
		{status: 404, list: "400", kind: activation.Unavailable, code: codeUnavailable},
		{status: 501, list: "400, 501", outcome: activation.Rejected, code: "WEBHOOK-REFUSED-501"},
		{status: 401, list: "401", outcome: activation.Rejected, code: "WEBHOOK-REFUSED-401"},
	} {
		t.Run(fmt.Sprint(tc.status, tc.list), func(t *testing.T) {
			r := receive(t, func(int, string) (int, map[string]string) { return tc.status, tc.header })
			rc, err := r.open(t, "webhook_triggers", nil, "").Deliver(t.Context(), people(map[string]string{"do_not_retry": tc.list}, "p:enter"))
			if tc.kind == "" {
				x := append(rc.Exceptions, activation.Exception{Outcome: activation.Accepted})[0]
				if err != nil || x.Outcome != tc.outcome || x.Code != tc.code || rc.HTTPStatus != tc.status || rc.RequestID != messageID("m1", "p:enter") {
					t.Errorf("%+v, %v", rc, err)
				}
				return
			}
			var e *activation.Error
			if !errors.As(err, &e) || e.Kind != tc.kind || e.Code != tc.code || e.MayHaveApplied != tc.applied || strings.Contains(err.Error(), path) {
				t.Errorf("%v, want %s %s", err, tc.kind, tc.code)
			}
			if tc.header["Retry-After"] != "" && (time.Until(e.Until) > 91*time.Second || time.Until(e.Until) < 80*time.Second) {
				t.Errorf("waits until %v", e.Until)
			}
		})
	}
}

// TestPeopleKeepTheirOrder: many workers, and each person's events arrive as they
// came; behind one that was not taken, that person's wait and others go on.
func TestPeopleKeepTheirOrder(t *testing.T) {
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprintf("p%d:%04d", i%23, i))
	}
	for _, several := range []string{"false", "true"} {
		r := receive(t, func(_ int, body string) (int, map[string]string) {
			if several == "false" && strings.Contains(body, `"c-p5"`) && strings.Contains(body, ":0051") {
				return 500, nil // the third event of p5
			}
			return 200, nil
		})
		d := r.open(t, "webhook_triggers", nil, "")
		rc, err := d.Deliver(t.Context(), people(map[string]string{"worker_count": "7", "batch_requests": several, "batch_size": "4"}, all...))
		if err != nil {
			t.Fatal(err)
		}
		last := map[string]string{}
		for _, body := range r.got {
			var list []sentBody
			if body[0] == '{' {
				body = "[" + body + "]"
			}
			if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) > 4 {
				t.Fatal(len(list), err)
			}
			for _, one := range list {
				person, event, _ := strings.Cut(one.Meta.EventID, ":")
				if event <= last[person] {
					t.Errorf("%s of %s came after %s", event, person, last[person])
				}
				last[person] = event
			}
		}
		waiting := int64(0)
		if several == "false" {
			waiting = 300/23 - 3 // p5 has 13 events: two were taken and one is unknown
			for _, x := range rc.Exceptions {
				if all[x.Ordinal] == "p5:0051" != (x.Outcome == activation.Unknown) || !strings.HasPrefix(all[x.Ordinal], "p5:") {
					t.Errorf("%s is %s", all[x.Ordinal], x.Outcome)
				}
			}
		}
		if rc.Unsent != waiting || rc.Accepted+rc.Unsent+rc.Unknown != 300 {
			t.Errorf("several=%s: %d accepted, %d unknown, %d unsent, want %d", several, rc.Accepted, rc.Unknown, rc.Unsent, waiting)
		}
	}
}

type sentBody struct {
	Meta struct {
		EventID string `json:"event_id"`
	}
}

// TestWhatStopsABatch: a limit, refused credentials or a closed endpoint leave
// the rest unsent; what was taken before is told.
func TestWhatStopsABatch(t *testing.T) {
	for _, code := range []int{401, 410, 429} {
		r := receive(t, func(n int, _ string) (int, map[string]string) {
			if n < 3 {
				return 200, nil
			}
			return code, nil
		})
		rc, err := r.open(t, "webhook_triggers", nil, "").Deliver(t.Context(), people(map[string]string{"worker_count": "1"}, "a:1", "b:1", "c:1", "d:1", "e:1", "f:1"))
		if err != nil || rc.Accepted != 3 || rc.Unsent != 3 || len(r.got) != 4 || rc.HTTPStatus != code {
			t.Errorf("%d: %+v, %v after %d calls", code, rc, err, len(r.got))
		}
	}
	r := receive(t, nil)
	d := r.open(t, "webhook_triggers", nil, "")
	r.Close()
	_, err := d.Deliver(t.Context(), people(nil, "a:1", "b:1"))
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != activation.Unavailable || e.MayHaveApplied {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestARefusedListIsHalved: delivery halves what is refused whole, until the bad
// event is found.
func TestARefusedListIsHalved(t *testing.T) {
	r := receive(t, func(_ int, body string) (int, map[string]string) {
		if strings.Contains(body, "bad") {
			return 422, nil
		}
		return 200, nil
	})
	d := r.open(t, "webhook_triggers", nil, "")
	settings := map[string]string{"batch_requests": "true", "worker_count": "1"}
	_, err := d.Deliver(t.Context(), people(settings, "a:1", "bad:1"))
	if activation.KindOf(err) != activation.RefusedWhole || activation.CodeOf(err) != "WEBHOOK-REFUSED-422" {
		t.Errorf("a list: %v", err)
	}
	rc, err := d.Deliver(t.Context(), people(settings, "bad:1"))
	if err != nil || rc.Rejected != 1 {
		t.Errorf("alone: %+v %v", rc, err)
	}
	settings["batch_size"] = "1"
	if rc, err = d.Deliver(t.Context(), people(settings, "a:1", "bad:1")); err != nil || rc.Accepted != 1 || rc.Rejected != 1 {
		t.Errorf("lists of one: %+v %v", rc, err)
	}
}

func TestTemplates(t *testing.T) {
	const text = `function(event) if std.objectHas(event.data, 'bad') then error event.data.customer else {who: event.data.customer, how: event.data.segment_events[0].event}`
	r := receive(t, nil)
	d := r.open(t, "webhook_triggers", nil, text)
	settings := map[string]string{"template_id": "tpl"}
	if _, err := d.EnsureAudience(t.Context(), provider.Audience{Config: settings}); err != nil {
		t.Fatal(err)
	}
	if rc, err := d.Deliver(t.Context(), people(settings, "p1:enter")); err != nil || rc.Accepted != 1 || r.got[0] != `{"how":"enter","who":"c-p1"}` {
		t.Errorf("%+v %v %v", rc, err, r.got)
	}
	settings["batch_requests"] = "true"
	if _, err := d.Deliver(t.Context(), people(settings, "p1:enter")); err != nil || r.got[1] != `[{"how":"enter","who":"c-p1"}]` {
		t.Errorf("%v %v", err, r.got)
	}
	bad := receive(t, nil).open(t, "webhook_triggers", nil, strings.Replace(text, "'bad'", "'customer'", 1))
	if rc, err := bad.Deliver(t.Context(), people(settings, "p1:enter")); err != nil || rc.Rejected != 1 || rc.Exceptions[0].Code != codeTemplate {
		t.Errorf("a template that fails: %+v %v", rc, err)
	}
	for text, id := range map[string]string{"{": "tpl", "{}": "gone"} {
		_, err := receive(t, nil).open(t, "webhook_triggers", nil, text).EnsureAudience(t.Context(), provider.Audience{Config: map[string]string{"template_id": id}})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Code != codeTemplate || e.Field != "template_id" {
			t.Errorf("template %q %s: %v", text, id, err)
		}
	}
}

// TestASlowReceiver gets a part of a batch; the rest is unsent, in its order.
func TestASlowReceiver(t *testing.T) {
	for _, template := range []string{"", "function(event) event"} {
		var mu sync.Mutex
		now := time.Now()
		r := receive(t, func(int, string) (int, map[string]string) {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(10 * time.Second)
			return 204, nil
		})
		d := r.open(t, "webhook_triggers", nil, template).(*destination)
		d.now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		settings := map[string]string{workersField: "1"}
		if template != "" {
			settings[templateID] = "tpl"
		}
		rc, err := d.Deliver(t.Context(), people(settings, "p1:enter", "p2:enter", "p3:enter", "p4:enter", "p1:exit"))
		if err != nil || rc.Accepted != 3 || rc.Unsent != 2 || rc.Exceptions[0].Ordinal != 3 || len(r.got) != 3 {
			t.Errorf("%+v, %d requests (%v)", rc, len(r.got), err)
		}
	}
}

// TestASlowTemplate: there is time for one event, which is sent all the same.
func TestASlowTemplate(t *testing.T) {
	r := receive(t, status(204))
	d := r.open(t, "webhook_triggers", nil, "").(*destination)
	var calls atomic.Int64
	begin := time.Now()
	d.now = func() time.Time { return begin.Add(time.Duration(calls.Add(1)) * time.Minute) }
	rc, err := d.Deliver(t.Context(), people(nil, "p1:enter", "p2:enter"))
	if err != nil || rc.Accepted != 1 || rc.Unsent != 1 || len(r.got) != 1 {
		t.Errorf("%+v, %d requests (%v)", rc, len(r.got), err)
	}
}

func TestStreamPayload(t *testing.T) {
	r := receive(t, nil)
	b := provider.Batch{RunNumber: 3, Keys: append(slices.Clone(streamKeys), matchkey.Key{Name: "email"}), Audience: provider.Audience{Marker: "m"}}
	for _, v := range []string{"e1", "2026-11-22T12:00:00Z", "", "orders", `{"n":12345678901234567890,"t":"<"}`, "ana@example.com"} {
		b.Values = append(b.Values, []byte(v))
	}
	if rc, err := r.open(t, "webhook_events", nil, "").Deliver(t.Context(), b); err != nil || rc.Accepted != 1 {
		t.Fatal(rc, err)
	}
	want := `{"id":"` + messageID("m", "e1") + `","data":{"email":"ana@example.com","event":{"n":12345678901234567890,"t":"<"}},"meta":{"object":"event","event_id":"e1","timestamp":"2026-11-22T12:00:00Z","stream":"orders","run":3}}`
	if r.got[0] != want {
		t.Errorf("the body is\n%s, want\n%s", r.got[0], want)
	}
	b.Keys[len(b.Keys)-1].Name = "event"
	if _, err := r.open(t, "webhook_events", nil, "").Deliver(t.Context(), b); activation.KindOf(err) != activation.Invalid {
		t.Errorf("a column with a name of ours: %v", err)
	}
}

// TestCredentials: each kind arrives, also with alerts, and none is in an error.
func TestCredentials(t *testing.T) {
	auth := map[string]string{
		"headers": "X-Api-Key: k-secret\n Authorization: Basic abc ", "url_parameters": "?code=p%2Fsecret&b=2", "legacy_secret": "old", "signing_secret": testSecret + " " + testSecret,
	}
	r := receive(t, nil)
	if _, err := r.open(t, "webhook_triggers", auth, "").Deliver(t.Context(), people(map[string]string{"http_method": "PUT"}, "a:1")); err != nil {
		t.Fatal(err)
	}
	if got := r.header.Get("X-Api-Key") + r.header.Get("Authorization"); got != "k-secretBasic abc" || r.target != "PUT "+path+"?b=2&code=p%2Fsecret" {
		t.Errorf("%s %s", got, r.target)
	}
	if n := len(strings.Fields(r.header.Get("webhook-signature"))); n != 2 || len(r.header.Get("X-Signature")) != 40 {
		t.Errorf("%d signatures, legacy %q", n, r.header.Get("X-Signature"))
	}
	for _, wrong := range []map[string]string{
		{"headers": "k-secret"},
		{"headers": "Content-Length: 1"},
		{"headers": "A: b\x00c"},
		{"headers": `{"A": 1}`},
		{"headers": "webhook-id: x"},
		{"url_parameters": "a=%zz"},
		{"client_id": "k-secret"},
		{"token_url": "https://k-secret.example"},
		{"webhook_url": "https://user:k-secret@example.com/"},
		{"signing_secret": "k-secret"},
		{"headers": "Authorization: k-secret", "token_url": "https://x", "client_id": "a", "client_secret": "b"},
	} {
		d := provider.Deps{Auth: map[string]provider.Secret{"webhook_url": provider.Secret(r.URL)}, Now: time.Now}
		for name, value := range wrong {
			d.Auth[name] = provider.Secret(value)
		}
		_, err := newTriggers(d)
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field == "" || strings.Contains(err.Error(), "k-secret") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

func TestSettings(t *testing.T) {
	w, _ := Definition().Workflow("webhook_triggers")
	j, err := readJob(w, nil)
	if err != nil || j.method != "POST" || j.perCall != 1 || j.workers != 5 || j.timeout != 10*time.Second || j.segments {
		t.Errorf("by default: %+v %v", j, err)
	}
	for _, wrong := range [][2]string{
		{"http_method", "GET"},
		{"include_segs", "maybe"},
		{"batch_requests", "2"},
		{"batch_size", "0"},
		{"batch_size", "1001"},
		{"worker_count", "21"},
		{"worker_count", "x"},
		{"batch_flush_duration", "301s"},
		{"batch_flush_duration", "5"},
		{"timeout", "0s"},
		{"timeout", "61s"},
		{"do_not_retry", "4xx"},
		{"do_not_retry", "200"},
	} {
		_, err := readJob(w, map[string]string{wrong[0]: wrong[1]})
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != wrong[0] {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}
