// Package watch looks after the consumers of a service: it measures them, and
// has one read anew that has stopped delivering although work is pending.
//
// A reader notices by itself when its consumer was deleted, or when the server
// is silent. It does not notice when both are there and nothing comes: pull
// requests that one side has forgotten, a reader that hangs. So the place that a
// consumer has reached is looked at from outside, every few seconds. One whose
// place does not move while there is something to deliver is stalled. Then the
// context of its reader ends with ErrStalled, and the reader begins again: it
// binds the same durable consumer, which knows what was acknowledged, so nothing
// is lost, and what was delivered and not acknowledged comes again as it does
// after every crash. The durable itself is made anew only where it is gone,
// which is what readers do in any case.
//
// To read anew without need does no harm. A consumer that cannot move since all
// that it may deliver is in work is given the time in which an acknowledgement
// is due before it is called stalled.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// ErrStalled ends the context of a reader that is to begin again.
var ErrStalled = errors.New("watch: the consumer has work and delivers nothing")

const (
	lookEvery    = 10 * time.Second
	lookWithin   = 5 * time.Second
	stalledAfter = 30 * time.Second
)

// Watch looks after consumers. A nil one does nothing.
type Watch struct {
	logger  *slog.Logger
	metrics *metrics
	every   time.Duration
	after   time.Duration
}

// New gives a watch that keeps its metrics in the registry.
func New(logger *slog.Logger, r prometheus.Registerer) *Watch {
	return &Watch{logger: logger, metrics: newMetrics(r), every: lookEvery, after: stalledAfter}
}

// Consumer is what is watched.
type Consumer interface {
	Info(ctx context.Context) (*jetstream.ConsumerInfo, error)
	CachedInfo() *jetstream.ConsumerInfo
}

// Reading gives the context under which a consumer is to be read. It ends with
// ErrStalled when the consumer has stalled. Call done when the reading has
// ended.
func (w *Watch) Reading(ctx context.Context, c Consumer) (reading context.Context, done func()) {
	return w.read(ctx, c, false)
}

// ReadingInHand is Reading for a reader that may hold messages for as long as a
// neighbour is away: what is delivered and not acknowledged is no stall.
func (w *Watch) ReadingInHand(ctx context.Context, c Consumer) (reading context.Context, done func()) {
	return w.read(ctx, c, true)
}

func (w *Watch) read(ctx context.Context, c Consumer, holds bool) (context.Context, func()) {
	if w == nil {
		return ctx, func() {}
	}
	reading, end := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.look(reading, c, end, holds)
	}()
	return reading, func() {
		end(nil)
		<-ended
	}
}

// look measures until the reading ends, or ends it.
func (w *Watch) look(ctx context.Context, c Consumer, end context.CancelCauseFunc, holds bool) {
	known := c.CachedInfo()
	if known == nil {
		return
	}
	defer w.metrics.forget(known)
	place := placeOf(known)
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, lookWithin)
		info, err := c.Info(asking)
		cancel()
		if err == nil { // NATS that does not answer, or a consumer that is gone, is for others to say
			w.metrics.show(info)
			place.move(info)
			if place.stalled(info, w.after, holds) {
				w.metrics.restarts.WithLabelValues(info.Stream, info.Name).Inc()
				w.logger.Warn("a consumer has work and delivers nothing; it is read anew", "stream", info.Stream, "consumer", info.Name,
					"pending", info.NumPending, "unacknowledged", info.NumAckPending)
				end(ErrStalled)
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
