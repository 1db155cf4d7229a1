package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/api"
	"usher/internal/server/servertest"
	"usher/internal/store/sqlite"
	"usher/internal/warehouse/site"
)

const visitorToken = "usher_the-token-in-a-page"

// pages is the API as web pages see it, with a table of one visitor.
type pages struct {
	http.Handler
	log bytes.Buffer
	now time.Time
}

// failing is a table that is broken.
type failing struct{}

func (failing) Visitor(context.Context, string) (site.Visitor, error) {
	return site.Visitor{}, errors.New("look up a visitor: disk I/O error")
}

func newPages(t *testing.T, s api.Site) *pages {
	t.Helper()
	if s.Table == nil {
		table, err := site.Open(t.Context(), t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = table.Close() })
		id, err := table.Ensure(t.Context(), "m1", "vip")
		if err == nil {
			err = table.Put(t.Context(), id, []string{"visitor-0001"}, []string{`{"city":"Bonn"}`})
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Table = table
	}
	p := &pages{now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	roles := map[string]activation.Role{visitorToken: activation.RoleSite, "viewer": activation.RoleViewer, "nothing": "nothing"}
	mux := http.NewServeMux()
	api.New(mux, api.Deps{
		Log: slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: func() time.Time { return p.now },
		Authenticate: func(r *http.Request) (api.Caller, bool) {
			role, ok := roles[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
			return api.Caller{Role: role}, ok
		},
		Access: access.New(access.Config{}), Site: s, Delivery: unusedDelivery{}, Loads: unusedLoads{},
	})
	p.Handler = mux
	return p
}

// unused are the parts that pages do not reach.
type (
	unusedDelivery struct{ api.Delivery }
	unusedLoads    struct{ api.Loads }
)

// ask sends a request from an address; the token of "" is none.
func (p *pages) ask(method, path, token, from string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = from + ":1234"
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestPagesAsk(t *testing.T) {
	p := newPages(t, api.Site{})
	for _, c := range []struct {
		name, path, token string
		status            int
		has               string
	}{
		{"a visitor", "/web/audiences/visitor-0001", visitorToken, 200, `"data":{"audiences":["vip"],"attributes":{"city":"Bonn"}}`},
		{"by Bearer", "/web/audiences/visitor-0001", "Bearer " + visitorToken, 200, `["vip"]`},
		{"the token in the query", "/web/audiences/visitor-0001?access_token=" + visitorToken, "", 200, `["vip"]`},
		{"nobody", "/web/audiences/visitor-0002", visitorToken, 200, `"data":{"audiences":[],"attributes":{}}`},
		{"a viewer", "/web/audiences/visitor-0001", "viewer", 200, `["vip"]`},
		{"no token", "/web/audiences/visitor-0001", "", 401, "UNAUTHORIZED-017"},
		{"a wrong token", "/web/audiences/visitor-0001", "wrong", 401, "UNAUTHORIZED-017"},
		{"a role that may nothing", "/web/audiences/visitor-0001", "nothing", 403, "FORBIDDEN-026"},
		{"an e-mail address", "/web/audiences/" + mark + "%40example.com", visitorToken, 400, "public_id: must be"},
		{"a phone number", "/web/audiences/+1%20415%20555%200100", visitorToken, 400, "public_id: must be"},
		{"too long", "/web/audiences/" + mark + strings.Repeat("x", 300), visitorToken, 400, "public_id: must be"},
		{"no id", "/web/audiences/%20", visitorToken, 400, "public_id: must be"},
		{"another path", "/web/audiences/a/b", visitorToken, 404, "NOTFOUND-003"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := p.ask(http.MethodGet, c.path, c.token, "192.0.2.1")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) || strings.Contains(w.Body.String(), mark) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
	if got := p.ask(http.MethodPost, "/web/audiences/visitor-0001", visitorToken, "192.0.2.1"); got.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.Code)
	}
	for _, secret := range []string{"visitor-000", visitorToken, mark, "415 555", "415%20555"} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log has %q: %s", secret, p.log.String())
		}
	}
	if !strings.Contains(p.log.String(), "operation=show-visitor status=200") {
		t.Errorf("the log does not say what was asked: %s", p.log.String())
	}
}

// TestNobodyIsLikeSomebodyInNothing: the two answers differ in nothing.
func TestNobodyIsLikeSomebodyInNothing(t *testing.T) {
	p := newPages(t, api.Site{})
	var answers []string
	for _, id := range []string{"visitor-0002", "visitor-0003"} {
		w := p.ask(http.MethodGet, "/web/audiences/"+id, visitorToken, "192.0.2.1")
		answers = append(answers, strings.ReplaceAll(w.Body.String(), w.Header().Get("X-Request-Id"), ""))
	}
	if answers[0] != answers[1] {
		t.Errorf("%s and %s", answers[0], answers[1])
	}
}

func TestOriginsOfPages(t *testing.T) {
	const shop = "https://shop.example.com"
	for _, c := range []struct {
		name    string
		origins []string
		origin  string
		allowed string
	}{
		{"none is known", nil, shop, ""},
		{"known", []string{"https://a.example.com", shop}, shop, shop},
		{"another", []string{shop}, "https://shop.example.com.evil.example", ""},
		{"all", []string{"*"}, shop, shop},
		{"no browser", []string{"*"}, "", ""},
	} {
		p := newPages(t, api.Site{Origins: c.origins})
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			for _, token := range []string{visitorToken, ""} { // a page reads refusals too
				w := p.ask(method, "/web/audiences/visitor-0001", token, "192.0.2.1", "Origin", c.origin)
				h := w.Header()
				if h.Get("Access-Control-Allow-Origin") != c.allowed || !slices.Contains(h.Values("Vary"), "Origin") || h.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s, %s: headers %v", c.name, method, h)
				}
				if asks := h.Get("Access-Control-Allow-Headers") == "Authorization"; method == http.MethodOptions && (w.Code != http.StatusNoContent || asks != (c.allowed != "")) {
					t.Errorf("%s: preflight %d %v", c.name, w.Code, h)
				}
			}
		}
	}
}

func TestOneAddressAsksSoOften(t *testing.T) {
	p := newPages(t, api.Site{PerMinute: 30, Origins: []string{"*"}}) // one every two seconds, three at once
	get := func(from string) *httptest.ResponseRecorder {
		return p.ask(http.MethodGet, "/web/audiences/visitor-0001", visitorToken, from, "Origin", "https://shop.example.com")
	}
	for i := range 3 {
		if w := get("192.0.2.1"); w.Code != http.StatusOK {
			t.Fatalf("question %d: %d", i, w.Code)
		}
	}
	w := get("192.0.2.1")
	wait, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if w.Code != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 3 || w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Fatalf("question 4: %d %v", w.Code, w.Header())
	}
	// Wrong tokens count too, and preflights; other addresses do not.
	if w := p.ask(http.MethodGet, "/web/audiences/visitor-0001", "wrong", "192.0.2.1"); w.Code != http.StatusTooManyRequests {
		t.Errorf("a wrong token: %d", w.Code)
	}
	if w := get("192.0.2.2"); w.Code != http.StatusOK {
		t.Errorf("another address: %d", w.Code)
	}
	p.now = p.now.Add(time.Duration(wait) * time.Second)
	if w := get("192.0.2.1"); w.Code != http.StatusOK {
		t.Errorf("after the wait: %d", w.Code)
	}
	if w := get("192.0.2.1"); w.Code != http.StatusTooManyRequests {
		t.Errorf("the wait gives one question: %d", w.Code)
	}
	// An IPv6 address counts with its 64 bits.
	for i := range 4 {
		if w := get(fmt.Sprintf("[2001:db8::%d]", i)); (w.Code == http.StatusOK) != (i < 3) {
			t.Errorf("IPv6 question %d: %d", i, w.Code)
		}
	}
}

func TestABrokenTableIsOurFault(t *testing.T) {
	p := newPages(t, api.Site{Table: failing{}})
	w := p.ask(http.MethodGet, "/web/audiences/visitor-0001", visitorToken, "192.0.2.1")
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "disk") || strings.Contains(p.log.String(), "visitor-0001") {
		t.Errorf("%d %s, log %s", w.Code, w.Body, p.log.String())
	}
}

// TestATokenOfASiteDoesNothingElse: it reads the one route, and every other
// operation refuses it.
func TestATokenOfASiteDoesNothingElse(t *testing.T) {
	s := servertest.Start(t)
	var made struct {
		ID   string `json:"id"`
		Text string `json:"token"`
	}
	s.Must(http.MethodPost, "/v2/token", map[string]any{"name": "pages", "scope": "site", "expires": "never"}, &made)
	for _, o := range operations(t, s) {
		a := call(t, s, made.Text, o.Method, o.nowhere(), nil)
		want := http.StatusForbidden
		switch {
		case o.ID == "show-visitor":
			want = http.StatusOK
		case roleOf(o.ID) == "":
			continue
		}
		if a.StatusCode != want {
			t.Errorf("%s: %d, want %d", o.ID, a.StatusCode, want)
		}
	}
	if a := call(t, s, made.Text, http.MethodPost, "/v2/token", strings.NewReader(`{"name":"more","scope":"site"}`)); a.StatusCode != http.StatusForbidden {
		t.Errorf("it makes tokens: %d", a.StatusCode)
	}
	if a := call(t, s, made.Text, http.MethodPost, "/collect/json/people", strings.NewReader(`{}`)); a.StatusCode != http.StatusForbidden {
		t.Errorf("it collects: %d", a.StatusCode)
	}
	s.Must(http.MethodDelete, "/v2/token/"+made.ID, nil, nil)
	if a := call(t, s, made.Text, http.MethodGet, "/web/audiences/v1", nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("revoked: %d", a.StatusCode)
	}
}

// BenchmarkVisitor asks as pages do, over HTTP with a token of the store, among
// a hundred thousand memberships, and reports the slowest of a hundred.
func BenchmarkVisitor(b *testing.B) {
	dir := b.TempDir()
	table, err := site.Open(b.Context(), dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer table.Close()
	const people = 25_000
	for a := range 4 {
		id, err := table.Ensure(b.Context(), fmt.Sprint("m", a), fmt.Sprint("audience-", a))
		for first := 0; err == nil && first < people; first += 10_000 {
			ids, values := make([]string, 10_000), make([]string, 10_000)
			for i := range ids {
				ids[i], values[i] = fmt.Sprint("visitor-", first+i), `{"city":"Bonn"}`
			}
			err = table.Put(b.Context(), id, ids, values)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	st, err := sqlite.Open(b.Context(), filepath.Join(dir, "control.sqlite"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	who := access.New(access.Config{Store: st})
	token, err := who.NewToken(b.Context(), "pages", activation.RoleSite, time.Time{})
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	api.New(mux, api.Deps{Log: slog.New(slog.DiscardHandler), Now: time.Now, Authenticate: who.Caller, Access: who, Delivery: unusedDelivery{}, Loads: unusedLoads{}, Site: api.Site{Table: table, PerMinute: 1_000_000}})
	server := httptest.NewServer(mux)
	defer server.Close()

	// A thousand questions a second, whatever the answers take.
	const perSecond = 1000
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	b.ResetTimer()
	begin := time.Now()
	for i := range b.N {
		due := begin.Add(time.Duration(i) * time.Second / perSecond)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			res, err := client.Get(server.URL + "/web/audiences/visitor-" + strconv.Itoa(rand.IntN(people*2)) + "?access_token=" + token)
			if err != nil {
				b.Error(err)
				return
			}
			defer res.Body.Close()
			var v struct{ Data struct{ Audiences []string } }
			if err := json.NewDecoder(res.Body).Decode(&v); err != nil || res.StatusCode != http.StatusOK {
				b.Error(res.StatusCode, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took)
		})
	}
	wg.Wait()
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "requests/s")
}

// TestAVisitorIsShown: an audience goes to the site by a job, and a page asks for
// it. That who leaves is taken off the site is the conformance suite's.
func TestAVisitorIsShown(t *testing.T) {
	s := servertest.Start(t)
	s.Declare()
	s.Must(http.MethodPut, "/v2/stream/guests", map[string]any{}, nil)
	s.Must(http.MethodPost, "/v2/field", map[string]any{"name": "city", "type": "text", "merge": "latest", "pii": false, "public": true}, nil)
	s.Must(http.MethodPut, "/v2/mapping/guests", map[string]string{"customer": "id", "score": "score", "city": "city"}, nil)
	s.Load("guests", "id,score,city\nid-1,90,Bonn\n")
	s.Must(http.MethodPost, "/v2/segment", map[string]any{"slug_name": "best", "name": "Best", "segment_ql": "FILTER score > 80", "is_public": true}, nil)
	mapping := map[string]string{"public_id": "customer", "city": "city"}
	var dest, job struct {
		ID string `json:"id"`
	}
	s.Must(http.MethodPost, "/v2/destination", map[string]any{"name": "Pages", "provider": "web", "mapping": mapping}, &dest)
	s.Must(http.MethodPost, "/v2/job/web_audience", map[string]any{"name": "Best to the site", "destination_id": dest.ID, "segment_ids": []string{"best"}}, &job)
	s.Eventually("the run is done", func() bool {
		var runs []activation.Run
		s.Must(http.MethodGet, "/v2/run?status=completed&job_id="+job.ID, nil, &runs)
		return len(runs) > 0
	})
	for id, want := range map[string]string{"id-1": `{"audiences":["best"],"attributes":{"city":"Bonn"}}`, "id-2": `{"audiences":[],"attributes":{}}`} {
		a := call(t, s, s.Tokens[activation.RoleViewer], http.MethodGet, "/web/audiences/"+id, nil)
		if checkAnswer(t, s, a, http.StatusOK); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s, want %s", id, a.body, want)
		}
	}
}
