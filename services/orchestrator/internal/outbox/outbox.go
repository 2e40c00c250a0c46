// Package outbox turns the recipes of a record into what they stand for: facts,
// calls and executions.
//
// It is pure. What a recipe makes depends on the record and the recipe alone,
// so whoever publishes an outbox a second time, after a crash or in another
// process, publishes the same bytes under the same ids, and the server or the
// consumers can drop the repeat.
package outbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// ErrRecipe is returned for a recipe that does not make what was asked for.
var ErrRecipe = errors.New("outbox: bad recipe")

// Fact makes the event of a recipe of kind fact.
func Fact(rec *record.Record, r record.Recipe) (events.Event, error) {
	if r.Kind != record.RecipeFact {
		return events.Event{}, fmt.Errorf("%w: %s is no fact", ErrRecipe, r.Kind)
	}
	data, err := factData(rec, r)
	if err != nil {
		return events.Event{}, err
	}
	e, err := events.New(events.SourceOrchestrator, r.Type, r.ID, rec.ID, r.Time, data)
	if err != nil {
		return events.Event{}, fmt.Errorf("outbox: make %s: %w", r.Type, err)
	}
	if r.Trace != "" {
		events.SetTraceParent(&e, r.Trace)
	}
	return e, nil
}

// Call makes the order of a recipe of kind call: the first attempt.
func Call(rec *record.Record, r record.Recipe) (work.Call, error) {
	id, err := record.ParseCallID(r.CallID)
	if err != nil || r.Kind != record.RecipeCall || r.Webhook == nil {
		return work.Call{}, fmt.Errorf("%w: %s is no call", ErrRecipe, r.Kind)
	}
	return work.Call{
		CallID: r.CallID, RequestID: rec.ID, Run: id.Run, Phase: id.WebhookPhase(), Order: id.Order,
		Webhook: *r.Webhook, Attempt: 1, OrderedAt: r.Time, Until: orZero(r.Until), TraceParent: r.Trace,
	}, nil
}

// Execution makes the order of a recipe of kind execute.
func Execution(rec *record.Record, r record.Recipe) (events.Execution, error) {
	id, err := record.ParseCallID(r.CallID)
	if err != nil || r.Kind != record.RecipeExecute {
		return events.Execution{}, fmt.Errorf("%w: %s is no execution", ErrRecipe, r.Kind)
	}
	return events.Execution{
		ExecutionID: r.CallID, RequestID: rec.ID, Action: id.Target, Run: id.Run,
		OrderedAt: r.Time, Until: r.Until, Policy: rec.Policy.Public(), TraceParent: r.Trace,
	}, nil
}

func factData(rec *record.Record, r record.Recipe) (any, error) {
	if r.Type == events.WebhookRequested {
		return webhookData(r)
	}
	return events.RequestData{
		Sequence: r.Sequence, Status: string(r.Status), Run: rec.Run.Number, Step: string(r.Step),
		Reason: r.Reason, CallID: r.CallID, Message: r.Message, Webhook: webhook(r.Webhook),
		Until: r.Until, Actor: orNil(r.Actor), Request: rec.Public(r.Time, r.Status),
	}, nil
}

func webhookData(r record.Recipe) (events.WebhookData, error) {
	id, err := record.ParseCallID(r.CallID)
	if err != nil || r.Webhook == nil {
		return events.WebhookData{}, fmt.Errorf("%w: a requested webhook names its call and its webhook", ErrRecipe)
	}
	return events.WebhookData{
		Sequence: r.Sequence, CallID: r.CallID, Run: id.Run, Phase: string(id.WebhookPhase()), Order: id.Order,
		Webhook: *webhook(r.Webhook), Until: r.Until, ResendOf: r.ResendOf, Actor: actorOf(r),
	}, nil
}

func webhook(w *record.Webhook) *events.Webhook {
	if w == nil {
		return nil
	}
	return &events.Webhook{
		ID: w.ID, Key: w.Key, Name: w.Name, Direction: w.Direction,
		ConnectionID: w.ConnectionID, ConnectionKey: w.ConnectionKey,
	}
}

// actorOf names who asked for a call: of a resend only, since the calls of a run
// are ordered by nobody.
func actorOf(r record.Recipe) *string {
	if r.ResendOf == "" {
		return nil
	}
	return orNil(r.Actor)
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
