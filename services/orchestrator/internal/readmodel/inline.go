package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	inlineDeadline  = 250 * time.Millisecond
	inlineFailures  = 3
	inlineOpenDelay = 2 * time.Second
)

// Inline projects the result of one input before its caller is answered. A
// slow or absent database costs a transition a quarter of a second at most,
// and nothing once the breaker is open.
type Inline struct {
	store   *Store
	breaker circuitbreaker.CircuitBreaker[any]
}

// NewInline returns the inline feed of a store.
func NewInline(s *Store) *Inline {
	return &Inline{store: s, breaker: circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(inlineFailures).WithDelay(inlineOpenDelay).Build()}
}

// Apply projects the record and its facts. An error means that the durable
// feed will do it.
func (i *Inline) Apply(ctx context.Context, rec *record.Record, facts []events.Event) error {
	b := Batch{Records: []*record.Record{rec}}
	for _, e := range facts {
		if err := b.AddFact(e); err != nil {
			return err
		}
	}
	if !i.breaker.TryAcquirePermit() {
		return fmt.Errorf("%w: not tried", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, inlineDeadline)
	defer cancel()
	err := i.store.Project(ctx, b)
	if errors.Is(err, ErrUnavailable) {
		i.breaker.RecordFailure()
	} else {
		i.breaker.RecordSuccess()
	}
	return err
}
