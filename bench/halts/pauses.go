package main

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/bench/internal/load"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// writers is how many requests are written at once.
const writers = 64

func requestID(i int) string { return fmt.Sprintf("pri_%08d-0000-4000-8000-000000000000", i) }

func callID(i int) string {
	return record.WebhookCall(requestID(i), 1, record.Pre, webhook().ID, 1).String()
}

func webhook() record.Webhook {
	return record.Webhook{
		ID: "pol_77aa0000-0000-4000-8000-000000000002", Key: "legal_hold", Name: "Legal hold", Direction: record.TwoWay,
		ConnectionID: "con_1c5e0000-0000-4000-8000-000000000003", ConnectionKey: "legal",
	}
}

// pausedRecord is a request that waits for its resume.
func pausedRecord(i int, since, until time.Time) record.Record {
	return record.Record{
		ID: requestID(i), Revision: 4, Epoch: "bench", Sequence: 4, Status: record.Paused,
		Submission: record.Submission{PolicyKey: "delete_my_data", RequestedAt: since},
		Policy: record.Policy{ID: "pol_0b1d0000-0000-4000-8000-000000000001", Key: "delete_my_data", Name: "Delete my data", Rules: []record.Rule{
			{ID: "rul_1d9b0000-0000-4000-8000-000000000004", Key: "erase", Name: "Erase", ActionType: record.ActionErasure},
		}},
		Run:       record.Run{Number: 1, Step: record.PreWebhooks, Order: 1, Pre: []record.Webhook{webhook()}},
		Wait:      &record.Wait{Kind: record.WaitHalt, CallID: callID(i), Since: since, Until: until},
		CreatedAt: since, UpdatedAt: since, StartedAt: &since, PausedAt: &since,
	}
}

// pauseRequest does what the orchestrator does when a webhook halts a request.
func (h *house) pauseRequest(ctx context.Context, i int, until time.Time) error {
	now := time.Now().UTC()
	r := pausedRecord(i, now, until)
	if _, err := h.requests.Put(ctx, r.ID, encode(r), 0); err != nil {
		return err
	}
	return h.tell(ctx, r, events.RequestPaused)
}

// tell publishes a fact of the orchestrator.
func (h *house) tell(ctx context.Context, r record.Record, eventType string) error {
	hook := webhook()
	data := events.RequestData{
		Sequence: r.Sequence, Status: string(r.Status), Run: 1, Step: string(record.PreWebhooks), CallID: callOf(r.ID),
		Webhook: &events.Webhook{
			ID: hook.ID, Key: hook.Key, Name: hook.Name, Direction: hook.Direction, ConnectionID: hook.ConnectionID, ConnectionKey: hook.ConnectionKey,
		},
	}
	if r.Wait != nil {
		data.Until = &r.Wait.Until
	}
	fact, err := events.New(events.SourceOrchestrator, eventType, fmt.Sprintf("%s.%d", r.ID, r.Sequence), r.ID, time.Now(), data)
	if err != nil {
		return err
	}
	return events.Publish(ctx, h.js, fact)
}

func callOf(requestID string) string {
	return record.WebhookCall(requestID, 1, record.Pre, webhook().ID, 1).String()
}

// all does n things, many at once, until one fails, and says how far it is.
func all(n int, what *progress, do func(i int) error) error {
	return load.Each(n, writers, func(i int) error {
		if err := do(i); err != nil {
			return err
		}
		what.at(i + 1)
		return nil
	})
}
