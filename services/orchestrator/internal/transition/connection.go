package transition

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	recheckFirst   = 100 * time.Millisecond
	recheckLongest = 2 * time.Second
	// recheckAtMost is how often a check that fails is tried while there is a
	// connection, before requests move on without it.
	recheckAtMost = 60
)

// connection tells steps that the connection to NATS was lost. Whatever they
// were waiting for was lost with it, and the wait would only hold up what comes
// after them. No step begins until what came back was looked at: it may be a
// store that has forgotten what was written into it.
type connection struct {
	mu     sync.Mutex
	held   context.Context //nolint:containedctx // it is the connection's life, not a call's
	lose   context.CancelCauseFunc
	known  chan struct{} // closed when the store has been looked at
	doubts bool
}

func newConnection() *connection {
	c := &connection{known: make(chan struct{})}
	c.held, c.lose = context.WithCancelCause(context.Background())
	close(c.known)
	return c
}

// lost ends what waits for the connection, and holds what would begin.
func (c *connection) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose(errDisconnected)
	c.held, c.lose = context.WithCancelCause(context.Background())
	if !c.doubts {
		c.known, c.doubts = make(chan struct{}), true
	}
}

// found lets steps begin.
func (c *connection) found() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doubts {
		c.doubts = false
		close(c.known)
	}
}

// await waits until steps may begin, not longer than ctx.
func (c *connection) await(ctx context.Context) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	select {
	case <-known:
	case <-ctx.Done():
	}
}

// while is ctx until the connection that there is now is lost.
func (c *connection) while(ctx context.Context) (context.Context, context.CancelFunc) {
	c.mu.Lock()
	held := c.held
	c.mu.Unlock()
	ctx, lose := context.WithCancelCause(ctx)
	stop := context.AfterFunc(held, func() { lose(context.Cause(held)) })
	return ctx, func() {
		stop()
		lose(nil)
	}
}

// follow takes the news of losses until ctx ends, and looks after each at what
// came back.
func (l *Loop) follow(ctx context.Context, lost <-chan nats.Status) error {
	defer l.connection.found() // what was taken is done with, whatever is known
	for {
		select {
		case <-lost:
			l.connection.lost()
			l.recheck(ctx, lost)
			l.connection.found()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// recheck looks until it has seen, and begins again with every further loss. A
// store that answers other questions and not this one does not hold up requests
// for ever.
func (l *Loop) recheck(ctx context.Context, lost <-chan nats.Status) {
	if l.Recheck == nil {
		return
	}
	pause, failures := recheckFirst, 0
	for {
		var err error
		if l.NATS.IsConnected() {
			if err = l.Recheck(ctx); err == nil {
				return
			}
			failures++
		}
		if failures == recheckAtMost {
			l.Logger.Error("requests move on although nobody knows whether NATS has lost something", "error", err)
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-lost:
			failures = 0
		case <-timer.C:
			pause = min(2*pause, recheckLongest)
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}
