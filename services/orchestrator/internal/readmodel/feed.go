package readmodel

import (
	"context"
	"errors"
	"fmt"
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
	batchAtMost = 256
	// batchLinger is how long a batch is filled: what nobody waits for may be
	// late by as much, and transactions are few.
	batchLinger = 50 * time.Millisecond
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
	wait(ctx, batchLinger)
	more, err := p.take(ctx, batchAtMost-len(batch))
	batch = append(batch, more...)
	p.full = len(batch) == batchAtMost
	return batch, err
}

// giveBack returns what this process will not project any more, for another.
// Of what is projected already it says nothing.
func giveBack(messages []message) {
	for _, msg := range messages {
		_ = msg.Nak()
	}
}

// project writes the messages and acknowledges them. Rows that the database
// refuses are written one by one, so that one of them does not hold up the
// rest for ever.
func (f *Feed) project(ctx context.Context, messages []message) error {
	err := f.write(ctx, messages)
	if errors.Is(err, ErrRefused) && len(messages) > 1 {
		for _, msg := range messages {
			if err := f.project(ctx, []message{msg}); err != nil {
				return err
			}
		}
		return nil
	}
	if errors.Is(err, ErrRefused) {
		f.logger.Error("the database does not take this message; it is left out", "subject", messages[0].Subject(), "error", err)
		err = f.insist(ctx, f.batch(messages).place(), messages)
	}
	if err != nil {
		return err
	}
	for _, msg := range messages {
		if err := msg.Ack(); err != nil {
			return fmt.Errorf("readmodel: acknowledge: %w", err)
		}
	}
	return nil
}

// write tries until the database is there. It says so once for each batch,
// since nothing is shown, and no wait ends, until it is.
func (f *Feed) write(ctx context.Context, messages []message) error {
	return f.insist(ctx, f.batch(messages), messages)
}

func (f *Feed) insist(ctx context.Context, batch Batch, messages []message) error {
	for pause := retryFirst; ; pause = min(2*pause, retryLongest) {
		err := f.try(ctx, batch)
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if pause == retryFirst && ctx.Err() == nil {
			f.logger.Warn("the database takes no batch, trying on", "messages", len(messages), "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

func (f *Feed) try(ctx context.Context, b Batch) error {
	ctx, cancel := context.WithTimeout(ctx, projectWithin)
	defer cancel()
	return f.store.Project(ctx, b)
}

func (f *Feed) batch(messages []message) Batch {
	b := Batch{Unreadable: func(id string, err error) {
		f.logger.Error("a record cannot be read; it is left out", "request_id", id, "error", err)
	}}
	last := map[string]int{}
	for i, msg := range messages {
		last[msg.Subject()] = i
	}
	for i, msg := range messages {
		if f.latest && last[msg.Subject()] != i {
			continue
		}
		if err := f.add(&b, msg); err != nil {
			f.logger.Error("a message cannot be read; it is left out", "subject", msg.Subject(), "error", err)
		}
	}
	return b
}

func addRecord(b *Batch, msg message) error {
	b.saw(FeedRecords, msg)
	if topology.IsMarker(msg.Headers()) {
		b.Removed = append(b.Removed, topology.KeyOfSubject(msg.Subject()))
		return nil
	}
	return b.addStored(topology.KeyOfSubject(msg.Subject()), msg.Data())
}

func addEvent(b *Batch, msg message) error {
	b.saw(FeedEvents, msg) // also of what cannot be read: it is acknowledged
	e, err := events.Decode(msg.Headers(), msg.Data())
	if err != nil {
		return fmt.Errorf("readmodel: decode event: %w", err)
	}
	return b.AddFact(e)
}

// saw notes how far a feed comes with the batch.
func (b *Batch) saw(feed string, msg message) {
	if meta, err := msg.Metadata(); err == nil && meta.Sequence.Stream > b.Position {
		b.Feed, b.Position, b.SeenAt = feed, meta.Sequence.Stream, meta.Timestamp
	}
}

// place is a batch that says how far a feed has come, and nothing else.
func (b Batch) place() Batch { return Batch{Feed: b.Feed, Position: b.Position, SeenAt: b.SeenAt} }

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
