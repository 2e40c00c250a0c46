// Package load does a thing many times, in a closed loop, where each one who
// does it begins again when it is done, or in an open one, where it is begun at
// a fixed rate whatever becomes of it; and it sums up what that took.
package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Closed is a closed loop.
type Closed struct {
	// InFlight is how many do it at the same time.
	InFlight int
	// Warm passes before Window, in which it is counted.
	Warm, Window time.Duration
	// Edge, if it is not nil, is called at the begin and at the end of the
	// window.
	Edge func()
}

// Run does it until the window has passed and what was begun is done. It
// returns how often it was done in the window, and how long that was.
func (c Closed) Run(ctx context.Context, do func(ctx context.Context) error) (n int, took time.Duration, err error) {
	var (
		doing   sync.WaitGroup
		done    atomic.Int64
		failure atomic.Pointer[error]
		stopped = make(chan struct{})
		failed  = make(chan struct{})
	)
	for range c.InFlight {
		doing.Go(func() {
			for {
				select {
				case <-stopped:
					return
				case <-failed:
					return
				default:
				}
				if err := do(ctx); err != nil {
					if failure.CompareAndSwap(nil, &err) {
						close(failed)
					}
					return
				}
				done.Add(1)
			}
		})
	}
	pause(ctx, c.Warm, failed)
	before, began := done.Load(), time.Now()
	c.edge()
	pause(ctx, c.Window, failed)
	n, took = int(done.Load()-before), time.Since(began)
	c.edge()
	close(stopped)
	doing.Wait()
	if err := failure.Load(); err != nil {
		return n, took, *err
	}
	return n, took, ctx.Err()
}

func (c Closed) edge() {
	if c.Edge != nil {
		c.Edge()
	}
}

func pause(ctx context.Context, d time.Duration, failed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-failed:
	case <-ctx.Done():
	}
}

// Open begins n things at a rate a second, and returns when all are done. Each
// is told when it was due: who measures from then on counts, too, what it
// waited for its turn.
func Open(ctx context.Context, n int, rate float64, do func(ctx context.Context, i int, due time.Time) error) error {
	var doing sync.WaitGroup
	var failure atomic.Pointer[error]
	failed := make(chan struct{})
	begin := time.Now()
	for i := range n {
		due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		pause(ctx, time.Until(due), failed)
		if ctx.Err() != nil || failure.Load() != nil {
			break
		}
		doing.Go(func() {
			if err := do(ctx, i, due); err != nil && failure.CompareAndSwap(nil, &err) {
				close(failed)
			}
		})
	}
	doing.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// Each does n things, so many at once, until one fails.
func Each(n, atOnce int, do func(i int) error) error {
	var (
		doing   sync.WaitGroup
		next    atomic.Int64
		failure atomic.Pointer[error]
	)
	for range min(n, atOnce) {
		doing.Go(func() {
			for failure.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					failure.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	doing.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}
