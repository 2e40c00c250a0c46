package egress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/parley-dsr/parley/pkg/events"
)

// What has no final status is no success, and does not hold the call: nothing
// ends the reading from a connection whose protocol was changed.
func TestAnswersWithoutAFinalStatus(t *testing.T) {
	t.Parallel()
	const upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	follow := func(framer *http2.Framer, stream uint32) error { return framer.WriteData(stream, true, []byte("{}")) }
	for name, receiver := range map[string]struct {
		protocol string
		serve    func(net.Conn)
	}{
		"another protocol": {"http/1.1", says(upgrade)},
		"000":              {"http/1.1", says("HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n")},
		"099":              {"http/1.1", says("HTTP/1.1 099 None\r\nContent-Length: 0\r\n\r\n")},
		"0 of HTTP/2":      {"h2", func(c net.Conn) { _ = answers(c, "0", follow) }},
		"-1 of HTTP/2":     {"h2", func(c net.Conn) { _ = answers(c, "-1", follow) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, client := liar(t, receiver.protocol, patience/2, receiver.serve)
			for _, want := range []bool{true, false} {
				got := within(t, "a call", func() string {
					return Outcome(client.Post(t.Context(), Request{URL: url, Body: []byte("{}"), WantAnswer: want}))
				})
				if got != events.OutcomeReset {
					t.Errorf("answer wanted %t: outcome %q", want, got)
				}
			}
			err := within(t, "a fetch", func() error {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte("{}")))
				if err != nil {
					return err
				}
				response, err := client.HTTP().Do(request)
				if err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				return err
			})
			if !errors.Is(err, ErrStatus) {
				t.Errorf("fetch: %v", err)
			}
		})
	}
}

// A short body that nobody wants does not cost the connection, also where the
// receiver does not say how short it is.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"success": http.StatusOK, "failure": http.StatusServiceUnavailable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opened atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"received": true}`)
				_ = http.NewResponseController(w).Flush() // in chunks, thereby
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					opened.Add(1)
				}
			}
			client := starts(t, server, func(r *Rules) { r.Timeout = patience })
			const calls = 40
			for range calls {
				if _, err := client.Post(t.Context(), Request{URL: server.URL, Body: []byte("{}")}); err != nil {
					t.Fatal(err)
				}
			}
			if n := opened.Load(); n > calls/2 { // a busy machine may be too slow for some
				t.Errorf("%d connections for %d calls", n, calls)
			}
		})
	}
}

// A receiver that talks on when nobody asks is not listened to for ever.
func TestAFloodEndsTheConnection(t *testing.T) {
	t.Parallel()
	const most = 64 << 20
	ended := make(chan int, 1)
	url, client := liar(t, "h2", patience, func(conn net.Conn) {
		_ = answers(conn, "200", func(framer *http2.Framer, stream uint32) error {
			if err := framer.WriteData(stream, true, []byte("{}")); err != nil {
				return err
			}
			sent, frame := 0, make([]byte, 16<<10)
			var err error
			for err == nil && sent < most {
				err = framer.WriteRawFrame(http2.FrameWindowUpdate+0x40, 0, 0, frame) // a kind that nobody knows
				sent += len(frame)
			}
			ended <- sent
			return io.EOF
		})
	})
	answer, err := client.Post(t.Context(), Request{URL: url, Body: []byte("{}"), WantAnswer: true})
	if err != nil || string(answer.Body) != "{}" {
		t.Fatalf("%q, %v", answer.Body, err)
	}
	if sent := within(t, "the flood", func() int { return <-ended }); sent >= most {
		t.Errorf("%d MiB were read after the answer", sent>>20)
	}
}

// Many calls over one connection may bring much.
func TestAConnectionBringsWhatItsCallsAskFor(t *testing.T) {
	t.Parallel()
	const calls = 3 * perCall / MaxAnswer
	var opened atomic.Int32
	body := make([]byte, MaxAnswer)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.EnableHTTP2 = true
	client := starts(t, server, func(r *Rules) { r.Timeout = patience })
	for range calls {
		answer, err := client.Post(t.Context(), Request{URL: server.URL, Body: []byte("{}"), WantAnswer: true})
		if err != nil || len(answer.Body) != MaxAnswer {
			t.Fatalf("%d bytes, %v", len(answer.Body), err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A receiver that says that it is there, and takes nothing, does not keep its
// connection.
func TestAConnectionThatTakesNothingIsLeft(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	url, client := liar(t, "h2", time.Second, func(conn net.Conn) {
		framer := http2.NewFramer(conn, nil)
		err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		if err == nil {
			err = framer.WriteWindowUpdate(0, 1<<30)
		}
		again := time.NewTicker(50 * time.Millisecond)
		defer again.Stop()
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case <-again.C:
				err = framer.WriteWindowUpdate(0, 1)
			}
		}
		close(ended)
	})
	answer, err := client.Post(t.Context(), Request{URL: url, Body: make([]byte, 32<<20)})
	if got := Outcome(answer, err); got != events.OutcomeTimeout {
		t.Errorf("outcome %q (%v)", got, err)
	}
	within(t, "the connection", func() struct{} { return <-ended })
}
