package outbound

import (
	"context"
	"net"
)

// Dialer returns what opens connections that are not HTTP, with the same guard
// against internal addresses as the HTTP client of cfg. Its errors are
// *activation.Error and safe to show.
func Dialer(cfg Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := newGuard(cfg.withDefaults()).dial
	if cfg.Dial != nil {
		dial = cfg.Dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, fault(network, err, false)
		}
		return conn, nil
	}
}
