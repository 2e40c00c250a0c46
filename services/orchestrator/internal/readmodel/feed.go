package readmodel

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/watch"
	"github.com/parley-dsr/parley/pkg/events"
)

// FeedRecords and FeedEvents are the names under which the feeds note how far
// they have come.
const (
	FeedRecords = "records"
	FeedEvents  = "events"
)

const (
	batchAtMost = 512
	// batchLinger is how long a batch is filled, and busyLinger how long it is
	// after one of busyFrom messages or more: then what nobody waits for may be
	// late by as much, transactions are few, and of a request that moves on
	// quickly only the last record is read.
	batchLinger = 50 * time.Millisecond
	busyLinger  = 250 * time.Millisecond
	busyFrom    = 32
	feedPending = 2048
	feedAckWait = 2 * time.Minute
	// projectWithin ends a write into a database that hangs.
	projectWithin = 30 * time.Second
	retryFirst    = 200 * time.Millisecond
	retryLongest  = 5 * time.Second
	lagEvery      = 5 * time.Second
	// leaveRestart is how long a feed whose consumer was deleted leaves the
	// making of the next one to who deleted it. One that is made while the
	// server still removes the files of the old one wakes up with its state,
	// and would pass over all that was to be projected again.
	leaveRestart  = 2 * time.Second
	restartWithin = 30 * time.Second
)

// Feed is one of the two durable feeds of the read model. While the database
// is away it holds what it has and takes no more; then it catches up.
type Feed struct {
	name   string // of the durable consumer
	stream string
	config jetstream.ConsumerConfig
	add    func(*Batch, message) error
	// latest says that of one subject only the last message counts.
	latest bool

	store  *Store
	js     jetstream.JetStream
	logger *slog.Logger
	lag    prometheus.Gauge
	watch  *watch.Watch
}

// Watched has the feed's consumer looked after.
func (f *Feed) Watched(w *watch.Watch) *Feed {
	f.watch = w
	return f
}

// NewRecordsFeed projects the records themselves.
func NewRecordsFeed(s *Store, js jetstream.JetStream, bucket *topology.Bucket, logger *slog.Logger, lag prometheus.Gauge) *Feed {
	f := newFeed(topology.ConsumerProjectionRecords, bucket.StreamName(), addRecord, s, js, logger, lag)
	f.latest = true
	return f
}

// NewEventsFeed projects the facts: log entries and calls. It takes all facts,
// also those about configuration, of which it makes nothing: with a filter the
// server would acknowledge what was passed over, and Acknowledged would say
// more than was projected.
func NewEventsFeed(s *Store, js jetstream.JetStream, logger *slog.Logger, lag prometheus.Gauge) *Feed {
	return newFeed(topology.ConsumerProjectionEvents, events.StreamEvents, addEvent, s, js, logger, lag)
}

func newFeed(name, stream string, add func(*Batch, message) error, s *Store, js jetstream.JetStream, logger *slog.Logger, lag prometheus.Gauge) *Feed {
	return &Feed{
		name: name, stream: stream, add: add, store: s, js: js, logger: logger.With("feed", name), lag: lag,
		config: jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: feedAckWait,
			MaxAckPending: feedPending, MaxDeliver: -1,
		},
	}
}

// Run feeds until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		consumer, err := f.consumer(ctx)
		if err != nil {
			return err
		}
		reading, done := f.watch.ReadingInHand(ctx, consumer) // in hand while the database is away
		err = f.consume(reading, consumer)
		done()
		if err != nil && ctx.Err() == nil {
			f.logger.Warn("feed interrupted", "error", err)
		}
		if errors.Is(err, jetstream.ErrConsumerDeleted) {
			wait(ctx, leaveRestart)
		}
	}
	return context.Cause(ctx)
}

// wait waits, not longer than ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// consumer binds the durable consumer. One that exists is left as it is: it
// may have been told to begin at another place than a new one.
func (f *Feed) consumer(ctx context.Context) (jetstream.Consumer, error) {
	var consumer jetstream.Consumer
	err := topology.Await(ctx, nil, func(ctx context.Context) error {
		var err error
		consumer, err = f.js.Consumer(ctx, f.stream, f.name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			consumer, err = f.js.CreateOrUpdateConsumer(ctx, f.stream, f.config)
		}
		return err
	})
	return consumer, err
}

func (f *Feed) consume(ctx context.Context, consumer jetstream.Consumer) error {
	pull, err := newPull(f.js, f.stream, f.name)
	if err != nil {
		return err
	}
	defer pull.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go f.watchLag(ctx, consumer)
	for {
		batch, err := nextBatch(ctx, pull)
		if err == nil {
			err = f.project(ctx, batch)
		}
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, jetstream.ErrConsumerDeleted) {
				giveBack(batch)
			}
			return err
		}
	}
}

// nextBatch takes all that is there, where that fills a batch; otherwise one
// message and what has gathered a while after it.
func nextBatch(ctx context.Context, p *pull) ([]message, error) {
	if p.full {
		batch, err := p.take(ctx, batchAtMost)
		if p.full = len(batch) == batchAtMost; len(batch) > 0 || err != nil {
			return batch, err
		}
	}
	batch, err := p.wake(ctx)
	if err != nil {
		return batch, err
	}
	if p.busy {
		wait(ctx, busyLinger)
	} else {
		wait(ctx, batchLinger)
	}
	more, err := p.take(ctx, batchAtMost-len(batch))
	batch = append(batch, more...)
	p.full, p.busy = len(batch) == batchAtMost, len(batch) >= busyFrom
	return batch, err
}

// giveBack returns what this process will not project any more, for another.
// Of what is projected already it says nothing.
func giveBack(messages []message) {
	for _, msg := range messages {
		_ = msg.Nak()
	}
}
