package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// trialPull is how long a lane asks for the call of a trial before it looks
// whether it is idle.
const trialPull = 5 * time.Second

// coolDown waits until the receiver may be tried again. Nothing is pulled
// meanwhile: the calls wait in the stream and use up no attempts.
func (l *lane) coolDown(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// try takes one call and waits for what comes of it. It may take several: one
// that is no longer wanted, or that cannot be made, tells nothing.
func (l *lane) try(ctx, handling context.Context, pulled func()) error {
	consumer, err := l.consumer(ctx)
	if err != nil {
		return err
	}
	for !l.breaker.closed() && l.breaker.try() == 0 {
		msg, err := next(ctx, consumer)
		switch {
		case ctx.Err() != nil:
			if msg != nil {
				_ = msg.Nak()
			}
			return ctx.Err()
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
			if l.idle() {
				return errIdle
			}
			continue
		case err != nil:
			return fmt.Errorf("lane: trial: %w", err)
		}
		pulled()
		select {
		case <-l.start(handling, msg):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func next(ctx context.Context, consumer jetstream.Consumer) (jetstream.Msg, error) {
	asking, cancel := context.WithTimeout(ctx, trialPull)
	defer cancel()
	return consumer.Next(jetstream.FetchContext(asking))
}
