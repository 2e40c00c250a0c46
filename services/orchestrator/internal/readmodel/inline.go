package readmodel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	inlineDeadline = time.Second
	// inlineWithin ends a transaction into a database that hangs. Who waits for
	// it has left long before: but what is written is written, and the feed need
	// not do it.
	inlineWithin    = 5 * time.Second
	inlineFailures  = 3
	inlineOpenDelay = 2 * time.Second
)

// Inline projects the results of inputs before their callers are answered.
// Those that come while a transaction is on its way share the next one. A slow
// or absent database keeps a caller for a second at most, and nobody once the
// breaker is open.
type Inline struct {
	store   *Store
	breaker circuitbreaker.CircuitBreaker[any]

	mu       sync.Mutex
	writing  bool
	next     Batch
	awaiting []chan error
}

// NewInline returns the inline feed of a store.
func NewInline(s *Store) *Inline {
	return &Inline{store: s, breaker: circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(inlineFailures).WithDelay(inlineOpenDelay).Build()}
}

// Apply projects the record and its facts. An error means that the durable
// feed will do it.
func (i *Inline) Apply(ctx context.Context, rec *record.Record, facts []events.Event) error {
	own := Batch{Records: []*record.Record{rec}}
	for _, e := range facts {
		if err := own.AddFact(e); err != nil {
			return err
		}
	}
	if !i.breaker.TryAcquirePermit() {
		return fmt.Errorf("%w: not tried", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, inlineDeadline)
	defer cancel()
	var err error
	select {
	case err = <-i.join(own):
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
	if errors.Is(err, ErrUnavailable) {
		i.breaker.RecordFailure()
	} else {
		i.breaker.RecordSuccess()
	}
	return err
}

// join adds to the next transaction, and begins it if none is on its way.
func (i *Inline) join(own Batch) <-chan error {
	done := make(chan error, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next.Records = append(i.next.Records, own.Records...)
	i.next.Entries = append(i.next.Entries, own.Entries...)
	i.next.Calls = append(i.next.Calls, own.Calls...)
	i.awaiting = append(i.awaiting, done)
	if !i.writing {
		i.writing = true
		go i.write()
	}
	return done
}

// write makes transactions until nothing waits for one.
func (i *Inline) write() {
	for {
		i.mu.Lock()
		batch, awaiting := i.next, i.awaiting
		i.next, i.awaiting = Batch{}, nil
		if len(awaiting) == 0 {
			i.writing = false
			i.mu.Unlock()
			return
		}
		i.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), inlineWithin)
		err := i.store.Project(ctx, batch)
		cancel()
		for _, done := range awaiting {
			done <- err
		}
	}
}
