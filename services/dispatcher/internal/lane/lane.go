package lane

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	// The server removes the consumer of a lane that nobody pulls.
	inactiveAfter = time.Minute
	// The longest pause before a lane that cannot be pulled is tried again.
	longestRest = 5 * time.Second
	// How long a shutdown waits for messages that were on their way to us.
	returnWithin = time.Second
)

// errIdle ends the pulling of a lane that has had no work for a while.
var errIdle = errors.New("idle")

type lane struct {
	keeper       *Keeper
	connectionID string
	touched      atomic.Int64 // unix nanoseconds
	inFlight     atomic.Int64
}

// touch notes that there is, or may be, work.
func (l *lane) touch() { l.touched.Store(time.Now().UnixNano()) }

func (l *lane) idle() bool {
	return l.inFlight.Load() == 0 && time.Since(time.Unix(0, l.touched.Load())) >= l.keeper.config.Linger
}

// run pulls the lane until it is idle or ctx ends.
func (l *lane) run(ctx, handling context.Context) {
	for rest := 50 * time.Millisecond; ; rest = min(2*rest, longestRest) {
		err := l.pull(ctx, handling, func() { rest = 50 * time.Millisecond })
		switch {
		case ctx.Err() != nil:
			l.keeper.mu.Lock()
			l.keeper.remove(l)
			l.keeper.mu.Unlock()
			return
		case errors.Is(err, errIdle):
			if l.keeper.retire(l) {
				return
			}
			continue
		}
		l.keeper.config.Logger.Warn("a lane cannot be pulled, trying again", "connection_id", l.connectionID, "error", err)
		pause := time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// pull hands messages to their handlers until it cannot, or should not, go on.
func (l *lane) pull(ctx, handling context.Context, pulled func()) error {
	consumer, err := l.consumer(ctx)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(l.keeper.config.Concurrency))
	if err != nil {
		return fmt.Errorf("lane: pull: %w", err)
	}
	defer giveBack(messages)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var idle atomic.Bool
	l.keeper.running.Go(func() {
		if l.awaitIdle(watching) {
			idle.Store(true)
			messages.Drain()
		}
	})
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case err == nil:
			pulled()
			l.start(handling, msg)
		case ctx.Err() != nil:
			return ctx.Err()
		case idle.Load():
			return errIdle
		default:
			return fmt.Errorf("lane: pull: %w", err)
		}
	}
}

// awaitIdle returns true when the lane has had no work for a while, false when
// ctx has ended.
func (l *lane) awaitIdle(ctx context.Context) bool {
	look := time.NewTicker(max(l.keeper.config.Linger/4, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
			if l.idle() {
				return true
			}
		}
	}
}

func (l *lane) consumer(ctx context.Context) (jetstream.Consumer, error) {
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	consumer, err := l.keeper.js.CreateOrUpdateConsumer(asking, events.StreamWork, jetstream.ConsumerConfig{
		Durable:           topology.LaneConsumer(l.connectionID),
		Description:       "Lane: the calls of one connection",
		FilterSubject:     events.LaneFilter(l.connectionID),
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           l.keeper.config.AckWait,
		MaxAckPending:     l.keeper.config.Concurrency,
		MaxDeliver:        -1,
		InactiveThreshold: inactiveAfter,
	})
	if err != nil {
		return nil, fmt.Errorf("lane: consumer: %w", err)
	}
	return consumer, nil
}

// giveBack ends a pull and returns what was delivered and not begun, so that
// another replica gets it at once instead of when its acknowledgement is
// overdue.
func giveBack(messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(returnWithin))
		if err != nil {
			break
		}
		_ = msg.Nak()
	}
	messages.Stop()
}

// start runs the handler. How many run at once is bounded by the server, which
// holds back what exceeds the consumer's limit.
func (l *lane) start(handling context.Context, msg jetstream.Msg) {
	l.touch()
	l.inFlight.Add(1)
	l.keeper.inFlight.Inc()
	l.keeper.calls.Go(func() {
		defer func() {
			l.touch()
			l.inFlight.Add(-1)
			l.keeper.inFlight.Dec()
		}()
		ended := report(msg, l.keeper.config.AckWait/3)
		err := l.keeper.handler(handling, msg)
		ended()
		l.settle(msg, err)
	})
}

func (l *lane) settle(msg jetstream.Msg, err error) {
	delivered := uint64(math.MaxUint64)
	if meta, metaErr := msg.Metadata(); metaErr == nil {
		delivered = meta.NumDelivered
	}
	logger := l.keeper.config.Logger.With("connection_id", l.connectionID, "delivered", delivered)
	var settled error
	switch v := verdictOn(err, delivered); v.kind {
	case ack:
		settled = msg.Ack()
	case term:
		logger.Error("took an unreadable message out of the work", "error", err)
		settled = msg.TermWithReason("unreadable")
	case again:
		logger.Warn("a call could not be handled, trying again", "error", err, "after", v.delay.String())
		settled = msg.NakWithDelay(v.delay)
	}
	if settled != nil {
		logger.Warn("cannot settle a message, it will be delivered again", "error", settled)
	}
}

// report tells the server, at every interval, that the message is being worked
// on, until the returned function is called.
func report(msg jetstream.Msg, interval time.Duration) (ended func()) {
	done := make(chan struct{})
	begin := time.AfterFunc(interval, func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			_ = msg.InProgress() // the next one makes up for it
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		begin.Stop()
		close(done)
	}
}
