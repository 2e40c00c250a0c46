package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr finds the caller's address. X-Forwarded-For is read from its end,
// since only what trusted proxies appended is known to be true: the first
// address from there that is not a trusted proxy is the caller.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a unix socket has no address
	}
	addr := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !isTrusted(addr, trusted) {
			return addr
		}
		named, err := parseHop(strings.TrimSpace(hop))
		if err != nil {
			return addr
		}
		addr = named
	}
	return addr
}

// parseHop takes an address, also with a port, as some proxies write it.
func parseHop(s string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return withPort.Addr().Unmap().WithZone(""), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone(""), err
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}
