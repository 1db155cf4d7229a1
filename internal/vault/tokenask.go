package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"usher/internal/activation"
	"usher/internal/outbound"
	"usher/internal/provider"
)

// maxTokenBytes is the longest token that is taken from a network.
const maxTokenBytes = 16 << 10

// rejectedWait is how long a network that asks for fewer tokens is left alone
// when it names no time.
const rejectedWait = time.Minute

// grant is what asking for a token gave.
type grant struct {
	token string
	lives time.Duration
	// refresh is the refresh token that came along, "" for none; refreshLives is
	// how long it or the one before lives, 0 where that was not said.
	refresh      string
	refreshLives time.Duration
}

// endpoint is where the tokens of an authorization are had.
func endpoint(o provider.OAuth, secrets map[string]provider.Secret) oauth2.Endpoint {
	return oauth2.Endpoint{
		AuthURL:   cmp.Or(secrets[provider.AuthorizeURLField].Reveal(), o.AuthorizeURL),
		TokenURL:  cmp.Or(secrets[provider.TokenURLField].Reveal(), o.TokenURL),
		AuthStyle: oauth2.AuthStyleInParams,
	}
}

// app is the operator's own, as the authorization names it.
func app(o provider.OAuth, secrets map[string]provider.Secret) (*oauth2.Config, error) {
	c := &oauth2.Config{
		ClientID: secrets[provider.ClientIDField].Reveal(), ClientSecret: secrets[provider.ClientSecretField].Reveal(),
		Endpoint: endpoint(o, secrets), Scopes: o.Scopes,
	}
	if c.ClientID == "" {
		return nil, unauthorized(CodeClient, "the authorization has no client id, so no token can be asked for; store that of your app in it")
	}
	return c, nil
}

func byRefresh(ctx context.Context, client *http.Client, o provider.OAuth, secrets map[string]provider.Secret, refresh string) (grant, error) {
	c, err := app(o, secrets)
	if err != nil {
		return grant{}, err
	}
	way := &guarded{client: client, ctx: ctx}
	t, err := c.TokenSource(way.context(), &oauth2.Token{RefreshToken: refresh}).Token()
	return way.granted(t, err)
}

// serviceKey is what is used of the JSON key of a service account.
type serviceKey struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	Key      string `json:"private_key"`
	KeyID    string `json:"private_key_id"`
	TokenURI string `json:"token_uri"`
}

// byServiceAccount asks in the name of a service account. Where the key file
// names an address, it must be the provider's, so that a key from elsewhere
// can't send the signed claim there.
func byServiceAccount(ctx context.Context, client *http.Client, o provider.OAuth, secrets map[string]provider.Secret) (grant, error) {
	var key serviceKey
	if json.Unmarshal([]byte(secrets[provider.ServiceAccountField].Reveal()), &key) != nil || key.Email == "" || key.Key == "" {
		return grant{}, unauthorized(CodeClient, "the key of the service account is not the JSON file that its network gives out")
	}
	at := endpoint(o, secrets).TokenURL
	if at == o.TokenURL && key.TokenURI != "" && key.TokenURI != o.TokenURL {
		return grant{}, unauthorized(CodeClient, "the key of the service account names another address for tokens than its network's")
	}
	if !signs(key.Key) {
		return grant{}, unauthorized(CodeClient, "the private key of the service account can't be read")
	}
	c := &jwt.Config{Email: key.Email, PrivateKey: []byte(key.Key), PrivateKeyID: key.KeyID, Scopes: o.Scopes, TokenURL: at}
	way := &guarded{client: client, ctx: ctx}
	t, err := c.TokenSource(way.context()).Token()
	return way.granted(t, err)
}

// signs reports whether a private key is one that claims are signed with.
func signs(key string) bool {
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		return false
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		_, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		return err == nil
	}
	_, ok := any.(*rsa.PrivateKey)
	return ok
}

// granted reads what the OAuth client returns. Its errors quote the answer, so
// nothing of them is kept.
func (g *guarded) granted(t *oauth2.Token, err error) (grant, error) {
	switch {
	case g.err != nil:
		return grant{}, unsent(g.err)
	case err != nil:
		return grant{}, whyNot(err)
	}
	return grantOf(t)
}

// grantOf reads a token.
func grantOf(t *oauth2.Token) (grant, error) {
	g := grant{token: t.AccessToken, refresh: t.RefreshToken, lives: unsaid}
	if !t.Expiry.IsZero() {
		g.lives = time.Until(t.Expiry)
	}
	if !sendable(g.token) || g.refresh != "" && !sendable(g.refresh) {
		return grant{}, unusable()
	}
	g.refreshLives = secondsOf(t.Extra("refresh_token_expires_in"))
	return g, nil
}

// secondsOf reads a number of seconds as JSON has it.
func secondsOf(v any) time.Duration {
	var n float64
	switch v := v.(type) {
	case float64:
		n = v
	case int64:
		n = float64(v)
	case json.Number:
		n, _ = v.Float64()
	case string:
		n, _ = strconv.ParseFloat(v, 64)
	}
	const most = 100 * 365 * 24 * 3600
	if !(n > 0 && n < most) {
		return 0
	}
	return time.Duration(n) * time.Second
}

// sendable reports whether a token can be put into a header.
func sendable(token string) bool {
	return token != "" && len(token) <= maxTokenBytes && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// unsent is an error of the way to the network. None may have applied: what the
// token was for was never called.
func unsent(err error) error {
	var own *activation.Error
	if !errors.As(err, &own) {
		return unusable()
	}
	e := *own
	e.MayHaveApplied = false
	return &e
}

// whyNot makes an error of ours of one of the OAuth client.
func whyNot(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return unusable()
	}
	code, status := cmp.Or(answer.ErrorCode, errorCode(answer.Body)), answer.Response.StatusCode
	switch {
	case status == http.StatusTooManyRequests:
		until, ok := outbound.RetryAfter(answer.Response.Header, time.Now())
		if !ok {
			until = time.Now().Add(rejectedWait)
		}
		return &activation.Error{Kind: activation.WaitUntil, Code: CodeAnswer, Until: until, Message: "the network asks for fewer requests for tokens"}
	case status >= 500, code == "temporarily_unavailable", code == "server_error":
		return &activation.Error{Kind: activation.Unavailable, Code: CodeAnswer, Message: "where access tokens are had is out of order (HTTP status " + strconv.Itoa(status) + ")"}
	case code == "invalid_grant":
		return unauthorized(CodeConnect, "the network does not take the stored consent any more; somebody must connect the authorization again")
	case knownErrors[code] != "":
		return unauthorized(CodeClient, "the network gives no access token: "+knownErrors[code])
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden:
		return unauthorized(CodeClient, "the network refuses to give an access token (HTTP status "+strconv.Itoa(status)+")")
	}
	return &activation.Error{Kind: activation.Unavailable, Code: CodeAnswer, Message: "where access tokens are had answers with HTTP status " + strconv.Itoa(status)}
}

// knownErrors are those of RFC 6749, section 5.2, in our words. What a network
// sends as text is not repeated.
var knownErrors = map[string]string{
	"invalid_client":         "it does not know the client id or its secret",
	"unauthorized_client":    "the app may not ask for tokens this way",
	"invalid_scope":          "the consent or the app lacks a scope that is needed",
	"invalid_request":        "it does not understand the request (invalid_request)",
	"unsupported_grant_type": "it does not give tokens this way (unsupported_grant_type)",
	"access_denied":          "access is denied to the app",
}

// errorCode reads the error from a body that the OAuth client did not read: one
// with another content type, or an object in place of the text.
func errorCode(body []byte) string {
	var in struct {
		Error any `json:"error"`
	}
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	code, _ := in.Error.(string)
	return code
}

func unauthorized(code, message string) error {
	return &activation.Error{Kind: activation.Unauthorized, Code: code, Message: message}
}

func unusable() error {
	return &activation.Error{Kind: activation.Unavailable, Code: CodeAnswer, Message: "where access tokens are had gives an answer that can't be used"}
}

// guarded has the OAuth client call by the authorization's own client, which
// guards addresses, paces calls and pauses for a network that is down.
type guarded struct {
	client *http.Client
	ctx    context.Context //nolint:containedctx // the OAuth client makes some calls without one
	err    error
}

func (g *guarded) context() context.Context {
	return context.WithValue(g.ctx, oauth2.HTTPClient, &http.Client{
		Transport:     g,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
}

// RoundTrip makes the call and reads the whole answer. Its errors are safe.
func (g *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	a, err := outbound.Do(g.client, req.WithContext(g.ctx))
	if err != nil {
		g.err = err
		return nil, err
	}
	return &http.Response{
		Status: strconv.Itoa(a.Status) + " " + http.StatusText(a.Status), StatusCode: a.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.Body)), ContentLength: int64(len(a.Body)), Request: req,
	}, nil
}
