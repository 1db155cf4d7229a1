package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/engine"
)

// TestFence: a process that has not let go of the warehouse when its lost lease
// can be over ends itself, and one that has does not.
func TestFence(t *testing.T) {
	for name, test := range map[string]struct {
		cause error
		letGo time.Duration
		ends  bool
	}{
		"in time":      {engine.ErrLeaseLost, letGoWithin - time.Second, false},
		"too late":     {engine.ErrLeaseLost, letGoWithin + time.Second, true},
		"only stopped": {context.Canceled, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := time.Time{}
				p := &Process{log: slog.New(slog.DiscardHandler)}
				p.exit = func() { ended = time.Now() }
				held, lose := context.WithCancelCause(t.Context())
				done := p.fence(held)
				time.Sleep(time.Hour)
				lost := time.Now()
				lose(test.cause)
				time.Sleep(test.letGo)
				done()
				synctest.Wait()
				if test.ends != !ended.IsZero() {
					t.Fatalf("ended itself: %t, want %t", !ended.IsZero(), test.ends)
				}
				if test.ends && ended.Sub(lost) != letGoWithin {
					t.Errorf("ended itself %s after the loss, want %s", ended.Sub(lost), letGoWithin)
				}
			})
		})
	}
}

// TestTurns: one server after the other answers at the same address, and who
// asks in between waits for the next.
func TestTurns(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	turns := newTurns(ln)
	ask := func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String(), nil)
		if err != nil {
			return err.Error()
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		return string(body)
	}
	for _, name := range []string{"first", "second", "third"} {
		early := make(chan string, 1)
		go func() { early <- ask() }()
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }), ReadHeaderTimeout: time.Minute}
		served := make(chan error, 1)
		turn := turns.turn()
		go func() { served <- srv.Serve(turn) }()
		for _, got := range []string{<-early, ask()} {
			if got != name {
				t.Errorf("%s answers in the turn of %s", got, name)
			}
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
	for range 2 {
		if err := turns.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := turns.turn().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted after the end: %v", err)
	}
}
