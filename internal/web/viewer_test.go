package web_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/store/sqlite"
)

// as is a browser signed in with a role, by a session written to the store.
func (w *world) as(role activation.Role) *browser {
	w.t.Helper()
	st, err := sqlite.Open(w.t.Context(), filepath.Join(w.dir, "control.sqlite"), sqlite.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	text, csrf := "cookie-of-"+string(role), "token-of-"+string(role)
	hash := sha256.Sum256([]byte(text))
	now := time.Now()
	if err := st.CreateSession(w.t.Context(), activation.Session{Hash: hash[:], User: string(role), Role: role, CSRF: csrf, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}); err != nil {
		w.t.Fatal(err)
	}
	b := w.browser()
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: access.CookieName, Value: text}})
	b.csrf = csrf
	return b
}

// TestRoles compares what each role may post.
func TestRoles(t *testing.T) {
	w := start(t)
	viewer, operator := w.as(activation.RoleViewer), w.as(activation.RoleOperator)
	reading := map[string]bool{"/audiences/try": true, "/data/profile": true, "/tokens": true, "/tokens/x/revoke": true, "/account/password": true}
	admins := map[string]bool{"/authorizations": true, "/authorizations/x": true, "/authorizations/x/replace": true, "/authorizations/x/delete": true, "/settings/keys": true, "/data/forget": true, "/people": true, "/people/x": true, "/people/x/password": true, "/people/x/delete": true}
	for _, path := range protected[http.MethodPost] {
		res, body := viewer.submit(path, nil)
		if refused := res.StatusCode == http.StatusForbidden && strings.Contains(body, "Your role may only look"); refused == reading[path] {
			t.Errorf("a viewer posts to %s: status %d", path, res.StatusCode)
		}
		res, _ = operator.submit(path, nil)
		if refused := res.StatusCode == http.StatusForbidden; refused != admins[path] {
			t.Errorf("an operator posts to %s: status %d", path, res.StatusCode)
		}
	}
	if _, body := viewer.get("/audiences/new"); strings.Contains(body, "Save audience") {
		t.Error("a viewer is offered to save an audience")
	}
	wantPage(t, viewer, "/", "Overview")
}
