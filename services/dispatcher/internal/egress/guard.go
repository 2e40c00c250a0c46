package egress

import (
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// control gives the hook of the dialer that sees the address that is really
// dialled, after the name was resolved: a name that resolves to something else
// the second time gains nothing.
func control(allowed []netip.Prefix) func(network, address string, c syscall.RawConn) error {
	var v4, v6 []netip.Prefix
	for _, prefix := range allowed {
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix)
		} else {
			v6 = append(v6, prefix)
		}
	}
	return ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)).Safe
}
