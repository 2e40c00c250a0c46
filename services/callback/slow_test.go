package callback

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// trickle sends a text byte by byte for as long as the server takes it, and
// gives what the server said until it cut the connection.
func trickle(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	done := make(chan struct{})
	defer close(done)
	go func() {
		pace := time.NewTicker(50 * time.Millisecond)
		defer pace.Stop()
		for i := range text {
			select {
			case <-pace.C:
			case <-done:
				return
			}
			if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
				return
			}
		}
	}()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if wait, ok := err.(net.Error); ok && wait.Timeout() { //nolint:errorlint // of the connection itself
		t.Fatal("the connection was not cut")
	}
	return string(said)
}

// Clients that trickle, or say nothing more, are cut off, and nothing of them
// is applied. Others are served meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	b := begin(t)
	const little = 2 * time.Second
	b.limits.ReadHeader, b.limits.Read, b.limits.Idle = little, little, little
	b.ensure()
	b.run()
	b.ready()
	b.orchestrate(accept)
	b.put(paused())
	bearer := b.resumeToken(nil)
	head := "POST /privacy-request/" + requestID + "/resume HTTP/1.1\r\nHost: parley\r\nAuthorization: Bearer " + bearer + "\r\n"
	dial := func(t *testing.T) net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	t.Run("slow clients", func(t *testing.T) {
		t.Run("header", func(t *testing.T) {
			t.Parallel()
			if said := trickle(t, dial(t), head); strings.Contains(said, "200 OK") {
				t.Errorf("answered %q", said)
			}
		})
		t.Run("body", func(t *testing.T) {
			t.Parallel()
			conn := dial(t)
			if _, err := io.WriteString(conn, head+"Content-Length: 4096\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			said := trickle(t, conn, `{"derived_identity":{"email":"slow@example.com"},"padding":"`+strings.Repeat("x", 4096))
			if !strings.HasPrefix(said, "HTTP/1.1 408 ") || !strings.Contains(said, `{"detail":"The request body did not arrive in time"}`) {
				t.Errorf("answered %q", said)
			}
		})
		t.Run("nothing", func(t *testing.T) {
			t.Parallel()
			if said := trickle(t, dial(t), ""); said != "" {
				t.Errorf("answered %q", said)
			}
		})
		t.Run("after a request", func(t *testing.T) {
			t.Parallel()
			conn := dial(t)
			if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: parley\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if said := trickle(t, conn, ""); !strings.HasPrefix(said, "HTTP/1.1 200 ") {
				t.Errorf("answered %q", said)
			}
		})
	})
	select {
	case e := <-b.facts:
		t.Errorf("a slow reply was published: %s", e.ID())
	default:
	}
	if got := b.resume(bearer, `{}`); got.status != http.StatusOK {
		t.Errorf("a good client: %+v", got)
	}
}

// A body is read as JSON whatever it is called, and only what is JSON.
func TestContentTypes(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	send := func(contentType, encoding, body string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/privacy-request/"+requestID+"/resume", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+b.resumeToken(nil))
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	for _, contentType := range []string{
		"", "application/json", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded",
		"application/octet-stream", "multipart/form-data", "nonsense", ";;",
	} {
		if got := send(contentType, "", `{"derived_identity":{"email":"somebody@example.com"}}`); got != http.StatusOK {
			t.Errorf("%q: %d", contentType, got)
		}
		if got := send(contentType, "", `derived_identity=x`); got != http.StatusUnprocessableEntity {
			t.Errorf("%q, a form: %d", contentType, got)
		}
	}
	if got := send("application/json", "gzip", "\x1f\x8b\x08\x00"); got != http.StatusBadRequest && got != http.StatusUnprocessableEntity {
		t.Errorf("compressed: %d", got)
	}
}

// The limit is one of bytes that are read: also of those that are not announced.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	body := func(size int) string { return `{"padding":"` + strings.Repeat("x", size-14) + `"}` }
	for _, announced := range []bool{true, false} {
		for size, status := range map[int]int{maxBody: http.StatusOK, maxBody + 1: http.StatusRequestEntityTooLarge} {
			var content io.Reader = strings.NewReader(body(size))
			if !announced {
				content = bufio.NewReader(bytes.NewBufferString(body(size)))
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/api/v1/privacy-request/"+requestID+"/resume", content)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+b.resumeToken(nil))
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != status {
				t.Errorf("%d bytes, announced %t: %d", size, announced, answer.StatusCode)
			}
		}
	}
}
