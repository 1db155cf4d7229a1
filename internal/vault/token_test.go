package vault_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"pgregory.net/rapid"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
	"usher/internal/vault"
	"usher/sandbox/fault"
	"usher/sandbox/oauth"
)

const tokenURL = "https://accounts.example/token"

// far is the stand-in of a network, called without a wire so that time can be
// that of a bubble.
type far struct {
	*oauth.Network
	faults *fault.Plan
	// answer replaces the stand-in where it is set.
	answer http.HandlerFunc
}

func (f *far) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	if req.URL.Host != "accounts.example" {
		return nil, errors.New("called elsewhere")
	}
	rec := httptest.NewRecorder()
	defer func() {
		if recover() != nil {
			resp, err = nil, io.ErrUnexpectedEOF
		}
	}()
	in := req.Clone(req.Context())
	in.RequestURI = ""
	if f.answer != nil {
		f.answer(rec, in)
	} else {
		f.ServeHTTP(rec, in)
	}
	return rec.Result(), req.Context().Err()
}

// shelf is a TokenStore in memory.
type shelf struct {
	mu     sync.Mutex
	a      activation.Authorization
	down   error
	before func() // runs once, before the next Reseal
	noted  []time.Time
}

func (s *shelf) Authorization(context.Context, activation.AuthorizationID) (activation.Authorization, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.a, nil
}

func (s *shelf) Reseal(_ context.Context, a activation.Authorization, sealed []byte, keyID string) (bool, error) {
	s.mu.Lock()
	before, down := s.before, s.down
	if s.before = nil; down != nil {
		before = nil
	}
	s.mu.Unlock()
	if before != nil {
		before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	if !bytes.Equal(a.Sealed, s.a.Sealed) || a.KeyID != s.a.KeyID {
		return false, nil
	}
	s.a.Sealed, s.a.KeyID = sealed, keyID
	return true, nil
}

func (s *shelf) NoteExpiry(_ context.Context, _ activation.AuthorizationID, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.a.ExpiresAt = at
	s.noted = append(s.noted, at)
	return nil
}

// mintingKey is one key for all that is sealed here.
var mintingKey = sync.OnceValue(func() string {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err) // there is no chance
	}
	return identity.String()
})

// minting is an authorization whose tokens are asked for.
type minting struct {
	t      *testing.T
	far    *far
	shelf  *shelf
	box    *vault.Vault
	tokens *vault.Tokens
	oauth  provider.OAuth
	logged *bytes.Buffer
	client *http.Client
}

// newMinting seals with a key of the environment: that needs no file.
func newMinting(t *testing.T, o oauth.Options) *minting {
	t.Helper()
	box, err := vault.Parse(mintingKey())
	if err != nil {
		t.Fatal(err)
	}
	m := &minting{t: t, shelf: &shelf{}, box: box, logged: &bytes.Buffer{}, oauth: provider.OAuth{TokenURL: tokenURL, Scopes: []string{"r_ads"}}}
	faults := fault.NewPlan(1)
	n, err := oauth.New(o, oauth.Deps{Seed: 1, Now: time.Now, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	m.far = &far{Network: n, faults: faults}
	m.client = &http.Client{Transport: m.far}
	m.tokens = &vault.Tokens{Store: m.shelf, Vault: m.box, Log: slog.New(slog.NewTextHandler(m.logged, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: time.Now}
	return m
}

// store puts other credentials into the authorization, as a person does.
func (m *minting) store(fields map[string]string) {
	m.t.Helper()
	secrets := map[string]provider.Secret{}
	for k, v := range fields {
		secrets[k] = provider.Secret(v)
	}
	sealed, id, err := m.box.Seal(secrets)
	if err != nil {
		m.t.Fatal(err)
	}
	m.shelf.mu.Lock()
	defer m.shelf.mu.Unlock()
	m.shelf.a.ID, m.shelf.a.Sealed, m.shelf.a.KeyID, m.shelf.a.UpdatedAt = "a", sealed, id, m.shelf.a.UpdatedAt.Add(time.Second)
}

func (m *minting) refresh() string {
	m.t.Helper()
	fields, err := m.box.Open(m.shelf.a.Sealed, m.shelf.a.KeyID)
	if err != nil {
		m.t.Fatal(err)
	}
	return fields[provider.RefreshTokenField].Reveal()
}

func (m *minting) source() provider.Tokens { return m.tokens.Of(m.shelf.a, m.oauth, m.client) }

// connect stores a consent that the network knows.
func (m *minting) connect() {
	m.store(map[string]string{
		provider.ClientIDField: oauth.DefaultClientID, provider.ClientSecretField: oauth.DefaultClientSecret,
		provider.RefreshTokenField: m.far.Grant(oauth.DefaultClientID, "r_ads"),
	})
}

func (m *minting) token(s provider.Tokens) string {
	m.t.Helper()
	token, err := s.Token(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if !m.far.Valid(token) {
		m.t.Fatal("the network does not know the token")
	}
	return token
}

// wants checks an error, and that nothing of a secret is in it or in the log.
func (m *minting) wants(err error, kind activation.Kind, code string) *activation.Error {
	m.t.Helper()
	var e *activation.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code || e.MayHaveApplied {
		m.t.Fatalf("got %v, want %s of kind %s", err, code, kind)
	}
	fields, _ := m.box.Open(m.shelf.a.Sealed, m.shelf.a.KeyID)
	for name, v := range fields {
		if name != provider.ClientIDField && len(v.Reveal()) > 3 && (strings.Contains(err.Error(), v.Reveal()) || strings.Contains(m.logged.String(), v.Reveal())) {
			m.t.Fatalf("the field %s is told", name)
		}
	}
	return e
}

func TestOneTokenForAllClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{})
		m.connect()
		if _, err := m.far.faults.Add(fault.Fault{Kind: fault.Slow, Delay: fault.Duration(time.Second)}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for range 2 {
			s := m.source() // each client has its own
			for range 10 {
				wg.Go(func() {
					token, err := s.Token(t.Context())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					got[token]++
					mu.Unlock()
				})
			}
		}
		wg.Wait()
		if len(got) != 1 || m.far.Counters().Tokens != 1 {
			t.Fatalf("%d tokens by %d calls", len(got), m.far.Counters().Tokens)
		}
		first := m.token(m.source())
		time.Sleep(59*time.Minute - 2*time.Second)
		if m.token(m.source()) != first {
			t.Fatal("another token before its time")
		}
		time.Sleep(2 * time.Second) // a minute before its end
		if m.token(m.source()) == first || m.far.Counters().Tokens != 2 {
			t.Fatalf("the token is kept for too long; %d calls", m.far.Counters().Tokens)
		}
		if strings.Contains(m.logged.String(), first) {
			t.Fatal("the log has the token")
		}
	})
}

func TestRefusedDropsExactlyThatToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{})
		m.connect()
		s := m.source()
		first := m.token(s)
		s.Refused("another")
		s.Refused("")
		if m.token(s) != first {
			t.Fatal("an unknown token dropped the one that is handed out")
		}
		s.Refused(first)
		second := m.token(s)
		s.Refused(first)
		if second == first || m.token(s) != second || m.far.Counters().Tokens != 2 {
			t.Fatalf("%d calls", m.far.Counters().Tokens)
		}
	})
}

func TestMintsAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{})
		m.oauth.Mints = 3
		m.connect()
		s := m.source()
		begun := time.Now()
		for range 3 {
			s.Refused(m.token(s))
			time.Sleep(time.Minute)
		}
		_, err := s.Token(t.Context())
		e := m.wants(err, activation.WaitUntil, vault.CodeMints)
		if !e.Until.Equal(begun.Add(time.Hour)) || m.far.Counters().Tokens != 3 {
			t.Fatalf("until %v, %d calls", e.Until, m.far.Counters().Tokens)
		}
		time.Sleep(time.Until(e.Until))
		m.token(s)
	})
}

func TestRotationIsStoredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{Rotate: true, RefreshLife: 365 * 24 * time.Hour})
		m.connect()
		was, changed := m.refresh(), m.shelf.a.UpdatedAt
		s := m.source()
		m.token(s)
		if now := m.refresh(); now == was || !m.far.Holds(now) {
			t.Fatal("the new refresh token is not stored")
		}
		if !m.shelf.a.UpdatedAt.Equal(changed) {
			t.Fatal("clients are rebuilt for a new refresh token")
		}
		if len(m.shelf.noted) != 1 || !m.shelf.a.ExpiresAt.Equal(time.Now().Add(365*24*time.Hour)) {
			t.Fatalf("ends %v", m.shelf.noted)
		}
		for range 5 {
			s.Refused(m.token(s))
			time.Sleep(20 * time.Minute)
		}
		if len(m.shelf.noted) != 1 {
			t.Fatalf("the end is stored %d times", len(m.shelf.noted))
		}
		// Another process begins with what is stored.
		m.tokens = &vault.Tokens{Store: m.shelf, Vault: m.box, Log: m.tokens.Log, Now: time.Now}
		m.token(m.source())
	})
}

func TestRotationOutlivesWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{Rotate: true})
		m.connect()
		_, _ = m.far.faults.Add(fault.Fault{Kind: fault.Slow, Delay: fault.Duration(3 * time.Second)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.source().Token(ctx); err != nil {
			t.Fatal(err)
		}
		if !m.far.Holds(m.refresh()) {
			t.Fatal("the new refresh token is lost")
		}
		_, _ = m.far.faults.Add(fault.Fault{Kind: fault.Timeout})
		m.source().Refused(m.token(m.source()))
		late, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		begun := time.Now()
		_, err := m.source().Token(late)
		m.wants(err, activation.Unavailable, outbound.CodeUnreachable)
		if d := time.Since(begun); d > 7*time.Second {
			t.Fatalf("whoever stopped waiting is held for %v", d)
		}
	})
}

func TestRotationIsKeptWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{Rotate: true})
		m.connect()
		s, was := m.source(), m.refresh()
		m.shelf.down = errors.New("the database is away")
		for range 2 {
			s.Refused(m.token(s))
		}
		if m.refresh() != was {
			t.Fatal("stored although the store is down")
		}
		m.shelf.down = nil
		m.token(s)
		if !m.far.Holds(m.refresh()) {
			t.Fatal("the refresh token was not stored when that was possible again")
		}
	})
}

func TestAPersonsReplacementWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{Rotate: true})
		m.connect()
		s := m.source()
		var theirs string
		m.shelf.before = func() {
			m.far.Revoke()
			m.connect()
			theirs = m.refresh()
		}
		m.token(s)
		if m.refresh() == theirs || !m.far.Holds(m.refresh()) { // it was used, and rotated in its turn
			t.Fatal("the replacement was not used")
		}
		// A change of keys between is no replacement.
		m.connect()
		m.shelf.before = func() {
			fields, _ := m.box.Open(m.shelf.a.Sealed, m.shelf.a.KeyID)
			m.shelf.a.Sealed, m.shelf.a.KeyID, _ = m.box.Seal(fields)
		}
		m.token(m.source())
		if !m.far.Holds(m.refresh()) {
			t.Fatal("a change of keys lost the refresh token")
		}
	})
}

func TestOtherCredentialsEndTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{})
		m.connect()
		first := m.token(m.source())
		m.shelf.a.UpdatedAt = m.shelf.a.UpdatedAt.Add(time.Second) // another label
		if m.token(m.source()) != first {
			t.Fatal("a label costs a token")
		}
		m.connect()
		if m.token(m.source()) == first {
			t.Fatal("the token of the credentials before is handed out")
		}
	})
}

func TestReplacedWhileATokenIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{})
		m.connect()
		m.far.answer = func(w http.ResponseWriter, r *http.Request) {
			m.far.answer = nil
			m.far.ServeHTTP(w, r)
			m.far.Revoke()
			m.connect()
			m.source() // a client is built with the new ones
		}
		m.token(m.source())
	})
}

func TestWhyThereIsNoToken(t *testing.T) {
	body := func(status int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	const asJSON = "application/json"
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		kind   activation.Kind
		code   string
	}{
		{"revoked", body(400, asJSON, `{"error":"invalid_grant","error_description":"hunter2-refresh"}`), activation.Unauthorized, vault.CodeConnect},
		{"revoked, told with 200", body(200, asJSON, `{"error":"invalid_grant"}`), activation.Unauthorized, vault.CodeConnect},
		{"another secret", body(401, asJSON, `{"error":"invalid_client"}`), activation.Unauthorized, vault.CodeClient},
		{"scope", body(400, asJSON, `{"error":"invalid_scope"}`), activation.Unauthorized, vault.CodeClient},
		{"an error of its own", body(400, asJSON, `{"error":"hunter2-refresh"}`), activation.Unauthorized, vault.CodeClient},
		{"an error as an object", body(403, asJSON, `{"error":{"code":403}}`), activation.Unauthorized, vault.CodeClient},
		{"down", body(503, "text/html", `<html>hunter2-refresh</html>`), activation.Unavailable, vault.CodeAnswer},
		{"busy", body(400, asJSON, `{"error":"temporarily_unavailable"}`), activation.Unavailable, vault.CodeAnswer},
		{"too many", body(429, asJSON, `{}`), activation.WaitUntil, vault.CodeAnswer},
		{"a page", body(200, "text/html", `<html>hunter2-refresh</html>`), activation.Unavailable, vault.CodeAnswer},
		{"no token", body(200, asJSON, `{}`), activation.Unavailable, vault.CodeAnswer},
		{"a token with a line break", body(200, asJSON, `{"access_token":"a\r\nX: 1","expires_in":60}`), activation.Unavailable, vault.CodeAnswer},
		{"another address", body(302, asJSON, `{}`), activation.Unavailable, vault.CodeAnswer},
		{"not there", body(404, asJSON, `{}`), activation.Unavailable, vault.CodeAnswer},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, activation.Unavailable, outbound.CodeUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMinting(t, oauth.Options{})
				m.store(map[string]string{provider.ClientIDField: "app", provider.ClientSecretField: "hunter2-secret", provider.RefreshTokenField: "hunter2-refresh"})
				calls := 0
				m.far.answer = func(w http.ResponseWriter, r *http.Request) {
					calls++
					tc.answer(w, r)
				}
				s := m.source()
				_, err := s.Token(t.Context())
				e := m.wants(err, tc.kind, tc.code)
				if (tc.kind == activation.WaitUntil) != e.Until.After(time.Now()) {
					t.Fatalf("until %v", e.Until)
				}
				// What only a person can change is not asked again at once.
				_, _ = s.Token(t.Context())
				if tc.kind == activation.Unauthorized && calls != 1 {
					t.Fatalf("%d calls", calls)
				}
				m.far.answer = nil
				m.connect()
				m.token(m.source())
			})
		})
	}
}

func TestStoredToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinting(t, oauth.Options{})
		m.store(map[string]string{})
		_, err := m.source().Token(t.Context())
		m.wants(err, activation.Unauthorized, vault.CodeConnect)
		m.store(map[string]string{provider.AccessTokenField: "static-token"})
		s := m.source()
		token, err := s.Token(t.Context())
		if err != nil || token != "static-token" {
			t.Fatalf("%q %v", token, err)
		}
		s.Refused(token)
		_, err = s.Token(t.Context())
		m.wants(err, activation.Unauthorized, vault.CodeConnect)
		time.Sleep(time.Minute) // the next probe asks the network again
		if token, err := s.Token(t.Context()); err != nil || token != "static-token" {
			t.Fatalf("%q %v", token, err)
		}
		s.Refused(token)
		m.store(map[string]string{provider.AccessTokenField: "another-token"})
		if token, err := m.source().Token(t.Context()); err != nil || token != "another-token" {
			t.Fatalf("%q %v", token, err)
		}
		m.store(map[string]string{provider.RefreshTokenField: "no-app"})
		_, err = m.source().Token(t.Context())
		m.wants(err, activation.Unauthorized, vault.CodeClient)
		if m.far.Counters().Tokens != 0 {
			t.Fatal("the network was called")
		}
	})
}

func serviceKeys(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestServiceAccount(t *testing.T) {
	key, text := serviceKeys(t)
	account := func(change func(map[string]string)) string {
		in := map[string]string{"type": "service_account", "client_email": "usher@project.example", "private_key": text, "private_key_id": "k1", "token_uri": tokenURL}
		if change != nil {
			change(in)
		}
		raw, _ := json.Marshal(in)
		return string(raw)
	}
	var claim struct{ Iss, Scope, Aud string }
	answer := func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(r.FormValue("assertion"), ".")
		if len(parts) != 3 || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			http.Error(w, "no claim", http.StatusBadRequest)
			return
		}
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature) != nil || json.Unmarshal(payload, &claim) != nil {
			http.Error(w, "not signed by the account", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}`)
	}
	for _, tc := range []struct {
		name, value, at string
		works           bool
	}{
		{"as given out", account(nil), "", true},
		{"without an address", account(func(m map[string]string) { delete(m, "token_uri") }), "", true},
		{"of another network", account(func(m map[string]string) { m["token_uri"] = "https://evil.example/token" }), "", false},
		{"at a sandbox", account(func(m map[string]string) { m["token_uri"] = "https://oauth2.googleapis.com/token" }), "https://accounts.example/sandbox", true},
		{"no JSON", "hunter2-not-json", "", false},
		{"no key", account(func(m map[string]string) { m["private_key"] = "hunter2-not-a-key" }), "", false},
		{"another kind of key", account(func(m map[string]string) {
			m["private_key"] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		}), "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMinting(t, oauth.Options{})
			calls := 0
			m.far.answer = func(w http.ResponseWriter, r *http.Request) { calls++; answer(w, r) }
			fields := map[string]string{provider.ServiceAccountField: tc.value}
			if tc.at != "" {
				fields[provider.TokenURLField] = tc.at
			}
			m.store(fields)
			token, err := m.source().Token(t.Context())
			if !tc.works {
				m.wants(err, activation.Unauthorized, vault.CodeClient)
				if calls != 0 {
					t.Fatal("something was called")
				}
				return
			}
			want := tokenURL
			if tc.at != "" {
				want = tc.at
			}
			if err != nil || token != "ya29.token" || claim.Iss != "usher@project.example" || claim.Scope != "r_ads" || claim.Aud != want {
				t.Fatalf("%q %v %+v", token, err, claim)
			}
		})
	}
}

// TestNoTokenIsLost tries any order of use, refusals, restarts and people's
// replacements: what is stored is always what the network would take next.
func TestNoTokenIsLost(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newMinting(t, oauth.Options{Rotate: true, AccessLife: 2 * time.Hour})
		m.oauth.Mints = 1000
		m.connect()
		for range rapid.IntRange(1, 5).Draw(r, "steps") {
			switch rapid.SampledFrom([]string{"use", "refuse", "restart", "replace", "replace meanwhile", "reseal meanwhile", "down"}).Draw(r, "step") {
			case "use":
				m.token(m.source())
			case "refuse":
				s := m.source()
				s.Refused(m.token(s))
			case "restart":
				m.shelf.down = nil
				s := m.source()
				s.Refused(m.token(s))
				m.token(s) // stores what could not be stored
				m.tokens = &vault.Tokens{Store: m.shelf, Vault: m.box, Log: m.tokens.Log, Now: time.Now}
			case "replace":
				m.connect()
			case "replace meanwhile":
				m.shelf.before = func() {
					m.far.Revoke()
					m.connect()
				}
			case "reseal meanwhile":
				m.shelf.before = func() {
					fields, _ := m.box.Open(m.shelf.a.Sealed, m.shelf.a.KeyID)
					m.shelf.a.Sealed, m.shelf.a.KeyID, _ = m.box.Seal(fields)
				}
			case "down":
				m.shelf.down = errors.New("away")
			}
		}
		m.shelf.down, m.shelf.before = nil, nil
		s := m.source()
		s.Refused(m.token(s))
		m.token(s)
		if !m.far.Holds(m.refresh()) {
			r.Fatal("the stored refresh token is not the network's")
		}
	})
}
