package web

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"usher/internal/activation"
)

// loginPage is the sign-in. Until there are people it takes the one-time token;
// from then on e-mail and password. What was typed is never shown again: one
// may type a password into the wrong field.
type loginPage struct {
	Token, Error, Version string
	People                bool
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	if _, ok := c.visitor(r); ok {
		secure(w)
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	c.renderLogin(w, r, http.StatusOK, loginPage{Token: r.URL.Query().Get("token")})
}

func (c *Console) renderLogin(w http.ResponseWriter, r *http.Request, status int, p loginPage) {
	people, err := c.Access.HasUsers(r.Context())
	if err != nil {
		c.Log.ErrorContext(r.Context(), "sign-in not shown", slog.Any("err", err))
		status, p.Error = http.StatusInternalServerError, "The sign-in could not be checked. The server's log says why."
	}
	if p.People = people; people {
		p.Token = ""
	}
	p.Version = c.Version
	c.renderBare(w, r, "login", status, p)
}

// renderBare sends a page without the frame, for those who are not signed in.
func (c *Console) renderBare(w http.ResponseWriter, r *http.Request, name string, status int, p any) {
	var b bytes.Buffer
	if err := c.templates[name].ExecuteTemplate(&b, name, p); err != nil {
		c.Log.ErrorContext(r.Context(), "page not rendered", slog.String("template", name), slog.Any("err", err))
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	send(w, status, b.Bytes())
}

// ours reports whether a form without a session comes from our own pages. The
// browser itself says so: there is no session yet that could carry a CSRF token.
func ours(r *http.Request) bool { return http.NewCrossOriginProtection().Check(r) == nil }

const notOurs = "This form came from another site. Nothing was done."

// signIn takes the one-time token, or e-mail and password.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if !ours(r) {
		c.renderLogin(w, r, http.StatusForbidden, loginPage{Error: notOurs})
		return
	}
	var cookie *http.Cookie
	var err error
	wrong := "E-mail or password is wrong."
	if token := r.PostFormValue("token"); token != "" {
		wrong = "This token is not known, was used, or is over. Start Usher again for a new one."
		cookie, err = c.Access.SignInOnce(r, token)
	} else {
		cookie, err = c.Access.SignIn(r, r.PostFormValue("email"), r.PostFormValue("password"))
	}
	if err != nil {
		status, text := c.refusedSignIn(w, r, err, wrong)
		c.renderLogin(w, r, status, loginPage{Error: text})
		return
	}
	secure(w)
	http.SetCookie(w, cookie)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// refusedSignIn is what to answer to a sign-in that did not work: wrong where
// something was wrong, whatever it was.
func (c *Console) refusedSignIn(w http.ResponseWriter, r *http.Request, err error, wrong string) (status int, text string) {
	switch activation.KindOf(err) {
	case activation.Unauthorized:
		return http.StatusUnauthorized, wrong
	case activation.WaitUntil:
		var e *activation.Error
		errors.As(err, &e)
		seconds := max(1, int(math.Ceil(e.Until.Sub(c.Now()).Seconds())))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		return http.StatusTooManyRequests, "Too many failed tries. Try again in " + many(int64((seconds+59)/60), "minute") + "."
	case activation.Unavailable:
		w.Header().Set("Retry-After", "5")
		return http.StatusServiceUnavailable, "Too many people sign in at this moment. Try again."
	default:
		c.Log.ErrorContext(r.Context(), "sign-in failed", slog.Any("err", err))
		return http.StatusInternalServerError, "The sign-in could not be checked. The server's log says why."
	}
}
