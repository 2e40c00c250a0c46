package topology

import (
	"context"
	"errors"
	"fmt"

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
	// have passed what it has never delivered. Where Done is nil all are done.
	Done func(ctx context.Context, msg *jetstream.RawStreamMsg) (bool, error)
}

// Clean acknowledges once more what was done, and says how many messages those
// were. It stops at the first that was not, and gives its sequence, otherwise 0.
//
// It looks at messages of the filter up to the place up to which all are
// acknowledged; others are left alone.
func (l Leftovers) Clean(ctx context.Context, nc *nats.Conn) (acknowledged int, passed uint64, err error) {
	for next := uint64(1); ; {
		msg, info, err := l.next(ctx, next)
		if msg == nil || err != nil {
			return acknowledged, 0, err
		}
		if l.Done != nil {
			if done, err := l.Done(ctx, msg); !done || err != nil {
				return acknowledged, msg.Sequence, err
			}
		}
		if err := ackAgain(ctx, nc, info, msg.Sequence); err != nil {
			return acknowledged, 0, err
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

// Again has the consumer go back to a message that it has passed. Where others of
// its messages are in hand, which would be delivered again too, it does nothing
// and says so.
func (l Leftovers) Again(ctx context.Context, passed uint64) (bool, error) {
	c, err := l.Stream.Consumer(ctx, l.Consumer)
	if err == nil && c.CachedInfo().NumAckPending > 0 {
		return false, nil
	}
	if err == nil {
		_, err = l.Stream.ResetConsumerToSequence(ctx, l.Consumer, passed)
	}
	if err != nil {
		return false, fmt.Errorf("topology: deliver what was passed over: %w", err)
	}
	return true, nil
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
