package halt

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
)

const (
	// atOnce is how many messages of one consumer are handled at the same time.
	atOnce = 16
	// fetchAhead is how many wait in memory. Even if each took its full time,
	// all would be done within ackWait.
	fetchAhead = 32
	// handleWithin ends the handling of one message.
	handleWithin = 10 * time.Second
	ackWait      = 30 * time.Second
	// heartbeat is the longest silence of a consumer that is alive.
	heartbeat = 5 * time.Second
	longest   = 30 * time.Second
)

// follow hands every message of a durable consumer to handle until ctx ends.
// Whatever goes wrong with the consumer - it was deleted, its server restarted,
// the stream moved - it is set up anew and goes on where it was.
func (k *Keeper) follow(ctx context.Context, stream string, c jetstream.ConsumerConfig, handle func(context.Context, jetstream.Msg) error) error {
	c.AckPolicy = jetstream.AckExplicitPolicy
	c.AckWait = cmp.Or(c.AckWait, ackWait)
	c.MaxAckPending = 4 * fetchAhead
	for ctx.Err() == nil {
		var consumer jetstream.Consumer
		err := topology.Await(ctx, k.waiting(c.Durable), func(ctx context.Context) (err error) {
			consumer, err = k.js.CreateOrUpdateConsumer(ctx, stream, c)
			return err
		})
		if err != nil {
			break // ctx has ended
		}
		reading, done := k.watch.Reading(ctx, consumer)
		k.consume(reading, consumer, handle)
		done()
	}
	return nil
}

// consume hands out messages until ctx ends or the consumer fails, and returns
// when all that were handed out are done with. What was delivered and not begun
// goes back, so that another replica has it at once.
func (k *Keeper) consume(ctx context.Context, consumer jetstream.Consumer, handle func(context.Context, jetstream.Msg) error) {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(fetchAhead), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		k.logger.Warn("consumer cannot be read, trying again", "error", err)
		return
	}
	var working sync.WaitGroup
	defer working.Wait()
	defer topology.GiveBack(messages)
	slots := make(chan struct{}, atOnce)
	for {
		select {
		case slots <- struct{}{}: // what is taken can begin
		case <-ctx.Done():
			return
		}
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil { // also of a silence: the consumer may be gone, and is then made anew
			if ctx.Err() == nil {
				k.logger.Info("consumer was interrupted, setting it up anew", "error", err)
			}
			return
		}
		working.Go(func() {
			defer func() { <-slots }()
			// What has begun is finished, also while the service stops.
			within, cancel := context.WithTimeout(context.WithoutCancel(ctx), handleWithin)
			defer cancel()
			k.settle(m, handle(within, m))
		})
	}
}

// verdict is what becomes of a message.
type verdict int

const (
	done   verdict = iota
	again          // later
	giveUp         // never
)

// verdictOf says what becomes of a message whose handling ended with err: one
// that can never be understood is given up, everything else is tried again for
// ever, since a halt must not be forgotten.
func verdictOf(err error) verdict {
	switch {
	case err == nil:
		return done
	case errors.Is(err, errMessage):
		return giveUp
	}
	return again
}

func (k *Keeper) settle(m jetstream.Msg, result error) {
	var err error
	switch verdictOf(result) {
	case done:
		err = m.Ack()
	case giveUp:
		k.logger.Error("message given up", "subject", m.Subject(), "error", result)
		err = m.TermWithReason("it cannot be read")
	case again:
		k.logger.Warn("message is tried again", "subject", m.Subject(), "error", result)
		err = m.NakWithDelay(pause(m))
	}
	if err != nil {
		k.logger.Warn("message could not be settled, it comes again", "subject", m.Subject(), "error", err)
	}
}

// pause doubles from a quarter of a second with every delivery.
func pause(m jetstream.Msg) time.Duration {
	meta, err := m.Metadata()
	if err != nil {
		return longest
	}
	return backoff(meta.NumDelivered)
}

func backoff(delivered uint64) time.Duration {
	return min(250*time.Millisecond<<min(max(delivered, 1)-1, 10), longest)
}

func (k *Keeper) waiting(consumer string) func(string) {
	last := ""
	return func(reason string) {
		if reason != last {
			k.logger.Warn("waiting for a consumer", "consumer", consumer, "reason", reason)
			last = reason
		}
	}
}
