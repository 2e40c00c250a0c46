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
// If nothing is acknowledged until it stalls once more, the fault is not in the
// reader: then what the server holds for the consumer is made anew too, from
// what was acknowledged on (CONSUMER.RESET).
//
// To read anew without need does no harm. A consumer that cannot move since all
// that it may deliver is in work is given the time in which an acknowledgement
// is due before it is called stalled.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	resets  Resetter
	logger  *slog.Logger
	metrics *metrics
	every   time.Duration
	after   time.Duration

	mu      sync.Mutex
	stalled map[string]uint64 // what was acknowledged when a consumer stalled, by its name
}

// Resetter is the part of jetstream.JetStream with which a consumer begins
// again after what it has acknowledged.
type Resetter interface {
	ResetConsumer(ctx context.Context, stream, consumer string) (*jetstream.ConsumerResetResponse, error)
}

// New gives a watch that keeps its metrics in the registry.
func New(resets Resetter, logger *slog.Logger, r prometheus.Registerer) *Watch {
	return &Watch{
		resets: resets, logger: logger, metrics: newMetrics(r), every: lookEvery, after: stalledAfter, stalled: map[string]uint64{},
	}
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
				w.restart(ctx, info)
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

// restart prepares that a consumer is read anew, and resets it where that was
// done before and has brought nothing.
func (w *Watch) restart(ctx context.Context, info *jetstream.ConsumerInfo) {
	log := w.logger.With("stream", info.Stream, "consumer", info.Name, "pending", info.NumPending, "unacknowledged", info.NumAckPending)
	w.metrics.restarts.WithLabelValues(info.Stream, info.Name).Inc()
	if !w.again(info) {
		log.Warn("a consumer has work and delivers nothing; it is read anew")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	if _, err := w.resets.ResetConsumer(ctx, info.Stream, info.Name); err != nil {
		log.Warn("a consumer still delivers nothing; it is read anew and could not be reset", "error", err)
		return
	}
	w.metrics.resets.WithLabelValues(info.Stream, info.Name).Inc()
	log.Warn("a consumer still delivers nothing; it is reset to what it has acknowledged, and read anew")
}

// again says whether the consumer stalled before and nothing was acknowledged
// since.
func (w *Watch) again(info *jetstream.ConsumerInfo) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := info.Stream + "." + info.Name
	floor, before := w.stalled[name]
	w.stalled[name] = info.AckFloor.Stream
	return before && floor == info.AckFloor.Stream
}
