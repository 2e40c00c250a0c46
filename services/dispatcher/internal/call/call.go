// Package call makes one attempt of a webhook call and says what came of it.
//
// The order of the steps is what makes an attempt safe to repeat. First it
// looks whether the call is still wanted: the record of the request is read,
// not remembered, so that a canceled request is not called and an answered
// call not repeated. Then everything that the call needs is gathered, the call
// is made, and the answer is applied: a derived identity is staged in the
// vault, the fact is published, and only then may the message go. A crash in
// between repeats the attempt with the same webhook-id and the same fact ids,
// and what it staged for nothing expires.
//
// Retries wait in the stream: the next attempt is scheduled there before the
// fact of this one is published. Nothing waits here.
//
// An error means that the attempt could not be handled, mostly because NATS
// did not answer; the message then stays. A call that fails is not an error.
// What the attempt showed of the receiver is told in either case.
package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/authorization"
	"github.com/parley-dsr/parley/services/dispatcher/internal/egress"
	"github.com/parley-dsr/parley/services/dispatcher/internal/lane"
	"github.com/parley-dsr/parley/services/dispatcher/internal/retry"
)

// readWithin bounds what a call reads before it is made.
const readWithin = 5 * time.Second

// Records reads the record of a request.
type Records interface {
	Get(ctx context.Context, key string) (topology.Entry, error)
}

// Connections reads connections.
type Connections interface {
	Connection(ctx context.Context, id string) (catalog.Connection, error)
	// AskConnection begins to read; what it gives waits for the end.
	AskConnection(ctx context.Context, id string) func() (catalog.Connection, error)
}

// Vault reads what is known of a person and keeps what an answer adds.
type Vault interface {
	Fetch(ctx context.Context, requestID string) (vault.Sealed, error)
	Unseal(ctx context.Context, provided vault.Sealed, staged []string) (vault.Person, error)
	Stage(ctx context.Context, key string, derived identity.Identity, ttl time.Duration) error
}

// Receivers takes calls out of the house.
type Receivers interface {
	Post(ctx context.Context, r egress.Request) (egress.Answer, error)
}

// Config is what a Caller works with.
type Config struct {
	JetStream   jetstream.JetStream
	Records     Records
	Connections Connections
	Vault       Vault
	Ring        *keyring.Ring
	Opener      *authorization.Opener
	Receivers   Receivers
	Headers     authorization.Headers
	// Timeout of an attempt: the token, the call, and both once more where the
	// receiver refuses the token.
	Timeout time.Duration
	Retry   retry.Policy
	// Jitter gives a number from -1 to 1.
	Jitter func() float64
	// MaxAge is the deadline of a two_way call whose order names none.
	MaxAge time.Duration
	// DelayTimeout is the life of a reply token.
	DelayTimeout time.Duration
	// IdentityTTL is the life of a derived identity.
	IdentityTTL time.Duration
	// PublicURL is where receivers reach us; "" leaves the absolute reply
	// headers out.
	PublicURL string
	Version   string
	Clock     func() time.Time
	Logger    *slog.Logger
	Registry  prometheus.Registerer
	// Tracer may be nil.
	Tracer *tracing.Tracer
}

// Caller makes calls. It is safe for concurrent use.
type Caller struct {
	Config
	metrics metrics
}

// New gives a caller.
func New(c Config) *Caller { return &Caller{Config: c, metrics: newMetrics(c.Registry)} }

// Handle makes the attempt that a message of the work stream orders.
func (c *Caller) Handle(ctx context.Context, msg jetstream.Msg) (lane.Health, error) {
	var call work.Call
	if err := stored.Decode(msg.Data(), &call); err != nil || !complete(call) {
		return lane.Unknown, fmt.Errorf("%w: not a call", lane.ErrUnreadable)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return lane.Unknown, fmt.Errorf("call: %w", err)
	}
	ctx, span := c.begin(ctx, &call)
	defer span.End()
	health, err := c.live(ctx, call, meta)
	if err != nil {
		tracing.Fail(span, "not handled, it comes again")
	}
	return health, err
}

func complete(call work.Call) bool {
	return events.ValidToken(call.CallID) && events.ValidToken(call.RequestID) &&
		events.ValidToken(call.Webhook.ConnectionID) && call.Attempt > 0
}

func (c *Caller) handle(ctx context.Context, call work.Call) (lane.Health, error) {
	// One deadline for what is read: each read would set one of its own.
	reading, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	connection := c.Connections.AskConnection(reading, call.Webhook.ConnectionID)
	person := readAhead(func() (vault.Sealed, error) { return c.Vault.Fetch(reading, call.RequestID) })
	request, err := c.request(reading, call.RequestID)
	var unreadable *unreadableError
	if errors.As(err, &unreadable) {
		return lane.Unknown, c.miss(ctx, call, unreadable)
	}
	if err != nil {
		return lane.Unknown, err
	}
	if !wanted(request, call) {
		c.Logger.Debug("a call is no longer wanted", "call_id", call.CallID, "attempt", call.Attempt)
		c.metrics.dropped.Inc()
		return lane.Unknown, nil
	}
	if request == nil {
		return lane.Unknown, c.end(ctx, call, notMade(call, events.OutcomeIdentityGone))
	}
	if deadline := c.deadline(call); !deadline.IsZero() && !c.Clock().Before(deadline) {
		return lane.Unknown, c.end(ctx, call, notMade(call, events.OutcomeDeadline))
	}
	prepared, err := c.prepare(ctx, call, request, connection, person)
	var impossible *impossibleError
	if errors.As(err, &impossible) {
		return lane.Unknown, c.end(ctx, call, notMade(call, impossible.outcome))
	}
	if errors.As(err, &unreadable) {
		return lane.Unknown, c.miss(ctx, call, unreadable)
	}
	if err != nil {
		return lane.Unknown, err
	}
	made, err := c.attempt(ctx, call, prepared)
	if err != nil {
		return lane.Unknown, err
	}
	return health(made), c.conclude(ctx, call, made)
}

// health says what the attempt showed of the receiver.
func health(made result) lane.Health {
	switch {
	case made.outcome == events.OutcomeStatus && made.status == http.StatusInternalServerError:
		return lane.Broken // an outage, or what this one call meets in the receiver
	case retry.Down(made.outcome, made.status):
		return lane.Down
	case made.status == 0:
		return lane.Unknown // we made no call
	}
	return lane.Up
}

// conclude applies the attempt: it ends the call or orders the next attempt.
func (c *Caller) conclude(ctx context.Context, call work.Call, made result) error {
	c.metrics.observe(made)
	c.tell(ctx, call, made)
	decision := c.Retry.Decide(retry.Attempt{
		Number: made.attempts, Outcome: made.outcome, Status: made.status, RetryAfter: made.retryAfter,
		EndedAt: c.Clock(), Deadline: c.deadline(call),
	}, c.Jitter())
	if decision.Verdict != retry.Again {
		return c.end(ctx, call, made)
	}
	at, err := c.schedule(ctx, call, decision.At)
	if err != nil {
		return err
	}
	c.metrics.retries.Inc()
	return c.publish(ctx, call, events.WebhookAttempted, made, &at)
}

// request reads the record; nil is one that does not exist any more.
func (c *Caller) request(ctx context.Context, id string) (*record.Record, error) {
	entry, err := c.Records.Get(ctx, id)
	if errors.Is(err, topology.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("call: record: %w", err)
	}
	r, err := record.Decode(entry.Value)
	if err != nil {
		return nil, &unreadableError{"the record of the request is not one"}
	}
	return r, nil
}

// deadline is the end of a call that the request waits for; zero for others,
// which may take all their attempts.
func (c *Caller) deadline(call work.Call) time.Time {
	if !awaited(call) {
		return time.Time{}
	}
	if call.Until.IsZero() {
		return call.OrderedAt.Add(c.MaxAge)
	}
	return call.Until
}
