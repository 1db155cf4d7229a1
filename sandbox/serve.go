package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// stopWait is how long Serve lets calls under way end when it stops.
const stopWait = 5 * time.Second

// Listen opens addr, such as "127.0.0.1:0", for Serve.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the sandbox: %w", err)
	}
	return ln, nil
}

// ListenOwn opens a port on host for every network that has one of its own.
// Serve does it on the host of its listener where nobody did before.
func (s *Sandbox) ListenOwn(ctx context.Context, host string) error {
	for _, e := range s.networks {
		if _, own := e.network.(Listener); !own || e.ln != nil {
			continue
		}
		ln, err := Listen(ctx, net.JoinHostPort(host, "0"))
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		e.ln = ln
	}
	return nil
}

// Serve answers on ln, and on the ports that networks have of their own, until
// ctx ends, then stops in order, closes the sandbox and returns nil. It owns the
// listeners and its goroutines; none is left when it returns.
func (s *Sandbox) Serve(ctx context.Context, ln net.Listener) error {
	host, _, _ := net.SplitHostPort(ln.Addr().String())
	if err := s.ListenOwn(ctx, host); err != nil {
		return errors.Join(err, ln.Close(), s.Close())
	}
	own, endOwn := context.WithCancel(ctx)
	defer endOwn()
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	ended, running := make(chan error), 1
	go func() { ended <- server.Serve(ln) }()
	for _, e := range s.networks {
		if n, ok := e.network.(Listener); ok {
			running++
			go func() { ended <- n.Serve(own, e.ln) }()
		}
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-ended:
		running--
	}
	endOwn()
	for _, e := range s.networks {
		e.network.Release()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close()
	}
	for range running {
		if err := <-ended; failed == nil || errors.Is(failed, http.ErrServerClosed) {
			failed = err
		}
	}
	if errors.Is(failed, http.ErrServerClosed) {
		failed = nil
	}
	return errors.Join(failed, s.Close())
}
