package dispatcher

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// ask asks the dispatchers, as soon as one listens.
func (b *bundle) ask(subject string, answer any) {
	b.t.Helper()
	b.until("somebody answers", func() bool {
		msg, err := b.nc.Request(subject, nil, patience)
		if errors.Is(err, nats.ErrNoResponders) {
			return false
		}
		must(b.t, err)
		must(b.t, json.Unmarshal(msg.Data, answer))
		return true
	})
}

func (b *bundle) lanes() work.Lanes {
	b.t.Helper()
	var answer work.Lanes
	b.ask(events.LanesSubject, &answer)
	return answer
}

func TestLanesAreShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	slow := newBlocking()
	b.connection("con_1", catalog.Secrets{URL: b.receiver(slow.ServeHTTP), Authorization: "s3cret"})
	d := b.start()
	for _, call := range b.more(b.call("con_1", record.Pre, record.TwoWay), 10) {
		b.order(call)
	}
	for range b.settings.LaneConcurrency {
		<-slow.begun
	}
	answer := b.lanes()
	if len(answer.Lanes) != 1 || answer.Replica == "" {
		t.Fatalf("%+v", answer)
	}
	got := answer.Lanes[0]
	if got.Oldest == nil || got.TryAt != nil {
		t.Errorf("oldest %v, try at %v", got.Oldest, got.TryAt)
	}
	got.Oldest = nil
	want := work.Lane{ConnectionID: "con_1", ConnectionKey: "key_con_1", Pending: 10, InFlight: b.settings.LaneConcurrency, Breaker: "closed"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, line := range []string{
		`parley_dispatcher_lane_pending{connection_id="con_1"} 10`,
		`parley_dispatcher_lane_in_flight{connection_id="con_1"} 4`,
		`parley_dispatcher_lane_breaker{connection_id="con_1"} 0`,
		`parley_dispatcher_lane_oldest_seconds{connection_id="con_1"} `,
	} {
		b.until("the metrics have "+line, func() bool {
			_, metrics := d.front.get(t, "/metrics")
			return strings.Contains(metrics, line)
		})
	}
	close(slow.release)
	for range 10 {
		b.expect(events.WebhookSucceeded, events.OutcomeOK)
	}
	b.settled()
}

func TestProbe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var posts atomic.Int32
	url := b.receiver(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token": "t", "expires_in": 3600}`)
		case "/refusing":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			posts.Add(1)
		}
	})
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	stranger.Config.ErrorLog = quiet()
	certificate, key, pool := clientCertificate(t)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	must(t, err)
	stranger.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	guarded := httptest.NewUnstartedServer(http.NotFoundHandler())
	guarded.Config.ErrorLog = quiet()
	guarded.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	guarded.StartTLS()
	t.Cleanup(guarded.Close)
	b.settings.EgressAllowCIDRs = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

	tests := []struct {
		id      string
		secrets catalog.Secrets
		change  []func(*catalog.Connection)
		want    string
	}{
		{"con_ok", catalog.Secrets{URL: url + "/hook", Authorization: "s3cret"}, nil, ""},
		{"con_oauth", catalog.Secrets{URL: url + "/hook"}, []func(*catalog.Connection){b.withOAuth(url + "/token")}, ""},
		{"con_refusing", catalog.Secrets{URL: url + "/hook"}, []func(*catalog.Connection){b.withOAuth(url + "/refusing")}, "the OAuth token could not be fetched"},
		{"con_inner", catalog.Secrets{URL: url + "/hook"}, []func(*catalog.Connection){b.withOAuth("https://127.0.0.2/token")}, "token endpoint: calls to the address of the connection are not allowed"},
		{"con_private", catalog.Secrets{URL: "https://10.0.0.1/hook"}, nil, "calls to the address of the connection are not allowed"},
		{"con_plain", catalog.Secrets{URL: "http://93.184.216.34/hook"}, nil, "calls to the address of the connection are not allowed"},
		{"con_dns", catalog.Secrets{URL: "https://receiver.invalid/hook"}, nil, "the host name did not resolve"},
		{"con_refused", catalog.Secrets{URL: "https://127.0.0.1:1/hook"}, nil, "the connection was refused"},
		{"con_tls", catalog.Secrets{URL: stranger.URL}, nil, "the TLS handshake failed"},
		{"con_guarded", catalog.Secrets{URL: guarded.URL}, nil, "the TLS handshake failed"},
		{"con_mtls", catalog.Secrets{URL: guarded.URL, ClientCertificate: certificate, ClientKey: key}, nil, ""},
		{"con_bad", catalog.Secrets{URL: url, ClientCertificate: "x", ClientKey: "y"}, nil, "the connection does not exist or its secrets are not usable"},
		{"con_empty", catalog.Secrets{}, nil, "the connection does not exist or its secrets are not usable"},
		{"con_none", catalog.Secrets{}, []func(*catalog.Connection){func(c *catalog.Connection) { c.Deleted = true }}, "the connection does not exist or its secrets are not usable"},
	}
	b.start()
	for _, test := range tests {
		b.connection(test.id, test.secrets, test.change...)
		var got work.ProbeAnswer
		b.ask(events.ProbeSubject(test.id), &got)
		if got.Passed != (test.want == "") || got.FailureReason != test.want {
			t.Errorf("%s: %+v, want %q", test.id, got, test.want)
		}
	}
	if n := posts.Load(); n != 0 {
		t.Errorf("the webhook was called %d times", n)
	}
}
