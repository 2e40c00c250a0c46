package dispatcher

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

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

// serve starts a receiver with a good certificate.
func (v *villains) serve(handler http.HandlerFunc) string {
	v.t.Helper()
	return v.serveTLS(&tls.Config{Certificates: []tls.Certificate{v.authority.good}}, handler)
}

func (v *villains) serveTLS(config *tls.Config, handler http.HandlerFunc) string {
	v.t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = quiet()
	server.TLS = config
	server.StartTLS()
	v.t.Cleanup(server.Close)
	return server.URL
}

// speak starts a receiver that has read the request, and says what it wants.
func (v *villains) speak(answer func(net.Conn)) string {
	v.t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{v.authority.good}}
	return "https://" + v.accept(func(c net.Conn) {
		conn := tls.Server(c, config)
		defer func() { _ = conn.Close() }()
		if readRequest(conn) == nil {
			answer(conn)
		}
	})
}

// listen starts a receiver that does not even speak TLS.
func (v *villains) listen(answer func(net.Conn)) string {
	v.t.Helper()
	return "https://" + v.accept(answer)
}

func (v *villains) accept(serve func(net.Conn)) string {
	v.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(v.t.Context(), "tcp", "127.0.0.1:0")
	must(v.t, err)
	v.t.Cleanup(func() { _ = listener.Close() })
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
	return listener.Addr().String()
}

// drip says one byte a second after the start.
func (v *villains) drip(start string) func(net.Conn) {
	return func(c net.Conn) {
		say(c, start)
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-v.release:
				return
			case <-second.C:
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}
	}
}

func say(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

// abort closes a connection with a reset.
func abort(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// readRequest reads the head of a request, and what came with it.
func readRequest(c net.Conn) error {
	var got []byte
	chunk := make([]byte, 4096)
	for !bytes.Contains(got, []byte("\r\n\r\n")) {
		n, err := c.Read(chunk)
		if err != nil {
			return err
		}
		got = append(got, chunk[:n]...)
	}
	return nil
}

// answerHTTP2 answers a request with GOAWAY, as if it had not been taken up, or
// with an answer.
func answerHTTP2(conn net.Conn, code http2.ErrCode, leave bool) error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil {
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
		stream := frame.Header().StreamID
		switch {
		case frame.Header().Type != http2.FrameData || !frame.Header().Flags.Has(http2.FlagDataEndStream):
		case leave:
			return framer.WriteGoAway(0, code, nil)
		default:
			var head bytes.Buffer
			if err := hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: "200"}); err != nil {
				return err
			}
			if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
				return err
			}
			if err := framer.WriteData(stream, true, []byte(`{"halt": false}`)); err != nil {
				return err
			}
		}
	}
}

// makeBomb gives about 1 MiB of gzip that expands to 1 GiB: one compressed MiB,
// a thousand times.
func makeBomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	megabyte := make([]byte, 1<<20)
	var ends []int
	for range 3 {
		_, err := w.Write(megabyte)
		must(t, err)
		must(t, w.Flush())
		ends = append(ends, out.Len())
	}
	bomb := slices.Clone(out.Bytes()[:ends[1]])
	return append(bomb, bytes.Repeat(out.Bytes()[ends[1]:ends[2]], 1022)...)
}

func TestBombIsOne(t *testing.T) {
	t.Parallel()
	bomb := makeBomb(t)
	if len(bomb) > 2<<20 {
		t.Errorf("%d bytes", len(bomb))
	}
	r, err := gzip.NewReader(bytes.NewReader(bomb))
	must(t, err)
	if n, err := io.CopyN(io.Discard, r, 16<<20); n != 16<<20 {
		t.Errorf("%d bytes came out: %v", n, err)
	}
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	good        tls.Certificate // for 127.0.0.1
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(2 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	a := &authority{certificate: certificate, key: key}
	a.good = a.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	return a
}

func (a *authority) issue(t *testing.T, host string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) file(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "roots.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}), 0o600))
	return file
}
