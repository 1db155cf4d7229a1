package webhook

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"usher/internal/activation"
	"usher/internal/provider"
)

// codeAuth: the receiver, or the token address, refuses the credentials.
const codeAuth = "WEBHOOK-AUTH"

const (
	// tokenMargin is how long before its end a token is no longer used.
	tokenMargin = time.Minute
	// tokenLife is how long a token is used that names no end.
	tokenLife = 10 * time.Minute
)

// tokens gives access tokens by OAuth 2 client credentials (RFC 6749, section
// 4.4), one asked for at a time. nil = requests carry none.
type tokens struct {
	config clientcredentials.Config
	http   *http.Client
	now    func() time.Time
	turn   chan struct{} // held while a token is looked at or asked for
	have   token

	mu   sync.Mutex
	gone string // the token that was refused last
}

// token is an access token; the zero value is none.
type token struct {
	text string
	ends time.Time
	// fresh is true for whoever had it asked for.
	fresh bool
}

// put adds the token to the headers of a request.
func (t token) put(h http.Header) {
	if t.text != "" {
		h.Set("Authorization", "Bearer "+t.text)
	}
}

func newTokens(d provider.Deps) (*tokens, error) {
	address, id, secret := d.Auth[provider.TokenURLField].Reveal(), d.Auth[provider.ClientIDField].Reveal(), d.Auth[provider.ClientSecretField].Reveal()
	switch {
	case address == "" && id == "" && secret == "":
		return nil, nil
	case address == "":
		return nil, settings(provider.TokenURLField, "is needed where a client id or a client secret is given")
	case id == "" || secret == "":
		return nil, settings(provider.ClientSecretField, "and "+provider.ClientIDField+" are needed where a token address is given")
	}
	return &tokens{
		config: clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: address, Scopes: provider.List(d.Auth[scopesField].Reveal())},
		http:   d.HTTP, now: d.Now, turn: make(chan struct{}, 1),
	}, nil
}

// token returns one that is still good, asking for it where there is none.
func (t *tokens) token(ctx context.Context) (token, error) {
	if t == nil {
		return token{}, nil
	}
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return token{}, cancelled(ctx)
	}
	defer func() { <-t.turn }()
	if t.have.text != "" && t.have.text != t.lastRefused() && t.now().Before(t.have.ends) {
		return t.have, nil
	}
	got, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.http))
	if err != nil {
		return token{}, t.fault(ctx, err)
	}
	t.have = token{text: got.AccessToken, ends: got.Expiry.Add(-tokenMargin)}
	if got.Expiry.IsZero() {
		t.have.ends = t.now().Add(tokenLife)
	}
	asked := t.have
	asked.fresh = true
	return asked, nil
}

// refused says that the receiver refused the token: it is not used again.
func (t *tokens) refused(old token) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = old.text
}

func (t *tokens) lastRefused() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}

// fault is the error of a token that was not given. Nothing of the answer is in
// it: it may repeat what was sent.
func (t *tokens) fault(ctx context.Context, err error) error {
	var own *activation.Error
	var answer *oauth2.RetrieveError
	switch {
	case ctx.Err() != nil:
		return cancelled(ctx)
	case errors.As(err, &own):
		e := *own
		e.MayHaveApplied = false // a token more changes nothing at the receiver
		return &e
	case !errors.As(err, &answer) || answer.Response == nil:
		return &activation.Error{Kind: activation.Unavailable, Code: codeUnavailable, Message: "the token address gave no access token"}
	}
	status := " (HTTP status " + strconv.Itoa(answer.Response.StatusCode) + ")"
	if s := answer.Response.StatusCode; s == http.StatusTooManyRequests || s/100 == 5 || s/100 == 2 {
		return &activation.Error{Kind: activation.Unavailable, Code: codeUnavailable, Message: "the token address gives no access token for now" + status}
	}
	return &activation.Error{Kind: activation.Unauthorized, Code: codeAuth, Message: "the token address refuses client id, client secret or scopes" + status}
}
