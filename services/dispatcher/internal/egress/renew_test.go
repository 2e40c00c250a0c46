package egress

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A receiver that has moved is found also where there is always a call under
// way, which keeps the connection to the old one open.
func TestABusyReceiverThatMoves(t *testing.T) {
	t.Parallel()
	for name, certificate := range map[string]*tls.Certificate{"as it is": nil, "with a client certificate": signed(t, 1, nil)} {
		for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
			t.Run(name+", "+protocol, func(t *testing.T) {
				t.Parallel()
				seesAMove(t, http2, certificate)
			})
		}
	}
}

func seesAMove(t *testing.T, http2 bool, certificate *tls.Certificate) {
	t.Helper()
	held, release := make(chan struct{}, 1), make(chan struct{})
	houses, port, roots := twoHouses(t, http2, func(house string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				held <- struct{}{}
				<-release
			}
			_, _ = io.WriteString(w, house+" over "+r.Proto)
		}
	})
	var at atomic.Value
	at.Store(houses[0])
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: patience, Resolver: names(func(string) []netip.Addr {
		return []netip.Addr{at.Load().(netip.Addr)}
	})})
	t.Cleanup(client.Close)
	var passed atomic.Int64
	began := time.Now()
	client.transports.clock = func() time.Time { return began.Add(time.Duration(passed.Load())) }
	post := func(path, want string) {
		t.Helper()
		answer, err := client.Post(t.Context(), Request{
			URL: "https://example.com:" + port + path, Body: []byte("{}"), WantAnswer: true, Certificate: certificate,
		})
		if err != nil || !strings.HasPrefix(string(answer.Body), want) || strings.HasSuffix(string(answer.Body), "2.0") != http2 {
			t.Errorf("%s: got %q, %v, want %s", path, answer.Body, err, want)
		}
	}
	var slow sync.WaitGroup
	slow.Go(func() { post("/slow", "old") })
	<-held
	post("/", "old")
	at.Store(houses[1])
	post("/", "old") // over the connection that is there
	passed.Store(int64(renewAfter))
	post("/", "new")
	close(release)
	slow.Wait()
}

// twoHouses starts the same receiver at two addresses.
func twoHouses(t *testing.T, http2 bool, handler func(house string) http.HandlerFunc) (at [2]netip.Addr, port string, roots *x509.CertPool) {
	t.Helper()
	at = [2]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	roots = x509.NewCertPool()
	listeners, port := neighbours(t, at)
	for i, house := range []string{"old", "new"} {
		server := httptest.NewUnstartedServer(handler(house))
		_ = server.Listener.Close()
		server.Listener, server.EnableHTTP2 = listeners[i], http2
		server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		server.StartTLS()
		t.Cleanup(server.Close)
		roots.AddCert(server.Certificate())
	}
	return at, port, roots
}

// neighbours listens at two addresses on one port.
func neighbours(t *testing.T, at [2]netip.Addr) (listeners [2]net.Listener, port string) {
	t.Helper()
	listen := func(host, port string) (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, port))
	}
	for range 100 {
		first, err := listen(at[0].String(), "0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if second, err := listen(at[1].String(), port); err == nil {
			return [2]net.Listener{first, second}, port
		}
		_ = first.Close() // somebody has that port at the other address
	}
	t.Fatal("no port is free at both addresses")
	return listeners, ""
}
