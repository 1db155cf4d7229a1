package google

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// authorize finds the call's token and refuses one that is not valid. The caller
// holds the lock.
func (n *Network) authorize(c *call) *apiError {
	kind, secret, ok := strings.Cut(c.request.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(kind, "Bearer") {
		return unauthenticated("CREDENTIALS_MISSING")
	}
	token, known := n.tokens[secret]
	switch {
	case !known:
		return unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED")
	case !token.ExpiresAt.IsZero() && !c.at.Before(token.ExpiresAt):
		return unauthenticated("ACCESS_TOKEN_EXPIRED")
	case token.Scope != "" && !slices.Contains(strings.Fields(token.Scope), Scope):
		return failure(http.StatusForbidden, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "The token lacks the scope.")
	}
	c.token = token
	if c.account != "" {
		return n.reach(c, c.account[strings.LastIndex(c.account, "/")+1:])
	}
	return nil
}

// reach refuses an account that is not there for the call's token. Google says
// the same of both.
func (n *Network) reach(c *call, account string) *apiError {
	if len(n.opts.Accounts) > 0 && !slices.Contains(n.opts.Accounts, account) || len(c.token.Accounts) > 0 && !slices.Contains(c.token.Accounts, account) {
		return denied()
	}
	return nil
}

// grantJWT is the grant of a signed assertion (RFC 7523).
const grantJWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// mint answers the token's address (RFC 6749, section 5; Google's "Using OAuth
// 2.0 for Server to Server Applications"). The caller holds the lock.
func (n *Network) mint(c *call) answer {
	form, err := url.ParseQuery(string(c.body))
	kind, _, _ := strings.Cut(c.request.Header.Get("Content-Type"), ";")
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return wrongGrant("invalid_request", "the body must be a form")
	}
	token := Token{ExpiresAt: c.at.Add(n.opts.TokenLife), Scope: Scope + " " + AdsScope}
	switch form.Get("grant_type") {
	case "refresh_token":
		if form.Get("client_id") != n.opts.ClientID || !same(form.Get("client_secret"), n.opts.ClientSecret) {
			a := wrongGrant("invalid_client", "There is no such client.")
			a.status = http.StatusUnauthorized
			return a
		}
		if !slices.Contains(n.opts.RefreshTokens, form.Get("refresh_token")) {
			return wrongGrant("invalid_grant", "The grant is over or withdrawn.")
		}
	case grantJWT:
		by, scope, ok := n.signed(form.Get("assertion"), c.at)
		if !ok {
			return wrongGrant("invalid_grant", "The assertion is not good.")
		}
		token.Accounts, token.Scope = by.Accounts, scope
	default:
		return wrongGrant("unsupported_grant_type", "There is no such grant.")
	}
	token.Value = "ya29." + n.random(40)
	n.tokens[token.Value] = token
	return answer{status: http.StatusOK, body: map[string]any{
		"access_token": token.Value, "expires_in": int64(n.opts.TokenLife / time.Second), "scope": token.Scope, "token_type": "Bearer",
	}}
}

func wrongGrant(code, text string) answer {
	return answer{status: http.StatusBadRequest, body: map[string]string{"error": code, "error_description": text}}
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// signed checks an assertion: RS256, a known service account, the scope, an
// audience that is a token's address, and an hour at most.
func (n *Network) signed(assertion string, now time.Time) (account ServiceAccount, scope string, ok bool) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return ServiceAccount{}, "", false
	}
	var head struct{ Alg, Typ string }
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decodePart(parts[0], &head) || !decodePart(parts[1], &claims) || head.Alg != "RS256" {
		return ServiceAccount{}, "", false
	}
	i := slices.IndexFunc(n.opts.ServiceAccounts, func(a ServiceAccount) bool { return a.Email == claims.Iss })
	if i < 0 || !slices.Contains(strings.Fields(claims.Scope), Scope) || !strings.HasSuffix(claims.Aud, "/token") {
		return ServiceAccount{}, "", false
	}
	issued, ends := time.Unix(claims.Iat, 0), time.Unix(claims.Exp, 0)
	if issued.After(now.Add(5*time.Minute)) || !ends.After(now) || ends.Sub(issued) > time.Hour {
		return ServiceAccount{}, "", false
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return n.opts.ServiceAccounts[i], claims.Scope, rsa.VerifyPKCS1v15(n.opts.ServiceAccounts[i].Key, crypto.SHA256, sum[:], signature) == nil
}

func decodePart(text string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && json.Unmarshal(raw, into) == nil
}
