package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Handler handles one fact. An error has it handled again after a pause, and
// later facts wait.
type Handler = func(ctx context.Context, e Event) error

// Subscribe hands facts to the handler, in the order of the stream and one at a
// time, until ctx ends or facts are gone unseen. See the package comment for
// what it promises. The error is that of ctx, a GapError, what OnGap returned,
// ErrSubscription, ErrType, or nats.ErrConnectionClosed if the connection was
// closed for good.
func Subscribe(ctx context.Context, js jetstream.JetStream, s Subscription, handler func(ctx context.Context, e Event) error) error {
	filters, err := s.filters()
	if err != nil {
		return err
	}
	sub := &subscriber{
		Subscription: s.withDefaults(),
		js:           js,
		filters:      filters,
		name:         s.Durable,
		handle:       handler,
	}
	defer sub.leave()
	return sub.run(ctx)
}

type subscriber struct {
	Subscription
	js       jetstream.JetStream
	filters  []string
	handle   Handler
	stream   jetstream.Stream
	consumer jetstream.Consumer
	name     string // of the consumer; the server gives it where Durable is empty

	position position
	marked   uint64 // what the consumer's mark says, if hasMark
	hasMark  bool
	repeats  memory[string, struct{}]
	requests memory[string, counted]
}

// fatal is an error that ends the subscription.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// A server that is silent for two heartbeats is taken to be away.
const (
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 2 * time.Second
)

// run begins sessions until one ends for good.
func (s *subscriber) run(ctx context.Context) error {
	const first, longest = 100 * time.Millisecond, 5 * time.Second
	for pause := first; ; pause = min(2*pause, longest) {
		began := time.Now()
		err := s.session(ctx)
		var end fatal
		switch {
		case errors.As(err, &end):
			return end.error
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.js.Conn().IsClosed():
			return nats.ErrConnectionClosed
		}
		s.Waiting(waitingReason(err))
		if time.Since(began) > longest {
			pause = first
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// session binds the consumer and handles facts until something breaks.
func (s *subscriber) session(ctx context.Context) error {
	if err := s.bindWithin(ctx); err != nil {
		return err
	}
	// What other subscribers got while this one was away is not known to it.
	s.requests.clear()
	if s.all() {
		if gap := s.position.missingBefore(s.stream.CachedInfo().State.FirstSeq); gap != nil {
			if err := s.acceptGap(gap); err != nil {
				return err
			}
		}
	}
	marking := s.keepMark(ctx)
	defer marking()
	messages, err := s.consumer.Messages(jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return err
	}
	defer giveUp(messages)
	for ctx.Err() == nil {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := s.receive(ctx, msg); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *subscriber) bindWithin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.bind(ctx)
}

// all says whether the subscription gets every fact, and so can know a gap.
func (s *subscriber) all() bool { return len(s.Types) == 0 }

// receive handles one delivery and settles it with the server. The error ends
// the session.
func (s *subscriber) receive(ctx context.Context, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	at := meta.Sequence.Stream
	e, decodeErr := Decode(msg.Headers(), msg.Data())
	number := uint64(0)
	if decodeErr == nil && s.all() {
		number = sequenceOf(e)
	}
	if gap := s.gapBefore(meta, e, number); gap != nil {
		if err := s.acceptGap(gap); err != nil {
			_ = msg.Nak()
			return err
		}
	}
	if decodeErr != nil {
		// It will not get better, and all that follow would wait for it.
		s.Logger.Error("a fact could not be read and is left out", "stream_sequence", at, "error", decodeErr)
		s.position.done(at)
		return msg.TermWithReason("not a CloudEvent")
	}
	if !s.all() && !slices.Contains(s.Types, e.Type()) {
		// It was in hand when a durable subscription began to ask for other types.
		s.position.done(at)
		return msg.Ack()
	}
	if _, repeated := s.repeats.get(e.ID()); !repeated {
		if err := s.handleAlive(ctx, msg, e); err != nil {
			return s.giveBack(ctx, msg, meta)
		}
		s.repeats.put(e.ID(), struct{}{})
	}
	if number > 0 {
		s.requests.put(e.Subject(), counted{sequence: number, stream: at})
	}
	s.position.done(at)
	return msg.Ack()
}

// gapBefore finds what is gone before a delivery: by its position in the
// stream, and by the numbers of its request.
func (s *subscriber) gapBefore(meta *jetstream.MsgMetadata, e Event, number uint64) *GapError {
	gap, unbroken := s.position.arrive(meta.Sequence.Stream, meta.Sequence.Consumer)
	if !s.all() {
		return nil
	}
	if !unbroken {
		s.requests.clear()
	}
	if number == 0 {
		return gap
	}
	last, known := s.requests.get(e.Subject())
	if !known || number <= last.sequence+1 {
		return gap
	}
	if gap == nil {
		gap = &GapError{From: last.stream + 1, To: meta.Sequence.Stream - 1}
	}
	gap.RequestID, gap.FromSequence, gap.ToSequence = e.Subject(), last.sequence+1, number-1
	return gap
}

func (s *subscriber) acceptGap(gap *GapError) error {
	if s.OnGap == nil {
		return fatal{gap}
	}
	if err := s.OnGap(gap); err != nil {
		return fatal{err}
	}
	s.requests.clear() // whatever is missing in them has been said
	s.position.done(gap.To)
	return nil
}

// handleAlive runs the handler, and tells the server that it is at work for as
// long as it takes.
func (s *subscriber) handleAlive(ctx context.Context, msg jetstream.Msg, e Event) error {
	stop := keepAlive(msg, s.AckWait/3)
	defer stop()
	return s.handle(ctx, e)
}

// giveUp stops taking messages, and gives back what the server has sent in the
// meantime: it would hold up the next subscriber until the server misses it.
func giveUp(messages jetstream.MessagesContext) {
	messages.Drain()
	deadline, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for {
		msg, err := messages.Next(jetstream.NextContext(deadline))
		if err != nil {
			return // most often: all is given back
		}
		_ = msg.Nak()
	}
}

// giveBack has the fact delivered again: to the next subscriber at once if this
// one is ending, else after a pause.
func (s *subscriber) giveBack(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata) error {
	if ctx.Err() != nil {
		return msg.Nak()
	}
	return msg.NakWithDelay(s.Backoff(int(min(meta.NumDelivered, 1<<20))))
}

// keepAlive tells the server every so often that the message is being worked
// on, until stop is called.
func keepAlive(msg jetstream.Msg, every time.Duration) (stop func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(every, func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			_ = msg.InProgress() // lost ones are made up for by the next
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		timer.Stop()
		close(done)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func waitingReason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrNoHeartbeat):
		return "NATS does not answer"
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return "NATS has no JetStream"
	case errors.Is(err, nats.ErrNoResponders):
		return "NATS has no JetStream, or there is no orchestrator that would make the consumer"
	}
	return fmt.Sprint(err)
}
