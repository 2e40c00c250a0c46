package call

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/lane"
)

const (
	// deliveries is how often one message is delivered at most.
	deliveries = 10
	// messages is how many messages of one attempt may be given up in a row.
	messages = 2
	// The pauses before the next message of the same attempt.
	afterFailure = 2 * time.Minute
	afterSilence = 2 * time.Second
)

// live handles a message, and sees to it that one which ends the process
// whenever it is taken up does not do so for ever.
//
// That cannot be told from the number of deliveries. It also grows while NATS,
// the records or the vault are away, with every stop of a dispatcher in the
// middle of a call, and wherever acknowledgements are late, and none of this is
// the fault of the call. So the last delivery that a message has goes one of two
// ways. Either the handler comes back, then nothing was wrong with the message,
// and the attempt is put into the stream anew, as if for the first time. Or
// nobody ever says what came of it. Then it is put there anew with a mark, once:
// when the marked one ends like that, too, the call has failed. Both need a
// stream that stores, so an outage of it decides nothing.
func (c *Caller) live(ctx context.Context, call work.Call, meta *jetstream.MsgMetadata) (lane.Health, error) {
	if meta.NumDelivered > deliveries {
		return lane.Unknown, c.abandon(ctx, call, meta)
	}
	health, err := c.handle(ctx, call)
	if err == nil || meta.NumDelivered < deliveries || ctx.Err() != nil {
		return health, err
	}
	call.Abandoned = 0
	if c.repeat(ctx, call, meta.Sequence.Stream, afterFailure) != nil {
		return health, err
	}
	c.Logger.Warn("a call could not be handled, it comes again", "call_id", call.CallID, "attempt", call.Attempt,
		"error", err, "after", afterFailure.String())
	return health, nil
}

// abandon gives a message up that was delivered too often without a word.
func (c *Caller) abandon(ctx context.Context, call work.Call, meta *jetstream.MsgMetadata) error {
	call.Abandoned++
	if call.Abandoned >= messages {
		return c.end(ctx, call, notMade(call, events.OutcomePoison))
	}
	c.Logger.Warn("a call was taken up often and nobody said what came of it; it is tried anew",
		"call_id", call.CallID, "attempt", call.Attempt, "delivered", meta.NumDelivered)
	return c.repeat(ctx, call, meta.Sequence.Stream, afterSilence)
}

// repeat puts the same attempt into the stream anew, where it waits for a while.
// Its id names the message that it takes the place of.
func (c *Caller) repeat(ctx context.Context, call work.Call, sequence uint64, pause time.Duration) error {
	id := fmt.Sprintf("%s.%d.after.%d", call.CallID, call.Attempt, sequence)
	_, err := c.put(ctx, call, id, wholeSecond(c.Clock().Add(pause)))
	return err
}
