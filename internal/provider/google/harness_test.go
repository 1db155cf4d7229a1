package google_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"usher/internal/activation"
	"usher/internal/matchkey"
	"usher/internal/provider"
	"usher/internal/provider/google"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// far answers calls and keeps what it was sent.
type far struct {
	mu     sync.Mutex
	answer func(n int, req *http.Request, body []byte) (status int, text string)
	calls  []string // method, path and token
	bodies [][]byte
}

func (f *far) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, req.Method+" "+req.URL.Path+" "+req.Header.Get("Authorization"))
	f.bodies = append(f.bodies, body)
	status, text := f.answer(len(f.calls), req, body)
	h := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader([]byte(text))), Request: req}, nil
}

// always answers each call so.
func always(status int, text string) *far {
	return &far{answer: func(int, *http.Request, []byte) (int, string) { return status, text }}
}

// pool gives one token after the other.
type pool struct {
	mu      sync.Mutex
	tokens  []string
	refused []string
	err     error
}

func (p *pool) Token(context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return "", p.err
	}
	return p.tokens[0], nil
}

func (p *pool) Refused(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, token)
	if len(p.tokens) > 1 && p.tokens[0] == token {
		p.tokens = p.tokens[1:]
	}
}

func deps(f http.RoundTripper, config map[string]string) provider.Deps {
	return provider.Deps{
		Account: "1234567890", Config: config, Tokens: &pool{tokens: []string{"t1", "t2"}},
		HTTP: &http.Client{Transport: f}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	}
}

func open(t *testing.T, f http.RoundTripper) provider.Destination {
	t.Helper()
	d, err := google.NewLists(deps(f, nil))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func openConversions(t *testing.T, f http.RoundTripper) provider.Destination {
	t.Helper()
	d, err := google.NewConversions(deps(f, nil))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var accepted = map[string]string{"customer_match_terms": "accepted by ana at 2026-11-22T08:00:00Z"}

// people makes a batch of n people with an e-mail each.
func people(t *testing.T, n int) provider.Batch {
	t.Helper()
	set, err := matchkey.NewSet(google.RuleSet(), map[string]string{"email_address": "email"}, "")
	if err != nil {
		t.Fatal(err)
	}
	b := provider.Batch{Op: activation.OpAdd, Remote: "998877", Keys: set.Keys, Audience: provider.Audience{Marker: "m", Name: "N", Config: accepted}}
	for i := range n {
		out := make([][]byte, 1)
		set.Compute([]string{fmt.Sprintf("p%d@example.com", i)}, out, nil)
		b.Values = append(b.Values, out...)
	}
	return b
}

// wrong returns the error as what it must be.
func wrong(t *testing.T, err error) *activation.Error {
	t.Helper()
	var e *activation.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v", err)
	}
	return e
}
