package call

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// end publishes the fact that ends the call, after what the answer adds to the
// identity has been staged.
func (c *Caller) end(ctx context.Context, call work.Call, made result) error {
	return c.publish(ctx, call, endOf(call, made), made, nil)
}

// endOf gives the type of the fact that ends the call.
func endOf(call work.Call, made result) string {
	switch {
	case made.outcome == events.OutcomeOK && made.answer.Halt && call.Phase == record.Pre:
		return events.WebhookHalted
	case made.outcome == events.OutcomeOK:
		return events.WebhookSucceeded
	case awaited(call):
		return events.WebhookFailed
	case made.outcome == events.OutcomeDisabled:
		return events.WebhookSkipped
	}
	return events.WebhookUndelivered
}

// publish publishes a fact about the call. Its id depends on the attempt and
// the kind alone, so that a repeat has the id that it had.
func (c *Caller) publish(ctx context.Context, call work.Call, eventType string, made result, next *time.Time) error {
	data := events.WebhookData{
		CallID: call.CallID, Run: call.Run, Phase: string(call.Phase), Order: call.Order,
		Webhook: events.Webhook(call.Webhook),
		Attempt: made.attempts, Outcome: made.outcome, HTTPStatus: made.status,
		DurationMS: made.took.Milliseconds(), Error: made.text, NextAttemptAt: next,
	}
	if eventType == events.WebhookHalted {
		data.Until = &made.tokenEnds
	}
	if derived := made.answer.Derived; !derived.Empty() {
		key := vault.StageKey(call.RequestID)
		if err := insist(ctx, func() error { return c.Vault.Stage(ctx, key, derived, c.IdentityTTL) }); err != nil {
			return fmt.Errorf("call: stage: %w", err)
		}
		data.StagedKey, data.DerivedFields = key, derived.Fields()
	}
	event, err := events.New(events.SourceDispatcher, eventType, factID(call, eventType), call.RequestID, c.Clock(), data)
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	events.SetTraceParent(&event, call.TraceParent)
	ctx, span := c.telling(ctx, event)
	defer span.End()
	if err := insist(ctx, func() error { return events.Publish(ctx, c.JetStream, event) }); err != nil {
		return fmt.Errorf("call: publish: %w", err)
	}
	return nil
}

func factID(call work.Call, eventType string) string {
	return attemptID(call) + kindOf(eventType)
}

// attemptID begins the ids of all facts of an attempt.
func attemptID(call work.Call) string { return call.CallID + "." + strconv.Itoa(call.Attempt) + "." }

func kindOf(eventType string) string {
	switch eventType {
	case events.WebhookAttempted:
		return "attempted"
	case events.WebhookSucceeded:
		return "succeeded"
	case events.WebhookHalted:
		return "halted"
	case events.WebhookFailed:
		return "failed"
	case events.WebhookSkipped:
		return "skipped"
	}
	return "undelivered"
}

const (
	insistFor    = 5 * time.Minute
	longestPause = 2 * time.Second
)

// insist tries until it succeeds, since what it does follows a call that was
// made: to give up means to make the call again. The message is held meanwhile,
// so that nobody else makes it either. In the end it gives up, lest what can
// never be stored takes a place in the lane for ever.
func insist(ctx context.Context, try func() error) error {
	began := time.Now()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		err := try()
		if err == nil || ctx.Err() != nil || time.Since(began) >= insistFor {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		case <-timer.C:
		}
	}
}
