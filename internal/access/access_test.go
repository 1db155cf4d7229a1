package access_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/store"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
)

type bench struct {
	*access.Access
	store *store.Store
	t     *testing.T
	now   time.Time
	log   bytes.Buffer
}

// newBench returns an Access over a real store, with a clock that stands still.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	s, err := sqlite.Open(t.Context(), sqlitetest.Fresh(t, filepath.Join(t.TempDir(), "control.db")), sqlite.Options{Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b.store = s
	b.Access = access.New(access.Config{Store: s, Cost: cheap, Now: func() time.Time { return b.now }, Log: slog.New(slog.NewTextHandler(&b.log, nil))})
	return b
}

// cheap is a cost for tests.
var cheap = access.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}

// machine is a caller that is no person: the command line on the machine.
var machine = access.Caller{Name: "token:cli", Role: activation.RoleAdmin, Token: "cli"}

func (b *bench) request(method, auth string, cookie *http.Cookie) *http.Request {
	r := httptest.NewRequestWithContext(b.t.Context(), method, "/", nil)
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	return r
}

// from is a request from an address.
func (b *bench) from(address string) *http.Request {
	r := b.request("POST", "", nil)
	r.RemoteAddr = net.JoinHostPort(address, "1234")
	return r
}

func (b *bench) signedIn() *http.Cookie {
	b.t.Helper()
	token, err := b.OneTimeToken(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := b.SignInOnce(b.from("192.0.2.1"), token)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func TestTokens(t *testing.T) {
	b := newBench(t)
	text, stored, err := b.MakeToken(t.Context(), activation.Token{Name: "ci", Role: activation.RoleOperator, ExpiresAt: b.now.Add(time.Hour)}, machine)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Hash) != 32 || strings.Contains(string(stored.Hash), text) {
		t.Fatal("the token is kept as it is")
	}
	for _, header := range []string{text, "Bearer " + text, "bearer  " + text} {
		c, ok := b.Caller(b.request("POST", header, nil))
		if !ok || c.Name != "token:ci" || c.Role != activation.RoleOperator || !c.May(activation.RoleViewer) || c.May(activation.RoleAdmin) {
			t.Fatalf("with %d characters: %+v %v", len(header), c, ok)
		}
	}
	for _, wrong := range []string{text + "x", text[:len(text)-1], strings.ToUpper(text), "usher_", "Basic " + text, ""} {
		if _, ok := b.Caller(b.request("GET", wrong, nil)); ok {
			t.Fatalf("a wrong token of %d characters is taken", len(wrong))
		}
	}
	if _, ok := b.Caller(b.request("GET", text+"x", b.signedIn())); ok {
		t.Fatal("a wrong token falls back to the cookie")
	}
	b.now = b.now.Add(time.Hour)
	if b.ValidToken(t.Context(), text) {
		t.Fatal("an expired token is taken")
	}
	if strings.Contains(b.log.String(), text) {
		t.Fatal("the log holds the token")
	}
}

func TestTokenIsRevoked(t *testing.T) {
	b := newBench(t)
	text, stored, err := b.MakeToken(t.Context(), activation.Token{Name: "ci", Role: activation.RoleViewer}, machine)
	if err != nil || !b.ValidToken(t.Context(), text+"\n") {
		t.Fatal("a new token is refused", err)
	}
	list, err := b.Tokens(t.Context(), machine)
	if err != nil || len(list) != 1 || !list[0].LastUsedAt.Equal(b.now) {
		t.Fatalf("%+v %v", list, err)
	}
	if err := b.RevokeToken(t.Context(), stored.ID, machine); err != nil {
		t.Fatal(err)
	}
	if b.ValidToken(t.Context(), text) {
		t.Fatal("a revoked token is taken")
	}
}

func TestTokenDeclaration(t *testing.T) {
	b := newBench(t)
	for field, wrong := range map[string]activation.Token{
		"name": {Role: activation.RoleViewer}, "scope": {Name: "x", Role: "owner"}, "expires": {Name: "x", Role: activation.RoleViewer, ExpiresAt: b.now},
		"description": {Name: "x", Role: activation.RoleViewer, Description: "two\nlines"},
	} {
		_, _, err := b.MakeToken(t.Context(), wrong, machine)
		var e *activation.Error
		if !errors.As(err, &e) || e.Kind != activation.Invalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	first, err := b.NewToken(t.Context(), "own", activation.RoleAdmin, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.NewToken(t.Context(), "own", activation.RoleAdmin, time.Time{})
	if err != nil || first == second || b.ValidToken(t.Context(), first) || !b.ValidToken(t.Context(), second) {
		t.Fatal("the server's own token is not replaced", err)
	}
	if _, _, err := b.MakeToken(t.Context(), activation.Token{Name: "own", Role: activation.RoleViewer}, machine); !errors.Is(err, activation.ErrConflict) {
		t.Fatalf("a name twice: %v", err)
	}
}

func TestSignInWorksOnce(t *testing.T) {
	b := newBench(t)
	old, err := b.OneTimeToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := b.OneTimeToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SignInOnce(b.from("192.0.2.1"), old); activation.KindOf(err) != activation.Unauthorized {
		t.Fatalf("one that was replaced: %v", err)
	}
	var winners atomic.Int64
	done := make(chan struct{})
	for range 5 {
		go func() {
			defer func() { done <- struct{}{} }()
			if _, err := b.SignInOnce(b.from("192.0.2.2"), token); err == nil {
				winners.Add(1)
			}
		}()
	}
	for range 5 {
		<-done
	}
	if winners.Load() != 1 {
		t.Fatalf("one sign-in let %d in", winners.Load())
	}
	late, err := b.OneTimeToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(access.SignInTime)
	if _, err := b.SignInOnce(b.from("192.0.2.1"), late); activation.KindOf(err) != activation.Unauthorized {
		t.Fatalf("an expired one: %v", err)
	}
}

func TestSession(t *testing.T) {
	b := newBench(t)
	c := b.signedIn()
	if !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.MaxAge != int(access.SessionTime.Seconds()) {
		t.Fatalf("cookie %+v", c)
	}
	who, ok := b.Caller(b.request("GET", "", c))
	if !ok || who.Name != "admin" || who.Role != activation.RoleAdmin || who.CSRF == "" {
		t.Fatalf("%+v %v", who, ok)
	}
	if _, ok := b.Caller(b.request("GET", "", &http.Cookie{Name: c.Name, Value: c.Value + "x"})); ok {
		t.Fatal("a wrong cookie is taken")
	}
	// It slides with use, and ends 12 h after the last.
	for range 5 {
		b.now = b.now.Add(access.SessionTime - time.Second)
		if _, ok := b.Caller(b.request("GET", "", c)); !ok {
			t.Fatal("a session in use ended")
		}
	}
	b.now = b.now.Add(access.SessionTime)
	if _, ok := b.Caller(b.request("GET", "", c)); ok {
		t.Fatal("a session out of use goes on")
	}

	c = b.signedIn()
	gone, err := b.SignOut(b.request("POST", "", c))
	if err != nil || gone.MaxAge >= 0 {
		t.Fatalf("sign out: %v", err)
	}
	if _, ok := b.Caller(b.request("GET", "", c)); ok {
		t.Fatal("a session goes on after signing out")
	}
}

func TestCSRF(t *testing.T) {
	b := newBench(t)
	c := b.signedIn()
	who, _ := b.Caller(b.request("GET", "", c))
	post := func(header, field string) bool {
		body := strings.NewReader(url.Values{access.CSRFField: {field}}.Encode())
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if header != "" {
			r.Header.Set(access.CSRFHeader, header)
		}
		r.AddCookie(c)
		_, ok := b.Caller(r)
		return ok
	}
	for _, x := range []struct {
		header, field string
		want          bool
	}{{who.CSRF, "", true}, {"", who.CSRF, true}, {"", "", false}, {"x", "", false}, {"x", who.CSRF, false}, {"", who.CSRF + "x", false}} {
		if got := post(x.header, x.field); got != x.want {
			t.Errorf("header %d, field %d characters: %v", len(x.header), len(x.field), got)
		}
	}
	other, _ := b.Caller(b.request("GET", "", b.signedIn()))
	if post(other.CSRF, "") {
		t.Error("another session's CSRF token is taken")
	}
	if access.CheckCSRF(b.request("POST", "", nil), "") {
		t.Error("an empty token matches no token")
	}
}

func TestFailedSignInsAreLimited(t *testing.T) {
	b := newBench(t)
	try := func(token, from string) activation.Kind {
		_, err := b.SignInOnce(b.from(from), token)
		return activation.KindOf(err)
	}
	for range 10 {
		if got := try("wrong", "192.0.2.1"); got != activation.Unauthorized {
			t.Fatalf("a failure is %s", got)
		}
		b.now = b.now.Add(time.Second)
	}
	token, err := b.OneTimeToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := try(token, "192.0.2.1"); got != activation.WaitUntil {
		t.Fatalf("after ten failures even the right one is %s", got)
	}
	if got := try("wrong", "192.0.2.2"); got != activation.Unauthorized {
		t.Fatalf("another address is %s", got)
	}
	b.now = b.now.Add(15*time.Minute - 10*time.Second)
	if got := try("wrong", "192.0.2.1"); got != activation.Unauthorized {
		t.Fatalf("once the first failure is out of the window: %s", got)
	}
}
