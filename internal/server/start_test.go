package server_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"usher/internal/config"
	"usher/internal/server"
	"usher/internal/vault"
)

// open opens a server over dir on a port of its own; the test closes it.
func open(ctx context.Context, dir string) (*server.Server, error) {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.MemoryMB = dir, "127.0.0.1:0", 256
	return server.New(ctx, cfg, slog.New(slog.DiscardHandler), server.Options{Version: "test"})
}

// TestKeyOfTheEnvironment: a key in the environment is used instead of a file,
// and one that is no key is refused without being repeated.
func TestKeyOfTheEnvironment(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv(vault.EnvKey, key.String())
	s, err := open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "secret.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key file was made beside the key of the environment: %v", err)
	}

	const wrong = "AGE-SECRET-KEY-1WRONG"
	t.Setenv(vault.EnvKey, wrong)
	if s, err = open(t.Context(), dir); err == nil {
		_ = s.Close()
		t.Fatal("started with a key that is none")
	}
	if !strings.Contains(err.Error(), vault.EnvKey) || strings.Contains(err.Error(), wrong) {
		t.Errorf("the error must name the variable and not its value: %v", err)
	}
}

// TestSecondProcess: a directory that a server has open is refused, by name.
func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	far := startSandbox(t)
	start(t, dir, far, "")
	s, err := open(t.Context(), dir)
	if err == nil {
		_ = s.Close()
		t.Fatal("two servers over one directory")
	}
	if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("the error does not say what is wrong: %v", err)
	}
}

// TestSlowUploadIsCut: a sender that never ends does not keep the server from
// stopping in time, and is no failure of the server's.
func TestSlowUploadIsCut(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s, err := open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	body, send := io.Pipe()
	defer func() { _ = send.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/collect/bulk/people", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token(t, dir))
	req.Header.Set("Content-Type", "text/csv")
	answered := make(chan bool, 1)
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		answered <- err == nil && resp.StatusCode == http.StatusOK
	}()
	// More than fits into the buffers on the way: the server is reading it.
	for _, text := range []string{"email\n", strings.Repeat("ana@example.com\n", 1<<20)} {
		if _, err := io.WriteString(send, text); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("stopping: %v", err)
		}
	case <-time.After(patience * 10 * time.Second):
		t.Fatal("the server did not stop")
	}
	_ = send.CloseWithError(io.ErrUnexpectedEOF) // the client waits for its sender
	if <-answered {
		t.Error("an upload that was cut was accepted")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
