package transition

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"
)

// connection tells steps that the connection to NATS was lost. Whatever they
// were waiting for was lost with it, and the wait would only hold up what comes
// after them.
type connection struct {
	mu   sync.Mutex
	held context.Context //nolint:containedctx // it is the connection's life, not a call's
	lose context.CancelCauseFunc
}

func newConnection() *connection {
	c := &connection{}
	c.renew()
	return c
}

func (c *connection) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lose != nil {
		c.lose(errDisconnected)
	}
	c.held, c.lose = context.WithCancelCause(context.Background())
}

// follow takes the news of losses until ctx ends.
func (c *connection) follow(ctx context.Context, lost <-chan nats.Status) error {
	for {
		select {
		case <-lost:
			c.renew()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
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
