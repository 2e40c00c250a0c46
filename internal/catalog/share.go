package catalog

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// within bounds a read. It is not that of who asks, since one who gives up
	// must not take the answer from the others.
	within = 5 * time.Second
	// overdue is when those who wait for the end of a read wait no longer: its
	// answer may be lost, with a connection that broke.
	overdue = 250 * time.Millisecond
)

// shared lets many who ask for a value at the same time share the answer, in
// the one way that keeps what Store promises: nobody gets the answer to a
// question that was asked before their own turn came. While a read is under
// way, all who come wait for the one that follows it. A value that is seldom
// asked for is read once by everybody, without delay; one that many ask for is
// read once for all who came during a round trip.
//
// It is safe for concurrent use. What it gives belongs to several, who do not
// change it.
type shared[T any] struct {
	read func(ctx context.Context, key string) (T, error)

	mu sync.Mutex
	// next has, for each key that is being read, the read that follows; nil
	// where nobody waits for it yet.
	next map[string]*reading[T]
}

// reading is one answer, for all who wait for it.
type reading[T any] struct {
	ended chan struct{}
	value T
	err   error
	// late begins the reading when the one before it takes too long; nil where
	// there is none before it.
	late *time.Timer
}

func share[T any](read func(ctx context.Context, key string) (T, error)) *shared[T] {
	return &shared[T]{read: read, next: map[string]*reading[T]{}}
}

// get gives the value as it is now, or later. Its errors are those of the read,
// and that of a context that ends.
func (s *shared[T]) get(ctx context.Context, key string) (T, error) {
	return s.join(ctx, key).wait(ctx)
}

// ask is the first half of get, and what it gives is the other: who asks may do
// something else before waiting for the answer.
func (s *shared[T]) ask(ctx context.Context, key string) func() (T, error) {
	asked := s.join(ctx, key)
	return func() (T, error) { return asked.wait(ctx) }
}

func (r *reading[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-r.ended:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("catalog: %w", context.Cause(ctx))
	}
}

// join gives a reading that begins now, or when the one that is under way has
// ended.
func (s *shared[T]) join(ctx context.Context, key string) *reading[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	following, busy := s.next[key]
	if following != nil {
		return following
	}
	following = &reading[T]{ended: make(chan struct{})}
	ctx = context.WithoutCancel(ctx)
	if busy {
		s.next[key] = following
		following.late = time.AfterFunc(overdue, func() { s.overtake(ctx, key, following) })
		return following
	}
	s.next[key] = nil
	go s.serve(ctx, key, following)
	return following
}

// serve reads until nobody waits.
func (s *shared[T]) serve(ctx context.Context, key string, now *reading[T]) {
	for now != nil {
		asking, cancel := context.WithTimeout(ctx, within)
		now.value, now.err = s.read(asking, key)
		cancel()
		close(now.ended)
		now = s.follow(key)
	}
}

// follow takes the reading that is to follow, nil for none.
func (s *shared[T]) follow(key string) *reading[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	following := s.next[key]
	if following == nil {
		delete(s.next, key)
		return nil
	}
	following.late.Stop()
	s.next[key] = nil
	return following
}

// overtake begins a reading beside the one that it should have followed. For a
// while there are two then, and those who come may wait for the end of either.
func (s *shared[T]) overtake(ctx context.Context, key string, following *reading[T]) {
	s.mu.Lock()
	begin := s.next[key] == following
	if begin {
		s.next[key] = nil
	}
	s.mu.Unlock()
	if begin {
		s.serve(ctx, key, following)
	}
}
