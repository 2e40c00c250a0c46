package egress

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxCertified is how many transports with a client certificate are kept.
	maxCertified = 256
	// idleAtMost connections are kept for the next call, idlePerHost to one
	// host. Many connections of a company lead to one gateway, and a handshake
	// costs more than the rest of a call.
	idleAtMost  = 1024
	idlePerHost = 256
	// renewAfter is how long connections are used for new calls. A busy one is
	// never idle: its name would not be looked up again for as long as there
	// are calls, nor its certificate.
	renewAfter = 5 * time.Minute
)

// transports keeps the connections. Those made with a client certificate
// belong to it and are used for nothing else.
type transports struct {
	dialer *net.Dialer
	clock  func() time.Time

	mu        sync.Mutex
	renewed   time.Time
	plain     *http.Transport
	certified map[[sha256.Size]byte]*http.Transport
}

func newTransports(rules Rules) *transports {
	dialer := &net.Dialer{Control: control(rules.AllowNetworks), Timeout: rules.Timeout, KeepAlive: 30 * time.Second, Resolver: rules.Resolver}
	return &transports{
		dialer:  dialer,
		clock:   time.Now,
		renewed: time.Now(),
		plain: &http.Transport{
			Proxy:                  nil,
			DialContext:            paced(rationing(dialer.DialContext)),
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: rules.Roots},
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           idleAtMost,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			// A connection that is being opened outlives its call.
			TLSHandshakeTimeout: rules.Timeout,
			// All calls to a host share one connection of HTTP/2. Where its other
			// end is gone without a word, it is given up when it has been silent
			// for as long as a call may take.
			// The same holds for one that says much and listens to nothing.
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: rules.Timeout / 2, PingTimeout: rules.Timeout / 2, WriteByteTimeout: rules.Timeout,
				MaxReceiveBufferPerStream: MaxAnswer,
			},
		},
		certified: map[[sha256.Size]byte]*http.Transport{},
	}
}

// of gives the transport for a client certificate, nil for none. Where there
// are too many, any one makes room: its connections end once they are idle.
// The whole chain counts: it may be mended while the certificate stays.
func (t *transports) of(certificate *tls.Certificate) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.clock(); now.Sub(t.renewed) >= renewAfter {
		t.renewed = now
		t.renew()
	}
	if certificate == nil || len(certificate.Certificate) == 0 {
		return t.plain
	}
	key := sha256.Sum256(bytes.Join(certificate.Certificate, nil)) // each says how long it is
	if transport, ok := t.certified[key]; ok {
		return transport
	}
	for old, transport := range t.certified {
		if len(t.certified) < maxCertified {
			break
		}
		transport.CloseIdleConnections()
		delete(t.certified, old)
	}
	transport := t.plain.Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{*certificate}
	t.certified[key] = transport
	return transport
}

// renew lets new calls open connections. Those that are in use end with what
// they are used for.
func (t *transports) renew() {
	t.closeIdle()
	t.plain = t.plain.Clone()
	clear(t.certified)
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeIdle()
}

func (t *transports) closeIdle() {
	t.plain.CloseIdleConnections()
	for _, transport := range t.certified {
		transport.CloseIdleConnections()
	}
}
