package provider

import (
	"context"
	"time"
)

// The credentials of a provider with OAuth, as AuthFields name them. Each
// provider declares those it can use.
const (
	// ClientIDField and ClientSecretField are those of the operator's own app.
	ClientIDField     = "client_id"
	ClientSecretField = "client_secret"
	// RefreshTokenField is filled by connecting, or by hand.
	RefreshTokenField = "refresh_token"
	// AccessTokenField is a token that is used as it is while there is no refresh
	// token.
	AccessTokenField = "access_token"
	// ServiceAccountField is the JSON key of a service account, which needs
	// nobody's consent.
	ServiceAccountField = "service_account"
	// AuthorizeURLField and TokenURLField replace the provider's addresses. For
	// sandboxes only.
	AuthorizeURLField = "authorize_url"
	TokenURLField     = "token_url"
)

// PaceField is the credentials' setting of how many calls a minute are made on
// them; a provider declares it where the page on its limits is not sure.
const PaceField = "requests_per_minute"

// OAuth says how a provider's access tokens are had. Connecting is an
// authorization code with a state and, where PKCE is set, a code challenge.
type OAuth struct {
	AuthorizeURL, TokenURL string
	Scopes                 []string
	// Params are further parameters of the authorize address, such as
	// access_type=offline.
	Params map[string]string
	PKCE   bool
	// RefreshLife is how long a refresh token lives from the consent on, however
	// often it is used; 0 = until it is revoked. Warnings begin 30 days ahead.
	RefreshLife time.Duration
	// Mints is the most tokens an hour that are asked for on one authorization;
	// 0 = 20. It bounds what a broken network costs at the token's address.
	Mints int
}

// Tokens gives access tokens. Its methods may be called by any goroutine; only
// one token is asked for at a time.
type Tokens interface {
	// Token returns one that is still good for a minute at least, or an error of
	// kind Unauthorized when somebody must connect again.
	Token(ctx context.Context) (string, error)
	// Refused says that the network refused this token: the next Token is another
	// one. Told of an old token it does nothing.
	Refused(token string)
}
