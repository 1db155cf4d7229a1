// Package access says who makes a request and what they may do: people with
// their passwords and roles, API tokens, the one-time sign-in printed at start,
// browser sessions with their CSRF tokens, and a limit on failed attempts.
//
// It owns the making and checking of these secrets; of random ones only the
// SHA-256 is kept, of passwords the Argon2id hash, so a copy of the database
// signs nobody in. It must not know routes or pages. It is built for the guesser
// (random 32 bytes, constant-time comparison, limits per address and login, the
// same answer after the same work for people who are not there), the crowd that
// would fill the memory with hashing, the thief of a cookie that has ended, the
// person whose rights were taken while signed in, and the page of another site
// that posts with a person's cookie.
package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
)

// Store is what access needs of the control store.
type Store interface {
	TokenStore
	SessionStore
	UserStore
	AddAudit(ctx context.Context, e activation.AuditEntry) error
}

// TokenStore keeps hashed API tokens. Unknown hashes are ErrNotFound.
type TokenStore interface {
	CreateToken(ctx context.Context, t activation.Token) (activation.Token, error)
	Token(ctx context.Context, id string) (activation.Token, error)
	TokenByHash(ctx context.Context, hash []byte) (activation.Token, error)
	TouchToken(ctx context.Context, id string, usedAt time.Time) error
	Tokens(ctx context.Context) ([]activation.Token, error)
	DeleteToken(ctx context.Context, id, user string) error
}

// SessionStore keeps hashed sessions and the one-time sign-in.
type SessionStore interface {
	// ReplaceSignIn makes this hash the only one-time sign-in.
	ReplaceSignIn(ctx context.Context, hash []byte, expiresAt time.Time) error
	// SignInOnce uses up a sign-in that is not over for a session, once, while
	// there are no people; else ErrNotFound. SetUp makes the first person so.
	SignInOnce(ctx context.Context, hash []byte, s activation.Session) error
	SetUp(ctx context.Context, hash []byte, u activation.User, s activation.Session) (activation.User, error)
	// StartSession replaces a person's password hash was by now and starts a
	// session; ErrNotFound when it is not was any more, or the person disabled.
	StartSession(ctx context.Context, s activation.Session, was, now string) error
	SessionByHash(ctx context.Context, hash []byte) (activation.Session, error)
	ExtendSession(ctx context.Context, hash []byte, until time.Time) error
	DeleteSession(ctx context.Context, hash []byte) error
}

// UserStore keeps people. The last administrator who may sign in stays one, or
// ErrConflict; whatever changes rights or password ends the person's sessions.
type UserStore interface {
	HasUsers(ctx context.Context) (bool, error)
	Users(ctx context.Context) ([]activation.User, error)
	User(ctx context.Context, id activation.UserID) (activation.User, error)
	UserByLogin(ctx context.Context, login string) (activation.User, error)
	CreateUser(ctx context.Context, u activation.User, by string) (activation.User, error)
	// UpdateUser changes the person as change does, which may be called again.
	UpdateUser(ctx context.Context, id activation.UserID, change func(*activation.User), by string) (activation.User, error)
	SetPassword(ctx context.Context, id activation.UserID, was, hash, by string) error
	DeleteUser(ctx context.Context, id activation.UserID, by string) error
}

// Config is what an Access is made of.
type Config struct {
	Store Store
	Log   *slog.Logger
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// Cost is what hashing a password costs; zero = DefaultCost.
	Cost Cost
	// Proxies are the addresses of the proxies in front of the server, whose
	// X-Forwarded-For and X-Forwarded-Proto are believed. Default none.
	Proxies []netip.Prefix
}

// Access checks who makes requests. Its methods may be called by any goroutine.
type Access struct {
	store Store
	log   *slog.Logger
	now   func() time.Time
	hash  *hasher
	touch sync.Map // token id -> when it was last noted as used

	proxies           []netip.Prefix
	byAddress, byName *limit
}

// New returns an Access.
func New(cfg Config) *Access {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Access{
		store: cfg.Store, log: cfg.Log, now: cfg.Now, hash: newHasher(cfg.Cost), proxies: cfg.Proxies,
		byAddress: newLimit(maxByAddress), byName: newLimit(maxByLogin),
	}
}

// Caller is who makes a request.
type Caller struct {
	// Name is for the audit log: "token:<name>", a person's login, or "admin" for
	// the one-time sign-in.
	Name string
	Role activation.Role
	// User is the person, or whose token it is; "" for the server's own tokens
	// and the one-time sign-in.
	User activation.UserID
	// Token is the id of the API token; "" for a browser. TokenEnds is when it
	// expires; zero = never.
	Token     string
	TokenEnds time.Time
	// from is where the request came from: failed tries are counted by it.
	from origin
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
		return Caller{Name: "token:" + t.Name, Role: t.Role, User: t.User, Token: t.ID, TokenEnds: t.ExpiresAt, from: a.origin(r)}, err == nil
	}
	s, err := a.session(r)
	if err != nil || !a.sameSite(r, s) {
		return Caller{}, false
	}
	return Caller{Name: s.User, Role: s.Role, User: s.UserID, CSRF: s.CSRF, from: a.origin(r)}, true
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
	text = base64.RawURLEncoding.EncodeToString(random(secretBytes))
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
