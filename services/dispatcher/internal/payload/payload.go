// Package payload makes the body of a call (contract §9.1). The order of the
// fields is the order of the keys on the wire.
package payload

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
)

type body struct {
	PrivacyRequestID     string            `json:"privacy_request_id"`
	PrivacyRequestStatus record.Status     `json:"privacy_request_status"`
	Direction            string            `json:"direction"`
	CallbackType         record.Phase      `json:"callback_type"`
	Identity             identity.Identity `json:"identity"`
	PolicyAction         *string           `json:"policy_action"`
	PrivacyRequest       record.Object     `json:"privacy_request"`
	Timestamp            string            `json:"timestamp"`
}

// Build gives the body of the call for the request as it is now, with what the
// vault knows of the person. The reason of a cancellation is always null: a
// canceled request is not called.
func Build(call work.Call, r *record.Record, person vault.Person, externalID *string, now time.Time) ([]byte, error) {
	fields, err := customFields(person.CustomFields)
	if err != nil {
		return nil, err
	}
	direction := call.Webhook.Direction
	if call.Phase == record.PreApproval {
		direction = record.TwoWay
	}
	var action *string
	if name := r.Policy.Action(); name != "" {
		action = &name
	}
	data, err := json.Marshal(body{
		PrivacyRequestID:     r.ID,
		PrivacyRequestStatus: r.Status,
		Direction:            direction,
		CallbackType:         call.Phase,
		Identity:             person.Identity,
		PolicyAction:         action,
		PrivacyRequest: r.Object(now, record.ObjectExtra{
			CustomFields: fields, ConsentPreferences: person.ConsentPreferences, ExternalID: externalID,
		}),
		Timestamp: now.UTC().Format("2006-01-02T15:04:05.000Z"),
	})
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return data, nil
}

func customFields(fields map[string]identity.Labeled) (json.RawMessage, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("payload: custom fields: %w", err)
	}
	return data, nil
}
