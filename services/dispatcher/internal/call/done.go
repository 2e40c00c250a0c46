package call

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// Done says whether the attempt that a message orders was told: every attempt
// that is made ends with a fact, and is acknowledged after it. A fact from before
// is of an earlier message, which was put off. An attempt that nobody wanted has
// none; its message may come again, and is dropped again.
func (c *Caller) Done(ctx context.Context, msg *jetstream.RawStreamMsg) (bool, error) {
	var call work.Call
	if err := stored.Decode(msg.Data, &call); err != nil || !complete(call) {
		return true, nil
	}
	stream, err := c.JetStream.Stream(ctx, events.StreamEvents)
	if err != nil {
		return false, fmt.Errorf("call: look for facts: %w", err)
	}
	attempt := attemptID(call)
	for next := uint64(1); ; {
		fact, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(events.WebhookFilter(call.RequestID)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("call: look for facts: %w", err)
		}
		if fact.Time.After(msg.Time) && strings.HasPrefix(fact.Header.Get(jetstream.MsgIDHeader), attempt) {
			return true, nil
		}
		next = fact.Sequence + 1
	}
}

// Again puts an attempt into the stream anew, in place of a message that nobody
// will be given.
func (c *Caller) Again(ctx context.Context, msg *jetstream.RawStreamMsg) error {
	var call work.Call
	if err := stored.Decode(msg.Data, &call); err != nil {
		return fmt.Errorf("call: decode: %w", err)
	}
	return c.repeat(ctx, call, msg.Sequence, afterSilence)
}
