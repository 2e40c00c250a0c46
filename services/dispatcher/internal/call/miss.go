package call

import (
	"context"
	"errors"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/retry"
)

// unreadableError says that something is there and cannot be read here. It may
// be readable to another dispatcher, or to this one once it has the key.
type unreadableError struct{ what string }

func (e *unreadableError) Error() string { return "call: unreadable: " + e.what }

// why says in fixed words what keeps a sealed value from being read.
func why(err error) string {
	switch {
	case errors.Is(err, keyring.ErrUnknownKey):
		return "sealed with a key that is not in PARLEY_ENCRYPTION_KEYS"
	case errors.Is(err, vault.ErrForeign):
		return "the value belongs to another request"
	case errors.Is(err, keyring.ErrSealed):
		return "not a sealed value, or damaged"
	}
	return "the sealed value does not hold what it should"
}

// miss puts off a call that lacks something only a person can mend. To leave
// the message where it is would take a place in the lane from the calls that
// can be made; so the call waits in the stream, as after a failure, but uses up
// no attempt, and ends by its deadline. One that has none gets that of a call
// that is waited for.
func (c *Caller) miss(ctx context.Context, call work.Call, lacks *unreadableError) error {
	missed := notMade(call, events.OutcomeUnreadable)
	c.metrics.attempts.WithLabelValues(missed.outcome).Inc()
	deadline := c.deadline(call)
	if deadline.IsZero() {
		deadline = call.OrderedAt.Add(c.MaxAge)
	}
	decision := c.Retry.Decide(retry.Attempt{
		Number: call.Missed + 1, Outcome: missed.outcome, EndedAt: c.Clock(), Deadline: deadline,
	}, c.Jitter())
	logger := c.Logger.With("connection_id", call.Webhook.ConnectionID, "call_id", call.CallID, "lacks", lacks.what)
	if decision.Verdict != retry.Again {
		logger.Error("a call ends without having been made: what it needs cannot be read")
		return c.end(ctx, call, missed)
	}
	next := call
	next.Missed++
	at, err := c.schedule(ctx, next, decision.At)
	if err != nil {
		return err
	}
	logger.Warn("a call is put off: what it needs cannot be read", "until", at)
	return c.publish(ctx, call, events.WebhookAttempted, missed, &at)
}
