package events

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Subscription says what to subscribe to. Its zero value is a subscription to
// every fact, from the oldest that is kept, which nobody remembers.
type Subscription struct {
	// Durable is the name under which the server remembers what was handled,
	// made of letters, digits, '_' and '-'. Subscribers with the same name
	// share the facts, one fact at a time over all of them. Empty is a
	// subscription that ends with the process.
	Durable string
	// Types are the types to get; none is all. Only a subscription to all can
	// notice a gap.
	Types []string
	// From says where a new subscription begins; one that the server remembers
	// goes on where it was.
	From From
	// OnGap is asked when facts are gone that this subscription has not seen.
	// Nil goes on after the gap, an error ends Subscribe with that error.
	// Without OnGap, Subscribe ends with the GapError.
	OnGap func(*GapError) error
	// Waiting is told, again and again, why nothing can be had at the moment:
	// the stream does not exist yet, NATS is away.
	Waiting func(reason string)
	// Backoff is the pause before a fact is handled again whose handler has
	// failed so many times. Nil is 1 s, doubling, up to a minute.
	Backoff func(failures int) time.Duration
	// AckWait is how long after the loss of a subscriber another one gets the
	// fact that it had. 0 is 30 s. A handler may take longer.
	AckWait time.Duration
	// Logger is told of facts that could not be read. Nil tells nobody.
	Logger *slog.Logger
}

// From is a position in the stream. The zero value is the beginning.
type From struct {
	policy   jetstream.DeliverPolicy
	time     time.Time
	sequence uint64
}

// FromBeginning is the oldest fact that is kept.
func FromBeginning() From { return From{policy: jetstream.DeliverAllPolicy} }

// FromNew is the first fact that is published after the subscription was made.
func FromNew() From { return From{policy: jetstream.DeliverNewPolicy} }

// FromTime is the first fact that was stored at or after t.
func FromTime(t time.Time) From {
	return From{policy: jetstream.DeliverByStartTimePolicy, time: t}
}

// FromSequence is the fact with that sequence in the stream.
func FromSequence(n uint64) From {
	return From{policy: jetstream.DeliverByStartSequencePolicy, sequence: max(n, 1)}
}

const (
	defaultAckWait = 30 * time.Second
	// forgotten is how long the server keeps the consumer of a subscriber
	// without a durable name that it does not hear of.
	forgotten = 5 * time.Minute
)

func (s Subscription) withDefaults() Subscription {
	if s.AckWait <= 0 {
		s.AckWait = defaultAckWait
	}
	if s.Backoff == nil {
		s.Backoff = doubling
	}
	if s.Waiting == nil {
		s.Waiting = func(string) {}
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	return s
}

func doubling(failures int) time.Duration {
	return min(time.Second<<min(max(failures-1, 0), 6), time.Minute)
}

func (s Subscription) filters() ([]string, error) {
	if s.Durable != "" && !ValidToken(s.Durable) {
		return nil, fmt.Errorf("%w: the durable name has other characters than letters, digits, '_' and '-'", ErrSubscription)
	}
	if len(s.Types) == 0 {
		return []string{SubjectAll}, nil
	}
	var filters []string
	for _, t := range s.Types {
		filter, err := Filter(t)
		if err != nil {
			return nil, err
		}
		filters = append(filters, filter)
	}
	slices.Sort(filters)
	return slices.Compact(filters), nil
}
