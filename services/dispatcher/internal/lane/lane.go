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
	// A lane that cools down is not pulled either, while calls that began before
	// are in flight; so it stays for longer than these may take.
	inactiveAfter = time.Minute
	// The longest pause before a lane that cannot be pulled is tried again.
	longestRest = 5 * time.Second
	// A request for messages that the server has forgotten holds a lane up until
	// it expires. On a starved machine some were, so they do not last for long.
	askAgain = 10 * time.Second
	// How long a shutdown waits for messages that were on their way to us.
	returnWithin = time.Second
	// How long the stream may take to say whether it still has a message.
	standsWithin = 5 * time.Second
)

var (
	// errIdle ends the pulling of a lane that has had no work for a while.
	errIdle = errors.New("idle")
	// errDown ends the pulling of a lane whose breaker has opened.
	errDown = errors.New("the receiver is down")
)

type lane struct {
	keeper       *Keeper
	connectionID string
	breaker      *breaker
	touched      atomic.Int64 // unix nanoseconds
	inFlight     atomic.Int64
	held         held
}

// touch notes that there is, or may be, work.
func (l *lane) touch() { l.touched.Store(time.Now().UnixNano()) }

func (l *lane) idle() bool {
	return l.inFlight.Load() == 0 && time.Since(time.Unix(0, l.touched.Load())) >= l.keeper.config.Linger
}

// run pulls the lane until it is idle or ctx ends.
func (l *lane) run(ctx, handling context.Context) {
	for rest := 50 * time.Millisecond; ; rest = min(2*rest, longestRest) {
		err := l.turn(ctx, handling, func() { rest = 50 * time.Millisecond })
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
		case err == nil:
			continue
		case errors.Is(err, errDown):
			l.keeper.config.Logger.Warn("the receiver fails, its lane cools down", "connection_id", l.connectionID)
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

// turn does what the breaker allows, until that changes.
func (l *lane) turn(ctx, handling context.Context, pulled func()) error {
	if l.breaker.closed() {
		return l.pull(ctx, handling, pulled)
	}
	if wait := l.breaker.try(); wait > 0 {
		return l.coolDown(ctx, wait)
	}
	return l.try(ctx, handling, pulled)
}

// pull hands messages to their handlers until it cannot, or should not, go on.
func (l *lane) pull(ctx, handling context.Context, pulled func()) error {
	consumer, err := l.consumer(ctx)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(l.keeper.config.Concurrency), jetstream.PullExpiry(askAgain))
	if err != nil {
		return fmt.Errorf("lane: pull: %w", err)
	}
	defer giveBack(messages)
	reading, done := l.keeper.watch.Reading(ctx, consumer)
	defer done()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var end atomic.Pointer[error]
	l.keeper.running.Go(func() {
		if why := l.awaitEnd(watching); why != nil {
			end.Store(&why)
			messages.Drain()
		}
	})
	for {
		msg, err := messages.Next(jetstream.NextContext(reading))
		why := end.Load()
		switch {
		case err == nil && !l.breaker.closed():
			_ = msg.Nak() // or else its acknowledgement will be overdue
		case err == nil:
			pulled()
			l.start(handling, msg)
		case ctx.Err() != nil:
			return ctx.Err()
		case why != nil:
			return *why
		default:
			return fmt.Errorf("lane: pull: %w", err)
		}
	}
}

// awaitEnd returns errIdle when the lane has had no work for a while, errDown
// when its breaker opens, nil when ctx has ended.
func (l *lane) awaitEnd(ctx context.Context) error {
	look := time.NewTicker(max(l.keeper.config.Linger/4, time.Millisecond))
	defer look.Stop()
	opened := l.breaker.openedNow()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-opened:
			return errDown
		case <-look.C:
			if l.idle() {
				return errIdle
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
		InactiveThreshold: inactiveAfter + l.keeper.config.AckWait,
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

// start runs the handler, and gives what is closed when it has ended. How many
// run at once is bounded by the server, which holds back what exceeds the
// consumer's limit. A message that is being worked on is not begun again.
func (l *lane) start(handling context.Context, msg jetstream.Msg) (ended <-chan struct{}) {
	l.touch()
	done := make(chan struct{})
	release, ok := l.held.take(msg)
	if !ok {
		close(done)
		return done
	}
	l.inFlight.Add(1)
	l.keeper.inFlight.Inc()
	report := l.breaker.begin()
	connected := l.keeper.js.Conn().Stats().Reconnects
	l.keeper.calls.Go(func() {
		defer func() {
			release()
			l.touch()
			l.inFlight.Add(-1)
			l.keeper.inFlight.Dec()
			close(done)
		}()
		deepen(1)
		stop := beat(msg, l.keeper.config.AckWait/3)
		health, err := l.keeper.handler(handling, msg)
		stop()
		report(health)
		if l.keeper.js.Conn().Stats().Reconnects == connected || l.stands(handling, msg) {
			l.settle(msg, err)
		}
	})
	return done
}

// stands says whether the stream still has the message that was delivered. A
// server that came back with an older store gives its sequences again, and an
// acknowledgement names the sequence alone: it would take out another call,
// which nobody has made. Where that cannot be looked up, the message is taken to
// be there, as it is after every other outage.
func (l *lane) stands(ctx context.Context, msg jetstream.Msg) bool {
	meta, err := msg.Metadata()
	if err != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, standsWithin)
	defer cancel()
	stored, err := l.keeper.stream.GetMsg(ctx, meta.Sequence.Stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && !stored.Time.Equal(meta.Timestamp) {
		l.keeper.config.Logger.Info("the message of a call has gone while it was made, and is not settled", "connection_id", l.connectionID)
		return false
	}
	return true
}

// deepen lets a stack grow at once to what a call needs. A call would otherwise
// outgrow its stack several times, each time in the middle of what is deepest,
// and with all frames to be copied and mended: that took a tenth of a busy
// dispatcher's time.
//
//go:noinline
func deepen(i int) byte {
	var room [12 << 10]byte
	room[i] = 1
	return room[2*i]
}

func (l *lane) settle(msg jetstream.Msg, err error) {
	var settled error
	if err == nil {
		settled = msg.Ack()
	} else {
		settled = l.refuse(msg, err)
	}
	if settled != nil {
		l.keeper.config.Logger.Warn("cannot settle a message, it will be delivered again", "connection_id", l.connectionID, "error", settled)
	}
}

// refuse does with a message what the error of its handler says.
func (l *lane) refuse(msg jetstream.Msg, err error) error {
	delivered := uint64(math.MaxUint64)
	if meta, metaErr := msg.Metadata(); metaErr == nil {
		delivered = meta.NumDelivered
	}
	logger := l.keeper.config.Logger.With("connection_id", l.connectionID, "delivered", delivered)
	v := verdictOn(err, delivered)
	if v.kind == term {
		logger.Error("took an unreadable message out of the work", "error", err)
		return msg.TermWithReason("unreadable")
	}
	logger.Warn("a call could not be handled, trying again", "error", err, "after", v.delay.String())
	return msg.NakWithDelay(v.delay)
}

// beat tells the server, at every interval, that the message is being worked
// on, until the returned function is called.
func beat(msg jetstream.Msg, interval time.Duration) (stop func()) {
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
