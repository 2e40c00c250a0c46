// Package connection reads connections for the calls that need them.
//
// A connection is read for every call, so that what was changed, or taken away,
// counts at the next one. Calls of one lane come close together, though, and a
// read costs NATS as much as a small message. So calls share reads, and only in
// the one way that keeps the promise: a call never takes the answer to a
// question that was asked before its own turn came. While a read is under way,
// all who come wait for the one that follows it. A lane that is not busy reads
// once a call, without delay; a busy one reads once for a handful of them.
package connection

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
)

// within bounds a read. It is not that of a call, since a call that gives up
// must not take the answer from the others.
const within = 10 * time.Second

// Store reads a connection each time that it is asked.
type Store interface {
	Connection(ctx context.Context, id string) (catalog.Connection, error)
}

// Reader reads connections. It is safe for concurrent use.
type Reader struct {
	store Store

	mu sync.Mutex
	// next has, for each connection that is being read, the read that follows;
	// nil where nobody waits for it yet.
	next map[string]*read
}

// read is one answer of the store, shared by all who wait for it.
type read struct {
	ended      chan struct{}
	connection catalog.Connection
	err        error
}

// NewReader gives a reader of the store.
func NewReader(store Store) *Reader { return &Reader{store: store, next: map[string]*read{}} }

// Connection reads a connection as it is now, or later. Its errors are those of
// the store, and that of a context that ends.
func (r *Reader) Connection(ctx context.Context, id string) (catalog.Connection, error) {
	return r.Ask(ctx, id)()
}

// Ask is the first half of Connection, and what it gives is the other: who asks
// may do something else before waiting for the answer.
func (r *Reader) Ask(ctx context.Context, id string) (answer func() (catalog.Connection, error)) {
	asked := r.join(ctx, id)
	return func() (catalog.Connection, error) {
		select {
		case <-asked.ended:
			return asked.connection, asked.err
		case <-ctx.Done():
			return catalog.Connection{}, fmt.Errorf("connection: %w", context.Cause(ctx))
		}
	}
}

// join gives a read that begins now, or when the one that is under way has
// ended.
func (r *Reader) join(ctx context.Context, id string) *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	following, busy := r.next[id]
	if following != nil {
		return following
	}
	following = &read{ended: make(chan struct{})}
	if busy {
		r.next[id] = following
		return following
	}
	r.next[id] = nil
	go r.serve(context.WithoutCancel(ctx), id, following)
	return following
}

// serve reads until nobody waits.
func (r *Reader) serve(ctx context.Context, id string, now *read) {
	for now != nil {
		asking, cancel := context.WithTimeout(ctx, within)
		now.connection, now.err = r.store.Connection(asking, id)
		cancel()
		close(now.ended)
		now = r.follow(id)
	}
}

// follow takes the read that is to follow, nil for none.
func (r *Reader) follow(id string) *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	following := r.next[id]
	if following == nil {
		delete(r.next, id)
	} else {
		r.next[id] = nil
	}
	return following
}
