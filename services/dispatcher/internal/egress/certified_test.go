package egress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

// signed gives a certificate that the parent, or for nil itself, has signed.
func signed(t *testing.T, serial int64, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		SubjectKeyId: []byte{byte(serial)},
	}
	template.Subject.SerialNumber = template.SerialNumber.String()
	issuer, by := template, key
	if parent != nil {
		issuer, by = parent.Leaf, parent.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Who forgot the certificates between theirs and the root adds them, and that
// counts at the next call.
func TestAChainIsMended(t *testing.T) {
	t.Parallel()
	root := signed(t, 1, nil)
	between := signed(t, 2, root)
	bare := signed(t, 3, between)
	whole := &tls.Certificate{
		Certificate: [][]byte{bare.Certificate[0], between.Certificate[0]}, PrivateKey: bare.PrivateKey, Leaf: bare.Leaf,
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(), MaxVersion: tls.VersionTLS12}
	server.TLS.ClientCAs.AddCert(root.Leaf)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: 30 * time.Second})
	t.Cleanup(client.Close)
	for _, step := range []struct {
		certificate *tls.Certificate
		want        string
	}{{bare, events.OutcomeTLS}, {whole, events.OutcomeOK}, {bare, events.OutcomeTLS}, {nil, events.OutcomeTLS}, {whole, events.OutcomeOK}} {
		answer, err := client.Post(t.Context(), Request{URL: server.URL, Body: []byte("{}"), Certificate: step.certificate})
		if got := Outcome(answer, err); got != step.want {
			t.Errorf("outcome %q (%v), want %q", got, err, step.want)
		}
	}
}
