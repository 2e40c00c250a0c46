package receiver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type bundle struct {
	*Receiver
	client  *http.Client
	replies chan *http.Request // what Parley got; bodies are read
}

// setup starts a receiver, a stand-in for Parley that takes its replies, and a
// client that trusts the receiver's authority only.
func setup(t *testing.T) bundle {
	t.Helper()
	replies := make(chan *http.Request, 8)
	parley := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		replies <- r
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"detail":"later"}`))
	}))
	t.Cleanup(parley.Close)
	r, err := Start(Options{Dir: t.TempDir(), Origin: parley.URL + "/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return bundle{Receiver: r, client: trusting(t, r), replies: replies}
}

func trusting(t *testing.T, r *Receiver, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	authority, err := os.ReadFile(r.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("no certificate in the authority's file")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (b bundle) post(t *testing.T, path, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestScriptAnswersInOrderAndRepeatsItsLast(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.Script("/prep", Status(http.StatusServiceUnavailable), DeriveAndHalt(map[string]any{"email": "b@example.com"}), Halt())
	want := []struct {
		status int
		body   string
	}{
		{http.StatusServiceUnavailable, ""},
		{http.StatusOK, `{"derived_identity":{"email":"b@example.com"},"halt":true}`},
		{http.StatusOK, `{"halt":true}`},
		{http.StatusOK, `{"halt":true}`},
	}
	for i, w := range want {
		if status, body := r.post(t, "/prep", `{}`, nil); status != w.status || body != w.body {
			t.Errorf("answer %d: got %d %s, want %d %s", i+1, status, body, w.status, w.body)
		}
	}
	if status, body := r.post(t, "/unscripted", `{}`, nil); status != http.StatusOK || body != `{"halt":false}` {
		t.Errorf("without a script: got %d %s", status, body)
	}
}

func TestNextGivesEachCallOnceAndByPath(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.post(t, "/a", `{"privacy_request_id":"pri_1","callback_type":"pre","identity":{"email":"a@example.com"}}`, http.Header{"Webhook-Id": {"call"}})
	r.post(t, "/b", `not json`, nil)
	r.post(t, "/a", `{}`, nil)

	first, err := r.Next(t.Context(), "/a")
	if err != nil || first.Number != 1 || first.WebhookID() != "call" || first.At.IsZero() {
		t.Fatalf("first call: %+v, %v", first, err)
	}
	payload, err := first.Payload()
	if err != nil || payload.PrivacyRequestID != "pri_1" || payload.CallbackType != "pre" || payload.Identity["email"] != "a@example.com" {
		t.Fatalf("payload: %+v, %v", payload, err)
	}
	if second, err := r.Next(t.Context(), "/a"); err != nil || second.Number != 2 {
		t.Fatalf("second call: %+v, %v", second, err)
	}
	other, err := r.Next(t.Context(), "/b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Payload(); err == nil {
		t.Fatal("a body that is not JSON was read as a payload")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ended, "/a"); !errors.Is(err, context.Canceled) {
		t.Fatalf("a call was given twice: %v", err)
	}
	if calls := r.Calls(); len(calls) != 3 {
		t.Fatalf("%d calls are recorded, want 3", len(calls))
	}
}

func TestNextWaits(t *testing.T) {
	t.Parallel()
	r := setup(t)
	got := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := r.Next(t.Context(), "/late")
			got <- err
		}()
	}
	r.post(t, "/late", "", nil)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Fatalf("after the end: %v", err)
	}
}

func TestHeldCallIsSeenWhileItsCallerWaits(t *testing.T) {
	t.Parallel()
	r := setup(t)
	hold := make(chan struct{})
	r.Script("/slow", Continue().Until(hold))
	answered := make(chan int, 1)
	go func() {
		resp, err := r.client.Post(r.URL("/slow"), "application/json", nil)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	if _, err := r.Next(t.Context(), "/slow"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-answered:
		t.Fatal("answered while it was held")
	default:
	}
	close(hold)
	if status := <-answered; status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
}

func TestDropBreaksTheConnection(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.Script("/gone", Answer{Drop: true})
	resp, err := r.client.Post(r.URL("/gone"), "application/json", nil)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("got an answer: %d", resp.StatusCode)
	}
}

func TestRepliesGoToTheOriginWithThePathAppended(t *testing.T) {
	t.Parallel()
	r := setup(t)
	halted := Call{Header: http.Header{"Reply-To": {"/privacy-request/pri_1/resume"}, "Reply-To-Token": {"jwe"}}}
	asked := Call{Header: http.Header{
		"Reply-To-Eligible":     {"/privacy-request/pri_1/pre-approve/eligible"},
		"Reply-To-Not-Eligible": {"/privacy-request/pri_1/pre-approve/not-eligible"},
		"Reply-To-Token":        {"jwe"},
	}}
	tests := map[string]struct {
		send func() (Reply, error)
		path string
		body string
	}{
		"resume": {func() (Reply, error) { return r.Resume(t.Context(), halted, nil) }, halted.ReplyTo(), `{}`},
		"resume with identity": {func() (Reply, error) {
			return r.Resume(t.Context(), halted, map[string]any{"phone_number": "+15555555555"})
		}, halted.ReplyTo(), `{"derived_identity":{"phone_number":"+15555555555"}}`},
		"eligible":     {func() (Reply, error) { return r.Eligible(t.Context(), asked, true) }, "/privacy-request/pri_1/pre-approve/eligible", ""},
		"not eligible": {func() (Reply, error) { return r.Eligible(t.Context(), asked, false) }, "/privacy-request/pri_1/pre-approve/not-eligible", ""},
	}
	for name, tt := range tests { // one after the other: they share the stand-in
		reply, err := tt.send()
		if err != nil || reply.Status != http.StatusServiceUnavailable || string(reply.Body) != `{"detail":"later"}` || reply.Header.Get("Retry-After") != "5" {
			t.Errorf("%s: %+v, %v", name, reply, err)
		}
		got := <-r.replies
		body, _ := io.ReadAll(got.Body)
		if got.Method != http.MethodPost || got.URL.Path != tt.path || string(body) != tt.body || got.Header.Get("Authorization") != "Bearer jwe" {
			t.Errorf("%s: Parley got %s %s %s", name, got.Method, got.URL.Path, body)
		}
	}
	if _, err := r.Resume(t.Context(), Call{}, nil); !errors.Is(err, ErrNoReply) {
		t.Errorf("a call without reply headers: %v", err)
	}
}

func TestOAuthToken(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.Script("/token", OAuthToken("id", "s/cret", "opaque"))
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read write"}}
	plain := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	basic := (&http.Request{Header: plain.Clone()})
	basic.SetBasicAuth(url.QueryEscape("id"), url.QueryEscape("s/cret"))

	if status, body := r.post(t, "/token", form.Encode(), basic.Header); status != http.StatusOK || !strings.Contains(body, `"access_token":"opaque"`) {
		t.Errorf("in the header: %d %s", status, body)
	}
	if status, _ := r.post(t, "/token", form.Encode(), plain); status != http.StatusUnauthorized {
		t.Errorf("without credentials: %d", status)
	}
	form.Set("client_id", "id")
	form.Set("client_secret", "s/cret")
	if status, _ := r.post(t, "/token", form.Encode(), plain); status != http.StatusOK {
		t.Errorf("in the form: %d", status)
	}
}

func TestTrust(t *testing.T) {
	t.Parallel()
	r := setup(t)
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}}}
	if resp, err := stranger.Get(r.URL("/")); err == nil {
		_ = resp.Body.Close()
		t.Error("trusted without its authority")
	}
	port := r.addr.String()[strings.LastIndex(r.addr.String(), ":"):]
	resp, err := r.client.Get("https://localhost" + port + "/named")
	if err != nil {
		t.Fatalf("by name: %v", err)
	}
	_ = resp.Body.Close()
	for _, name := range []string{caFile, certificateFile, keyFile} {
		if info, err := os.Stat(filepath.Join(r.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestClientCertificateIsRecorded(t *testing.T) {
	t.Parallel()
	r := setup(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, der, err := sign(authority(time.Now()), nil, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	r.client = trusting(t, r.Receiver, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	r.post(t, "/mutual", "", nil)
	call, err := r.Next(t.Context(), "/mutual")
	if err != nil {
		t.Fatal(err)
	}
	if call.Certificate == nil || !call.Certificate.Equal(cert) {
		t.Fatal("the client's certificate is not recorded")
	}
}

func TestStartFailsWhereItCannotListenOrWrite(t *testing.T) {
	t.Parallel()
	r := setup(t)
	if _, err := Start(Options{Dir: t.TempDir(), Addr: r.addr.String()}); err == nil {
		t.Error("two receivers on one address")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{Dir: file}); err == nil {
		t.Error("certificates in a file in place of a directory")
	}
}
