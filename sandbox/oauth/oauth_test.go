package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"usher/sandbox/fault"
	"usher/sandbox/oauth"
)

const verifier = "verifier-0123456789-0123456789-0123456789-012"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

type world struct {
	t   *testing.T
	net *oauth.Network
	now time.Time
}

func open(t *testing.T, o oauth.Options) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	n, err := oauth.New(o, oauth.Deps{Seed: 1, Now: func() time.Time { return w.now }, Faults: fault.NewPlan(1)})
	if err != nil {
		t.Fatal(err)
	}
	w.net = n
	return w
}

func question() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {oauth.DefaultClientID}, "redirect_uri": {"http://127.0.0.1:8080/oauth/callback"},
		"state": {"s1"}, "scope": {"r_ads"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "access_type": {"offline"},
	}
}

func (w *world) do(method, path string, form url.Values) *http.Response {
	w.t.Helper()
	var r *http.Request
	if method == http.MethodGet {
		r = httptest.NewRequest(method, path+"?"+form.Encode(), nil)
	} else {
		r = httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	w.net.ServeHTTP(rec, r)
	return rec.Result()
}

// decide answers the page and returns what the client is told.
func (w *world) decide(decision string) url.Values {
	w.t.Helper()
	q := question()
	form := url.Values{"decision": {decision}}
	for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "code_challenge"} {
		form.Set(name, q.Get(name))
	}
	resp := w.do(http.MethodPost, "/authorize", form)
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusFound || to.Path != "/oauth/callback" {
		w.t.Fatalf("%d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	return to.Query()
}

func exchange(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {question().Get("redirect_uri")},
		"client_id": {oauth.DefaultClientID}, "client_secret": {oauth.DefaultClientSecret}, "code_verifier": {verifier},
	}
}

type given struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Seconds int64  `json:"expires_in"`
	Lives   int64  `json:"refresh_token_expires_in"`
	Error   string `json:"error"`
}

func (w *world) token(form url.Values) (given, int) {
	w.t.Helper()
	resp := w.do(http.MethodPost, "/token", form)
	var out given
	raw, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(raw, &out); err != nil {
		w.t.Fatalf("%d %s", resp.StatusCode, raw)
	}
	return out, resp.StatusCode
}

func TestConsentGivesTokens(t *testing.T) {
	w := open(t, oauth.Options{Rotate: true, RefreshLife: 24 * time.Hour})
	resp := w.do(http.MethodGet, "/authorize", question())
	page, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(page), `value="approve"`) {
		t.Fatalf("%d %s", resp.StatusCode, page)
	}
	answer := w.decide("approve")
	if answer.Get("state") != "s1" {
		t.Fatalf("state %q", answer.Get("state"))
	}
	first, status := w.token(exchange(answer.Get("code")))
	if status != http.StatusOK || !w.net.Valid(first.Access) || first.Seconds != 3600 || first.Lives != 86400 {
		t.Fatalf("%d %+v", status, first)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}, "client_id": {oauth.DefaultClientID}, "client_secret": {oauth.DefaultClientSecret}}
	second, _ := w.token(refresh)
	if second.Refresh == "" || second.Refresh == first.Refresh || !w.net.Valid(second.Access) {
		t.Fatalf("%+v", second)
	}
	// The old refresh token is taken for stolen: all of the consent ends.
	if again, status := w.token(refresh); status != http.StatusBadRequest || again.Error != "invalid_grant" || w.net.Valid(second.Access) {
		t.Fatalf("%d %+v", status, again)
	}
	if c := w.net.Counters(); c.Approved != 1 || c.Given != 2 || c.Errors["invalid_grant"] != 1 {
		t.Fatalf("%+v", c)
	}
}

func TestTokensEnd(t *testing.T) {
	w := open(t, oauth.Options{RefreshLife: 24 * time.Hour})
	refresh := w.net.Grant(oauth.DefaultClientID, "r_ads")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {oauth.DefaultClientID}, "client_secret": {oauth.DefaultClientSecret}}
	got, _ := w.token(form)
	w.now = w.now.Add(time.Hour)
	if w.net.Valid(got.Access) {
		t.Fatal("an access token outlives its hour")
	}
	w.now = w.now.Add(23 * time.Hour)
	if got, status := w.token(form); status != http.StatusBadRequest || got.Error != "invalid_grant" {
		t.Fatalf("%d %+v", status, got)
	}
}

func TestACodeIsGoodOnce(t *testing.T) {
	w := open(t, oauth.Options{})
	code := w.decide("approve").Get("code")
	first, _ := w.token(exchange(code))
	if got, _ := w.token(exchange(code)); got.Error != "invalid_grant" || w.net.Valid(first.Access) {
		t.Fatalf("%+v", got)
	}
	late := w.decide("approve").Get("code")
	w.now = w.now.Add(10 * time.Minute)
	if got, _ := w.token(exchange(late)); got.Error != "invalid_grant" {
		t.Fatalf("%+v", got)
	}
}

func TestRefusal(t *testing.T) {
	w := open(t, oauth.Options{})
	if got := w.decide("refuse"); got.Get("error") != "access_denied" || got.Get("state") != "s1" || got.Get("code") != "" {
		t.Fatalf("%v", got)
	}
}

// TestOneWrongField refuses every single corruption of a good request.
func TestOneWrongField(t *testing.T) {
	w := open(t, oauth.Options{PKCE: true, Clients: []oauth.Client{{ID: oauth.DefaultClientID, Secret: oauth.DefaultClientSecret, RedirectURIs: []string{question().Get("redirect_uri")}}}})
	for _, tc := range []struct{ name, value, want string }{
		{"response_type", "token", "unsupported_response_type"},
		{"response_type", "", "invalid_request"},
		{"client_id", "other", "page"},
		{"redirect_uri", "http://evil.example/", "page"},
		{"redirect_uri", "/local", "page"},
		{"redirect_uri", "javascript:alert(1)", "page"},
		{"state", "", "invalid_request"},
		{"scope", "", "invalid_request"},
		{"code_challenge", "", "invalid_request"},
		{"code_challenge", "short", "invalid_request"},
		{"code_challenge_method", "plain", "invalid_request"},
	} {
		q := question()
		q.Set(tc.name, tc.value)
		resp := w.do(http.MethodGet, "/authorize", q)
		to, _ := url.Parse(resp.Header.Get("Location"))
		if tc.want == "page" && resp.StatusCode != http.StatusBadRequest || tc.want != "page" && (resp.StatusCode != http.StatusFound || to.Query().Get("error") != tc.want) {
			t.Errorf("%s=%q: %d to %q", tc.name, tc.value, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	for _, tc := range []struct {
		name, value, want string
		status            int
	}{
		{"grant_type", "password", "unsupported_grant_type", 400},
		{"code", "ac-other", "invalid_grant", 400},
		{"redirect_uri", "http://127.0.0.1:8080/other", "invalid_grant", 400},
		{"client_id", "other", "invalid_client", 401},
		{"client_secret", "other", "invalid_client", 401},
		{"code_verifier", strings.Repeat("x", 43), "invalid_grant", 400},
		{"code_verifier", "", "invalid_grant", 400},
		{"surplus", "1", "invalid_request", 400},
	} {
		form := exchange(w.decide("approve").Get("code"))
		form.Set(tc.name, tc.value)
		if got, status := w.token(form); got.Error != tc.want || status != tc.status {
			t.Errorf("%s=%q: %d %+v", tc.name, tc.value, status, got)
		}
	}
	if resp := w.do(http.MethodGet, "/token", exchange("x")); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET of the tokens: %d", resp.StatusCode)
	}
}
