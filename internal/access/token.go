package access

import (
	"context"
	"crypto/subtle"
	"errors"
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
	text, _, err := a.createToken(ctx, activation.Token{Name: name, Role: role, ExpiresAt: expires, CreatedBy: maker})
	return text, err
}

// Expiries are how long an API token may last, by name; zero = it does not
// expire.
var Expiries = map[string]time.Duration{"7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour, "90d": 90 * 24 * time.Hour, "never": 0}

// Expiry is when a token that is made now and lasts as named ends; the zero
// time is never.
func Expiry(name string, now time.Time) (time.Time, error) {
	lasts, ok := Expiries[name]
	if !ok {
		return time.Time{}, invalid("expires", "must be 7d, 30d, 90d or never")
	}
	if lasts == 0 {
		return time.Time{}, nil
	}
	return now.Add(lasts), nil
}

// ErrForbidden means that the caller may not do that, whatever the request says.
var ErrForbidden = errors.New("the caller may not do that")

// MakeToken makes an API token for a caller: name, description, role and expiry
// are given, and the stored token comes back beside its text, which is shown
// once. It can do no more than its maker, and a token that a token makes ends
// with it at the latest. Tokens that are no administrator's make none: who finds
// one could otherwise go on after it is revoked.
func (a *Access) MakeToken(ctx context.Context, t activation.Token, by Caller) (text string, stored activation.Token, err error) {
	if !by.May(activation.RoleViewer) || by.Token != "" && !by.May(activation.RoleAdmin) {
		return "", stored, ErrForbidden
	}
	switch {
	case t.Role.Includes(activation.RoleViewer) && !by.May(t.Role):
		return "", stored, invalid("scope", "a token can do no more than its maker, who is "+string(by.Role))
	case !by.TokenEnds.IsZero() && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(by.TokenEnds)):
		return "", stored, invalid("expires", "a token made by a token ends with it at the latest")
	}
	t.User, t.CreatedBy = by.User, by.Name
	return a.createToken(ctx, t)
}

func (a *Access) createToken(ctx context.Context, t activation.Token) (text string, stored activation.Token, err error) {
	t.Name, t.Description = strings.TrimSpace(t.Name), strings.TrimSpace(t.Description)
	switch {
	case t.Name == "":
		return "", stored, invalid("name", "is needed")
	case !plain(t.Name, maxName):
		return "", stored, invalid("name", textRule(maxName))
	case !plain(t.Description, maxDescription):
		return "", stored, invalid("description", textRule(maxDescription))
	case t.Role != activation.RoleSite && !t.Role.Includes(activation.RoleViewer):
		return "", stored, invalid("scope", "must be viewer, operator, admin or site")
	case !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(a.now()):
		return "", stored, invalid("expires", "is over already")
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

// TokenStatus is whether an API token works.
type TokenStatus string

const (
	TokenActive  TokenStatus = "active"
	TokenExpired TokenStatus = "expired"
	// TokenSuspended: whose token it is has been disabled.
	TokenSuspended TokenStatus = "suspended"
)

// TokenView is a token as people see it.
type TokenView struct {
	activation.Token
	Status TokenStatus `json:"status" enum:"active,expired,suspended"`
	// Effective is what it can do now: less than its scope when the person whose
	// it is can do less.
	Effective activation.Role `json:"effective_scope,omitempty"`
}

// Tokens lists the API tokens that the caller may see, without their texts: an
// administrator all, other people their own, a token itself.
func (a *Access) Tokens(ctx context.Context, by Caller) ([]TokenView, error) {
	all, err := a.store.Tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	users, err := a.store.Users(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	people := map[activation.UserID]*activation.User{}
	for i := range users {
		people[users[i].ID] = &users[i]
	}
	var out []TokenView
	for _, t := range all {
		if by.sees(t) {
			out = append(out, a.viewOf(t, people[t.User]))
		}
	}
	return out, nil
}

// Token returns one token that the caller may see, or ErrNotFound.
func (a *Access) Token(ctx context.Context, id string, by Caller) (TokenView, error) {
	t, err := a.store.Token(ctx, id)
	if err != nil {
		return TokenView{}, err
	}
	if !by.sees(t) {
		return TokenView{}, fmt.Errorf("token %q: %w", id, activation.ErrNotFound)
	}
	maker, err := a.maker(ctx, t)
	if err != nil {
		return TokenView{}, err
	}
	return a.viewOf(t, maker), nil
}

// RevokeToken ends an API token that the caller may see at once.
func (a *Access) RevokeToken(ctx context.Context, id string, by Caller) error {
	if _, err := a.Token(ctx, id, by); err != nil {
		return err
	}
	return a.store.DeleteToken(ctx, id, by.Name)
}

// sees reports whether a caller may see, and end, a token.
func (c Caller) sees(t activation.Token) bool {
	switch {
	case c.May(activation.RoleAdmin):
		return true
	case c.Token != "":
		return c.Token == t.ID
	}
	return c.User != "" && c.User == t.User
}

func (a *Access) viewOf(t activation.Token, maker *activation.User) TokenView {
	v := TokenView{Token: t, Status: TokenActive, Effective: effective(t, maker)}
	switch {
	case over(t, a.now()):
		v.Status, v.Effective = TokenExpired, ""
	case v.Effective == "":
		v.Status = TokenSuspended
	}
	return v
}

// maker returns whose token it is; nil when it is the server's own, or the
// person is gone.
func (a *Access) maker(ctx context.Context, t activation.Token) (*activation.User, error) {
	if t.User == "" {
		return nil, nil //nolint:nilnil // see above
	}
	u, err := a.store.User(ctx, t.User)
	if errors.Is(err, activation.ErrNotFound) {
		return nil, nil //nolint:nilnil // see above
	}
	if err != nil {
		return nil, fmt.Errorf("read the maker of a token: %w", err)
	}
	return &u, nil
}

// effective is what a token can do: never more than the person whose it is, ""
// when they can do nothing or are gone. The server's own tokens are nobody's.
func effective(t activation.Token, maker *activation.User) activation.Role {
	switch {
	case t.User == "":
		return t.Role
	case maker == nil || maker.ID != t.User || maker.Disabled:
		return ""
	case maker.Role.Includes(t.Role), t.Role == activation.RoleSite && maker.Role.Includes(activation.RoleViewer):
		return t.Role
	case t.Role.Includes(maker.Role):
		return maker.Role
	}
	return ""
}

// over reports whether the time of a token is over.
func over(t activation.Token, now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// token finds the API token with this text that is not over, with the role it
// has now, and notes its use.
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
	if subtle.ConstantTimeCompare(t.Hash, hash) != 1 || over(t, now) {
		return activation.Token{}, errUnknown
	}
	maker, err := a.maker(ctx, t)
	if err != nil {
		return activation.Token{}, err
	}
	if t.Role = effective(t, maker); t.Role == "" {
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
