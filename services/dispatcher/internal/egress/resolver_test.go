package egress

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/parley-dsr/parley/pkg/events"
)

// names answers look-ups with what the function gives for a name.
func names(answer func(name string) []netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serveNames(server, answer)
		return client, nil
	}}
}

// serveNames speaks DNS as over TCP: each message has its length before it.
func serveNames(conn net.Conn, answer func(name string) []netip.Addr) {
	defer func() { _ = conn.Close() }()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		message := make([]byte, int(length[0])<<8|int(length[1]))
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		reply, err := lookUp(message, answer)
		if err != nil {
			return
		}
		if _, err := conn.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))}, reply...)); err != nil {
			return
		}
	}
}

func lookUp(message []byte, answer func(name string) []netip.Addr) ([]byte, error) {
	var query dnsmessage.Message
	if err := query.Unpack(message); err != nil {
		return nil, err
	}
	question := query.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	for _, address := range answer(strings.TrimSuffix(question.Name.String(), ".")) {
		header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class}
		switch {
		case address.Is4() && question.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case address.Is6() && question.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return reply.Pack()
}

// certified starts an HTTPS receiver with a certificate for the name, and gives
// its port and the root to trust.
func certified(t *testing.T, name string, handler http.HandlerFunc) (port string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(certificate)
	_, port, err = net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, roots
}

// A name that led to an allowed address the first time gains nothing by leading
// to another one the second time: each connection is checked by itself.
func TestNameThatChanges(t *testing.T) {
	t.Parallel()
	const name = "receiver.example"
	var calls, lookUps atomic.Int32
	port, roots := certified(t, name, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Connection", "close")
	})
	var address atomic.Pointer[[]netip.Addr]
	lead := func(to ...string) {
		var addresses []netip.Addr
		for _, a := range to {
			addresses = append(addresses, netip.MustParseAddr(a))
		}
		address.Store(&addresses)
	}
	client := New(Rules{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: roots, Timeout: 20 * time.Second,
		Resolver: names(func(string) []netip.Addr { lookUps.Add(1); return *address.Load() }),
	})
	t.Cleanup(client.Close)
	url := "https://" + name + ":" + port + "/hook"
	for i, step := range []struct {
		to   []string
		want string
	}{
		{[]string{"127.0.0.1"}, events.OutcomeOK},
		{[]string{"127.0.0.2"}, events.OutcomeForbidden},
		{[]string{"10.0.0.1"}, events.OutcomeForbidden},
		{[]string{"169.254.169.254"}, events.OutcomeForbidden},
		{[]string{"::1"}, events.OutcomeForbidden},
		{[]string{"10.0.0.1", "127.0.0.1"}, events.OutcomeOK},
		{[]string{"10.0.0.1", "192.168.0.1"}, events.OutcomeForbidden},
		{nil, events.OutcomeDNS},
		{[]string{"127.0.0.1"}, events.OutcomeOK},
	} {
		lead(step.to...)
		before := calls.Load()
		answer, err := client.Post(t.Context(), Request{URL: url, Header: http.Header{"Authorization": {"s3cret"}}, Body: []byte("{}")})
		if got := Outcome(answer, err); got != step.want {
			t.Errorf("step %d: outcome %q (%v), want %q", i, got, err, step.want)
		}
		if made := calls.Load() > before; made != (step.want == events.OutcomeOK) {
			t.Errorf("step %d: made %v", i, made)
		}
		if err := client.Reach(t.Context(), url, nil); Outcome(Answer{Status: 200}, err) != step.want {
			t.Errorf("step %d: reach: %v, want %q", i, err, step.want)
		}
	}
	if lookUps.Load() == 0 {
		t.Error("the name was not looked up")
	}
}

// A probe looks a name up as a call does.
func TestNameThatIsNotASCII(t *testing.T) {
	t.Parallel()
	port, roots := certified(t, "xn--bcher-kva.example", func(http.ResponseWriter, *http.Request) {})
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: 20 * time.Second, Resolver: names(func(name string) []netip.Addr {
		if name == "xn--bcher-kva.example" {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return nil
	})})
	t.Cleanup(client.Close)
	url := "https://b\u00fccher.example:" + port
	if answer, err := client.Post(t.Context(), Request{URL: url}); Outcome(answer, err) != events.OutcomeOK {
		t.Errorf("call: %v", err)
	}
	if err := client.Reach(t.Context(), url, nil); err != nil {
		t.Errorf("probe: %v", err)
	}
}

func TestPortsThatAreNone(t *testing.T) {
	t.Parallel()
	client := New(Rules{AllowNetworks: loopback, Timeout: 20 * time.Second})
	for _, port := range []string{"0", "65536", "99999", "99999999999999999999"} {
		answer, err := client.Post(t.Context(), Request{URL: "https://127.0.0.1:" + port})
		if got := Outcome(answer, err); got != events.OutcomeUnconfigured {
			t.Errorf("%s: outcome %q (%v)", port, got, err)
		}
	}
}
