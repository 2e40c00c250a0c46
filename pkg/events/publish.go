package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publish stores a fact and returns when the stream has acknowledged it. A
// repeat, known by its id within the duplicate window, is a success. Errors are
// ErrNotStored, which may be tried again, and ErrEvent, ErrType, ErrSubject and
// ErrTooLarge, which may not.
func Publish(ctx context.Context, js jetstream.JetStream, e Event) error {
	msg, err := Encode(e)
	if err != nil {
		return err
	}
	if _, err := js.PublishMsg(ctx, msg); err != nil {
		return publishError(err)
	}
	return nil
}

// PublishAsync is Publish without the wait; the future has the acknowledgement.
func PublishAsync(js jetstream.JetStream, e Event) (jetstream.PubAckFuture, error) {
	msg, err := Encode(e)
	if err != nil {
		return nil, err
	}
	future, err := js.PublishMsgAsync(msg)
	if err != nil {
		return nil, publishError(err)
	}
	return future, nil
}

func publishError(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return ErrTooLarge
	}
	return fmt.Errorf("%w: %w", ErrNotStored, err)
}
