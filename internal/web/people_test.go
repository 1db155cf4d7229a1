package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"usher/internal/activation"
)

const (
	firstPassword  = "correct horse battery"
	secondPassword = "another long password"
)

// signIn signs a new browser in by the form.
func (w *world) signInAs(email, password string) (*browser, *http.Response) {
	w.t.Helper()
	b := w.browser()
	res, _ := b.post("/login", url.Values{"email": {email}, "password": {password}})
	if res.StatusCode == http.StatusSeeOther {
		b.learn()
	}
	return b, res
}

// learn takes the CSRF token from the overview.
func (b *browser) learn() {
	b.w.t.Helper()
	_, body := b.get("/")
	m := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`).FindStringSubmatch(body)
	if m == nil {
		b.w.t.Fatal("the overview has no CSRF token")
	}
	b.csrf = m[1]
}

func (w *world) token() string {
	_, token, _ := strings.Cut(w.signIn, "token=")
	return token
}

// TestPeople walks from the link of the first start to a house full of people.
func TestPeople(t *testing.T) {
	w := start(t)
	b := w.browser()
	testSetUp(t, w, b)
	b.learn()
	testHouse(t, w, b)
	testAccount(t, w, b)
	testTokens(t, w, b)
	testNoLeak(t, w, b)
}

// testSetUp makes the first account, whose form refuses what is wrong without
// using the link up.
func testSetUp(t *testing.T, w *world, b *browser) {
	good := func(change ...string) url.Values {
		f := url.Values{"token": {w.token()}, "name": {"Ann"}, "email": {"Ann@Example.com"}, "password": {firstPassword}, "again": {firstPassword}}
		for i := 0; i < len(change); i += 2 {
			f.Set(change[i], change[i+1])
		}
		return f
	}
	if res, body := b.get("/setup?token=abc"); res.StatusCode != http.StatusOK || !strings.Contains(body, `name="token" value="abc"`) || res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("set-up: %d", res.StatusCode)
	}
	if res, body := b.get("/setup"); res.StatusCode != http.StatusOK || !strings.Contains(body, `id="token"`) {
		t.Errorf("set-up without a token: %d", res.StatusCode)
	}
	if _, body := b.get("/login"); !strings.Contains(body, `href="/setup"`) || strings.Contains(body, `name="email"`) {
		t.Error("without people the sign-in asks for the one-time token only")
	}
	for _, c := range []struct {
		form   url.Values
		status int
		want   []string
	}{
		{good("again", secondPassword), 400, []string{"Is not the same password", `value="Ann"`, `name="token" value="` + w.token() + `"`}},
		{good("email", "ann"), 400, []string{"Must be an e-mail address"}},
		{good("name", ""), 400, []string{"Is needed"}},
		{good("password", "short", "again", "short"), 400, []string{"At least 12", "e-password"}},
		{good("token", "wrong"), 401, []string{"not known"}},
		{good("token", ""), 401, []string{"not known"}},
	} {
		res, body := b.post("/setup", c.form)
		if res.StatusCode != c.status || strings.Contains(body, firstPassword) || strings.Contains(body, secondPassword) {
			t.Errorf("%v: %d, want %d", c.want, res.StatusCode, c.status)
		}
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("the set-up does not say %q", want)
			}
		}
	}
	foreign, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/setup", strings.NewReader(good().Encode()))
	if err != nil {
		t.Fatal(err)
	}
	foreign.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	if res, body := b.do(foreign); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "another site") {
		t.Errorf("from another site: %d", res.StatusCode)
	}
	if res, _ := b.post("/setup", good()); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" {
		t.Fatalf("set up: %d", res.StatusCode)
	}
	for _, path := range []string{"/setup", "/setup?token=" + w.token()} {
		if res, _ := w.browser().get(path); res.Header.Get("Location") != "/login" {
			t.Errorf("GET %s once there are people: %d", path, res.StatusCode)
		}
	}
	if res, _ := w.browser().post("/setup", good("email", "eve@example.com")); res.Header.Get("Location") != "/login" {
		t.Errorf("a second set-up: %d", res.StatusCode)
	}
	if _, body := w.browser().get("/login?token=abc"); strings.Contains(body, "abc") || !strings.Contains(body, `name="email"`) {
		t.Error("with people the sign-in asks for e-mail and password")
	}
	if res, _ := w.browser().post("/login", url.Values{"token": {w.token()}}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the one-time token after the set-up: %d", res.StatusCode)
	}
}

// testHouse makes people, changes them and keeps the last administrator.
func testHouse(t *testing.T, w *world, b *browser) {
	wantPage(t, b, "/people", "Ann", "ann@example.com", "you", "Active")
	bob := url.Values{"name": {"Bob"}, "email": {"bob@example.com"}, "role": {"viewer"}, "password": {firstPassword}, "again": {firstPassword}}
	wrong := url.Values{"name": {"Bob <b>"}, "email": {"bob"}, "role": {"owner"}, "password": {"short"}, "again": {"short"}}
	if res, body := b.submit("/people", wrong); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Bob &lt;b&gt;") || !strings.Contains(body, "e-email") || !strings.Contains(body, "e-role") || !strings.Contains(body, "e-password") || strings.Contains(body, `value="short"`) {
		t.Errorf("a wrong person: %d", res.StatusCode)
	}
	wantRedirect(t, b, "/people", bob, "/people")
	if res, body := b.submit("/people", bob); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "exists already") {
		t.Errorf("the same again: %d", res.StatusCode)
	}
	path := map[string]string{}
	_, body := b.get("/people")
	for _, m := range regexp.MustCompile(`href="(/people/[0-9a-f]{32})">(\w+)<`).FindAllStringSubmatch(body, -1) {
		path[m[2]] = m[1]
	}
	visitor, _ := w.signInAs("bob@example.com", firstPassword)
	wantPage(t, visitor, "/account", "Bob, bob@example.com, viewer")
	wantPage(t, visitor, "/tokens", "No tokens yet")
	for _, p := range []string{"/people", "/people/new", path["Ann"]} {
		if res, body := visitor.get(p); res.StatusCode != http.StatusForbidden || strings.Contains(body, "ann@example.com") {
			t.Errorf("a viewer at %s: %d", p, res.StatusCode)
		}
	}
	if _, body := visitor.get("/"); strings.Contains(body, `href="/people"`) {
		t.Error("a viewer is led to the people")
	}
	// Another role: Bob is out with the next click.
	wantRedirect(t, b, path["Bob"], url.Values{"name": {"Bob"}, "role": {"operator"}, "disabled": {"false"}}, "/people")
	if res, _ := visitor.get("/jobs"); res.Header.Get("Location") != "/login" {
		t.Error("the session outlived the role")
	}
	visitor, _ = w.signInAs("bob@example.com", firstPassword)
	wantPage(t, visitor, "/account", "operator")
	wantRedirect(t, b, path["Bob"]+"/password", url.Values{"password": {secondPassword}, "again": {secondPassword}}, "/people")
	if res, _ := visitor.get("/jobs"); res.Header.Get("Location") != "/login" {
		t.Error("the session outlived the password")
	}
	if _, res := w.signInAs("bob@example.com", firstPassword); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old password: %d", res.StatusCode)
	}
	visitor, _ = w.signInAs("bob@example.com", secondPassword)
	wantRedirect(t, b, path["Bob"], url.Values{"name": {"Bob"}, "role": {"operator"}, "disabled": {"true"}}, "/people")
	if res, _ := visitor.get("/jobs"); res.Header.Get("Location") != "/login" {
		t.Error("the session outlived the right to sign in")
	}
	wantPage(t, b, "/people", "Disabled")
	for _, c := range []struct {
		path string
		form url.Values
	}{
		{path["Ann"], url.Values{"name": {"Ann"}, "role": {"viewer"}, "disabled": {"false"}}},
		{path["Ann"], url.Values{"name": {"Ann"}, "role": {"admin"}, "disabled": {"true"}}},
		{path["Ann"] + "/delete", nil},
	} {
		if res, body := b.submit(c.path, c.form); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "This is the last administrator") {
			t.Errorf("POST %s %v: %d", c.path, c.form, res.StatusCode)
		}
	}
	if res, body := b.submit(path["Bob"]+"/password", url.Values{"password": {firstPassword}, "again": {secondPassword}}); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Is not the same") {
		t.Errorf("typed differently: %d", res.StatusCode)
	}
	wantRedirect(t, b, path["Bob"]+"/delete", nil, "/people")
	for _, p := range []string{"", "/password", "/delete"} {
		if res, _ := b.submit(path["Bob"]+p, url.Values{"name": {"x"}, "role": {"viewer"}, "password": {firstPassword}, "again": {firstPassword}}); res.StatusCode != http.StatusNotFound {
			t.Errorf("POST %s of nobody: %d", p, res.StatusCode)
		}
	}
}

// testAccount changes the own password: this browser stays, others go.
func testAccount(t *testing.T, w *world, b *browser) {
	elsewhere, _ := w.signInAs("ann@example.com", firstPassword)
	change := func(present, password, again string) url.Values {
		return url.Values{"present_password": {present}, "password": {password}, "again": {again}}
	}
	for _, c := range []struct {
		form url.Values
		want string
	}{
		{change(secondPassword, secondPassword, secondPassword), "Is not your password"},
		{change(firstPassword, "short", "short"), "Must have at least 12 characters"},
		{change(firstPassword, secondPassword, "other"), "Is not the same password"},
	} {
		if res, body := b.submit("/account/password", c.form); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, c.want) || strings.Contains(body, secondPassword) {
			t.Errorf("%s: %d", c.want, res.StatusCode)
		}
	}
	if res, _ := b.post("/account/password", change(firstPassword, secondPassword, secondPassword)); res.StatusCode != http.StatusForbidden {
		t.Errorf("without the CSRF token: %d", res.StatusCode)
	}
	wantRedirect(t, b, "/account/password", change(firstPassword, secondPassword, secondPassword), "/account")
	b.learn()
	wantPage(t, b, "/account", "Ann, ann@example.com, admin")
	if res, _ := elsewhere.get("/account"); res.Header.Get("Location") != "/login" {
		t.Error("the other browser is still signed in")
	}
	var locked *http.Response
	for range 12 {
		_, locked = w.signInAs("nobody@example.com", firstPassword)
	}
	if locked.StatusCode != http.StatusTooManyRequests || locked.Header.Get("Retry-After") == "" {
		t.Errorf("after too many tries: %d, Retry-After %q", locked.StatusCode, locked.Header.Get("Retry-After"))
	}
}

// testTokens makes a token, which works and is shown once, and ends it.
func testTokens(t *testing.T, w *world, b *browser) {
	res, body := b.submit("/tokens", url.Values{"name": {"ci"}, "description": {"for the builds"}, "scope": {"viewer"}, "expires": {"7d"}})
	m := regexp.MustCompile(`id="made"[^>]* value="(usher_[^"]+)"`).FindStringSubmatch(body)
	if res.StatusCode != http.StatusOK || m == nil || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("make a token: %d", res.StatusCode)
	}
	call := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/v2/job", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", m[1])
		res, _ := w.browser().do(req)
		return res.StatusCode
	}
	if got := call(); got != http.StatusOK {
		t.Errorf("the new token gets %d", got)
	}
	wantPage(t, b, "/tokens", "ci", "for the builds", "ann@example.com", "command line on this machine", "system")
	if _, body := b.get("/tokens"); strings.Contains(body, m[1]) {
		t.Error("the token is shown twice")
	}
	for _, c := range []struct {
		form url.Values
		want string
	}{
		{url.Values{"name": {"ci"}, "scope": {"viewer"}, "expires": {"7d"}}, "exists already"},
		{url.Values{"name": {""}, "scope": {"viewer"}, "expires": {"7d"}}, "Is needed"},
		{url.Values{"name": {"x"}, "scope": {"owner"}, "expires": {"7d"}}, "Must be viewer, operator, admin or site"},
		{url.Values{"name": {"kept name"}, "scope": {"viewer"}, "expires": {"1y"}}, `value="kept name"`},
	} {
		if res, body := b.submit("/tokens", c.form); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, c.want) || strings.Contains(body, `id="made"`) {
			t.Errorf("%v: %d lacks %q", c.form, res.StatusCode, c.want)
		}
	}
	revoke := regexp.MustCompile(`action="(/tokens/[0-9a-f]{32}/revoke)"`).FindStringSubmatch(body[strings.Index(body, ">ci<"):])
	if revoke == nil {
		t.Fatal("no way to revoke")
	}
	wantRedirect(t, b, revoke[1], nil, "/tokens")
	if got := call(); got != http.StatusUnauthorized {
		t.Errorf("the revoked token gets %d", got)
	}
	if res, _ := b.submit(revoke[1], nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("revoke again: %d", res.StatusCode)
	}
}

// testNoLeak looks for passwords, hashes and tokens on every page about people.
func testNoLeak(t *testing.T, w *world, b *browser) {
	var all []activation.User
	w.must(http.MethodGet, "/v2/user", nil, &all)
	for _, path := range []string{"/people", "/people/new", "/people/" + string(all[0].ID), "/account", "/tokens", "/", "/login", "/setup"} {
		_, body := b.get(path)
		for _, secret := range []string{firstPassword, secondPassword, "argon2", w.token()} {
			if strings.Contains(body, secret) {
				t.Errorf("GET %s shows %q", path, secret)
			}
		}
	}
	var log []activation.AuditEntry
	w.must(http.MethodGet, "/v2/event?limit=1000", nil, &log)
	if text := fmt.Sprint(log); strings.Contains(text, firstPassword) || strings.Contains(text, "argon2") || strings.Contains(text, "usher_") {
		t.Error("the audit log holds a secret")
	}
}
