package oauth

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"usher/sandbox/fault"
)

// The form fields of each grant.
var fields = map[string][]string{
	"authorization_code": {"grant_type", "code", "redirect_uri", "client_id", "client_secret", "code_verifier"},
	"refresh_token":      {"grant_type", "refresh_token", "client_id", "client_secret", "scope"},
}

// problem is an error of RFC 6749, section 5.2.
type problem struct {
	status     int
	code, text string
}

func wrong(code, text string) *problem { return &problem{http.StatusBadRequest, code, text} }

// answer is what a good call is answered with.
type answer struct {
	AccessToken    string `json:"access_token"`
	TokenType      string `json:"token_type"`
	ExpiresIn      int64  `json:"expires_in"`
	RefreshToken   string `json:"refresh_token,omitempty"`
	RefreshSeconds int64  `json:"refresh_token_expires_in,omitempty"`
	Scope          string `json:"scope"`
}

// token gives tokens.
func (n *Network) token(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.counters.Tokens++
	n.mu.Unlock()
	if n.fails(w, r, "token") {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	n.reply(w, r)
}

func (n *Network) reply(w http.ResponseWriter, r *http.Request) {
	out, bad := n.give(r)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if bad != nil {
		n.mu.Lock()
		n.counters.Errors[bad.code]++
		n.mu.Unlock()
		w.WriteHeader(bad.status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": bad.code, "error_description": bad.text})
		return
	}
	_ = json.NewEncoder(w).Encode(out) // the caller may be gone
}

// give checks the call and makes the tokens.
func (n *Network) give(r *http.Request) (answer, *problem) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" {
		return answer{}, wrong("invalid_request", "the body is no form")
	}
	if r.URL.RawQuery != "" {
		return answer{}, wrong("invalid_request", "parameters belong into the body")
	}
	if err := r.ParseForm(); err != nil {
		return answer{}, wrong("invalid_request", "the form can't be read")
	}
	form := r.PostForm
	known, ok := fields[form.Get("grant_type")]
	if !ok {
		return answer{}, wrong("unsupported_grant_type", "authorization_code or refresh_token")
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if !slices.Contains(known, name) || len(form[name]) != 1 {
			return answer{}, wrong("invalid_request", "the field "+name+" is not known here, or there twice")
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	client, ok := n.clients[form.Get("client_id")]
	if !ok || subtle.ConstantTimeCompare([]byte(client.Secret), []byte(form.Get("client_secret"))) != 1 {
		return answer{}, &problem{http.StatusUnauthorized, "invalid_client", "no such app, or another secret"}
	}
	if form.Get("grant_type") == "refresh_token" {
		return n.refreshed(form)
	}
	return n.exchanged(form)
}

// exchanged gives tokens for a code, once. A code that comes back ends what it
// gave (RFC 6749, section 4.1.2).
func (n *Network) exchanged(form url.Values) (answer, *problem) {
	c, ok := n.codes[form.Get("code")]
	if !ok {
		return answer{}, wrong("invalid_grant", "no such code")
	}
	if c.used != nil {
		c.used.revoked = true
		return answer{}, wrong("invalid_grant", "the code was used before")
	}
	switch {
	case !n.deps.Now().Before(c.until):
		return answer{}, wrong("invalid_grant", "the code is too old")
	case c.client != form.Get("client_id"):
		return answer{}, wrong("invalid_grant", "the code is of another app")
	case c.redirect != form.Get("redirect_uri"):
		return answer{}, wrong("invalid_grant", "redirect_uri is not that of the consent")
	case c.challenge == "" && form.Get("code_verifier") != "":
		return answer{}, wrong("invalid_request", "there was no challenge to verify")
	case c.challenge != "" && !verifies(form.Get("code_verifier"), c.challenge):
		return answer{}, wrong("invalid_grant", "code_verifier does not answer the challenge")
	}
	c.used = n.newConsent(c.client, c.scope)
	out := n.newToken(c.used)
	if !n.opts.NoRefresh {
		n.addRefresh(&out, c.used)
	}
	return out, nil
}

func verifies(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 { // RFC 7636, section 4.1
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// refreshed gives an access token for a refresh token.
func (n *Network) refreshed(form url.Values) (answer, *problem) {
	given := form.Get("refresh_token")
	c, ok := n.refresh[given]
	switch {
	case !ok, c.client != form.Get("client_id"):
		return answer{}, wrong("invalid_grant", "no such refresh token of this app")
	case n.over(c):
		return answer{}, wrong("invalid_grant", "the consent is over")
	case c.current != given:
		c.revoked = true
		return answer{}, wrong("invalid_grant", "the refresh token was used before")
	}
	out := n.newToken(c)
	if n.opts.Rotate {
		c.current = n.name("rt")
		n.refresh[c.current] = c
		n.addRefresh(&out, c)
	}
	return out, nil
}

func (n *Network) newToken(c *consent) answer {
	n.counters.Given++
	token := n.name("at")
	n.access[token] = &access{of: c, until: n.deps.Now().Add(n.opts.AccessLife)}
	return answer{AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(n.opts.AccessLife / time.Second), Scope: c.scope}
}

func (n *Network) addRefresh(a *answer, c *consent) {
	a.RefreshToken = c.current
	if !c.ends.IsZero() {
		a.RefreshSeconds = int64(c.ends.Sub(n.deps.Now()) / time.Second)
	}
}

// ServeHTTP serves the page and the tokens.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) { n.mux.ServeHTTP(w, r) }

// fails answers a call that meets a fault. One that only takes long goes on.
func (n *Network) fails(w http.ResponseWriter, r *http.Request, op string) bool {
	f, met := n.deps.Faults.Take(fault.Call{Network: "oauth", Method: r.Method, Path: r.URL.Path, Op: op})
	if !met {
		return false
	}
	if f.Applied && op == "token" {
		n.reply(&nobody{header: http.Header{}}, r)
	}
	switch f.Kind {
	case fault.Slow:
		fault.Hold(r.Context(), n.closing, time.Duration(f.Delay))
		return false
	case fault.Timeout:
		fault.Hold(r.Context(), n.closing, time.Duration(f.Delay))
		panic(http.ErrAbortHandler)
	case fault.Cut:
		panic(http.ErrAbortHandler)
	case fault.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(cmp.Or(f.Status, http.StatusBadGateway))
		fmt.Fprint(w, "<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>")
	case fault.Throttle:
		w.Header().Set("Retry-After", strconv.Itoa(60*max(1, f.Minutes)))
		http.Error(w, "too many requests", cmp.Or(f.Status, http.StatusTooManyRequests))
	case fault.Token, fault.Gone:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant","error_description":"scripted: the token is revoked"}`)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(cmp.Or(f.Status, http.StatusServiceUnavailable))
		fmt.Fprint(w, `{"error":"`+cmp.Or(f.Message, "server_error")+`"}`)
	}
	return true
}

// nobody takes the answer of a call that took effect and was not answered.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }
func (n *nobody) WriteHeader(int)             {}

// Control is the read-back, served to this machine alone:
//
//	GET  /counters  what happened
//	POST /revoke    take all consents back
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(n.Counters())
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, _ *http.Request) {
		n.Revoke()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
