// Package servertest starts a whole server and the sandbox inside a test, for
// the suites of the API and of the command line.
//
// It owns the fixture: a data directory of the test's own, a token for each
// role, and a shop with a few people. It asserts nothing about what is tested.
// It is built for the failing test: whatever goes wrong in starting or stopping
// is a failure of the test that asked for it.
package servertest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/access"
	"usher/internal/activation"
	"usher/internal/api/client"
	"usher/internal/config"
	"usher/internal/server"
	"usher/internal/store/sqlite"
	"usher/internal/store/sqlite/sqlitetest"
	"usher/sandbox"
	"usher/sandbox/meta"
)

// Server is a running server with a sandbox beside it.
type Server struct {
	// URL is the server's address, Dir its data directory.
	URL, Dir string
	// Tokens has one API token for each role.
	Tokens map[activation.Role]string
	// Sandbox stands in for the networks at Network.
	Sandbox *sandbox.Sandbox
	Network string

	t testing.TB
}

// Start runs a server and a sandbox until the test ends. The server may reach the
// sandbox, and the host:port pairs in more.
func Start(t testing.TB, more ...string) *Server {
	t.Helper()
	s := &Server{t: t, Dir: filepath.Join(t.TempDir(), "data"), Tokens: map[activation.Role]string{}}
	s.startSandbox()
	s.makeTokens()
	cfg := config.Default()
	cfg.Data, cfg.MemoryMB, cfg.AllowHosts = s.Dir, 256, append(s.hosts(), more...)
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	s.check(err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	srv, err := server.New(ctx, cfg, slog.New(slog.DiscardHandler), server.Options{Version: "test", Listener: ln, Sweep: 100 * time.Millisecond})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := srv.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	s.URL = srv.URL()
	return s
}

func (s *Server) startSandbox() {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ln, err := sandbox.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		stop()
		s.t.Fatal(err)
	}
	s.Sandbox, s.Network = sandbox.New(sandbox.Options{Seed: 1, Prompt: true}), "http://"+ln.Addr().String()
	if err := s.Sandbox.ListenOwn(ctx, "127.0.0.1"); err != nil {
		stop()
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Sandbox.Serve(ctx, ln) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("sandbox: %v", err)
		}
	})
}

// hosts are where the sandbox's networks are.
func (s *Server) hosts() []string {
	out := []string{strings.TrimPrefix(s.Network, "http://")}
	for _, n := range s.Sandbox.Networks(out[0]) {
		if !strings.Contains(n.Address, "://") {
			out = append(out, n.Address)
		}
	}
	return out
}

// Credentials are what the sandbox's network of that name takes.
func (s *Server) Credentials(name string) map[string]string {
	for _, n := range s.Sandbox.Networks(strings.TrimPrefix(s.Network, "http://")) {
		if n.Name == name {
			return n.Credentials
		}
	}
	s.t.Fatalf("the sandbox has no network %q", name)
	return nil
}

// makeTokens writes a token for each role into the store the server will open.
func (s *Server) makeTokens() {
	ctx := s.t.Context()
	s.check(os.MkdirAll(s.Dir, 0o700))
	st, err := sqlite.Open(ctx, sqlitetest.Fresh(s.t, filepath.Join(s.Dir, "control.sqlite")), sqlite.Options{})
	s.check(err)
	a := access.New(access.Config{Store: st})
	for _, role := range []activation.Role{activation.RoleViewer, activation.RoleOperator, activation.RoleAdmin} {
		s.Tokens[role], err = a.NewToken(ctx, "test "+string(role), role, time.Time{})
		s.check(err)
	}
	s.check(st.Close())
}

// Client calls the server in a role.
func (s *Server) Client(role activation.Role) *client.Client {
	return &client.Client{URL: s.URL, Token: s.Tokens[role]}
}

// Must calls the server as an administrator and fails the test unless it works.
func (s *Server) Must(method, path string, body, out any) {
	s.t.Helper()
	if _, err := s.Client(activation.RoleAdmin).Do(s.t.Context(), method, path, body, out); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// Shop is what Declare set up.
type Shop struct {
	Auth, Destination, Job, Load, Run, Target string
}

// Declare sets up a stream with three people, fields, mappings, the audience
// high (score over 50, two people), credentials, a destination and a job, whose
// first run has completed and which is paused.
func (s *Server) Declare() Shop {
	s.t.Helper()
	s.Must(http.MethodPut, "/v2/stream/people", map[string]any{}, nil)
	for _, f := range []map[string]any{
		{"name": "customer", "type": "text", "merge": "latest", "identifier_rank": 1, "pii": false, "public": false},
		{"name": "email", "type": "text", "merge": "latest", "pii": true, "public": false},
		{"name": "score", "type": "integer", "merge": "latest", "pii": false, "public": false},
	} {
		s.Must(http.MethodPost, "/v2/field", f, nil)
	}
	s.Must(http.MethodPut, "/v2/mapping/people", map[string]string{"customer": `concat("id-", id)`, "email": "email", "score": "score"}, nil)
	s.Must(http.MethodPost, "/v2/segment", map[string]string{"slug_name": "high", "name": "High scores", "segment_ql": "FILTER score > 50"}, nil)
	var auth, dest, job struct {
		ID string `json:"id"`
	}
	load := s.Load("people", "id,email,score\n1,a@example.com,90\n2,b@example.com,70\n3,c@example.com,10\n")
	s.Must(http.MethodPost, "/v2/auth/meta", map[string]any{"label": "sandbox", "config": map[string]string{"access_token": meta.DefaultToken, "base_url": s.Network + "/meta"}}, &auth)
	s.Must(http.MethodPost, "/v2/destination", map[string]any{
		"name": "Shop", "provider": "meta", "auth_id": auth.ID, "account": "1",
		"mapping": map[string]string{"EXTERN_ID": "customer", "EMAIL": "email"},
	}, &dest)
	s.Must(http.MethodPost, "/v2/job/meta_custom_audience", map[string]any{"name": "High scores to Meta", "destination_id": dest.ID, "segment_ids": []string{"high"}}, &job)
	var runs []activation.Run
	s.Eventually("first run completed", func() bool {
		s.Must(http.MethodGet, "/v2/run?status=completed", nil, &runs)
		return len(runs) > 0
	})
	s.Must(http.MethodPost, "/v2/job/"+job.ID+"/pause", nil, nil)
	return Shop{Auth: auth.ID, Destination: dest.ID, Job: job.ID, Load: load, Run: string(runs[0].ID), Target: string(runs[0].Target)}
}

// Load sends CSV and returns the load's id when it is in the profiles.
func (s *Server) Load(stream, csv string) string {
	s.t.Helper()
	var sum struct {
		ID string `json:"load_id"`
	}
	s.check(s.Client(activation.RoleOperator).Upload(s.t.Context(), "/collect/bulk/"+stream, "text/csv", strings.NewReader(csv), &sum))
	s.Await(sum.ID)
	return sum.ID
}

// Await waits until a load is in the profiles.
func (s *Server) Await(load string) {
	s.t.Helper()
	s.Eventually("load merged", func() bool {
		var l struct{ Status, Error string }
		s.Must(http.MethodGet, "/v2/load/"+load, nil, &l)
		if l.Status == "failed" {
			s.t.Fatalf("load failed: %s", l.Error)
		}
		return l.Status == "merged"
	})
}

// Eventually polls until done, for up to 30 s.
func (s *Server) Eventually(what string, done func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within 30 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
