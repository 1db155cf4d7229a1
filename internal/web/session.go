package web

import (
	"net"
	"net/http"
	"net/url"

	"usher/internal/access"
	"usher/internal/activation"
)

type loginPage struct {
	Token, Error, Version string
}

func (c *Console) registerSession(mux *http.ServeMux) {
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := c.visitor(r); ok {
			secure(w)
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		c.renderLogin(w, http.StatusOK, loginPage{Token: r.URL.Query().Get("token")})
	})
	mux.HandleFunc("POST /login", c.signIn)
	mux.HandleFunc("POST /logout", c.signOut)
}

// signIn uses a one-time token up. The browser itself says whether the form is
// ours: there is no session yet that could carry a CSRF token.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		c.renderLogin(w, http.StatusForbidden, loginPage{Error: "This form came from another site. Nothing was done."})
		return
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	cookie, err := c.Access.SignIn(r.Context(), r.PostFormValue("token"), from)
	if err != nil {
		status, text := http.StatusUnauthorized, "This token is not known, was used, or is over. Start Usher again for a new one."
		switch activation.KindOf(err) {
		default: // what it says already
		case activation.WaitUntil:
			status, text = http.StatusTooManyRequests, "Too many failed tries from this address. Wait 15 minutes."
		case activation.Internal:
			c.Log.ErrorContext(r.Context(), "sign-in failed", "err", err)
			status, text = http.StatusInternalServerError, "The sign-in could not be checked. The server's log says why."
		}
		c.renderLogin(w, status, loginPage{Error: text})
		return
	}
	secure(w)
	http.SetCookie(w, cookie)
	http.Redirect(w, r, "/", http.StatusSeeOther)
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

func leaveFlash(w http.ResponseWriter, f flash) {
	if f.Text == "" {
		return
	}
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Value: url.QueryEscape(f.Tone + ":" + f.Text), Path: "/", MaxAge: 30, HttpOnly: true, SameSite: http.SameSiteStrictMode})
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
