package egress

import (
	"io"
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
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
	server.EnableHTTP2 = true
	client := starts(t, server, nil)

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
	listener := listen(t)
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
			client := starts(t, server, func(r *Rules) { r.Timeout = 2 * time.Second })
			var silent atomic.Bool
			relay := relayTo(t, server.Listener.Addr().String(), &silent)
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
