package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

const (
	// perCall is how many bytes a connection may bring for a call. An answer
	// and its headers take less.
	perCall = 4 << 20
	// forAll is how many it may bring at most, for calls that share it or that
	// needed little.
	forAll = 256 << 20
)

var errFlood = errors.New("egress: the receiver says more than calls ask for")

// rationed is a connection that brings no more than its calls may need. HTTP/2
// lets a receiver talk while nobody has asked it anything, which the standard
// library would read for as long as the connection is kept.
type rationed struct {
	net.Conn
	left atomic.Int64
}

func rationing(dial dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		r := &rationed{Conn: conn}
		r.left.Store(perCall) // for the handshake, and until the call has it
		return r, nil
	}
}

// Read implements net.Conn.
func (r *rationed) Read(p []byte) (int, error) {
	if r.left.Load() <= 0 {
		return 0, errFlood
	}
	n, err := r.Conn.Read(p)
	r.left.Add(-int64(n))
	return n, err
}

// allow is called when a call has got its connection.
func allow(got httptrace.GotConnInfo) {
	conn := got.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if r, ok := conn.(*rationed); ok && r.left.Load() < forAll {
		r.left.Add(perCall)
	}
}
