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
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

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
