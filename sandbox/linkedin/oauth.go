package linkedin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// consent is an authorization code that waits to be exchanged.
type consent struct {
	at       time.Time
	redirect string
}

// codeLife is how long an authorization code is good for
// (shared/authentication/authorization-code-flow).
const codeLife = 30 * time.Minute

// consent is the page where somebody agrees. Here everybody does at once.
func (n *Network) consent(w http.ResponseWriter, c *call) {
	q, e := query(c, "response_type", "client_id", "redirect_uri", "state", "scope")
	to, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case e != nil, err != nil, to.Scheme == "", to.Host == "", q.Get("response_type") != "code", q.Get("client_id") != n.opts.ClientID, q.Get("scope") == "":
		n.write(w, c, refusal(badRequest("the consent cannot be asked for like this")))
		return
	}
	code := "code-" + n.opaque()
	n.mu.Lock()
	n.codes[code] = consent{at: c.at, redirect: q.Get("redirect_uri")}
	n.mu.Unlock()
	back := to.Query()
	back.Set("code", code)
	if s := q.Get("state"); s != "" {
		back.Set("state", s)
	}
	to.RawQuery = back.Encode()
	n.head(w, c)
	n.finish(c, http.StatusFound)
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusFound)
}

// oauthError is the envelope of RFC 6749.
func oauthError(status int, code, text string) answer {
	return answer{status, map[string]any{"error": code, "error_description": text}}
}

// accessToken exchanges a code or a refresh token. A refresh token stays the
// same, and its end with it.
func (n *Network) accessToken(c *call) answer {
	form, err := url.ParseQuery(string(c.body))
	kind, _, _ := strings.Cut(c.request.Header.Get("Content-Type"), ";")
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return oauthError(http.StatusBadRequest, "invalid_request", "the body must be a form")
	}
	names := []string{"grant_type", "client_id", "client_secret", "refresh_token", "code", "redirect_uri"}
	for name, values := range form {
		if !slices.Contains(names, name) || len(values) != 1 {
			return oauthError(http.StatusBadRequest, "invalid_request", "a parameter is unknown or there twice: "+name)
		}
	}
	if form.Get("client_id") != n.opts.ClientID || form.Get("client_secret") != n.opts.ClientSecret {
		return oauthError(http.StatusUnauthorized, "invalid_client", "Client authentication failed")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var g Grant
	switch form.Get("grant_type") {
	case "refresh_token":
		var ok bool
		if g, ok = n.grants[form.Get("refresh_token")]; !ok || !c.at.Before(g.ConsentAt.Add(refreshLife)) {
			return oauthError(http.StatusBadRequest, "invalid_grant", "sandbox: this refresh token is not known, or not any more")
		}
	case "authorization_code":
		given, ok := n.codes[form.Get("code")]
		delete(n.codes, form.Get("code"))
		if !ok || c.at.Sub(given.at) > codeLife || given.redirect != form.Get("redirect_uri") {
			return oauthError(http.StatusBadRequest, "invalid_request", "the code is over, or of another client or address")
		}
		g = Grant{RefreshToken: "refresh-" + n.random(), ConsentAt: given.at}
		n.grants[g.RefreshToken] = g
	default:
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "grant_type is not supported")
	}
	end := c.at.Add(accessLife)
	if last := g.ConsentAt.Add(refreshLife); end.After(last) {
		end = last
	}
	t := Token{Value: "AQ" + n.random(), ExpiresAt: end}
	n.tokens[t.Value] = t
	c.record.Applied = true
	return answer{http.StatusOK, map[string]any{
		"access_token": t.Value, "expires_in": int(end.Sub(c.at).Seconds()), "refresh_token": g.RefreshToken,
		"refresh_token_expires_in": int(g.ConsentAt.Add(refreshLife).Sub(c.at).Seconds()),
		"scope":                    "r_ads,rw_ads,rw_conversions,rw_dmp_segments",
	}}
}
