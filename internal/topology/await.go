package topology

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	firstWait  = 100 * time.Millisecond
	longestTry = 5 * time.Second
	longWait   = 5 * time.Second
)

// AwaitStream returns the stream as soon as it exists. Until then it calls
// waiting, which may be nil, with what it waits for. The error is that of ctx.
func AwaitStream(ctx context.Context, js jetstream.JetStream, name string, waiting func(reason string)) (jetstream.Stream, error) {
	var stream jetstream.Stream
	err := Await(ctx, waiting, func(ctx context.Context) error {
		var err error
		stream, err = js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("stream %s does not exist yet: its owner has not started", name)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		return nil
	})
	return stream, err
}

// AwaitBucket returns the bucket as soon as it exists; see AwaitStream.
func AwaitBucket(ctx context.Context, js jetstream.JetStream, name string, waiting func(reason string)) (*Bucket, error) {
	stream, err := AwaitStream(ctx, js, streamOf(name), waiting)
	if err != nil {
		return nil, err
	}
	return &Bucket{name: name, js: js, stream: stream}, nil
}

// Await calls try until it succeeds, with growing pauses, and tells waiting,
// which may be nil, why it did not. Owners use it around their Ensure. The
// error is that of ctx.
func Await(ctx context.Context, waiting func(reason string), try func(ctx context.Context) error) error {
	for pause := firstWait; ; pause = min(2*pause, longWait) {
		attempt, cancel := context.WithTimeout(ctx, longestTry)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if waiting != nil {
			waiting(reasonOf(err))
		}
		timer := time.NewTimer(pause + rand.N(pause/4)) //nolint:gosec // spreads retries, hides nothing
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout),
		errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrDisconnected):
		return "NATS does not answer"
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return "NATS has no JetStream"
	}
	return err.Error()
}
