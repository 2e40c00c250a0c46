package events

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// bind finds the consumer of the subscription, or creates it.
func (s *subscriber) bind(ctx context.Context) error {
	stream, err := s.js.Stream(ctx, StreamEvents)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("stream %s does not exist yet", StreamEvents)
	}
	if err != nil {
		return err
	}
	s.stream = stream
	err = s.bindExisting(ctx)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return s.create(ctx)
	}
	return err
}

func (s *subscriber) bindExisting(ctx context.Context) error {
	if s.name == "" {
		return jetstream.ErrConsumerNotFound
	}
	consumer, err := s.stream.Consumer(ctx, s.name)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	config := info.Config
	if s.fill(&config) {
		if consumer, err = s.stream.UpdateConsumer(ctx, config); err != nil {
			return err
		}
	}
	s.consumer = consumer
	s.marked, s.hasMark = markOf(config.Metadata)
	state := s.stream.CachedInfo().State
	s.position.resume(info.AckFloor, s.marked, s.hasMark, state.FirstSeq, state.LastSeq)
	return nil
}

// create makes a consumer. Where this subscriber had one before that is lost,
// as one in memory is when the server restarts, the new one goes on after it.
func (s *subscriber) create(ctx context.Context) error {
	from := s.From
	handled, replaces := s.position.known()
	if replaces && handled > s.stream.CachedInfo().State.LastSeq {
		from, replaces = FromBeginning(), false // another stream by the same name
	} else if replaces {
		from = FromSequence(handled + 1)
	}
	config := jetstream.ConsumerConfig{Durable: s.Durable, DeliverPolicy: from.policy}
	switch from.policy {
	case jetstream.DeliverByStartTimePolicy:
		config.OptStartTime = &from.time
	case jetstream.DeliverByStartSequencePolicy:
		config.OptStartSeq = from.sequence
	}
	if s.Durable == "" {
		config.MemoryStorage = true
		config.InactiveThreshold = forgotten
	}
	s.fill(&config)
	consumer, err := s.stream.CreateConsumer(ctx, config)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	s.consumer, s.name, s.hasMark = consumer, info.Name, false
	if replaces {
		s.position.replace()
	} else {
		s.position.begin(info.AckFloor.Stream)
	}
	return nil
}

// fill sets what the subscription decides, and says whether that changes
// anything. One fact at a time is what keeps them in order, over all subscribers
// and over redelivery.
func (s *subscriber) fill(c *jetstream.ConsumerConfig) (changed bool) {
	changed = c.FilterSubject != "" || !slices.Equal(c.FilterSubjects, s.filters) ||
		c.AckPolicy != jetstream.AckExplicitPolicy || c.AckWait != s.AckWait || c.MaxAckPending != 1 || c.MaxDeliver != -1
	c.FilterSubject, c.FilterSubjects = "", s.filters
	c.AckPolicy = jetstream.AckExplicitPolicy
	c.AckWait = s.AckWait
	c.MaxAckPending = 1
	c.MaxDeliver = -1
	return changed
}
