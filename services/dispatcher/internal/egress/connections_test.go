package egress

import (
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

// A receiver may take one request at a time over a connection: calls that are
// made at once get connections of their own.
func TestPostsToAReceiverThatTakesFewAtOnce(t *testing.T) {
	t.Parallel()
	const calls = 24
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{}")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: 30 * time.Second})
	t.Cleanup(client.Close)

	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			if _, err := client.Post(t.Context(), Request{URL: server.URL, Body: []byte("{}"), WantAnswer: true}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Nothing of a call stays after its end: the standard library goes on with a
// handshake that nobody waits for.
func TestConnectionsEndWithTheirCall(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	client := New(Rules{AllowNetworks: loopback, Timeout: 300 * time.Millisecond})
	defer client.Close()
	answer, err := client.Post(t.Context(), Request{URL: "https://" + listener.Addr().String()})
	if got := Outcome(answer, err); got != events.OutcomeTimeout {
		t.Fatalf("outcome %q (%v)", got, err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection was not ended: %v", err)
	}
}

// A connection whose other end is gone without a word is given up, also where
// calls share it.
func TestASilentConnectionIsLeft(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "{}")
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			t.Cleanup(server.Close)
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			var silent atomic.Bool
			relay := relayTo(t, server.Listener.Addr().String(), &silent)
			client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: 2 * time.Second})
			t.Cleanup(client.Close)
			post := func() error {
				_, err := client.Post(t.Context(), Request{URL: "https://" + relay, Body: []byte("{}"), WantAnswer: true})
				return err
			}
			if err := post(); err != nil {
				t.Fatal(err)
			}
			silent.Store(true)
			lost := 0
			for post() != nil {
				if lost++; lost == 10 {
					t.Fatalf("%d calls were lost over one silent connection", lost)
				}
			}
		})
	}
}

// relayTo passes on what is said over its connections. Those that are open when
// silent is set pass on nothing more, and are not ended.
func relayTo(t *testing.T, addr string, silent *atomic.Bool) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
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
			go copyTo(near, far)
		}
	}()
	return listener.Addr().String()
}
