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

// session returns a new session and the text of its cookie.
func (a *Access) newSession() (text string, s activation.Session) {
	text, hash := newSecret()
	csrf, _ := newSecret()
	now := a.now()
	return text, activation.Session{Hash: hash, CSRF: csrf, CreatedAt: now, ExpiresAt: now.Add(SessionTime)}
}

// cookie is the session cookie. It is marked Secure when the request came by
// TLS, to the server or to a proxy it trusts: a server on one's own machine
// speaks plain HTTP.
func (a *Access) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: a.ByTLS(r)}
}

// SignOut ends the session of a request, and returns the cookie that takes the
// old one away.
func (a *Access) SignOut(r *http.Request) (*http.Cookie, error) {
	if c, err := r.Cookie(CookieName); err == nil {
		if err := a.store.DeleteSession(r.Context(), hashOf(c.Value)); err != nil {
			return nil, fmt.Errorf("end session: %w", err)
		}
	}
	return a.cookie(r, "", -1), nil
}

// session finds the session of a request that is not over, and moves its end.
// Whose it is and what they may do is read anew each time: rights that were
// taken are gone with the next request.
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
	if s.UserID != "" {
		u, err := a.store.User(r.Context(), s.UserID)
		if err != nil {
			return activation.Session{}, unknown(err)
		}
		if u.Disabled {
			return activation.Session{}, errUnknown
		}
		s.User, s.Role = u.Login, u.Role
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
