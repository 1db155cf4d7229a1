package vault_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/activation"
	"usher/internal/provider"
	"usher/internal/vault"
	"usher/sandbox/oauth"
)

// desk is a ConsentStore in memory.
type desk map[string]activation.Consent

func (d desk) SaveConsent(_ context.Context, c activation.Consent) error {
	c.CreatedAt = time.Now()
	d[string(c.StateHash)] = c
	return nil
}

func (d desk) TakeConsent(_ context.Context, hash []byte) (activation.Consent, error) {
	c, ok := d[string(hash)]
	delete(d, string(hash))
	if !ok || time.Since(c.CreatedAt) >= activation.ConsentLife {
		return c, activation.ErrNotFound
	}
	return c, nil
}

func asking(m *minting) (*vault.Consents, vault.Question, desk) {
	d := desk{}
	fields := map[string]string{provider.ClientIDField: oauth.DefaultClientID, provider.ClientSecretField: oauth.DefaultClientSecret}
	m.oauth.AuthorizeURL, m.oauth.PKCE, m.oauth.RefreshLife = "https://accounts.example/authorize", true, 365*24*time.Hour
	return &vault.Consents{Store: d, Vault: m.box, Client: func() *http.Client { return m.client }, Log: slog.New(slog.DiscardHandler), Now: time.Now},
		vault.Question{Provider: "google", OAuth: m.oauth, Authorization: "a", Given: fields, Fields: fields, Person: "ann", Session: "s1", Origin: "127.0.0.1:8080", ReturnTo: "/authorizations/new"}, d
}

// approve answers the question at the network and returns the answer.
func (m *minting) approve(address string) vault.Answer {
	m.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		m.t.Fatal(err)
	}
	q := u.Query()
	form := url.Values{"decision": {"approve"}}
	for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "code_challenge"} {
		form.Set(name, q.Get(name))
	}
	req, _ := http.NewRequestWithContext(m.t.Context(), http.MethodPost, "https://accounts.example/authorize", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := m.far.RoundTrip(req)
	if err != nil {
		m.t.Fatal(err)
	}
	back, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		m.t.Fatal(err)
	}
	return vault.Answer{State: back.Query().Get("state"), Code: back.Query().Get("code"), Session: "s1"}
}

func TestConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{PKCE: true})
		c, q, d := asking(m)
		how := func(string) (provider.OAuth, error) { return m.oauth, nil }
		begin := func() vault.Answer {
			address, err := c.Begin(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, kept := range d {
				if strings.Contains(string(kept.Sealed), oauth.DefaultClientSecret) || strings.Contains(address, string(kept.StateHash)) {
					t.Fatal("the secret or the state lies open")
				}
			}
			return m.approve(address)
		}
		a := begin()
		done, err := c.Finish(t.Context(), a, how)
		if err != nil || !m.far.Holds(done.Given[provider.RefreshTokenField]) || done.Given[provider.AccessTokenField] != "" || !done.ExpiresAt.Equal(time.Now().Add(365*24*time.Hour)) || done.ReturnTo != q.ReturnTo {
			t.Fatalf("%v %+v", err, done.Consent)
		}
		refused := func(name string, a vault.Answer, code string) vault.Consented {
			t.Helper()
			done, err := c.Finish(t.Context(), a, how)
			var e *activation.Error
			if !errors.As(err, &e) || e.Code != code || strings.Contains(err.Error(), oauth.DefaultClientSecret) {
				t.Fatalf("%s: %v", name, err)
			}
			return done
		}
		refused("the state used twice", a, vault.CodeState)
		refused("a state of nobody's", vault.Answer{State: "x", Code: "y", Session: "s1"}, vault.CodeState)
		a = begin()
		time.Sleep(activation.ConsentLife)
		refused("too late", a, vault.CodeState)
		a = begin()
		other := a
		other.Session = "s2"
		refused("another session", other, vault.CodeState)
		refused("the state is used up by that", a, vault.CodeState)
		a = begin()
		a.Code = "ac-forged"
		back := refused("another code", a, vault.CodeRefused)
		if back.ReturnTo != q.ReturnTo || back.Again == "" {
			t.Fatalf("%+v", back)
		}
		refused("what was kept is no way back", vault.Answer{State: back.Again, Code: "x", Session: "s1"}, vault.CodeState)
		a = begin()
		back = refused("said no", vault.Answer{State: a.State, Error: "access_denied", Session: "s1"}, vault.CodeRefused)
		for range 2 {
			kept, err := c.Kept(t.Context(), back.Again, "s1")
			if err != nil || kept.Given[provider.ClientSecretField] != oauth.DefaultClientSecret {
				t.Fatalf("%v", err)
			}
		}
		if _, err := c.Kept(t.Context(), back.Again, "s2"); activation.CodeOf(err) != vault.CodeState {
			t.Fatalf("somebody else reads what was typed: %v", err)
		}
		// A code of another consent does not answer this one's challenge.
		first, second := begin(), begin()
		first.Code = second.Code
		refused("a code that was swapped", first, vault.CodeRefused)
	})
}

func TestWhereConsentsComeBack(t *testing.T) {
	m := newMinting(t, oauth.Options{})
	for _, tc := range []struct{ public, origin, authorize, want string }{
		{"", "127.0.0.1:8080", "", "http://127.0.0.1:8080/oauth/callback"},
		{"", "localhost:8080", "", "http://localhost:8080/oauth/callback"},
		{"", "[::1]:8080", "", "http://[::1]:8080/oauth/callback"},
		{"https://usher.example.com/", "anything", "", "https://usher.example.com/oauth/callback"},
		{"", "usher.example.com", "", ""},
		{"", "127.0.0.1.evil.example:80", "", ""},
		{"", "", "", ""},
		{"", "127.0.0.1:1", "http://evil.example/authorize", ""},
		{"", "127.0.0.1:1", "javascript:alert(1)", ""},
		{"", "127.0.0.1:1", "http://127.0.0.1:9090/oauth/authorize", "http://127.0.0.1:1/oauth/callback"},
	} {
		c, q, _ := asking(m)
		c.PublicURL, q.Origin = tc.public, tc.origin
		if tc.authorize != "" {
			q.Fields = map[string]string{provider.ClientIDField: "x", provider.AuthorizeURLField: tc.authorize}
		}
		address, err := c.Begin(t.Context(), q)
		if tc.want == "" {
			if activation.CodeOf(err) != vault.CodeAddress {
				t.Errorf("%+v: %q %v", tc, address, err)
			}
			continue
		}
		u, _ := url.Parse(address)
		if err != nil || u.Query().Get("redirect_uri") != tc.want {
			t.Errorf("%+v: %q %v", tc, address, err)
		}
	}
}
