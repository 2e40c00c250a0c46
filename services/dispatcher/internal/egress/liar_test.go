package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/parley-dsr/parley/pkg/events"
)

const patience = time.Minute

// liar starts a receiver that speaks TLS as it should, and nothing else.
func liar(t *testing.T, protocol string, timeout time.Duration, serve func(net.Conn)) (string, *Client) {
	t.Helper()
	honest := httptest.NewTLSServer(http.NotFoundHandler())
	roots := x509.NewCertPool()
	roots.AddCert(honest.Certificate())
	config := &tls.Config{Certificates: honest.TLS.Certificates, NextProtos: []string{protocol}}
	honest.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: timeout})
	t.Cleanup(client.Close)
	return "https://" + listener.Addr().String(), client
}

// says answers every request with a text.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4096)); err == nil {
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn) // until the other side has enough
		}
	}
}

// answers gives every request over HTTP/2 a status and does what follows.
func answers(conn net.Conn, status string, follow func(*http2.Framer, uint32) error) error {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		if !frame.Header().Flags.Has(http2.FlagDataEndStream) || frame.Header().Type != http2.FrameData {
			continue
		}
		var head bytes.Buffer
		if err := hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: status}); err != nil {
			return err
		}
		stream := frame.Header().StreamID
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
			return err
		}
		if err := follow(framer, stream); err != nil {
			return err
		}
	}
}

// within gives what the function gives, unless it never ends.
func within[T any](t *testing.T, what string, do func() T) T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- do() }()
	select {
	case value := <-done:
		return value
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
		panic("unreachable")
	}
}

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
			server.StartTLS()
			t.Cleanup(server.Close)
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: patience})
			t.Cleanup(client.Close)
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
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := New(Rules{AllowNetworks: loopback, Roots: roots, Timeout: patience})
	t.Cleanup(client.Close)
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
