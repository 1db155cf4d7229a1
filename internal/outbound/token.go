package outbound

import "context"

// TokenSource gives the access token for the next call. Implementations refresh
// it before it ends; Token may be called by any goroutine and fails with an
// Unauthorized error when a person must connect again.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// FixedToken is a token that is never refreshed.
type FixedToken string

// Token returns the token.
func (t FixedToken) Token(context.Context) (string, error) { return string(t), nil }

// String hides the token.
func (t FixedToken) String() string { return "redacted" }

// GoString hides the token.
func (t FixedToken) GoString() string { return "redacted" }
