package testbed

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded"
)

// NATS starts a server of the test's own and connects to it. Both are closed
// when the test ends.
func NATS(t testing.TB) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	return Connect(t, NATSServer(t).URL())
}

// NATSServer starts a server of the test's own on a free port, with its store
// in a directory that goes with the test.
func NATSServer(t testing.TB) *embedded.NATS {
	t.Helper()
	return StartNATS(t, embedded.NATSOptions{Dir: t.TempDir()})
}

// StartNATS starts a server with options, for tests that stop it and start it
// again over the same store: Dir and Addr are then those of the first one. It
// does not flush before it acknowledges, which tests that kill no machine do
// not need.
func StartNATS(t testing.TB, o embedded.NATSOptions) *embedded.NATS {
	t.Helper()
	if o.Sync == "" {
		o.Sync = "1m"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	}
	n, err := embedded.StartNATS(t.Context(), o)
	if err != nil {
		t.Fatalf("start NATS: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

// Connect gives a connection that finds the server again after a restart and
// is closed when the test ends.
func Connect(t testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatalf("connect to NATS: %v", err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(20*time.Second))
	if err != nil {
		t.Fatalf("JetStream: %v", err)
	}
	return nc, js
}
