package embedded

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func startNATS(t *testing.T, o NATSOptions) *NATS {
	t.Helper()
	n, err := StartNATS(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestNATSKeepsItsStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startNATS(t, NATSOptions{Dir: dir})
	js := connect(t, first.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	first.Close()
	first.Close() // harmless

	second := startNATS(t, NATSOptions{Dir: dir, Addr: strings.TrimPrefix(first.URL(), "nats://"), Sync: "2m"})
	if second.URL() != first.URL() {
		t.Fatalf("URL = %s, want %s", second.URL(), first.URL())
	}
	stream, err := connect(t, second.URL()).Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), "s")
	if err != nil || string(msg.Data) != "kept" {
		t.Fatalf("message = %v, %v", msg, err)
	}
}

func TestNATSSaysWhichAddressIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = StartNATS(t.Context(), NATSOptions{Dir: t.TempDir(), Addr: l.Addr().String()})
	if !errors.Is(err, ErrAddressTaken) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Fatalf("err = %v", err)
	}
}

func TestNATSRefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startNATS(t, NATSOptions{Dir: dir})
	if _, err := StartNATS(t.Context(), NATSOptions{Dir: dir}); !errors.Is(err, ErrDirInUse) {
		t.Fatalf("err = %v", err)
	}
	first.Close()
	startNATS(t, NATSOptions{Dir: dir})
}

func TestNATSRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]NATSOptions{
		"no directory":     {},
		"no port":          {Dir: t.TempDir(), Addr: "127.0.0.1"},
		"a port too high":  {Dir: t.TempDir(), Addr: "127.0.0.1:70000"},
		"sync not a time":  {Dir: t.TempDir(), Sync: "often"},
		"sync of no time":  {Dir: t.TempDir(), Sync: "0s"},
		"sync in the past": {Dir: t.TempDir(), Sync: "-1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := StartNATS(t.Context(), o); !errors.Is(err, ErrOptions) {
				t.Fatalf("err = %v", err)
			}
		})
	}
}
