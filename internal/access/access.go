// Package access says who makes a request and what they may do: API tokens,
// the one-time sign-in printed at start, browser sessions with their CSRF
// tokens, and a limit on failed attempts.
//
// It owns the making and checking of these secrets; only their SHA-256 is kept,
// so a copy of the database signs nobody in. It must not know routes or pages.
// It is built for the guesser (random 32 bytes, constant-time comparison, a
// limit per address), the thief of a cookie that has ended, and the page of
// another site that posts with a person's cookie.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
)

// Store is what access needs of the control store.
type Store interface {
	TokenStore
	SessionStore
}

// TokenStore keeps hashed API tokens. Unknown hashes are ErrNotFound.
type TokenStore interface {
	CreateToken(ctx context.Context, t activation.Token) (activation.Token, error)
	TokenByHash(ctx context.Context, hash []byte) (activation.Token, error)
	TouchToken(ctx context.Context, id string, usedAt time.Time) error
	Tokens(ctx context.Context) ([]activation.Token, error)
	DeleteToken(ctx context.Context, id, user string) error
}

// SessionStore keeps hashed sessions and the one-time sign-in.
type SessionStore interface {
	// ReplaceSignIn makes this hash the only one-time sign-in.
	ReplaceSignIn(ctx context.Context, hash []byte, expiresAt time.Time) error
	// UseSignIn uses up a sign-in that is not over, once; else ErrNotFound.
	UseSignIn(ctx context.Context, hash []byte, now time.Time) error
	CreateSession(ctx context.Context, s activation.Session) error
	SessionByHash(ctx context.Context, hash []byte) (activation.Session, error)
	ExtendSession(ctx context.Context, hash []byte, until time.Time) error
	DeleteSession(ctx context.Context, hash []byte) error
}

// Config is what an Access is made of.
type Config struct {
	Store Store
	Log   *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Access checks who makes requests. Its methods may be called by any goroutine.
type Access struct {
	store Store
	log   *slog.Logger
	now   func() time.Time
	limit limit
	touch sync.Map // token id -> when it was last noted as used
}

// New returns an Access.
func New(cfg Config) *Access {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Access{store: cfg.Store, log: cfg.Log, now: cfg.Now, limit: limit{failures: map[string][]time.Time{}}}
}

// Caller is who makes a request.
type Caller struct {
	// Name is for the audit log: "token:<name>" or a person's.
	Name string
	Role activation.Role
	// CSRF is the session's token, which every form and script of a browser
	// must send back; "" for API tokens, which no browser sends by itself.
	CSRF string
}

// May reports whether the caller's role allows what role does.
func (c Caller) May(role activation.Role) bool { return c.Role.Includes(role) }

// Caller returns who makes a request: the owner of the API token in it, else
// the person whose session cookie it carries. A request whose token is wrong
// is nobody's, whatever its cookie. A browser's request that changes something
// must carry the session's CSRF token (see CheckCSRF); that is checked here, so
// that no handler can forget it.
func (a *Access) Caller(r *http.Request) (Caller, bool) {
	if text := bearer(r); text != "" {
		t, err := a.token(r.Context(), text)
		return Caller{Name: "token:" + t.Name, Role: t.Role}, err == nil
	}
	s, err := a.session(r)
	if err != nil || !a.sameSite(r, s) {
		return Caller{}, false
	}
	return Caller{Name: s.User, Role: s.Role, CSRF: s.CSRF}, true
}

// bearer returns the API token of a request: Authorization, raw or Bearer.
func bearer(r *http.Request) string {
	text := strings.TrimSpace(r.Header.Get("Authorization"))
	if scheme, rest, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	return text
}

// secretBytes is how long every secret made here is.
const secretBytes = 32

// newSecret returns a random text and the hash that is kept of it.
func newSecret() (text string, hash []byte) {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand panics inside instead
	text = base64.RawURLEncoding.EncodeToString(b[:])
	return text, hashOf(text)
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// errUnknown is what every wrong token, cookie and sign-in gets, whatever is
// wrong with it.
var errUnknown = &activation.Error{Kind: activation.Unauthorized, Code: "UNAUTHORIZED-017", Message: "unknown or expired credentials"}

// unknown hides which part was wrong, but not that the store is broken.
func unknown(err error) error {
	if errors.Is(err, activation.ErrNotFound) {
		return errUnknown
	}
	return fmt.Errorf("check credentials: %w", err)
}
