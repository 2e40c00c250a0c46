package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
)

// Restart lets the feed begin again: at the given time, or, where that is
// zero, with everything that the stream has. What was projected already is
// projected again, to no effect.
func (f *Feed) Restart(ctx context.Context, at time.Time) error {
	err := f.js.DeleteConsumer(ctx, f.stream, f.name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("readmodel: restart feed: %w", err)
	}
	config := f.config
	if !at.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	}
	ctx, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	err = topology.Await(ctx, nil, func(ctx context.Context) error {
		_, err := f.js.CreateOrUpdateConsumer(ctx, f.stream, config)
		if _, found := f.js.Consumer(ctx, f.stream, f.name); err != nil && found == nil {
			return nil // a running replica was faster; its new one begins with everything
		}
		return err // the server may still be busy with the removal
	})
	if err != nil {
		return fmt.Errorf("readmodel: restart feed: %w", err)
	}
	return nil
}

// Acknowledged is the place in the stream up to which everything was projected
// and acknowledged; 0 where the feed has not begun.
func (f *Feed) Acknowledged(ctx context.Context) (uint64, error) {
	consumer, err := f.js.Consumer(ctx, f.stream, f.name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("readmodel: look at feed: %w", err)
	}
	return consumer.CachedInfo().AckFloor.Stream, nil
}

// Left is how many messages are not projected yet, and the place up to which all
// are.
func (f *Feed) Left(ctx context.Context) (left, place uint64, err error) {
	consumer, err := f.js.Consumer(ctx, f.stream, f.name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, 0, fmt.Errorf("%w: no feed", ErrUnavailable)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("readmodel: look at feed: %w", err)
	}
	info := consumer.CachedInfo()
	return info.NumPending + uint64(max(info.NumAckPending, 0)), info.AckFloor.Stream, nil //nolint:gosec // a number of messages
}

// End is the number of messages in the feed's stream and the place of the last.
func (f *Feed) End(ctx context.Context) (messages, place uint64, err error) {
	stream, err := f.js.Stream(ctx, f.stream)
	if err != nil {
		return 0, 0, fmt.Errorf("readmodel: look at stream: %w", err)
	}
	state := stream.CachedInfo().State
	return state.Msgs, state.LastSeq, nil
}

// watchLag shows how many messages wait to be projected.
func (f *Feed) watchLag(ctx context.Context, consumer jetstream.Consumer) {
	ticker := time.NewTicker(lagEvery)
	defer ticker.Stop()
	for {
		if info, err := consumer.Info(ctx); err == nil {
			f.lag.Set(float64(info.NumPending) + float64(info.NumAckPending))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
