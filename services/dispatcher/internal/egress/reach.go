package egress

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/idna"
)

// A receiver that misses a client certificate says so only after a handshake of
// TLS 1.3. Reach listens for so long.
const afterHandshake = 250 * time.Millisecond

// Reach sees, under the rules of a call, whether a URL can be reached: the name
// resolves, the address may be dialled and answers, and the TLS handshake
// succeeds. No request is made. Outcome tells what an error means.
func (c *Client) Reach(ctx context.Context, raw string, certificate *tls.Certificate) error {
	if err := c.Check(raw); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ErrURL
	}
	host := asciiName(u.Hostname())
	ctx, cancel := context.WithTimeout(ctx, c.rules.Timeout)
	defer cancel()
	plain := strings.EqualFold(u.Scheme, "http")
	conn, err := c.transports.dialer.DialContext(ctx, "tcp", address(host, u.Port(), plain))
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if plain {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.rules.Roots, ServerName: host}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return shake(ctx, tls.Client(conn, config))
}

// asciiName is a host as it is looked up, which is what a call does, too.
func asciiName(host string) string {
	if name, err := idna.Lookup.ToASCII(host); err == nil && !isASCII(host) {
		return name
	}
	return host
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

func address(host, port string, plain bool) string {
	switch {
	case port != "":
	case plain:
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(host, port)
}

// shake makes the handshake and listens a moment for a complaint.
func shake(ctx context.Context, conn *tls.Conn) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(afterHandshake)); err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil && isTLS(err) {
		return fmt.Errorf("egress: %w", err)
	}
	return nil
}
