package webhook

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
)

// token answers a request for an access token (RFC 6749, section 4.4): the client
// by Basic or in the form.
func (n *Network) token(w http.ResponseWriter, r *http.Request, raw []byte) {
	form, err := url.ParseQuery(string(raw))
	id, secret, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	status, answer := http.StatusOK, map[string]any{}
	switch {
	case err != nil || r.Method != http.MethodPost || form.Get("grant_type") != "client_credentials":
		status, answer["error"] = http.StatusBadRequest, "unsupported_grant_type"
	case n.ClientID == "" || id != n.ClientID || secret != n.ClientSecret:
		status, answer["error"] = http.StatusUnauthorized, "invalid_client"
	default:
		var b [16]byte
		_, _ = rand.Read(b[:])
		text := hex.EncodeToString(b[:])
		n.mu.Lock()
		n.tokens[text] = n.deps.Now().Add(tokenLife)
		n.counters.Tokens++
		n.mu.Unlock()
		answer["access_token"], answer["token_type"], answer["expires_in"] = text, "Bearer", int(tokenLife.Seconds())
	}
	reply(w, status, answer)
}

// Control serves the read-back.
func (n *Network) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"events": n.Events()})
	})
	mux.HandleFunc("DELETE /events", func(w http.ResponseWriter, _ *http.Request) { n.Forget(); w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, n.Counters()) })
	mux.HandleFunc("DELETE /tokens", func(w http.ResponseWriter, _ *http.Request) { n.ExpireTokens(); w.WriteHeader(http.StatusNoContent) })
	return mux
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
