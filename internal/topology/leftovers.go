package topology

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// AckLeftovers acknowledges once more what a consumer of a work queue has
// acknowledged before and the stream still has, and says how many messages
// those were. A server that was killed may come back like that: it has kept the
// acknowledgement and not the removal. Nobody would ever get such a message, and
// it would stand for work that is to be done.
//
// It looks at messages of the filter, which is that of the consumer, below the
// place up to which all are acknowledged; others are left alone.
func AckLeftovers(ctx context.Context, nc *nats.Conn, stream jetstream.Stream, consumer, filter string) (int, error) {
	acked := 0
	for next := uint64(1); ; {
		msg, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return acked, nil
		}
		if err != nil {
			return acked, fmt.Errorf("topology: leftovers: %w", err)
		}
		// after the message, which may stand in a store that has gone back
		c, err := stream.Consumer(ctx, consumer)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return acked, nil
		}
		if err != nil {
			return acked, fmt.Errorf("topology: leftovers: %w", err)
		}
		if msg.Sequence > c.CachedInfo().AckFloor.Stream {
			return acked, nil
		}
		if err := ackAgain(ctx, nc, c.CachedInfo(), msg.Sequence); err != nil {
			return acked, err
		}
		acked++
		next = msg.Sequence + 1
	}
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
