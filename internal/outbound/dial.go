package outbound

import (
	"context"
	"net"
)

// Dialer returns what opens connections that are not HTTP, with the same guard
// against internal addresses as the HTTP client of cfg. Its errors are
// *activation.Error and safe to show.
func Dialer(cfg Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	g := newGuard(cfg.withDefaults())
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := g.dial(ctx, network, address)
		if err != nil {
			return nil, fault(network, err, false)
		}
		return conn, nil
	}
}
