package egress

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	// A call opens atOnce connections without a pause, then waits before each:
	// firstPause, and every time twice as long. The standard library opens
	// another one at once where a receiver ends one before it took the request,
	// as HTTP/2 lets it, and would do so until the deadline.
	atOnce     = 4
	firstPause = 50 * time.Millisecond
)

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// opened counts the connections of a call. The context under which they are
// dialled does not end with the call's.
type opened struct {
	count atomic.Int32
	over  <-chan struct{}
}

type openedKey struct{}

// watched is the context of a call whose connections are counted, and may bring
// more.
func watched(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, openedKey{}, &opened{over: ctx.Done()})
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: allow})
}

// paced dials after a pause where the call has opened many connections.
func paced(dial dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		call, ok := ctx.Value(openedKey{}).(*opened)
		if !ok {
			return dial(ctx, network, address)
		}
		if more := call.count.Add(1) - atOnce; more > 0 {
			pause := time.NewTimer(firstPause << min(more-1, 10))
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-call.over:
				return nil, context.Canceled // nobody waits for the connection any more
			}
		}
		return dial(ctx, network, address)
	}
}
