package topology

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Leftovers are messages of a work queue that its consumer has passed and the
// stream still has: nobody would ever get them, and they would stand for work
// that is to be done.
type Leftovers struct {
	Stream jetstream.Stream
	// Consumer is the name, and Filter the filter, of the consumer.
	Consumer, Filter string
	// Done says of a message whether what it orders was done. A server that was
	// killed may have kept an acknowledgement and not the removal; it may also
	// have passed what it has never delivered.
	Done func(ctx context.Context, msg *jetstream.RawStreamMsg) (bool, error)
}

// Clean acknowledges once more what was done, and says how many messages those
// were. It stops at the first that was not, and gives it, otherwise nil.
//
// It looks at messages of the filter up to the place up to which all are
// acknowledged; others are left alone.
func (l Leftovers) Clean(ctx context.Context, nc *nats.Conn) (acknowledged int, passed *jetstream.RawStreamMsg, err error) {
	for next := uint64(1); ; {
		msg, info, err := l.next(ctx, next)
		if msg == nil || err != nil {
			return acknowledged, nil, err
		}
		if done, err := l.Done(ctx, msg); err != nil {
			return acknowledged, nil, err
		} else if !done {
			return acknowledged, msg, nil
		}
		if err := ackAgain(ctx, nc, info, msg.Sequence); err != nil {
			return acknowledged, nil, err
		}
		acknowledged++
		next = msg.Sequence + 1
	}
}

// next gives the first message from a place on that the consumer has passed, nil
// where there is none.
func (l Leftovers) next(ctx context.Context, from uint64) (*jetstream.RawStreamMsg, *jetstream.ConsumerInfo, error) {
	msg, err := l.Stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(l.Filter))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("topology: leftovers: %w", err)
	}
	// after the message, which may stand in a store that has gone back
	c, err := l.Stream.Consumer(ctx, l.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("topology: leftovers: %w", err)
	}
	if msg.Sequence > c.CachedInfo().AckFloor.Stream {
		return nil, nil, nil
	}
	return msg, c.CachedInfo(), nil
}

// Replace takes a message out that the consumer has passed, after it was put into
// the stream anew.
func (l Leftovers) Replace(ctx context.Context, nc *nats.Conn, passed *jetstream.RawStreamMsg, put func(context.Context, *jetstream.RawStreamMsg) error) error {
	if err := put(ctx, passed); err != nil {
		return fmt.Errorf("topology: put anew what was passed over: %w", err)
	}
	c, err := l.Stream.Consumer(ctx, l.Consumer)
	if err != nil {
		return fmt.Errorf("topology: leftovers: %w", err)
	}
	return ackAgain(ctx, nc, c.CachedInfo(), passed.Sequence)
}

// Candidate is a message that its consumer seems to have passed. What tells that
// it was done may be on its way, and somebody may still be at it; so it is
// believed when it has stood for as long as a message may be in somebody's hands.
type Candidate struct {
	sequence uint64
	since    time.Time
}

// Stands notes what was seen, nil for nothing, and says whether it has stood for
// so long.
func (c *Candidate) Stands(passed *jetstream.RawStreamMsg, after time.Duration) bool {
	if passed == nil {
		*c = Candidate{}
		return false
	}
	if c.sequence != passed.Sequence {
		*c = Candidate{sequence: passed.Sequence, since: time.Now()}
	}
	return time.Since(c.since) >= after
}

// ackAgain sends the acknowledgement of a message that was delivered to
// somebody, and waits until the server has heeded it.
func ackAgain(ctx context.Context, nc *nats.Conn, info *jetstream.ConsumerInfo, sequence uint64) error {
	// The tokens are: deliveries, both sequences, when it was stored, pending.
	// The server goes by the sequence of the stream.
	subject := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.0.0", info.Stream, info.Name, sequence, info.AckFloor.Consumer)
	if _, err := nc.RequestWithContext(ctx, subject, []byte("+ACK")); err != nil {
		return fmt.Errorf("topology: acknowledge what is left: %w", err)
	}
	return nil
}
