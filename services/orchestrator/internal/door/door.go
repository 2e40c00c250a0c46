// Package door is how a REST handler changes a request: it publishes a command
// on the work stream and waits for the answer of the transition loop, which may
// run in this process or in another. A command is durable once it is published:
// a caller that stops waiting learns nothing, but the command will be applied.
package door

import (
	"context"
	"fmt"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/inbox"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

var (
	// ErrNotStored is returned for a command that could not be published: it
	// will not be applied, and may be tried again.
	ErrNotStored = inbox.ErrNotStored
	// ErrUnconfirmed is returned for a command of which nobody knows whether it
	// was stored: it may still be applied, and may be tried again.
	ErrUnconfirmed = inbox.ErrUnconfirmed
	// ErrNoAnswer is returned for a command that is stored and was not answered
	// in time: it will be applied.
	ErrNoAnswer = inbox.ErrNoAnswer
)

// Door sends commands.
type Door struct{ answers *inbox.Inbox }

// Open subscribes to the answers; that ends with the connection. Patience is how
// long a caller waits, as usual where it is 0.
func Open(nc *nats.Conn, js jetstream.JetStream, patience time.Duration) (*Door, error) {
	answers, err := inbox.Open(nc, js, patience)
	if err != nil {
		return nil, fmt.Errorf("door: %w", err)
	}
	return &Door{answers: answers}, nil
}

// Send publishes a command and waits for its answer.
func (d *Door) Send(ctx context.Context, c work.Command) (work.Answer, error) {
	data, err := jsonv1.Marshal(c)
	if err != nil {
		return work.Answer{}, fmt.Errorf("door: encode command: %w", err)
	}
	answer, err := d.answers.Ask(ctx, &nats.Msg{Subject: events.CommandSubject(c.RequestID), Data: data}, jetstream.WithMsgID(c.ID))
	if err != nil {
		return work.Answer{}, fmt.Errorf("door: %w", err)
	}
	return answer, nil
}
