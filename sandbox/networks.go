package sandbox

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"usher/sandbox/fault"
)

// Network is one stand-in. It is served below /<name>/ with that prefix taken
// away. Its methods may be called in parallel.
type Network interface {
	http.Handler
	// Control serves the read-back below /_sandbox/<name>/, prefix taken away.
	// Only callers on this machine reach it.
	Control() http.Handler
	// Release lets the calls go that a fault holds, and holds none any more. It
	// may be called twice.
	Release()
	// Close releases held calls and ends the network; nothing of it runs on. It
	// may be called twice.
	Close() error
}

// Listener is a Network that is spoken to on a port of its own, because it is
// not HTTP or has no path to be served below.
type Listener interface {
	Network
	// Serve answers on ln until ctx ends, closes ln and returns nil when nothing
	// of it runs on.
	Serve(ctx context.Context, ln net.Listener) error
}

// Credentials are what a fresh network takes, by the name of the field that
// asks for it. In a value, {url} stands for the network's address below the
// sandbox, {address} for host:port of its own port, {host} and {port} for its
// parts.
type Credentials map[string]string

// deps are what networks are built with. Their own types have the same fields in
// the same order, so that deps converts to them.
type deps struct {
	Seed   uint64
	Log    *slog.Logger
	Now    func() time.Time
	Faults *fault.Plan
}

// entry is a line of the registry: the name is the path, the package and the
// provider.
type entry struct {
	name, title string
	credentials Credentials
	open        func(Options, deps) (Network, error)
}

// served is a network of one sandbox.
type served struct {
	entry
	network Network
	ln      net.Listener // nil but for a Listener
}
