package web

import (
	"net/http"
	"net/url"
	"strings"

	"usher/internal/access"
)

func (c *Console) registerSession(mux *http.ServeMux) {
	mux.HandleFunc("GET /login", c.login)
	mux.HandleFunc("POST /login", c.signIn)
	mux.HandleFunc("GET /setup", c.setup)
	mux.HandleFunc("POST /setup", c.setUp)
	mux.HandleFunc("POST /logout", c.signOut)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	v, ok := c.visitor(r)
	if ok && !access.CheckCSRF(r, v.who.CSRF) {
		c.render(w, v, tooOld())
		return
	}
	cookie, err := c.Access.SignOut(v.Request)
	if err != nil {
		c.render(w, v, c.failed(v, err))
		return
	}
	secure(w)
	http.SetCookie(w, cookie)
	http.Redirect(w, v.Request, "/login", http.StatusSeeOther)
}

// flashCookie carries one sentence over a redirect.
const flashCookie = "usher_said"

func leaveFlash(w http.ResponseWriter, byTLS bool, f flash) {
	if f.Text == "" {
		return
	}
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Value: url.QueryEscape(f.Tone + ":" + f.Text), Path: "/", MaxAge: 30, HttpOnly: true, Secure: byTLS, SameSite: http.SameSiteStrictMode})
}

// takeFlash returns the sentence that the request carries, and takes it away.
func takeFlash(w http.ResponseWriter, r *http.Request) *flash {
	cookie, err := r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	text, err := url.QueryUnescape(cookie.Value)
	if err != nil || len(text) < 4 {
		return nil
	}
	if text[:3] == "ok:" {
		return &flash{"ok", text[3:]}
	}
	return &flash{"bad", text[4:]}
}

// undoCookie carries the form that takes back what the sentence says.
const undoCookie = "usher_undo"

func leaveUndo(w http.ResponseWriter, byTLS bool, path string) {
	if path == "" {
		return
	}
	http.SetCookie(w, &http.Cookie{Name: undoCookie, Value: url.QueryEscape(path), Path: "/", MaxAge: 30, HttpOnly: true, Secure: byTLS, SameSite: http.SameSiteStrictMode})
}

// takeUndo returns the form that the request carries, and takes it away. Only
// commands of jobs, and holds and releases of the log, are taken back.
func takeUndo(w http.ResponseWriter, r *http.Request) string {
	cookie, err := r.Cookie(undoCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(w, &http.Cookie{Name: undoCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	path, err := url.QueryUnescape(cookie.Value)
	if err != nil || !strings.HasPrefix(path, "/jobs/") && !strings.HasPrefix(path, "/activity/undo/") {
		return ""
	}
	return path
}
