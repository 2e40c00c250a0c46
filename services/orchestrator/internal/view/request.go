// Package view is the privacy request as the REST answers show it (contract
// §6.1). It is pure: what it shows follows from the record and the day.
package view

import (
	"encoding/json"
	"fmt"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
)

// Request has the 29 keys of contract §6.1, in their order; every key is always
// there. Times are texts, so that what was shown once can be read and shown
// again as it was.
type Request struct {
	ID                     string                      `json:"id"`
	CreatedAt              *string                     `json:"created_at"`
	StartedProcessingAt    *string                     `json:"started_processing_at"`
	ReviewedAt             *string                     `json:"reviewed_at"`
	ReviewedBy             *string                     `json:"reviewed_by"`
	SubmittedBy            *string                     `json:"submitted_by"`
	Reviewer               *User                       `json:"reviewer"`
	Submitter              *User                       `json:"submitter"`
	FinishedProcessingAt   *string                     `json:"finished_processing_at"`
	IdentityVerifiedAt     *string                     `json:"identity_verified_at"`
	PausedAt               *string                     `json:"paused_at"`
	Status                 string                      `json:"status"`
	ExternalID             *string                     `json:"external_id"`
	Identity               map[string]identity.Labeled `json:"identity"`
	CustomFields           map[string]identity.Labeled `json:"custom_privacy_request_fields"`
	Policy                 Policy                      `json:"policy"`
	ActionRequired         *ActionRequired             `json:"action_required_details"`
	ResumeEndpoint         *string                     `json:"resume_endpoint"`
	DaysLeft               *int                        `json:"days_left"`
	CustomFieldsApprovedBy *string                     `json:"custom_privacy_request_fields_approved_by"`
	CustomFieldsApprovedAt *string                     `json:"custom_privacy_request_fields_approved_at"`
	Source                 *string                     `json:"source"`
	Location               *string                     `json:"location"`
	PropertyID             *string                     `json:"property_id"`
	DeletedAt              *string                     `json:"deleted_at"`
	DeletedBy              *string                     `json:"deleted_by"`
	FinalizedAt            *string                     `json:"finalized_at"`
	FinalizedBy            *string                     `json:"finalized_by"`
	DuplicateGroupID       *string                     `json:"duplicate_request_group_id"`
}

// User is a person who works with requests. Parley has API clients only, so
// none is ever shown.
type User struct {
	ID       string `json:"id"`
	Username string `json:"username"`
}

// ActionRequired says where a failed request stands.
type ActionRequired struct {
	Step         string  `json:"step"`
	Collection   *string `json:"collection"`
	ActionNeeded *string `json:"action_needed"`
}

// Policy of a request (contract §3.1).
type Policy struct {
	Name               string          `json:"name"`
	Key                string          `json:"key"`
	Rules              []Rule          `json:"rules"`
	DRPAction          *string         `json:"drp_action"`
	ExecutionTimeframe *int            `json:"execution_timeframe"`
	Conditions         json.RawMessage `json:"conditions"`
}

// Rule of a policy.
type Rule struct {
	Name               string              `json:"name"`
	Key                string              `json:"key"`
	ActionType         string              `json:"action_type"`
	StorageDestination *StorageDestination `json:"storage_destination"`
	MaskingStrategy    *MaskingStrategy    `json:"masking_strategy"`
}

// StorageDestination names where results are to be stored; Parley keeps the key
// only.
type StorageDestination struct {
	Name      *string `json:"name"`
	Type      *string `json:"type"`
	Details   *string `json:"details"`
	Key       string  `json:"key"`
	Format    *string `json:"format"`
	IsDefault bool    `json:"is_default"`
}

// MaskingStrategy names how data is masked.
type MaskingStrategy struct {
	Strategy string `json:"strategy"`
}

// Of shows a record as of a day, without identities and custom fields.
func Of(rec *record.Record, externalID *string, now time.Time) Request {
	started, finished := rec.StartedAt, rec.FinishedAt
	if started == nil {
		started = rec.Submission.StartedProcessingAt
	}
	if finished == nil {
		finished = rec.Submission.FinishedAt
	}
	return Request{
		ID:                     rec.ID,
		CreatedAt:              Time(&rec.CreatedAt),
		StartedProcessingAt:    Time(started),
		ReviewedAt:             Time(rec.ReviewedAt),
		ReviewedBy:             rec.ReviewedBy,
		FinishedProcessingAt:   Time(finished),
		PausedAt:               Time(rec.PausedAt),
		Status:                 string(rec.Status),
		ExternalID:             externalID,
		Policy:                 policy(rec.Policy),
		DaysLeft:               rec.DaysLeft(now),
		CustomFieldsApprovedBy: rec.CustomFieldsApprovedBy,
		CustomFieldsApprovedAt: Time(rec.CustomFieldsApprovedAt),
		Source:                 rec.Submission.Source,
		Location:               rec.Submission.Location,
		PropertyID:             rec.Submission.PropertyID,
		DeletedAt:              Time(rec.DeletedAt),
		DeletedBy:              rec.DeletedBy,
	}
}

// Created shows a record as the answer to its creation does: as it was
// submitted, before the run that may have begun, or ended, meanwhile.
func Created(r Request, sub record.Submission) Request {
	if r.Status != string(record.AwaitingPreApproval) {
		r.Status = string(record.Pending)
	}
	r.StartedProcessingAt, r.FinishedProcessingAt = Time(sub.StartedProcessingAt), Time(sub.FinishedAt)
	r.PausedAt = nil
	return r
}

// Begun shows a record as the answer to what set it going does, with the status
// that this gave it: the run may have come further meanwhile. What went wrong is
// shown as it is.
func Begun(r Request, status record.Status) Request {
	if r.Status == string(record.InProcessing) || r.Status == string(record.Complete) {
		r.Status = string(status)
	}
	return r
}

// Listed adds what only lists show: what can be done about a request that does
// not go on by itself.
func Listed(r Request, rec *record.Record) Request {
	switch rec.Status {
	case record.Paused:
		r.ResumeEndpoint = text(fmt.Sprintf("/privacy-request/%s/resume", rec.ID))
	case record.Failed:
		r.ResumeEndpoint = text(fmt.Sprintf("/privacy-request/%s/retry", rec.ID))
		if rec.Run.Step != "" {
			r.ActionRequired = &ActionRequired{Step: string(rec.Run.Step)}
		}
	}
	return r
}

// JSON is the request as bytes, for the answers of the transition loop.
func JSON(rec *record.Record, externalID *string, now time.Time) (json.RawMessage, error) {
	data, err := jsonv1.Marshal(Of(rec, externalID, now))
	if err != nil {
		return nil, fmt.Errorf("view: encode request: %w", err)
	}
	return data, nil
}

// Time writes a time as contract §0.6 says; nil for nil.
func Time(t *time.Time) *string {
	if t == nil {
		return nil
	}
	return text(edge.FormatTimestamp(*t))
}

func policy(p record.Policy) Policy {
	rules := make([]Rule, 0, len(p.Rules))
	for _, r := range p.Rules {
		rules = append(rules, rule(r))
	}
	return Policy{
		Name: p.Name, Key: p.Key, Rules: rules, DRPAction: p.DRPAction, ExecutionTimeframe: p.ExecutionTimeframe,
	}
}

func rule(r record.Rule) Rule {
	out := Rule{Name: r.Name, Key: r.Key, ActionType: r.ActionType}
	if r.StorageDestinationID != nil {
		out.StorageDestination = &StorageDestination{Key: *r.StorageDestinationID}
	}
	if r.MaskingStrategy != nil {
		out.MaskingStrategy = &MaskingStrategy{Strategy: *r.MaskingStrategy}
	}
	return out
}

func text(s string) *string { return &s }
