package transition

import (
	"context"
	"fmt"
	"strings"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

const (
	inputAckWait = time.Minute
	inputPending = 1024
	pullAtMost   = 256
	// heartbeat is the longest silence of a consumer that is alive.
	heartbeat = 5 * time.Second
)

// source is a durable consumer and how its messages are read.
type source struct {
	stream string
	config jetstream.ConsumerConfig
	read   func(jetstream.Msg) (Delivery, error)
}

// sources are the two places where inputs come from. The orchestrator's own
// facts are not among them.
func sources() []source {
	consumer := func(durable string, filters ...string) jetstream.ConsumerConfig {
		return jetstream.ConsumerConfig{
			Durable: durable, FilterSubjects: filters, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: inputAckWait, MaxAckPending: inputPending, MaxDeliver: -1,
		}
	}
	return []source{
		{
			stream: events.StreamWork, read: readCommand,
			config: consumer(topology.ConsumerCommands, events.CommandFilter),
		},
		{
			stream: events.StreamEvents, read: readFact,
			config: consumer(topology.ConsumerFacts,
				"dsr.event.webhook.succeeded.*", "dsr.event.webhook.halted.*", "dsr.event.webhook.failed.*",
				"dsr.event.webhook.skipped.*", "dsr.event.webhook.undelivered.*", "dsr.event.webhook.attempted.*",
				"dsr.event.callback.*.*", "dsr.event.execution.*.*"),
		},
	}
}

// message is an input on its way through the loop.
type message struct {
	msg      jetstream.Msg
	delivery Delivery
	err      error
	renewed  uint64 // see Loop.Renew
}

// pull brings the messages of a source to the workers, until ctx ends.
func (l *Loop) pull(ctx context.Context, s source, workers *workers) error {
	for ctx.Err() == nil {
		var consumer jetstream.Consumer
		err := topology.Await(ctx, nil, func(ctx context.Context) error {
			var err error
			consumer, err = l.JS.CreateOrUpdateConsumer(ctx, s.stream, s.config)
			return err
		})
		if err != nil {
			return err
		}
		reading, done := l.Watch.Reading(ctx, consumer)
		err = l.pullFrom(reading, consumer, s, workers)
		done()
		if err != nil && ctx.Err() == nil {
			l.Logger.Warn("inputs interrupted", "consumer", s.config.Durable, "error", err)
		}
	}
	return context.Cause(ctx)
}

func (l *Loop) pullFrom(ctx context.Context, consumer jetstream.Consumer, s source, workers *workers) error {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pullAtMost), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("transition: pull: %w", err)
	}
	defer topology.GiveBack(messages)
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil { // also of a silence: the consumer may be gone, and is then made anew
			return fmt.Errorf("transition: next input: %w", err)
		}
		delivery, err := s.read(msg)
		if !workers.put(ctx, message{msg: msg, delivery: delivery, err: err, renewed: l.renewed.Load()}) {
			_ = msg.Nak()
			return context.Cause(ctx)
		}
	}
}

func readCommand(msg jetstream.Msg) (Delivery, error) {
	var c work.Command
	if err := jsonv1.Unmarshal(msg.Data(), &c); err != nil {
		return Delivery{}, fmt.Errorf("%w: command: %w", errUnreadable, err)
	}
	if c.ID == "" || c.RequestID == "" || msg.Subject() != events.CommandSubject(c.RequestID) {
		return Delivery{}, fmt.Errorf("%w: command without an id, or on the subject of another request", errUnreadable)
	}
	return Delivery{
		RequestID: c.RequestID, ReplyTo: msg.Headers().Get(work.HeaderReply),
		Input: lifecycle.Input{ID: c.ID, Trace: c.TraceParent, Command: &c},
	}, nil
}

func readFact(msg jetstream.Msg) (Delivery, error) {
	e, err := events.Decode(msg.Headers(), msg.Data())
	if err != nil {
		return Delivery{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if !events.ValidToken(e.Subject()) || !strings.HasSuffix(msg.Subject(), "."+e.Subject()) {
		return Delivery{}, fmt.Errorf("%w: fact about another request than its subject says", errUnreadable)
	}
	in, err := inputOf(e)
	if err != nil {
		return Delivery{}, err
	}
	return Delivery{RequestID: e.Subject(), ReplyTo: msg.Headers().Get(work.HeaderReply), Input: in}, nil
}

// inputOf reads the data of a fact by the noun of its type.
func inputOf(e events.Event) (lifecycle.Input, error) {
	in := lifecycle.Input{ID: e.ID(), Trace: events.TraceParent(e)}
	var into any
	switch kind := e.Type(); {
	case strings.HasPrefix(kind, "dev.parley.webhook."):
		in.Webhook = &lifecycle.WebhookFact{Type: kind}
		into = &in.Webhook.Data
	case strings.HasPrefix(kind, "dev.parley.callback."):
		in.Callback = &lifecycle.CallbackFact{Type: kind}
		into = &in.Callback.Data
	case strings.HasPrefix(kind, "dev.parley.execution."):
		in.Execution = &lifecycle.ExecutionFact{Type: kind}
		into = &in.Execution.Data
	default:
		return in, fmt.Errorf("%w: type %s", errUnreadable, kind)
	}
	if err := jsonv1.Unmarshal(e.Data(), into); err != nil {
		return in, fmt.Errorf("%w: data of %s: %w", errUnreadable, e.Type(), err)
	}
	return in, nil
}
