package listener

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	requestID = "pri_1"
	token     = "the-reply-token"
	body      = `{"privacy_request_id":"pri_1","privacy_request_status":"in_processing","direction":"two_way",` +
		`"callback_type":"pre","identity":{"email":"somebody@example.com","phone_number":null}}`
)

// printed is what the listener prints; it can be waited for.
type printed struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan struct{} // closed, and replaced, with every line
}

func newPrinted() *printed { return &printed{lines: make(chan struct{})} }

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.lines)
	p.lines = make(chan struct{})
	return p.text.Write(b)
}

func (p *printed) look() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.lines
}

func (p *printed) await(t *testing.T, want string) string {
	t.Helper()
	for {
		text, more := p.look()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-more:
		case <-t.Context().Done():
			t.Fatalf("%q is not printed", want)
		case <-time.After(time.Minute):
			t.Fatalf("%q is not printed:\n%s", want, text)
		}
	}
}

type replied struct {
	path, bearer, body string
}

type bundle struct {
	*Listener
	out     *printed
	replies chan replied
}

// setup starts a listener, and a stand-in for Parley that answers replies with
// the statuses, the last one again.
func setup(t *testing.T, o Options, statuses ...int) bundle {
	t.Helper()
	b := bundle{out: newPrinted(), replies: make(chan replied, 8)}
	parley := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		w.WriteHeader(statuses[0])
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		b.replies <- replied{r.URL.Path, r.Header.Get("Authorization"), string(sent)}
	}))
	t.Cleanup(parley.Close)
	o.Addr, o.Origin, o.Out, o.RetryAfter = "127.0.0.1:0", parley.URL, b.out, time.Millisecond
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	b.Listener = l
	return b
}

// call calls the listener as Parley does.
func (b bundle) call(t *testing.T, client *http.Client, change func(http.Header)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL("/prep"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Webhook-Id", "pri_1_call")
	r.Header.Set("Reply-To", "/privacy-request/pri_1/resume")
	r.Header.Set("Reply-To-Token", token)
	if change != nil {
		change(r.Header)
	}
	resp, err := client.Do(r)
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

func receive(t *testing.T, from <-chan replied) replied {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(time.Minute):
		t.Fatal("no reply came")
		panic("unreachable")
	}
}

func TestHaltsAndResumesUntilItIsTaken(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Script: []Step{{
		Halt: true, Derive: map[string]any{"phone_number": "+15555555555"},
		ResumeAfter: Duration(time.Millisecond), ResumeDerive: map[string]any{"email": "b@example.com"},
	}}}, http.StatusServiceUnavailable, http.StatusOK)
	if status, answer := b.call(t, http.DefaultClient, nil); status != http.StatusOK || answer != `{"derived_identity":{"phone_number":"+15555555555"},"halt":true}` {
		t.Fatalf("answer: %d %s", status, answer)
	}
	want := replied{"/privacy-request/pri_1/resume", "Bearer " + token, `{"derived_identity":{"email":"b@example.com"}}`}
	for range 2 { // the first is answered 503
		if got := receive(t, b.replies); got != want {
			t.Errorf("resume: %+v", got)
		}
	}
	text := b.out.await(t, "resume was answered 200")
	for _, want := range []string{"POST /prep  call pri_1_call", "pre two_way of pri_1, which is in_processing", "identity email", "not signed", "with a reply token", "resume was not taken (503"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not printed", want)
		}
	}
	for _, never := range []string{token, "somebody"} {
		if strings.Contains(text, never) {
			t.Errorf("%q is printed", never)
		}
	}
}

func TestScriptStepByStep(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "script.json")
	script := `[{"status":503},{"body":{"halt":"maybe"}},{"delay":"1ms","derive":{"email":"b@example.com"}},{}]`
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	steps, err := ReadScript(file)
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, Options{Script: steps, Bodies: true}, http.StatusOK)
	for i, want := range []string{"503 ", `200 {"halt":"maybe"}`, `200 {"derived_identity":{"email":"b@example.com"},"halt":false}`, `200 {"halt":false}`, `200 {"halt":false}`} {
		status, answer := b.call(t, http.DefaultClient, nil)
		if got := http.StatusText(status) + " " + answer; got != strings.Replace(strings.Replace(want, "200", "OK", 1), "503", "Service Unavailable", 1) {
			t.Errorf("answer %d: %s", i+1, got)
		}
	}
	b.out.await(t, `"email": "somebody@example.com"`)
}

func TestVerifiesSignatures(t *testing.T) {
	t.Parallel()
	const old, current = "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LW9s", "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LW5l"
	b := setup(t, Options{Secrets: []string{current, old}}, http.StatusOK)
	signed := func(secret string, at time.Time) func(http.Header) {
		return func(h http.Header) {
			key, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			signature, err := key.Sign("pri_1_call", at, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			h.Set("Webhook-Signature", signature)
			h.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
		}
	}
	for name, tt := range map[string]struct {
		change func(http.Header)
		status int
	}{
		"current":   {signed(current, time.Now()), http.StatusOK},
		"old":       {signed(old, time.Now()), http.StatusOK},
		"unsigned":  {nil, http.StatusUnauthorized},
		"another's": {signed("whsec_b3RoZXI=", time.Now()), http.StatusUnauthorized},
		"too old":   {signed(current, time.Now().Add(-time.Hour)), http.StatusUnauthorized},
	} {
		if status, _ := b.call(t, http.DefaultClient, tt.change); status != tt.status {
			t.Errorf("%s: %d", name, status)
		}
	}
	if text, _ := b.out.look(); strings.Count(text, "signature verified") != 2 || strings.Count(text, "signature WRONG") != 3 {
		t.Errorf("%s", text)
	}
	for _, wrong := range []string{"b3RoZXI=", "whsec_!"} {
		if _, err := Start(t.Context(), Options{Secrets: []string{wrong}}); err == nil || strings.Contains(err.Error(), wrong) {
			t.Errorf("secret %s: %v", wrong, err)
		}
	}
}

func TestRepliesToPreApproval(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Script: []Step{{Reply: NotEligible}}}, http.StatusOK)
	b.call(t, http.DefaultClient, func(h http.Header) {
		h.Del("Reply-To")
		h.Set("Reply-To-Eligible", "/privacy-request/pri_1/pre-approve/eligible")
		h.Set("Reply-To-Not-Eligible", "/privacy-request/pri_1/pre-approve/not-eligible")
	})
	if got := receive(t, b.replies); got.path != "/privacy-request/"+requestID+"/pre-approve/not-eligible" {
		t.Errorf("%+v", got)
	}
	b.out.await(t, "not-eligible was answered 200")
}

func TestServesTLS(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{CertificateDir: t.TempDir()}, http.StatusOK)
	authority, err := os.ReadFile(b.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	if status, _ := b.call(t, &http.Client{Transport: transport}, nil); status != http.StatusOK || !strings.HasPrefix(b.URL("/"), "https://") {
		t.Errorf("%d from %s", status, b.URL("/"))
	}
}

// A resume that is still to come does not hold up the end.
func TestClosesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Script: []Step{{Halt: true, ResumeAfter: Duration(time.Hour)}}}, http.StatusOK)
	b.call(t, http.DefaultClient, nil)
	b.out.await(t, "answered 200")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if len(b.replies) != 0 {
		t.Error("resumed at the end")
	}
}

func TestWrongScripts(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`[]`:                        "no step",
		`{}`:                        "a script is a list of steps",
		`[`:                         "unexpected EOF",
		`[{},1]`:                    "step 2: a step is an object",
		`[{},{"status":"503"}]`:     "step 2: status takes a whole number, such as 503",
		`[{"derive":"email"}]`:      "step 1: derive takes identities",
		`[{"delay":10}]`:            `step 1: delay takes a duration, such as "10s"`,
		`[{"reply":true}]`:          "step 1: reply takes a text",
		`[{"stauts":500}]`:          "stauts",
		`[{},{"status":99}]`:        "step 2: status",
		`[{"resume_after":"1s"}]`:   "needs halt",
		`[{"delay":"soon"}]`:        "not a duration",
		`[{"reply":"yes"}]`:         "eligible or",
		`[{"resume_derive":{}}]`:    "needs resume_after",
		`[{"halt":true,"halt":1}]x`: "step 1: halt takes true or false",
	} {
		file := filepath.Join(t.TempDir(), "script.json")
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadScript(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
	if _, err := ReadScript(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error without a file")
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	got, err := Identity([]string{"email=a=b@example.com", "loyalty=L-1"})
	if err != nil || got["email"] != "a=b@example.com" || got["loyalty"].(map[string]string)["value"] != "L-1" {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"email", "=a", "email="} {
		if _, err := Identity([]string{wrong}); err == nil {
			t.Errorf("%q is no identity", wrong)
		}
	}
}
