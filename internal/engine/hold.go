package engine

import "context"

// ErrHeld is Hold's answer while another node holds the lease.
var ErrHeld = errHeld

// Hold takes a lease for something that is no engine's work and keeps it, as an
// engine keeps its own, until release is called: the context it returns is done,
// with ErrLeaseLost as its cause, cfg.StopWithin before the lease can be over.
// Of cfg it needs Node and Leases. release waits until the lease is given back.
func Hold(ctx context.Context, cfg Config, name string) (held context.Context, release func(), err error) {
	return New(cfg).hold(ctx, name)
}
