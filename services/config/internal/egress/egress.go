// Package egress says which URLs may be stored as the address of a receiver or
// of a token endpoint.
//
// It judges by the text alone and resolves nothing: what is refused here could
// never be called, and whoever stores it is told at once. The dispatcher checks
// the address that it really dials, by the same rules, so a name that leads to
// a private network passes here and not there. A text without a scheme is
// accepted, as it always was by the systems that users come from.
package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"code.dny.dev/ssrf"
)

var (
	// ErrPlain is returned for an http URL where only https is allowed.
	ErrPlain = errors.New("the URL must begin with https://")
	// ErrScheme is returned for a URL that is neither http nor https.
	ErrScheme = errors.New("the URL must be an https URL")
	// ErrAddress is returned for an address that is not public.
	ErrAddress = errors.New("the address is not public, and calls to its network are not allowed")
)

// Rules are the rules of the deployment.
type Rules struct {
	guard     *ssrf.Guardian
	allowHTTP bool
}

// New returns the rules: the given networks may be called although they are
// not public, and plain http may be used or not.
func New(networks []netip.Prefix, allowHTTP bool) *Rules {
	var v4, v6 []netip.Prefix
	for _, n := range networks {
		if n.Addr().Is4() {
			v4 = append(v4, n)
		} else {
			v6 = append(v6, n)
		}
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return &Rules{guard: guard, allowHTTP: allowHTTP}
}

// Check says why a URL may not be stored, or nil. The error does not repeat it.
func (r *Rules) Check(raw string) error {
	scheme, _, absolute := strings.Cut(raw, "://")
	if !absolute {
		raw = "https://" + raw
		scheme = "https"
	}
	switch strings.ToLower(strings.TrimSpace(scheme)) {
	case "https":
	case "http":
		if !r.allowHTTP {
			return ErrPlain
		}
	default:
		return ErrScheme
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil // no literal address can be read from it
	}
	return r.checkHost(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."))
}

func (r *Rules) checkHost(host string) error {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1" // the name is reserved for it
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	if r.guard.SafeAddr(addr.WithZone("")) != nil {
		return ErrAddress
	}
	return nil
}
