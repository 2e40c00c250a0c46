package dispatcher

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// hostile is a receiver that does its worst, and how a call to it ends. A call
// that another attempt may mend has only one here.
type hostile struct {
	name string
	url  string
	want []string // any of these outcomes
	// change changes the connection, oauth for one.
	change []func(*catalog.Connection)
}

// villains makes hostile receivers.
type villains struct {
	*bundle
	authority *authority
	// robbed counts requests to where nothing may ever be sent.
	robbed    atomic.Int32
	elsewhere string
	release   chan struct{} // closed at the end, for those that never answer
}

// TestHostileReceivers calls every hostile receiver at once, and a good one
// beside them all the time.
func TestHostileReceivers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.DeliveryTimeout = 15 * time.Second // a busy machine is slow to see that a body never ends
	b.settings.DeliveryMaxAttempts = 1
	// Everything of the test is on 127.0.0.1; the rest of the loopback network
	// stands for what is not public.
	b.settings.EgressAllowCIDRs = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	v := &villains{bundle: b, authority: newAuthority(t), release: make(chan struct{})}
	b.settings.EgressCAFile = v.authority.file(t)
	v.elsewhere = v.serve(func(http.ResponseWriter, *http.Request) { v.robbed.Add(1) })
	var good atomic.Int32
	b.connection("con_good", catalog.Secrets{URL: v.serve(func(w http.ResponseWriter, _ *http.Request) {
		good.Add(1)
		_, _ = io.WriteString(w, `{"halt": false}`)
	}), Authorization: "s3cret"})
	all := v.all()
	t.Cleanup(func() { close(v.release) })
	wanted := map[string]hostile{}
	for i, h := range all {
		id := fmt.Sprintf("con_%d", i)
		wanted[id] = h
		b.connection(id, catalog.Secrets{URL: h.url, Authorization: "s3cret", Headers: map[string]string{"X-Api-Key": "s3cret"}}, h.change...)
	}
	memory := watchMemory(t)
	b.start()
	for id := range wanted {
		b.order(b.call(id, record.Pre, record.TwoWay))
	}
	const beside = 60
	for _, call := range b.more(b.call("con_good", record.Pre, record.TwoWay), beside) {
		b.order(call)
	}
	succeeded := 0
	for range len(all) + beside {
		f := b.next()
		id := f.data.Webhook.ConnectionID
		took := time.Duration(f.data.DurationMS) * time.Millisecond
		if limit := 2 * b.settings.DeliveryTimeout; took > limit {
			t.Errorf("%s: took %s, the deadline is %s", wanted[id].name, took, b.settings.DeliveryTimeout)
		}
		if id == "con_good" {
			if f.Type() != events.WebhookSucceeded {
				t.Errorf("the good receiver: %s: %s", f.Type(), f.data.Error)
			}
			succeeded++
			continue
		}
		if want := wanted[id].want; !slices.Contains(want, f.data.Outcome) {
			t.Errorf("%s: outcome %q (%s), want one of %q", wanted[id].name, f.data.Outcome, f.data.Error, want)
		}
	}
	if succeeded != beside {
		t.Errorf("%d of %d calls beside succeeded", succeeded, beside)
	}
	if n := v.robbed.Load(); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
	const most = 128 << 20 // a bomb alone would take a gigabyte
	if grown := memory(); grown > most {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	} else {
		t.Logf("%d hostile receivers, the heap grew by at most %d MiB", len(all), grown>>20)
	}
}

// watchMemory gives by how many bytes the heap has grown at most since.
func watchMemory(t *testing.T) func() uint64 {
	t.Helper()
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	runtime.GC()
	before, most := heap(), uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for {
			select {
			case <-stop:
				return
			case <-look.C:
				most = max(most, heap())
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-stopped
		return max(most, before) - before
	}
}

func (v *villains) all() []hostile {
	return slices.Concat(v.silent(), v.endless(), v.redirecting(), v.impostors(), v.leaving(), v.malformed(), v.issuers())
}

// silent receivers break off or say nothing.
func (v *villains) silent() []hostile {
	reset := []string{events.OutcomeReset}
	timeout := []string{events.OutcomeTimeout}
	return []hostile{
		{"refuses", "https://" + testbed.FreeAddr(v.t), []string{events.OutcomeRefused}, nil},
		{"resets before the handshake", v.listen(func(c net.Conn) { abort(c) }), []string{events.OutcomeReset, events.OutcomeTLS}, nil},
		{"resets before the answer", v.speak(func(c net.Conn) { abort(c) }), reset, nil},
		{"resets in the headers", v.speak(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nConte"); abort(c) }), reset, nil},
		{"resets in the body", v.speak(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"halt\""); abort(c) }), reset, nil},
		{"resets in a chunk", v.speak(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"); abort(c) }), reset, nil},
		{"changes the protocol", v.speak(v.upgrade), reset, nil},
		{"says something else", v.speak(func(c net.Conn) { say(c, "220 smtp.example.com ESMTP\r\n") }), reset, nil},
		{"never shakes hands", v.listen(func(net.Conn) { <-v.release }), timeout, nil},
		{"never answers", v.speak(func(net.Conn) { <-v.release }), timeout, nil},
		{"never ends its body", v.speak(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"); <-v.release }), timeout, nil},
		{"one byte a second of headers", v.speak(v.drip("HTTP/1.1 200 OK\r\nX: ")), timeout, nil},
		{"one byte a second of body", v.speak(v.drip("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")), timeout, nil},
	}
}

// upgrade changes the protocol and then says nothing.
func (v *villains) upgrade(c net.Conn) {
	say(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	<-v.release
}

// endless receivers never stop.
func (v *villains) endless() []hostile {
	forever := func(start, again string) string {
		return v.speak(func(c net.Conn) {
			say(c, start)
			chunk := bytes.Repeat([]byte(again), 1+4096/len(again))
			for {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		})
	}
	bomb := makeBomb(v.t)
	tooLarge := []string{events.OutcomeTooLarge}
	broken := []string{events.OutcomeReset}
	return []hostile{
		{"huge body", forever("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", " "), tooLarge, nil},
		{"endless body", forever("HTTP/1.1 200 OK\r\n\r\n", " "), tooLarge, nil},
		{"endless chunks", forever("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\n        \r\n"), tooLarge, nil},
		{"endless chunk extension", forever("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8;", "x"), broken, nil},
		{"endless headers", forever("HTTP/1.1 200 OK\r\n", "X-Header: value\r\n"), broken, nil},
		{"one endless header", forever("HTTP/1.1 200 OK\r\nX-Header: ", "v"), broken, nil},
		{"endless status line", forever("HTTP/1.1 200 ", "v"), broken, nil},
		{"endless early hints", forever("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), broken, nil},
		{"endless trailers", forever("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-Trailer: value\r\n"), broken, nil},
		{"gzip bomb", v.serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}), tooLarge, nil},
	}
}

// redirecting receivers send us elsewhere.
func (v *villains) redirecting() []hostile {
	var all []hostile
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		for _, to := range []string{v.elsewhere, "https://127.0.0.2:443/", "http://169.254.169.254/latest/meta-data/", "//10.0.0.1/", "/again"} {
			all = append(all, hostile{fmt.Sprintf("%d to %s", status, to), v.serve(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			}), []string{events.OutcomeRedirect}, nil})
		}
	}
	return append(all, hostile{"at an address that is not public", "https://127.0.0.2/hook", []string{events.OutcomeForbidden}, nil})
}

// impostors show a certificate that is not good.
func (v *villains) impostors() []hostile {
	tlsFailed := []string{events.OutcomeTLS}
	stranger := newAuthority(v.t)
	with := func(c tls.Certificate) string {
		return v.serveTLS(&tls.Config{Certificates: []tls.Certificate{c}}, func(http.ResponseWriter, *http.Request) { v.robbed.Add(1) })
	}
	soon := time.Now().Add(time.Hour)
	return []hostile{
		{"certificate of another", with(v.authority.issue(v.t, "other.example", soon)), tlsFailed, nil},
		{"expired certificate", with(v.authority.issue(v.t, "127.0.0.1", time.Now().Add(-time.Minute))), tlsFailed, nil},
		{"unknown authority", with(stranger.issue(v.t, "127.0.0.1", soon)), tlsFailed, nil},
		{"old TLS", v.serveTLS(&tls.Config{
			Certificates: []tls.Certificate{v.authority.issue(v.t, "127.0.0.1", soon)}, MaxVersion: tls.VersionTLS11, //nolint:gosec // that is the point
		}, func(http.ResponseWriter, *http.Request) { v.robbed.Add(1) }), tlsFailed, nil},
	}
}

// leaving receivers end an HTTP/2 connection.
func (v *villains) leaving() []hostile {
	soon := time.Now().Add(time.Hour)
	config := &tls.Config{Certificates: []tls.Certificate{v.authority.issue(v.t, "127.0.0.1", soon)}, NextProtos: []string{"h2"}}
	goAway := func(code http2.ErrCode, times int32) string {
		var left atomic.Int32
		left.Store(times)
		var opened atomic.Int32
		return "https://" + v.accept(func(c net.Conn) {
			if n := opened.Add(1); n > 20 { // without pauses it would be hundreds
				v.t.Errorf("%s: connection %d for one call", code, n)
			}
			conn := tls.Server(c, config)
			defer func() { _ = conn.Close() }()
			_ = answerHTTP2(conn, code, left.Add(-1) >= 0)
		})
	}
	return []hostile{
		{"GOAWAY once", goAway(http2.ErrCodeNo, 1), []string{events.OutcomeOK}, nil},
		{"GOAWAY always", goAway(http2.ErrCodeNo, 1<<30), []string{events.OutcomeReset, events.OutcomeTimeout}, nil},
		{"GOAWAY with an error", goAway(http2.ErrCodeEnhanceYourCalm, 1<<30), []string{events.OutcomeReset}, nil},
	}
}

// malformed receivers answer with what is none of the answers of contract §10.
func (v *villains) malformed() []hostile {
	var all []hostile
	for _, body := range []string{
		``, ` `, `halt`, `{`, `{"halt": false`, `{"halt": false} {}`, `<html>`, `[1]`, `["halt"]`, `"true"`, `1`, `-0.5`, `true`,
		`{"halted": true}`, `{"halt": null}`, `{"halt": "maybe"}`, `{"halt": 2}`, `{"halt": []}`, `{"halt": {}}`,
		`{"derived_identity": {"email": "a@example.com"}}`,
		`{"halt": true, "derived_identity": {"email": "nobody"}}`, `{"halt": false, "derived_identity": {"phone_number": "123"}}`,
		`{"halt": false, "derived_identity": {"loyalty": "unlabelled"}}`, `{"halt": false, "derived_identity": []}`,
		`{"halt": false, "derived_identity": "x"}`, "\xff\xfe{\x00}\x00", "{\"halt\": \"\xff\"}", "\x00",
	} {
		all = append(all, hostile{fmt.Sprintf("body %q", body), v.serve(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body)
		}), []string{events.OutcomeInvalid}, nil})
	}
	return append(all, hostile{"not gzip", v.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "plain text that says it is compressed")
	}), []string{events.OutcomeInvalid}, nil})
}

// issuers are token endpoints; the webhook behind them is never called.
func (v *villains) issuers() []hostile {
	var all []hostile
	add := func(name, url string) {
		all = append(all, hostile{"token endpoint: " + name, v.elsewhere, []string{events.OutcomeToken}, []func(*catalog.Connection){v.withOAuth(url)}})
	}
	for _, status := range []int{301, 302, 307, 308} {
		add(fmt.Sprint(status), v.serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, v.elsewhere, status) }))
	}
	add("never answers", v.speak(func(net.Conn) { <-v.release }))
	add("not public", "https://127.0.0.2/token")
	bomb := makeBomb(v.t)
	add("gzip bomb", v.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	}))
	add("changes the protocol", v.speak(v.upgrade))
	add("a token with a header behind it", v.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token": "t\r\nX-Injected: 1"}`)
	}))
	add("no token", v.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }))
	add("not JSON", v.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `<html>`) }))
	return all
}
