package dispatcher

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

func (b *bundle) withOAuth(tokenURL string) func(*catalog.Connection) {
	b.t.Helper()
	secret := "s3cret"
	plain, err := json.Marshal(catalog.OAuth{GrantType: "client_credentials", TokenURL: tokenURL, ClientID: "me", ClientSecret: &secret})
	must(b.t, err)
	sealed, err := b.ring.Seal(keyring.Secret, plain)
	must(b.t, err)
	return func(c *catalog.Connection) { c.SealedOAuth = sealed }
}

// oauthReceiver takes the tokens that it issued, but not the first one.
func oauthReceiver(issued *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"access_token": "t%d", "expires_in": 3600}`, issued.Add(1))
			return
		}
		switch r.Header.Get("Authorization") {
		case "Bearer t2":
			_, _ = io.WriteString(w, `{"halt": false}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

func TestOAuth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var issued atomic.Int32
	url := b.receiver(oauthReceiver(&issued))
	b.connection("con_1", catalog.Secrets{URL: url, Headers: map[string]string{"Authorization": "mine"}}, b.withOAuth(url+"/token"))
	b.start()
	for _, call := range b.more(b.call("con_1", record.Pre, record.TwoWay), 5) {
		b.order(call)
		b.expect(events.WebhookSucceeded, events.OutcomeOK)
	}
	if n := issued.Load(); n != 2 {
		t.Errorf("%d tokens were fetched", n)
	}
}

func TestOAuthIssuerFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.DeliveryMaxAttempts = 2
	handler, calls := answering(http.StatusInternalServerError, `{"error": "secret"}`)
	url := b.receiver(handler)
	b.connection("con_1", catalog.Secrets{URL: url}, b.withOAuth(url+"/token"))
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	b.expect(events.WebhookAttempted, events.OutcomeToken)
	f := b.expect(events.WebhookFailed, events.OutcomeToken)
	if f.data.Error != "Client call failed with status code '500': the OAuth token could not be fetched" {
		t.Errorf("error %q", f.data.Error)
	}
	if len(calls) != 2 {
		t.Errorf("%d requests, of which none may be a call", len(calls))
	}
}

func TestSigned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	handler, calls := answering(http.StatusOK, `{}`)
	url := b.receiver(handler)
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret", SigningSecret: secret})
	b.connection("con_2", catalog.Secrets{URL: url, Authorization: "s3cret", SigningSecret: "whsec_%"})
	b.start()
	b.order(b.call("con_1", record.Post, record.OneWay))
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	verifier, err := standardwebhooks.NewWebhook(secret)
	must(t, err)
	got := <-calls
	if err := verifier.Verify([]byte(got.raw), got.header); err != nil {
		t.Error(err)
	}
	b.order(b.call("con_2", record.Pre, record.TwoWay))
	b.expect(events.WebhookFailed, events.OutcomeUnconfigured)
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	certificate, key, pool := clientCertificate(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	// With TLS 1.3 a client learns only from a broken connection that it had to
	// show a certificate.
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	b.settings.EgressCAFile = filepath.Join(t.TempDir(), "roots.pem")
	must(t, os.WriteFile(b.settings.EgressCAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	b.settings.DeliveryMaxAttempts = 1
	b.connection("con_1", catalog.Secrets{URL: server.URL, Authorization: "s3cret", ClientCertificate: certificate, ClientKey: key})
	b.connection("con_2", catalog.Secrets{URL: server.URL, Authorization: "s3cret"})
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	b.order(b.call("con_2", record.Pre, record.TwoWay))
	b.expect(events.WebhookFailed, events.OutcomeTLS)
}

func clientCertificate(t *testing.T) (certificate, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	encoded, err := x509.MarshalECPrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})), pool
}
