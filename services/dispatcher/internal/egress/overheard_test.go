package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// talkative leads a process of its own to a receiver that says more than it
// announced.
const talkative = "EGRESS_TALKATIVE_RECEIVER"

// overhear calls it, and waits until the connection is given up because of what
// was left on it.
func overhear(ctx context.Context, url string) error {
	client := New(Rules{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, AllowHTTP: true, Timeout: patience})
	defer client.Close()
	ended := make(chan struct{})
	dial := client.transports.plain.DialContext
	client.transports.plain.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &ending{Conn: conn, ended: sync.OnceFunc(func() { close(ended) })}, err
	}
	answer, err := client.Post(ctx, Request{URL: url, Body: []byte("{}"), WantAnswer: true})
	if err != nil || string(answer.Body) != "{}" {
		return fmt.Errorf("got %q, %w", answer.Body, err)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type ending struct {
	net.Conn
	ended func()
}

func (e *ending) Close() error {
	e.ended()
	return e.Conn.Close()
}

// What a receiver says beside its answer, such as a body that is longer than
// its headers say, stands in no log: it is about a person.
func TestWhatIsSaidBesideAnAnswerIsNotLogged(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	go serveEach(listener, says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{\"email\": \"jane@example.com\"}"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this program
	child.Env = append(os.Environ(), talkative+"=http://"+listener.Addr().String())
	said, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if strings.Contains(string(said), "jane") {
		t.Errorf("the process says: %s", said)
	}
}
