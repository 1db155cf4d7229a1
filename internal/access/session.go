package access

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
	"time"

	"usher/internal/activation"
)

// SessionTime is how long a session lasts after its last use.
const SessionTime = 12 * time.Hour

// SignInTime is how long the one-time sign-in printed at start works.
const SignInTime = 15 * time.Minute

// extendEvery is how much of a session's time must be gone before it is moved.
const extendEvery = 5 * time.Minute

// CookieName is the name of the session cookie; CSRFHeader and CSRFField are
// where a browser sends the session's CSRF token back.
const (
	CookieName = "usher_session"
	CSRFHeader = "X-CSRF-Token"
	CSRFField  = "csrf_token"
)

// OneTimeToken makes the sign-in that is printed at start. It works once and
// for SignInTime, and replaces the one before.
func (a *Access) OneTimeToken(ctx context.Context) (string, error) {
	text, hash := newSecret()
	if err := a.store.ReplaceSignIn(ctx, hash, a.now().Add(SignInTime)); err != nil {
		return "", fmt.Errorf("make sign-in: %w", err)
	}
	return text, nil
}

// SignIn uses up a one-time token and starts an administrator's session. from
// is the address that the request came from; too many failures from it are
// refused with WaitUntil.
func (a *Access) SignIn(ctx context.Context, token, from string) (*http.Cookie, error) {
	now := a.now()
	if until := a.limit.until(from, now); until.After(now) {
		return nil, &activation.Error{Kind: activation.WaitUntil, Code: "UNAUTHORIZED-017", Message: "too many failed sign-ins from this address", Until: until}
	}
	if err := a.store.UseSignIn(ctx, hashOf(token), now); err != nil {
		a.limit.fail(from, now)
		return nil, unknown(err)
	}
	a.limit.clear(from)
	return a.start(ctx, "admin", activation.RoleAdmin)
}

// start makes a session and its cookie.
func (a *Access) start(ctx context.Context, user string, role activation.Role) (*http.Cookie, error) {
	text, hash := newSecret()
	csrf, _ := newSecret()
	now := a.now()
	err := a.store.CreateSession(ctx, activation.Session{Hash: hash, User: user, Role: role, CSRF: csrf, CreatedAt: now, ExpiresAt: now.Add(SessionTime)})
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	return cookie(text, int(SessionTime.Seconds())), nil
}

// cookie is the session cookie. It is not marked Secure, because a server on
// one's own machine speaks plain HTTP; a proxy that speaks TLS adds it.
func cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// SignOut ends the session of a request, and returns the cookie that takes the
// old one away.
func (a *Access) SignOut(r *http.Request) (*http.Cookie, error) {
	if c, err := r.Cookie(CookieName); err == nil {
		if err := a.store.DeleteSession(r.Context(), hashOf(c.Value)); err != nil {
			return nil, fmt.Errorf("end session: %w", err)
		}
	}
	return cookie("", -1), nil
}

// session finds the session of a request that is not over, and moves its end.
func (a *Access) session(r *http.Request) (activation.Session, error) {
	c, err := r.Cookie(CookieName)
	if err != nil {
		return activation.Session{}, errUnknown
	}
	hash := hashOf(c.Value)
	s, err := a.store.SessionByHash(r.Context(), hash)
	if err != nil {
		return activation.Session{}, unknown(err)
	}
	now := a.now()
	if subtle.ConstantTimeCompare(s.Hash, hash) != 1 || !now.Before(s.ExpiresAt) {
		return activation.Session{}, errUnknown
	}
	if until := now.Add(SessionTime); until.Sub(s.ExpiresAt) >= extendEvery {
		if err := a.store.ExtendSession(r.Context(), hash, until); err != nil {
			a.log.WarnContext(r.Context(), "extending a session", "error", err)
		}
	}
	return s, nil
}

// sameSite reports whether a browser's request comes from our own pages: it
// changes nothing, or it carries the session's CSRF token.
func (a *Access) sameSite(r *http.Request, s activation.Session) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return CheckCSRF(r, s.CSRF)
}

// maxFormBytes bounds the form that is read to find a CSRF token in it. Larger
// bodies must send the token in the header.
const maxFormBytes = 64 << 10

// CheckCSRF reports whether a request carries this CSRF token, in its header
// or, for a plain form, in its field.
func CheckCSRF(r *http.Request, want string) bool {
	got := r.Header.Get(CSRFHeader)
	if got == "" && r.ContentLength >= 0 && r.ContentLength <= maxFormBytes && isForm(r) {
		got = r.PostFormValue(CSRFField)
	}
	return want != "" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

func isForm(r *http.Request) bool {
	const form = "application/x-www-form-urlencoded"
	t := r.Header.Get("Content-Type")
	return len(t) >= len(form) && t[:len(form)] == form
}
