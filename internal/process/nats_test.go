package process_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/process"
)

func TestCheckServer(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"2.12.0": true, "2.12.0-RC.1": true, "2.15.2": true, "v2.13.1": true, "3.0.0": true, "10.0.0": true, "2.100.1": true,
		"2.11.9": false, "2.9.25": false, "1.4.1": false, "": false, "dev": false, "2": false, "2.x.1": false,
	} {
		err := process.CheckServer(version, "nats://user:pass@nats.example:4222")
		if ok != (err == nil) {
			t.Errorf("%q: %v", version, err)
		}
		if err != nil && !errors.Is(err, process.ErrOldServer) {
			t.Errorf("%q: %v is not ErrOldServer", version, err)
		}
	}
	err := process.CheckServer("2.11.9", "nats://user:pass@nats.example:4222")
	if want := "NATS 2.12 or newer is required, 2.11.9 is running at nats://nats.example:4222"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func connect(t *testing.T, url string, more ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := process.Connect(t.Context(), process.Settings{NATSURL: url}, "test", slog.New(slog.DiscardHandler), more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// A connection is there before its server, and outlives the loss of it.
func TestConnectWaitsForTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: testbed.FreeAddr(t)})
	addr := strings.TrimPrefix(first.URL(), "nats://")
	first.Close()

	health := process.NewHealth()
	gate := health.Gate("nats")
	nc := connect(t, "nats://"+addr)
	if nc.IsConnected() {
		t.Fatal("connected to nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- process.FollowNATS(ctx, nc, gate) }()

	second := testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: addr})
	if err := process.AwaitNATS(t.Context(), nc, nil); err != nil {
		t.Fatal(err)
	}
	lost := nc.StatusChanged(nats.RECONNECTING)
	second.Close()
	<-lost
	testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: addr})
	if err := process.AwaitNATS(t.Context(), nc, gate); err != nil {
		t.Fatal(err)
	}
	for len(health.Missing()) != 0 { // who follows may be a moment behind
		if t.Context().Err() != nil {
			t.Fatalf("missing %v", health.Missing())
		}
		runtime.Gosched()
	}
	cancel()
	if err := <-followed; err != nil {
		t.Errorf("FollowNATS: %v", err)
	}
}

func TestAwaitNATSEnds(t *testing.T) {
	t.Parallel()
	nc := connect(t, "nats://127.0.0.1:1")
	health := process.NewHealth()
	gate := health.Gate("nats")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := process.AwaitNATS(ctx, nc, gate); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := health.Missing(); len(got) != 1 || got[0] != "nats: not connected" {
		t.Errorf("missing %v", got)
	}
	nc.Close()
	if err := process.AwaitNATS(t.Context(), nc, gate); !errors.Is(err, process.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestConnectTakesFurtherOptions(t *testing.T) {
	t.Parallel()
	nc := connect(t, testbed.NATSServer(t).URL(), nats.CustomInboxPrefix("_MINE"))
	if inbox := nc.NewInbox(); !strings.HasPrefix(inbox, "_MINE.") {
		t.Errorf("inbox %s", inbox)
	}
}

// A silent server is left within 15 s: no connection ends by itself when the
// network is gone.
func TestConnectLeavesASilentServer(t *testing.T) {
	t.Parallel()
	nc := connect(t, testbed.NATSServer(t).URL())
	if silent := nc.Opts.PingInterval * time.Duration(nc.Opts.MaxPingsOut+1); silent <= 0 || silent > 15*time.Second {
		t.Errorf("a silent server is left after %s", silent)
	}
}

func TestConnectRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	present := filepath.Join(t.TempDir(), "present")
	if err := os.WriteFile(present, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		settings process.Settings
		want     string
	}{
		"no URL":         {process.Settings{}, "PARLEY_NATS_URL is not set"},
		"no credentials": {process.Settings{NATSURL: "nats://h", NATSCredentials: "/absent"}, "PARLEY_NATS_CREDENTIALS takes the path of a readable file"},
		"no roots":       {process.Settings{NATSURL: "nats://h", NATSCAFile: "/absent"}, "PARLEY_NATS_CA_FILE takes the path of a readable file"},
		"bad roots":      {process.Settings{NATSURL: "nats://h", NATSCAFile: present}, "PARLEY_NATS_CA_FILE"},
		"no certificate": {process.Settings{NATSURL: "nats://h", NATSCertFile: "/absent", NATSKeyFile: present}, "PARLEY_NATS_CERT_FILE takes"},
		"no key":         {process.Settings{NATSURL: "nats://h", NATSCertFile: present, NATSKeyFile: "/absent"}, "PARLEY_NATS_KEY_FILE takes"},
		"bad pair":       {process.Settings{NATSURL: "nats://h", NATSCertFile: present, NATSKeyFile: present}, "PARLEY_NATS_CERT_FILE"},
		"a bad URL":      {process.Settings{NATSURL: "nats://user:s3cret%zz@h:4222"}, "PARLEY_NATS_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := process.Connect(t.Context(), test.settings, "test", slog.New(slog.DiscardHandler))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("error %v, want %s", err, test.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v has the password", err)
			}
		})
	}
}

// sink is a log that tests wait for.
type sink struct {
	mu    sync.Mutex
	lines chan string
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines <- string(b)
	return len(b), nil
}

func TestConnectTellsWhatHappens(t *testing.T) {
	t.Parallel()
	log := &sink{lines: make(chan string, 100)}
	dir := t.TempDir()
	server := testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: testbed.FreeAddr(t)})
	addr := strings.TrimPrefix(server.URL(), "nats://")
	nc, err := process.Connect(t.Context(), process.Settings{NATSURL: "nats://user:s3cret@" + addr}, "test",
		slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	await(t, log, "connected to NATS")
	server.Close()
	await(t, log, "lost the connection to NATS", "cannot connect to NATS, trying on")
	testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: addr})
	await(t, log, "reconnected to NATS")
}

// await reads the log until it has told all of the texts.
func await(t *testing.T, log *sink, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for {
			var line string
			select {
			case line = <-log.lines:
			case <-t.Context().Done():
				t.Fatalf("the log never told %q", text)
			}
			if strings.Contains(line, "s3cret") {
				t.Errorf("the log has the password: %s", line)
			}
			if strings.Contains(line, text) {
				break
			}
		}
	}
}
