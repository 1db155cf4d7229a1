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

// Serve answers on ln until ctx ends, then stops in order, closes the sandbox
// and returns nil. It owns ln and its goroutines; none is left when it returns.
func (s *Sandbox) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	var failed error
	select {
	case <-ctx.Done():
	case err := <-served:
		failed = err
	}
	s.meta.Release()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close()
	}
	if failed == nil {
		failed = <-served
	}
	if errors.Is(failed, http.ErrServerClosed) {
		failed = nil
	}
	return errors.Join(failed, s.Close())
}
