package providertest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"usher/internal/activation"
)

// Minter mints access tokens at a stand-in's own address, as the vault does at the
// real one.
type Minter struct {
	// Address takes refresh tokens; Client, Secret and Refresh are what it knows.
	Address, Client, Secret, Refresh string
	// Code is that of the error when none is minted.
	Code string

	mu     sync.Mutex
	token  string
	minted int
}

// Token returns the one there is, or another one.
func (m *Minter) Token(ctx context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil || m.token != "" {
		return m.token, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {m.Client}, "client_secret": {m.Secret}, "refresh_token": {m.Refresh}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Close = true
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Token == "" {
		return "", &activation.Error{Kind: activation.Unauthorized, Code: m.Code, Message: "no token is minted"}
	}
	m.token = got.Token
	m.minted++
	return m.token, nil
}

// Refused forgets the token.
func (m *Minter) Refused(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.token == token {
		m.token = ""
	}
}

// Minted is how many tokens were asked for.
func (m *Minter) Minted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.minted
}
