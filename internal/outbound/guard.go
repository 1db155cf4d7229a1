package outbound

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"usher/internal/activation"
)

// guard keeps calls out of the own house. It looks at the address that is
// dialled, after the name is resolved, so that a public name for an internal
// address does not pass.
type guard struct {
	open    bool
	allowed []string
	free    net.Dialer
	guarded net.Dialer
}

func newGuard(cfg Config) *guard {
	g := &guard{open: cfg.AllowPrivate}
	for _, h := range cfg.AllowedHosts {
		g.allowed = append(g.allowed, strings.ToLower(h))
	}
	g.free = net.Dialer{Timeout: cfg.ConnectTimeout}
	g.guarded = net.Dialer{Timeout: cfg.ConnectTimeout, Control: refuseInternal}
	return g
}

func (g *guard) allows(hostport string) bool {
	return g.open || slices.Contains(g.allowed, strings.ToLower(hostport))
}

func (g *guard) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	if g.allows(hostport) {
		return g.free.DialContext(ctx, network, hostport)
	}
	return g.guarded.DialContext(ctx, network, hostport)
}

// checkScheme refuses plain http to hosts that are not allowed by name.
func (g *guard) checkScheme(req *http.Request) error {
	port := req.URL.Port()
	switch req.URL.Scheme {
	case "https":
		return nil
	case "http":
		if port == "" {
			port = "80"
		}
		if g.allows(net.JoinHostPort(req.URL.Hostname(), port)) {
			return nil
		}
	}
	return &activation.Error{
		Kind: activation.Invalid, Code: CodeAddress,
		Message: "the address is not https: credentials and personal data do not travel in the clear",
	}
}

func refuseInternal(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err == nil && public(ap.Addr()) {
		return nil
	}
	return &activation.Error{
		Kind: activation.Invalid, Code: CodeAddress,
		Message: "the address is inside the own network and is not among the allowed hosts",
	}
}

// reserved are ranges that are not the public internet beside those netip names.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier NAT
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // carries any IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001::/32"), // Teredo, likewise
	netip.MustParsePrefix("2002::/16"), // 6to4, likewise
	netip.MustParsePrefix("fec0::/10"),
}

// public reports whether a is on the public internet. Cloud metadata services
// are link-local or private, and so are not.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) })
}
