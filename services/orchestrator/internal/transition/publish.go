package transition

import (
	"context"
	"errors"
	"fmt"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/outbox"
)

// publishOutbox publishes the outbox of the record that stands in the bucket
// under a revision.
func (l *Loop) publishOutbox(ctx context.Context, rec *record.Record, revision uint64, provided vault.Sealed) ([]events.Event, error) {
	l.unpublished.open(rec, revision)
	facts, err := l.publish(ctx, rec, provided)
	if err == nil {
		l.unpublished.done(rec.ID, revision)
	}
	return facts, err
}

// publish carries out the outbox of a record: the touches and all facts, and
// when these are acknowledged the work that follows from them, so that nobody
// can answer work before the fact about it is known. It returns the facts.
// provided is the identity as it was just fetched, or zero.
func (l *Loop) publish(ctx context.Context, rec *record.Record, provided vault.Sealed) ([]events.Event, error) {
	touched := make(chan error, 1)
	go func() { touched <- l.touch(ctx, rec, provided) }()
	facts, err := l.publishFacts(ctx, rec)
	if err = errors.Join(err, <-touched); err != nil {
		return nil, err
	}
	return facts, l.publishWork(ctx, rec)
}

func (l *Loop) touch(ctx context.Context, rec *record.Record, provided vault.Sealed) error {
	for _, r := range rec.Outbox {
		if r.Kind != record.RecipeTouch {
			continue
		}
		err := l.Vault.Touch(ctx, rec.ID, rec.Staged, l.IdentityTTL, provided)
		if err != nil && !errors.Is(err, vault.ErrExpired) {
			return fmt.Errorf("transition: touch the identity: %w", err)
		}
		return nil // a second touch says nothing new
	}
	return nil
}

func (l *Loop) publishFacts(ctx context.Context, rec *record.Record) ([]events.Event, error) {
	var facts []events.Event
	var acks []jetstream.PubAckFuture
	for _, r := range rec.Outbox {
		if r.Kind != record.RecipeFact {
			continue
		}
		e, err := outbox.Fact(rec, r)
		if err != nil {
			return nil, fmt.Errorf("transition: %w", err)
		}
		defer l.publishing(ctx, r).End()
		ack, err := events.PublishAsync(l.JS, e)
		if err != nil {
			return nil, fmt.Errorf("transition: publish %s: %w", r.Type, err)
		}
		facts, acks = append(facts, e), append(acks, ack)
	}
	if err := acknowledged(ctx, acks); err != nil {
		return nil, fmt.Errorf("transition: publish facts: %w", err)
	}
	for _, r := range rec.Outbox {
		if r.Kind == record.RecipeFact {
			l.Metrics.transitions.WithLabelValues(r.Type).Inc()
		}
	}
	return facts, nil
}

func (l *Loop) publishWork(ctx context.Context, rec *record.Record) error {
	var acks []jetstream.PubAckFuture
	var hints []string
	for _, r := range rec.Outbox {
		subject, body, err := order(rec, r)
		if err != nil {
			return fmt.Errorf("transition: %w", err)
		}
		if subject == "" {
			continue
		}
		data, err := jsonv1.Marshal(body)
		if err != nil {
			return fmt.Errorf("transition: encode work: %w", err)
		}
		ack, err := l.JS.PublishMsgAsync(&nats.Msg{Subject: subject, Header: nats.Header{}, Data: data}, jetstream.WithMsgID(r.ID))
		if err != nil {
			return fmt.Errorf("transition: publish work: %w", err)
		}
		acks = append(acks, ack)
		if r.Kind == record.RecipeCall {
			hints = append(hints, events.LaneHintSubject(r.Webhook.ConnectionID))
		}
	}
	if err := acknowledged(ctx, acks); err != nil {
		return fmt.Errorf("transition: publish work: %w", err)
	}
	for _, hint := range hints { // the dispatchers find the work without it, a little later
		if err := l.NATS.Publish(hint, nil); err != nil {
			l.Logger.Debug("lane hint", "error", err)
		}
	}
	return nil
}

// order gives subject and body of a recipe that is work, "" for one that is
// not.
func order(rec *record.Record, r record.Recipe) (subject string, body any, err error) {
	switch r.Kind {
	case record.RecipeCall:
		call, err := outbox.Call(rec, r)
		return events.CallSubject(call.Webhook.ConnectionID, rec.ID), call, err
	case record.RecipeExecute:
		execution, err := outbox.Execution(rec, r)
		return events.ExecuteSubject(execution.Action, rec.ID), execution, err
	}
	return "", nil, nil
}

// acknowledged waits until all publishes are stored.
func acknowledged(ctx context.Context, acks []jetstream.PubAckFuture) error {
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
