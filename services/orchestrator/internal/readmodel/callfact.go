package readmodel

import (
	"strings"
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

// CallFact is a row of call_facts: an order, an attempt or the end of a call,
// as it was reported.
type CallFact struct {
	FactID        string     `json:"fact_id"`
	RequestID     string     `json:"request_id"`
	CallID        string     `json:"call_id"`
	Verb          string     `json:"verb"`
	Run           int        `json:"run"`
	Phase         string     `json:"phase"`
	CallOrder     int        `json:"call_order"`
	WebhookID     string     `json:"webhook_id"`
	WebhookKey    string     `json:"webhook_key"`
	WebhookName   string     `json:"webhook_name"`
	Direction     string     `json:"direction"`
	ConnectionKey string     `json:"connection_key"`
	Attempt       int        `json:"attempt"`
	Outcome       *string    `json:"outcome"`
	HTTPStatus    *int       `json:"http_status"`
	DurationMS    *int64     `json:"duration_ms"`
	Error         *string    `json:"error"`
	DerivedFields []string   `json:"derived_fields"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	At            time.Time  `json:"at"`
}

func callFact(e events.Event, data events.WebhookData) CallFact {
	fact := CallFact{
		FactID: e.ID(), RequestID: e.Subject(), CallID: data.CallID, Verb: verb(e.Type()),
		Run: data.Run, Phase: data.Phase, CallOrder: data.Order,
		WebhookID: data.Webhook.ID, WebhookKey: data.Webhook.Key, WebhookName: data.Webhook.Name,
		Direction: data.Webhook.Direction, ConnectionKey: data.Webhook.ConnectionKey,
		Attempt: data.Attempt, Outcome: filled(data.Outcome), HTTPStatus: filled(data.HTTPStatus),
		Error: filled(data.Error), DerivedFields: append([]string{}, data.DerivedFields...),
		NextAttemptAt: data.NextAttemptAt, At: e.Time().UTC(),
	}
	if data.Attempt > 0 {
		fact.DurationMS = &data.DurationMS
	}
	return fact
}

// verb is the part of a type that says what happened.
func verb(eventType string) string {
	parts := strings.Split(eventType, ".")
	if len(parts) < 4 {
		return eventType
	}
	return parts[3]
}

// filled is nil for a zero value.
func filled[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
