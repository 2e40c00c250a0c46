// Package receiver plays the systems that Parley calls: an HTTPS server on
// loopback, or one of plain HTTP, that records every call, answers by a script,
// and posts the reply when it is told to. The demo and the end-to-end tests are
// played against it, and webhook developers have it as parley listen.
//
// It behaves as receivers do that were written from the published documents:
// the reply goes to Parley's origin with the reply-to path appended, with the
// reply-to-token as bearer.
//
// Nothing has to be polled: Next waits for a call. Every call to a path is
// given to exactly one Next, in the order of arrival; Calls shows all of them,
// taken or not. A call is recorded before it is answered, so whoever has seen a
// call may still decide what happens while its caller waits (Answer.Hold).
//
// The certificate is signed by an authority that is made at start and whose
// certificate is left in the given directory: point PARLEY_EGRESS_CA_FILE at
// CAFile. A client certificate is asked for and recorded, never required.
package receiver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	maxBody         = 4 << 20
	readTimeout     = 10 * time.Second
	replyTimeout    = 30 * time.Second
	shutdownTimeout = 2 * time.Second
)

// Options of a receiver.
type Options struct {
	// Dir is where the certificates are written.
	Dir string
	// Plain serves HTTP, without certificates.
	Plain bool
	// Addr is the address to listen on; empty is any free port of 127.0.0.1.
	Addr string
	// Origin is Parley's address (scheme and host), to which replies are sent.
	Origin string
	// Client sends the replies; nil is one with a timeout of 30 s.
	Client *http.Client
	// Otherwise answers calls to paths without a script; nil continues.
	Otherwise func(Call) Answer
	// Forget keeps no call: Next and Calls then know of none.
	Forget bool
}

// Receiver is a running receiver.
type Receiver struct {
	dir       string
	addr      net.Addr
	origin    string
	scheme    string
	client    *http.Client
	otherwise func(Call) Answer
	forget    bool
	server    *http.Server
	closed    chan struct{}
	served    chan struct{}
	once      sync.Once

	mu      sync.Mutex
	scripts map[string][]Answer
	calls   []Call
	counts  map[string]int
	untaken map[string][]Call
	arrived chan struct{} // closed, and replaced, with every call
}

// Start makes the certificates and begins to listen.
func Start(o Options) (*Receiver, error) {
	settings, err := tlsSettings(o)
	if err != nil {
		return nil, fmt.Errorf("receiver: certificates: %w", err)
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: replyTimeout, Transport: http.DefaultTransport.(*http.Transport).Clone()}
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	r := &Receiver{
		dir: o.Dir, addr: listener.Addr(), origin: o.Origin, scheme: "https", client: o.Client,
		otherwise: o.Otherwise, forget: o.Forget,
		closed: make(chan struct{}), served: make(chan struct{}), arrived: make(chan struct{}),
		scripts: map[string][]Answer{}, counts: map[string]int{}, untaken: map[string][]Call{},
	}
	r.server = &http.Server{
		Handler:           http.HandlerFunc(r.serve),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		ErrorLog:          log.New(io.Discard, "", 0), // refused handshakes are part of some scripts
		TLSConfig:         settings,
	}
	serve := func() error { return r.server.ServeTLS(listener, "", "") }
	if o.Plain {
		r.scheme, serve = "http", func() error { return r.server.Serve(listener) }
	}
	go func() {
		defer close(r.served)
		_ = serve() // ends with Close
	}()
	return r, nil
}

// tlsSettings have a new certificate where one is wanted.
func tlsSettings(o Options) (*tls.Config, error) {
	if o.Plain {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	certificate, err := writeCertificates(o.Dir, time.Now())
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequestClientCert,
	}, nil
}

// CAFile is the certificate of the authority, as PEM.
func (r *Receiver) CAFile() string { return filepath.Join(r.dir, caFile) }

// URL gives the address of a path, which begins with a slash.
func (r *Receiver) URL(path string) string { return r.scheme + "://" + r.addr.String() + path }

// Script says how calls to a path are answered from now on: one answer a call,
// the last one again for all that follow. A path without a script answers
// {"halt": false}.
func (r *Receiver) Script(path string, answers ...Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scripts[path] = slices.Clone(answers)
}

// Next waits for a call to the path that no Next has returned before.
func (r *Receiver) Next(ctx context.Context, path string) (Call, error) {
	for {
		call, ok, arrived := r.take(path)
		if ok {
			return call, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Call{}, fmt.Errorf("receiver: no call to %s: %w", path, ctx.Err())
		case <-r.closed:
			return Call{}, ErrClosed
		}
	}
}

// Calls gives all calls so far, to any path, in the order of arrival.
func (r *Receiver) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Close ends the receiver. Calls that are held are cut off after a moment.
func (r *Receiver) Close() error {
	var err error
	r.once.Do(func() {
		close(r.closed)
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		err = r.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = r.server.Close()
		}
		<-r.served
		r.client.CloseIdleConnections()
	})
	return err
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	call, answer := r.record(req, body)
	if answer.Decide != nil {
		answer = answer.Decide(call)
	}
	if answer.Hold != nil {
		select {
		case <-answer.Hold:
		case <-req.Context().Done():
			return
		case <-r.closed:
			answer = Answer{Drop: true}
		}
	}
	if answer.Drop {
		panic(http.ErrAbortHandler)
	}
	answer.write(w)
}

// record keeps the call, wakes those who wait and gives the answer of the
// script.
func (r *Receiver) record(req *http.Request, body []byte) (Call, Answer) {
	call := Call{
		Method: req.Method, Path: req.URL.Path, Header: req.Header.Clone(),
		Body: body, At: time.Now(), Certificate: clientCertificate(req.TLS),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[call.Path]++
	call.Number = r.counts[call.Path]
	answer := Continue()
	if r.otherwise != nil {
		answer = Answer{Decide: r.otherwise}
	}
	if script := r.scripts[call.Path]; len(script) > 0 {
		answer = script[0]
		if len(script) > 1 {
			r.scripts[call.Path] = script[1:]
		}
	}
	if r.forget {
		return call, answer
	}
	r.calls = append(r.calls, call)
	r.untaken[call.Path] = append(r.untaken[call.Path], call)
	close(r.arrived)
	r.arrived = make(chan struct{})
	return call, answer
}

func (r *Receiver) take(path string) (call Call, ok bool, arrived <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.untaken[path]
	if len(waiting) == 0 {
		return Call{}, false, r.arrived
	}
	r.untaken[path] = waiting[1:]
	return waiting[0], true, r.arrived
}

func clientCertificate(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}
