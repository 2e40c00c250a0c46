// Package door is how a REST handler changes a request: it publishes a command
// on the work stream and waits for the answer of the transition loop, which may
// run in this process or in another. A command is durable once it is published:
// a caller that stops waiting learns nothing, but the command will be applied.
package door

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// Wait is how long a caller is kept waiting for the answer.
const Wait = 5 * time.Second

var (
	// ErrNotStored is returned for a command that could not be published: it
	// will not be applied, and may be tried again.
	ErrNotStored = errors.New("door: the command could not be stored")
	// ErrUnconfirmed is returned for a command of which nobody knows whether it
	// was stored: it may still be applied, and may be tried again.
	ErrUnconfirmed = errors.New("door: it is not known whether the command was stored")
	// ErrNoAnswer is returned for a command that is stored and was not answered
	// in time: it will be applied.
	ErrNoAnswer = errors.New("door: the command is stored and not yet applied")
)

// Door sends commands. One inbox serves all callers.
type Door struct {
	js    jetstream.JetStream
	inbox string
	wait  time.Duration

	mu      sync.Mutex
	callers map[string]chan work.Answer
}

// Open subscribes to the inbox; the subscription ends with the connection.
func Open(nc *nats.Conn, js jetstream.JetStream) (*Door, error) {
	d := &Door{js: js, inbox: nc.NewInbox(), wait: Wait, callers: map[string]chan work.Answer{}}
	if _, err := nc.Subscribe(d.inbox+".*", d.deliver); err != nil {
		return nil, fmt.Errorf("door: subscribe: %w", err)
	}
	return d, nil
}

// Send publishes a command and waits for its answer.
func (d *Door) Send(ctx context.Context, c work.Command) (work.Answer, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return work.Answer{}, fmt.Errorf("door: encode command: %w", err)
	}
	token, answers := d.expect()
	defer d.forget(token)
	ctx, cancel := context.WithTimeout(ctx, d.wait)
	defer cancel()
	msg := &nats.Msg{
		Subject: events.CommandSubject(c.RequestID), Data: data,
		Header: nats.Header{work.HeaderReply: {d.inbox + "." + token}},
	}
	if _, err := d.js.PublishMsg(ctx, msg, jetstream.WithMsgID(c.ID)); err != nil {
		return work.Answer{}, fmt.Errorf("%w: %w", unstored(err), err)
	}
	select {
	case a := <-answers:
		return a, nil
	case <-ctx.Done():
		return work.Answer{}, fmt.Errorf("%w: %w", ErrNoAnswer, context.Cause(ctx))
	}
}

// unstored says what is known of a command whose publish failed. What was sent
// may be stored without our being told: the answer was lost, or the command
// waits in the connection for the server to come back.
func unstored(err error) error {
	for _, unknown := range []error{context.DeadlineExceeded, context.Canceled, nats.ErrTimeout} {
		if errors.Is(err, unknown) {
			return ErrUnconfirmed
		}
	}
	return ErrNotStored
}

func (d *Door) expect() (string, chan work.Answer) {
	token, answers := rand.Text(), make(chan work.Answer, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.callers[token] = answers
	return token, answers
}

func (d *Door) forget(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.callers, token)
}

// deliver hands an answer to its caller; one that nobody waits for any more, or
// that comes twice, is dropped.
func (d *Door) deliver(msg *nats.Msg) {
	token := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
	d.mu.Lock()
	answers := d.callers[token]
	d.mu.Unlock()
	if answers == nil {
		return
	}
	var a work.Answer
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		return // the caller's wait ends by itself
	}
	select {
	case answers <- a:
	default:
	}
}
