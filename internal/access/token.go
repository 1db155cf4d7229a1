package access

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"usher/internal/activation"
)

// tokenPrefix makes a leaked token recognisable.
const tokenPrefix = "usher_"

// touchEvery is how precisely the last use of a token is noted.
const touchEvery = time.Minute

// NewToken makes an API token of the server's own and returns its text, which
// is shown once and kept nowhere. It replaces the server's earlier token of that
// name. A zero expiry means it does not expire.
func (a *Access) NewToken(ctx context.Context, name string, role activation.Role, expires time.Time) (string, error) {
	const maker = "system"
	all, err := a.store.Tokens(ctx)
	if err != nil {
		return "", fmt.Errorf("list tokens: %w", err)
	}
	for _, t := range all {
		if t.Name == name && t.CreatedBy == maker {
			if err := a.store.DeleteToken(ctx, t.ID, maker); err != nil {
				return "", fmt.Errorf("replace token: %w", err)
			}
		}
	}
	text, _, err := a.CreateToken(ctx, activation.Token{Name: name, Role: role, ExpiresAt: expires, CreatedBy: maker})
	return text, err
}

// CreateToken is NewToken for a person: the token's name, role, maker and
// expiry are given, and the stored token comes back beside its text.
func (a *Access) CreateToken(ctx context.Context, t activation.Token) (text string, stored activation.Token, err error) {
	switch {
	case strings.TrimSpace(t.Name) == "":
		return "", stored, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "name", Message: "a token needs a name"}
	case !t.Role.Includes(activation.RoleViewer):
		return "", stored, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "scope", Message: "the scope must be viewer, operator or admin"}
	case !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(a.now()):
		return "", stored, &activation.Error{Kind: activation.Invalid, Code: "BADREQ-001", Field: "expires_at", Message: "the expiry is over already"}
	}
	secret, _ := newSecret()
	text = tokenPrefix + secret
	t.Hash = hashOf(text)
	if stored, err = a.store.CreateToken(ctx, t); err != nil {
		return "", stored, fmt.Errorf("create token: %w", err)
	}
	return text, stored, nil
}

// ValidToken reports whether text is an API token that works now.
func (a *Access) ValidToken(ctx context.Context, text string) bool {
	_, err := a.token(ctx, strings.TrimSpace(text))
	return err == nil
}

// Tokens lists the API tokens, without their texts.
func (a *Access) Tokens(ctx context.Context) ([]activation.Token, error) { return a.store.Tokens(ctx) }

// RevokeToken ends an API token at once.
func (a *Access) RevokeToken(ctx context.Context, id, user string) error {
	return a.store.DeleteToken(ctx, id, user)
}

// token finds the API token with this text that is not over, and notes its use.
func (a *Access) token(ctx context.Context, text string) (activation.Token, error) {
	if !strings.HasPrefix(text, tokenPrefix) {
		return activation.Token{}, errUnknown
	}
	hash := hashOf(text)
	t, err := a.store.TokenByHash(ctx, hash)
	if err != nil {
		return activation.Token{}, unknown(err)
	}
	now := a.now()
	if subtle.ConstantTimeCompare(t.Hash, hash) != 1 || (!t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)) {
		return activation.Token{}, errUnknown
	}
	a.used(ctx, t, now)
	return t, nil
}

// used notes that a token was used, at most once a minute. That it could not be
// noted does not make the token wrong.
func (a *Access) used(ctx context.Context, t activation.Token, now time.Time) {
	if last, ok := a.touch.Load(t.ID); ok && now.Sub(last.(time.Time)) < touchEvery {
		return
	}
	a.touch.Store(t.ID, now)
	if err := a.store.TouchToken(ctx, t.ID, now); err != nil {
		a.log.WarnContext(ctx, "noting the use of a token", "token_id", t.ID, "error", err)
	}
}
