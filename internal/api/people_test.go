package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/server/servertest"
)

// The password that people of these tests begin with.
const password = "correct horse battery"

var madePeople atomic.Int64

// signedIn is a browser of one person.
type signedIn struct {
	t    testing.TB
	s    *servertest.Server
	http *http.Client
	id   string
	mail string
	csrf string
}

// person makes somebody with a role, and an administrator before where there is
// none, and signs them in by the form.
func person(t testing.TB, s *servertest.Server, role activation.Role) *signedIn {
	t.Helper()
	var there []struct{ ID string }
	s.Must(http.MethodGet, "/v2/user", nil, &there)
	if len(there) == 0 && role != activation.RoleAdmin {
		s.Must(http.MethodPost, "/v2/user", map[string]string{"email": "root@example.org", "name": "Root", "role": "admin", "password": password}, nil)
	}
	p := &signedIn{t: t, s: s, mail: fmt.Sprintf("person%d@example.org", madePeople.Add(1))}
	var made struct{ ID string }
	s.Must(http.MethodPost, "/v2/user", map[string]string{"email": p.mail, "name": "Some One", "role": string(role), "password": password}, &made)
	p.id = made.ID
	p.signIn(password)
	return p
}

func (p *signedIn) signIn(password string) {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.http = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	p.csrf = ""
	if a := p.do(http.MethodPost, "/login", "application/x-www-form-urlencoded", url.Values{"email": {p.mail}, "password": {password}}.Encode()); a.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("sign in: %d", a.StatusCode)
	}
	m := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`).FindStringSubmatch(p.do(http.MethodGet, "/", "", "").body)
	if m == nil {
		p.t.Fatal("no CSRF token on the overview")
	}
	p.csrf = m[1]
}

// do sends one request with the cookie, and the CSRF token once there is one.
func (p *signedIn) do(method, path, contentType, body string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.s.URL+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if p.csrf != "" {
		req.Header.Set(access.CSRFHeader, p.csrf)
	}
	res, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{res, string(raw)}
}

// token makes an API token of the person and returns its id and text.
func (p *signedIn) token(name string, scope activation.Role) (id, text string) {
	p.t.Helper()
	a := p.do(http.MethodPost, "/v2/token", "application/json", fmt.Sprintf(`{"name":%q,"scope":%q}`, name, scope))
	var made struct {
		Data struct{ ID, Token string }
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.StatusCode != http.StatusCreated {
		p.t.Fatalf("make a token: %d %v", a.StatusCode, err)
	}
	return made.Data.ID, made.Data.Token
}

// personToken is a viewer's own token.
func personToken(t testing.TB, s *servertest.Server) string {
	t.Helper()
	p := person(t, s, activation.RoleViewer)
	_, text := p.token("of "+p.mail, activation.RoleViewer)
	return text
}

// TestRightsOfALiveSession takes rights from somebody who is signed in and has a
// token: the next request feels it.
func TestRightsOfALiveSession(t *testing.T) {
	s := servertest.Start(t)
	for _, c := range []struct {
		name    string
		change  map[string]any
		session int // what GET /v2/job answers to the browser
		token   int // and PUT /v2/stream/x to the token
	}{
		{"another name", map[string]any{"name": "New"}, 200, 200},
		{"another role", map[string]any{"role": "viewer"}, 401, 403},
		{"another password", map[string]any{"password": "another long password"}, 401, 200},
		{"disabled", map[string]any{"disabled": true}, 401, 401},
		{"deleted", nil, 401, 401},
	} {
		p := person(t, s, activation.RoleOperator)
		id, text := p.token(c.name, activation.RoleOperator)
		if a := p.do(http.MethodGet, "/v2/job", "", ""); a.StatusCode != http.StatusOK {
			t.Fatalf("before: %d", a.StatusCode)
		}
		if c.change == nil {
			s.Must(http.MethodDelete, "/v2/user/"+p.id, nil, nil)
		} else {
			s.Must(http.MethodPut, "/v2/user/"+p.id, c.change, nil)
		}
		if a := p.do(http.MethodGet, "/v2/job", "", ""); a.StatusCode != c.session {
			t.Errorf("%s: the session gets %d, want %d", c.name, a.StatusCode, c.session)
		}
		if a := call(t, s, text, http.MethodPut, "/v2/stream/people", strings.NewReader("{}")); a.StatusCode != c.token {
			t.Errorf("%s: the token gets %d, want %d", c.name, a.StatusCode, c.token)
		}
		var seen struct {
			Status    string
			Effective string `json:"effective_scope"`
		}
		if a := call(t, s, s.Tokens[activation.RoleAdmin], http.MethodGet, "/v2/token/"+id, nil); c.change == nil && a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: its token is still there", c.name)
		} else if c.change != nil {
			s.Must(http.MethodGet, "/v2/token/"+id, nil, &seen)
			want := map[string]string{"another role": "active viewer", "disabled": "suspended "}[c.name]
			if want == "" {
				want = "active operator"
			}
			if seen.Status+" "+seen.Effective != want {
				t.Errorf("%s: the token is %+v, want %s", c.name, seen, want)
			}
		}
	}
}

// TestOwnThings: without being an administrator one sees and ends only one's
// own tokens, makes none above one's role, and sees nobody else.
func TestOwnThings(t *testing.T) {
	s := servertest.Start(t)
	ann, bob := person(t, s, activation.RoleOperator), person(t, s, activation.RoleViewer)
	annToken, _ := ann.token("ann's", activation.RoleOperator)
	bobToken, text := bob.token("bob's", activation.RoleViewer)
	for _, c := range []struct {
		who                *signedIn
		method, path, body string
		status             int
		has, lacks         string
	}{
		{bob, http.MethodGet, "/v2/token", "", 200, bobToken, annToken},
		{bob, http.MethodGet, "/v2/token/" + annToken, "", 404, "", "ann"},
		{bob, http.MethodDelete, "/v2/token/" + annToken, "", 404, "", "ann"},
		{bob, http.MethodPost, "/v2/token", `{"name":"more","scope":"operator"}`, 400, "scope: a token can do no more than its maker", ""},
		{bob, http.MethodGet, "/v2/user", "", 403, "", "@"},
		{bob, http.MethodPut, "/v2/user/" + bob.id, `{"role":"admin"}`, 403, "", "@"},
		{bob, http.MethodDelete, "/v2/token/" + bobToken, "", 200, "", ""},
		{ann, http.MethodGet, "/v2/token", "", 200, annToken, bobToken},
	} {
		a := c.who.do(c.method, c.path, "application/json", c.body)
		if a.StatusCode != c.status || !strings.Contains(a.body, c.has) || c.lacks != "" && strings.Contains(a.body, c.lacks) {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, a.StatusCode, c.status, a.body)
		}
	}
	if a := call(t, s, text, http.MethodGet, "/v2/job", nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", a.StatusCode)
	}
	// A session without its CSRF token changes nothing.
	ann.csrf = "x"
	if a := ann.do(http.MethodDelete, "/v2/token/"+annToken, "", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the CSRF token: %d", a.StatusCode)
	}
}

// TestPeopleLeakNothing walks everything a signed-in administrator may read
// about people and tokens: no password, no hash, no token.
func TestPeopleLeakNothing(t *testing.T) {
	s := servertest.Start(t)
	p := person(t, s, activation.RoleAdmin)
	_, text := p.token("leaky", activation.RoleAdmin)
	if a := p.do(http.MethodPost, "/v2/user/password", "application/json", fmt.Sprintf(`{"present_password":%q,"password":"another long password"}`, password)); a.StatusCode != http.StatusOK {
		t.Fatalf("change: %d %s", a.StatusCode, a.body)
	}
	if a := p.do(http.MethodGet, "/v2/user", "", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session goes on after another password: %d", a.StatusCode)
	}
	p.signIn("another long password")
	for _, path := range []string{"/v2/user", "/v2/user/" + p.id, "/v2/token", "/v2/event?limit=1000", "/people", "/people/new", "/people/" + p.id, "/account", "/tokens", "/openapi.json"} {
		a := p.do(http.MethodGet, path, "", "")
		if a.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %d", path, a.StatusCode)
		}
		for _, secret := range []string{password, "another long password", "$argon2", text, strings.TrimPrefix(text, "usher_")} {
			if strings.Contains(a.body, secret) {
				t.Errorf("GET %s shows %q", path, secret)
			}
		}
	}
}
