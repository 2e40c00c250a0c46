package readmodel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// wakeWithin is how long the server keeps a pull for which it has nothing.
	wakeWithin = time.Second
	// answerWithin is how long an answer may take longer than that. A pull that
	// is not answered was lost with its connection, and is made again.
	answerWithin = 2 * time.Second
	headerStatus = "Status"
	// Statuses with which the server answers a pull.
	statusNone    = "404"
	statusExpired = "408"
)

// message is what a feed needs of one.
type message interface {
	Subject() string
	Headers() nats.Header
	Data() []byte
	Metadata() (*jetstream.MsgMetadata, error)
	Ack() error
	Nak() error
}

// pull takes what has gathered in a stream, all at once. A pull that waits gets
// each message as it is stored: every record twice, since its outbox is cleared
// a few milliseconds later, and with a packet and two wakings for each. What has
// gathered for a while comes in a few packets, and of a record only the last.
//
// All pulls have one subscription, so what comes later than it was waited for is
// not lost.
type pull struct {
	nc      *nats.Conn
	sub     *nats.Subscription
	subject string // where messages are asked for
	inbox   string
	number  int
	full    bool // whether the last batch was, so that more may be there
	busy    bool // whether the last batch had many, so that more gather soon
}

func newPull(js jetstream.JetStream, stream, consumer string) (*pull, error) {
	p := &pull{nc: js.Conn()}
	p.inbox = p.nc.NewInbox() + "."
	p.subject = jetstream.DefaultAPIPrefix + "CONSUMER.MSG.NEXT." + stream + "." + consumer
	var err error
	if p.sub, err = p.nc.SubscribeSync(p.inbox + "*"); err != nil {
		return nil, fmt.Errorf("readmodel: subscribe: %w", err)
	}
	if err := p.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("readmodel: subscribe: %w", err)
	}
	return p, nil
}

// wake waits for a message.
func (p *pull) wake(ctx context.Context) ([]message, error) {
	for {
		batch, err := p.ask(ctx, 1, fmt.Sprintf(`{"batch":1,"expires":%d}`, wakeWithin))
		if len(batch) > 0 || err != nil {
			return batch, err
		}
	}
}

// take gives what there is, which may be nothing.
func (p *pull) take(ctx context.Context, atMost int) ([]message, error) {
	return p.ask(ctx, atMost, fmt.Sprintf(`{"batch":%d,"no_wait":true}`, atMost))
}

// ask makes a pull and gives what it brings, and what came too late for the one
// before. With an error it gives what has come until then.
func (p *pull) ask(ctx context.Context, atMost int, request string) (batch []message, err error) {
	p.number++
	reply := p.inbox + strconv.Itoa(p.number)
	if err := p.nc.PublishMsg(&nats.Msg{Subject: p.subject, Reply: reply, Data: []byte(request)}); err != nil {
		return nil, fmt.Errorf("readmodel: pull: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, wakeWithin+answerWithin)
	defer cancel()
	for len(batch) < atMost {
		msg, err := p.sub.NextMsgWithContext(waiting)
		if ctx.Err() == nil && waiting.Err() != nil {
			return batch, nil
		}
		if errors.Is(err, nats.ErrNoResponders) { // nobody answers for a consumer that is gone
			err = jetstream.ErrConsumerDeleted
		}
		if err != nil {
			return batch, fmt.Errorf("readmodel: pull: %w", err)
		}
		switch {
		case !isStatus(msg):
			batch = append(batch, pulled{msg})
		case msg.Subject == reply:
			return batch, p.answered(ctx, msg.Header)
		}
	}
	return batch, nil
}

// answered says what the end of a pull means. The end of the consumer has an
// error of the library; what the server says beside that passes.
func (p *pull) answered(ctx context.Context, header nats.Header) error {
	switch status := header.Get(headerStatus); {
	case status == statusNone, status == statusExpired:
		return nil
	case header.Get("Description") == "Consumer Deleted":
		return fmt.Errorf("readmodel: pull: %w", jetstream.ErrConsumerDeleted)
	}
	wait(ctx, batchLinger)
	return nil
}

// isStatus says whether the server says something of a pull, and brings nothing.
func isStatus(msg *nats.Msg) bool { return len(msg.Data) == 0 && msg.Header.Get(headerStatus) != "" }

// end waits until the last pull is over and gives back what it still brings.
func (p *pull) end() {
	last := p.inbox + strconv.Itoa(p.number)
	for {
		msg, err := p.sub.NextMsg(wakeWithin + wakeWithin/2)
		if err != nil || isStatus(msg) && msg.Subject == last {
			break
		}
		if !isStatus(msg) {
			_ = msg.Nak()
		}
	}
	_ = p.sub.Unsubscribe()
}

// pulled is a message as a feed knows one.
type pulled struct{ msg *nats.Msg }

func (p pulled) Subject() string      { return p.msg.Subject }
func (p pulled) Headers() nats.Header { return p.msg.Header }
func (p pulled) Data() []byte         { return p.msg.Data }
func (p pulled) Ack() error           { return p.msg.Ack() }
func (p pulled) Nak() error           { return p.msg.Nak() }

func (p pulled) Metadata() (*jetstream.MsgMetadata, error) {
	meta, err := p.msg.Metadata()
	if err != nil {
		return nil, err
	}
	return &jetstream.MsgMetadata{
		Sequence:     jetstream.SequencePair{Consumer: meta.Sequence.Consumer, Stream: meta.Sequence.Stream},
		NumDelivered: meta.NumDelivered, NumPending: meta.NumPending, Timestamp: meta.Timestamp,
		Stream: meta.Stream, Consumer: meta.Consumer, Domain: meta.Domain,
	}, nil
}
