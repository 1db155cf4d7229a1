package access

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ByTLS reports whether a request came by TLS, to the server itself or to a
// proxy in front of it that is trusted to say so.
func (a *Access) ByTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	from, ok := remote(r)
	return ok && a.trusted(from) && strings.EqualFold(strings.TrimSpace(r.Header.Get("X-Forwarded-Proto")), "https")
}

// address is where a request came from: the sender, or behind proxies that are
// trusted the last address that is none of theirs.
func (a *Access) address(r *http.Request) (netip.Addr, bool) {
	from, ok := remote(r)
	if !ok || !a.trusted(from) {
		return from, ok
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break // what lies beyond is nobody's word
		}
		if from = next.Unmap().WithZone(""); !a.trusted(from) {
			break
		}
	}
	return from, true
}

func (a *Access) trusted(from netip.Addr) bool {
	return slices.ContainsFunc(a.proxies, func(p netip.Prefix) bool { return p.Contains(from) })
}

// remote is the address of who opened the connection.
func remote(r *http.Request) (netip.Addr, bool) {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	return p.Addr().Unmap().WithZone(""), true
}

// origin is where a request came from: the network that it is counted by, and
// the larger one that is written down, for an address in full may name a
// person. Whoever has one IPv6 address has the 64 bits below it.
type origin struct{ counted, written string }

// From is what the requests of one sender are counted by: its address, or the 64
// bits before it of an IPv6 one.
func (a *Access) From(r *http.Request) string { return a.origin(r).counted }

func (a *Access) origin(r *http.Request) origin {
	from, ok := a.address(r)
	one, many := 32, 24
	switch {
	case !ok:
		return origin{"unknown", "unknown"}
	case from.Is6():
		one, many = 64, 48
	}
	return origin{netip.PrefixFrom(from, one).Masked().String(), netip.PrefixFrom(from, many).Masked().String()}
}
