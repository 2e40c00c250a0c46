package call

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// schedule puts the next attempt into the stream, where it waits on a subject
// of its own until the server moves it to its lane. It returns when that will
// be: the server knows whole seconds only, and we are never early.
//
// The message is made anew; the headers of one that was scheduled before would
// be refused. Its id names the call and the attempt, so a duplicate is the
// same attempt, ordered before a crash, and is good.
func (c *Caller) schedule(ctx context.Context, call work.Call, at time.Time) (time.Time, error) {
	at = wholeSecond(at)
	next := call
	next.Attempt++
	next.Abandoned = 0
	ack, err := c.put(ctx, next, fmt.Sprintf("%s.%d", next.CallID, next.Attempt), at)
	if err != nil {
		return at, err
	}
	if ack.Duplicate {
		c.Logger.Info("the next attempt was ordered before", "call_id", next.CallID, "attempt", next.Attempt)
	}
	return at, nil
}

// put stores an attempt, which the server moves to its lane at a whole second.
func (c *Caller) put(ctx context.Context, call work.Call, id string, at time.Time) (ack *jetstream.PubAck, err error) {
	data, err := json.Marshal(call)
	if err != nil {
		return nil, fmt.Errorf("call: encode: %w", err)
	}
	err = insist(ctx, func() error {
		var err error
		ack, err = c.JetStream.PublishMsg(ctx,
			&nats.Msg{Subject: events.TimerSubject(call.CallID, call.Attempt), Data: data},
			jetstream.WithMsgID(id),
			jetstream.WithExpectStream(events.StreamWork),
			jetstream.WithScheduleAt(at),
			jetstream.WithScheduleTarget(events.CallSubject(call.Webhook.ConnectionID, call.RequestID)),
		)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("call: schedule: %w", err)
	}
	return ack, nil
}

func wholeSecond(t time.Time) time.Time {
	whole := t.UTC().Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}
