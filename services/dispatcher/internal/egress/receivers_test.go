package egress

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const patience = time.Minute

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// receiver starts an HTTPS receiver and gives a client that trusts it.
func receiver(t *testing.T, handler http.HandlerFunc, change func(*Rules)) (string, *Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	client := starts(t, server, change)
	return server.URL, client
}

// starts starts a server with TLS and gives a client that trusts it.
func starts(t *testing.T, server *httptest.Server, change func(*Rules)) *Client {
	t.Helper()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	rules := Rules{AllowNetworks: loopback, Roots: roots, Timeout: 30 * time.Second}
	if change != nil {
		change(&rules)
	}
	client := New(rules)
	t.Cleanup(client.Close)
	return client
}

// listen takes a port until the test ends.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// serveEach serves every connection until the listener is closed.
func serveEach(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			serve(conn)
		}()
	}
}

// liar starts a receiver that speaks TLS as it should, and nothing else.
func liar(t *testing.T, protocol string, timeout time.Duration, serve func(net.Conn)) (string, *Client) {
	t.Helper()
	honest := httptest.NewTLSServer(http.NotFoundHandler())
	roots := x509.NewCertPool()
	roots.AddCert(honest.Certificate())
	config := &tls.Config{Certificates: honest.TLS.Certificates, NextProtos: []string{protocol}}
	honest.Close()
	listener := tls.NewListener(listen(t), config)
	go serveEach(listener, serve)
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: timeout})
	t.Cleanup(client.Close)
	return "https://" + listener.Addr().String(), client
}

// says answers every request with a text.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4096)); err == nil {
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn) // until the other side has enough
		}
	}
}

// answers gives every request over HTTP/2 a status and does what follows.
func answers(conn net.Conn, status string, follow func(*http2.Framer, uint32) error) error {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		if !frame.Header().Flags.Has(http2.FlagDataEndStream) || frame.Header().Type != http2.FrameData {
			continue
		}
		var head bytes.Buffer
		if err := hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: status}); err != nil {
			return err
		}
		stream := frame.Header().StreamID
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
			return err
		}
		if err := follow(framer, stream); err != nil {
			return err
		}
	}
}

// within gives what the function gives, unless it never ends.
func within[T any](t *testing.T, what string, do func() T) T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- do() }()
	select {
	case value := <-done:
		return value
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
		panic("unreachable")
	}
}

// relayTo passes on what is said over its connections. Those that are open when
// silent is set pass on nothing more, and are not ended.
func relayTo(t *testing.T, addr string, silent *atomic.Bool) string {
	t.Helper()
	listener := listen(t)
	go serveEach(listener, func(near net.Conn) {
		far, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			return
		}
		first := !silent.Load()
		copyTo := func(to, from net.Conn) {
			chunk := make([]byte, 16<<10)
			for {
				n, err := from.Read(chunk)
				if err != nil {
					_ = to.Close()
					return
				}
				if !first || !silent.Load() {
					_, _ = to.Write(chunk[:n])
				}
			}
		}
		go copyTo(far, near)
		copyTo(near, far)
	})
	return listener.Addr().String()
}
