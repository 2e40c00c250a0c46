package egress

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(talkative); url != "" {
		process.Main("dispatcher", func(ctx context.Context, _ map[string]string) error { return overhear(ctx, url) })
	}
	goleak.VerifyTestMain(testbed.Settling{M: m, Left: func() error { return goleak.Find() }})
}

func TestPost(t *testing.T) {
	t.Parallel()
	zipped := func(size int) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write(bytes.Repeat([]byte("a"), size))
		_ = w.Close()
		return out.Bytes()
	}
	bomb := zipped(MaxAnswer * 4)
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
		status  int
		size    int
	}{
		{"ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, events.OutcomeOK, 200, 2},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, events.OutcomeOK, 204, 0},
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, events.OutcomeStatus, 418, 0},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, events.OutcomeRedirect, 302, 0},
		{"redirect that keeps the body", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, events.OutcomeRedirect, 307, 0},
		{"as large as allowed", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, MaxAnswer)) }, events.OutcomeOK, 200, MaxAnswer},
		{"too large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, MaxAnswer+1)) }, events.OutcomeTooLarge, 200, 0},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped(10_000))
		}, events.OutcomeOK, 200, 10_000},
		{"too large only once it is decompressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, events.OutcomeTooLarge, 200, 0},
		{"not what it says it is", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "this is not gzip at all, though it says so")
		}, events.OutcomeInvalid, 200, 0},
		{"broken off before the headers", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, events.OutcomeReset, 0, 0},
		{"broken off in the body", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, events.OutcomeReset, 200, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, client := receiver(t, test.handler, nil)
			answer, err := client.Post(t.Context(), Request{URL: url, WantAnswer: true})
			if got := Outcome(answer, err); got != test.want {
				t.Errorf("outcome %q (%v), want %q", got, err, test.want)
			}
			if answer.Status != test.status || len(answer.Body) != test.size {
				t.Errorf("status %d with %d bytes, want %d with %d", answer.Status, len(answer.Body), test.status, test.size)
			}
		})
	}
}

func TestPostSends(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	url, client := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.WithoutCancel(r.Context()))
		body, _ = io.ReadAll(r.Body)
	}, nil)
	header := http.Header{"X-Mine": {"1"}, "Host": {"receiver.example"}}
	if _, err := client.Post(t.Context(), Request{URL: url, Header: header, Body: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.Header.Get("X-Mine") != "1" || got.Host != "receiver.example" || string(body) != "hello" {
		t.Errorf("got %s %v %q with body %q", got.Method, got.Header, got.Host, body)
	}
	if header.Get("Host") == "" {
		t.Error("the caller's headers were changed")
	}
}

// A body that nobody wants costs nothing, however long it is.
func TestPostLeavesUnwantedBodies(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	url, client := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, nil)
	defer close(release)
	answer, err := client.Post(t.Context(), Request{URL: url})
	if err != nil || answer.Status != http.StatusOK {
		t.Errorf("got %d, %v", answer.Status, err)
	}
}

func TestOneDeadline(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"headers do not come": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"body does not end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
			}
		},
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow := func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // a server notices a lost client only then
				handler(w, r)
			}
			url, client := receiver(t, slow, func(r *Rules) { r.Timeout = 300 * time.Millisecond })
			answer, err := client.Post(t.Context(), Request{URL: url, Body: []byte("{}"), WantAnswer: true})
			got := Outcome(answer, err)
			if got != events.OutcomeTimeout && got != events.OutcomeTooLarge {
				t.Errorf("outcome %q (%v)", got, err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	nobody := names(func(string) []netip.Addr { return nil })
	client := New(Rules{AllowNetworks: loopback, Timeout: time.Minute, Resolver: nobody})
	t.Cleanup(client.Close)
	tests := []struct{ name, url, want string }{
		{"nobody listens", "https://" + testbed.FreeAddr(t), events.OutcomeRefused},
		{"no such name", "https://receiver.invalid/", events.OutcomeDNS},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), events.OutcomeTLS},
		{"plain http", plain.URL, events.OutcomeForbidden},
		{"no scheme", "example.com/hook", events.OutcomeUnconfigured},
		{"another scheme", "file:///etc/passwd", events.OutcomeUnconfigured},
		{"no host", "https:///hook", events.OutcomeUnconfigured},
		{"not a URL", "https://exa mple.com:x/%zz", events.OutcomeUnconfigured},
		{"empty", "", events.OutcomeUnconfigured},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answer, err := client.Post(t.Context(), Request{URL: test.url})
			if got := Outcome(answer, err); got != test.want {
				t.Errorf("outcome %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func TestAddressesThatAreNotPublic(t *testing.T) {
	t.Parallel()
	client := New(Rules{AllowHTTP: true, Timeout: time.Minute})
	t.Cleanup(client.Close)
	for _, host := range []string{
		"127.0.0.1", "localhost", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1",
		"169.254.169.254", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[fd00:ec2::254]",
		"[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:db8::1]",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			answer, err := client.Post(t.Context(), Request{URL: "http://" + host + ":9/"})
			if got := Outcome(answer, err); got != events.OutcomeForbidden {
				t.Errorf("outcome %q (%v), want %q", got, err, events.OutcomeForbidden)
			}
		})
	}
}

func TestAllowedNetworkIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	guard := control([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")})
	if err := guard("tcp4", "10.1.2.3:443", nil); err != nil {
		t.Errorf("allowed network: %v", err)
	}
	if err := guard("tcp4", "10.2.2.3:443", nil); err == nil {
		t.Error("its neighbour may be dialled")
	}
	if err := guard("tcp4", "93.184.216.34:8443", nil); err != nil {
		t.Errorf("public address: %v", err)
	}
}

func TestUnknownCertificate(t *testing.T) {
	t.Parallel()
	url, client := receiver(t, func(http.ResponseWriter, *http.Request) {}, func(r *Rules) { r.Roots = x509.NewCertPool() })
	answer, err := client.Post(t.Context(), Request{URL: url})
	if got := Outcome(answer, err); got != events.OutcomeTLS {
		t.Errorf("outcome %q (%v)", got, err)
	}
}

func TestOldTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11} //nolint:gosec // that is the point
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: time.Minute})
	t.Cleanup(client.Close)
	answer, err := client.Post(t.Context(), Request{URL: server.URL})
	if got := Outcome(answer, err); got != events.OutcomeTLS {
		t.Errorf("outcome %q (%v)", got, err)
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if New(Rules{}).transports.plain.Proxy != nil {
		t.Error("a proxy is asked for")
	}
}

func TestHeadersThatHTTPDoesNotAllow(t *testing.T) {
	t.Parallel()
	client := New(Rules{Timeout: time.Second})
	for _, header := range []http.Header{
		{"Bad Name": {"1"}}, {"": {"1"}}, {"X": {"a\r\nb: c"}}, {"Host": {"a b"}},
	} {
		if _, err := client.Post(t.Context(), Request{URL: "https://example.com", Header: header}); !errors.Is(err, ErrHeader) {
			t.Errorf("%v: %v", header, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
		none  bool
	}{
		{value: "", none: true},
		{value: "120", want: 2 * time.Minute},
		{value: "0", want: 0},
		{value: " 5 ", want: 5 * time.Second},
		{value: "-5", none: true},
		{value: "soon", none: true},
		{value: "Fri, 01 May 2026 08:00:30 GMT", want: 30 * time.Second},
		{value: "Fri, 01 May 2026 07:00:00 GMT", want: 0},
		{value: "99999999999999999999", none: true},
	}
	for _, test := range tests {
		got := RetryAfter(http.Header{"Retry-After": {test.value}}, now)
		switch {
		case test.none && got != nil:
			t.Errorf("%q: got %s, want none", test.value, *got)
		case !test.none && (got == nil || *got != test.want):
			t.Errorf("%q: got %v, want %s", test.value, got, test.want)
		}
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	client := starts(t, server, nil)
	answer, err := client.Post(t.Context(), Request{URL: server.URL, WantAnswer: true})
	if err != nil || string(answer.Body) != "HTTP/2.0" {
		t.Errorf("got %q, %v", answer.Body, err)
	}
}

// What is fetched for a call goes out under the same rules.
func TestHTTPClient(t *testing.T) {
	t.Parallel()
	url, client := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, nil)
	request := func(url string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return client.HTTP().Do(r)
	}
	response, err := request(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusFound {
		t.Errorf("status %d", response.StatusCode)
	}
	for url, want := range map[string]string{"https://10.0.0.1/": events.OutcomeForbidden, "http://93.184.216.34/": events.OutcomeForbidden} {
		response, err := request(url)
		if err == nil {
			_ = response.Body.Close()
		}
		if got := Outcome(Answer{}, err); got != want {
			t.Errorf("%s: outcome %q (%v)", url, got, err)
		}
	}
}
