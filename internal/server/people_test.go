package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"usher/internal/config"
	"usher/internal/server"
)

// record is a log that may be written by many.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// TestFirstAccount: a server offers the link of the first account until there
// is one, and writes neither e-mail nor password, hash or token to its log,
// however much it logs.
func TestFirstAccount(t *testing.T) {
	dir := t.TempDir()
	var log record
	const password, wrong = "correct horse battery", "battery horse correct"
	serve := func(with func(*server.Server)) {
		t.Helper()
		cfg := config.Default()
		cfg.Data, cfg.Listen, cfg.MemoryMB = dir, "127.0.0.1:0", 256
		ctx, stop := context.WithCancel(t.Context())
		s, err := server.New(ctx, cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), server.Options{Version: "test"})
		if err != nil {
			stop()
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		with(s)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	post := func(s *server.Server, path string, form url.Values) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	var token string
	serve(func(s *server.Server) {
		link := s.SetUpURL()
		path, query, _ := strings.Cut(link, "?token=")
		if token = query; path != s.URL()+"/setup" || s.SignInURL() != s.URL()+"/login?token="+token {
			t.Fatalf("the links are %q and %q", link, s.SignInURL())
		}
		if got := post(s, "/setup", url.Values{"token": {token}, "name": {"Ann"}, "email": {"ann@example.com"}, "password": {password}, "again": {password}}); got != http.StatusSeeOther {
			t.Fatalf("set up: %d", got)
		}
		if got := post(s, "/login", url.Values{"email": {"ann@example.com"}, "password": {password}}); got != http.StatusSeeOther {
			t.Errorf("sign in: %d", got)
		}
		for range 11 {
			post(s, "/login", url.Values{"email": {"eve@example.com"}, "password": {wrong}})
		}
	})
	serve(func(s *server.Server) {
		if s.SetUpURL() != "" || s.SignInURL() != "" {
			t.Error("a link is offered though there is an account")
		}
	})
	text := log.String()
	if !strings.Contains(text, "too many failed sign-ins") {
		t.Error("the log says nothing of the door that was shut: is it read at all?")
	}
	for _, secret := range []string{password, wrong, "example.com", "argon2", token, "usher_session", url.QueryEscape(password)} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
