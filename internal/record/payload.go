package record

import (
	"encoding/json"
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

// Object is the privacy request as a webhook receives it (contract §14): the
// order of the fields is the order of the keys on the wire, and every key is
// always there.
type Object struct {
	ID                     string          `json:"id"`
	ExternalID             *string         `json:"external_id"`
	Status                 Status          `json:"status"`
	RequestedAt            *Instant        `json:"requested_at"`
	StartedProcessingAt    *Instant        `json:"started_processing_at"`
	FinishedProcessingAt   *Instant        `json:"finished_processing_at"`
	ReviewedAt             *Instant        `json:"reviewed_at"`
	ReviewedBy             *string         `json:"reviewed_by"`
	FinalizedAt            *Instant        `json:"finalized_at"`
	FinalizedBy            *string         `json:"finalized_by"`
	SubmittedBy            *string         `json:"submitted_by"`
	CustomFieldsApprovedBy *string         `json:"custom_privacy_request_fields_approved_by"`
	IdentityVerifiedAt     *Instant        `json:"identity_verified_at"`
	CustomFieldsApprovedAt *Instant        `json:"custom_privacy_request_fields_approved_at"`
	ClientID               *string         `json:"client_id"`
	Origin                 *string         `json:"origin"`
	PolicyID               *string         `json:"policy_id"`
	Policy                 ObjectPolicy    `json:"policy"`
	PropertyID             *string         `json:"property_id"`
	CancelReason           *string         `json:"cancel_reason"`
	CanceledAt             *Instant        `json:"canceled_at"`
	ConsentPreferences     json.RawMessage `json:"consent_preferences"`
	Source                 *string         `json:"source"`
	PausedAt               *Instant        `json:"paused_at"`
	DueDate                *Instant        `json:"due_date"`
	DaysLeft               *int            `json:"days_left"`
	CustomFields           json.RawMessage `json:"custom_fields"`
	Location               *string         `json:"location"`
}

// ObjectPolicy is the policy inside Object.
type ObjectPolicy struct {
	ID                 string       `json:"id"`
	Name               string       `json:"name"`
	Key                string       `json:"key"`
	DRPAction          *string      `json:"drp_action"`
	ExecutionTimeframe *int         `json:"execution_timeframe"`
	ClientID           *string      `json:"client_id"`
	Rules              []ObjectRule `json:"rules"`
}

// ObjectRule is a rule of the policy inside Object.
type ObjectRule struct {
	ID                   string          `json:"id"`
	Name                 string          `json:"name"`
	Key                  string          `json:"key"`
	ActionType           string          `json:"action_type"`
	MaskingStrategy      *ObjectStrategy `json:"masking_strategy"`
	StorageDestinationID *string         `json:"storage_destination_id"`
}

// ObjectStrategy names a masking strategy. Its configuration may hold secrets
// and is always shown as an empty object.
type ObjectStrategy struct {
	Strategy      string   `json:"strategy"`
	Configuration struct{} `json:"configuration"`
}

// ObjectExtra is what the object says and the record does not hold in the
// clear. The zero value stands for null.
type ObjectExtra struct {
	// CustomFields is a JSON object: name to {"label","value"}.
	CustomFields json.RawMessage
	// ConsentPreferences is a JSON list.
	ConsentPreferences json.RawMessage
	CancelReason       *string
	ExternalID         *string
}

// Instant is a time as the object writes it: ISO 8601 with the offset +00:00
// and microseconds, which are left out when they are zero (contract §0.6).
type Instant time.Time

// MarshalJSON writes the time in UTC.
func (i Instant) MarshalJSON() ([]byte, error) {
	t := time.Time(i).UTC().Truncate(time.Microsecond)
	layout := `"2006-01-02T15:04:05.000000+00:00"`
	if t.Nanosecond() == 0 {
		layout = `"2006-01-02T15:04:05+00:00"`
	}
	return []byte(t.Format(layout)), nil
}

// Object gives the request as webhooks receive it at the given moment.
func (r Record) Object(now time.Time, extra ObjectExtra) Object {
	return Object{
		ID:                     r.ID,
		ExternalID:             extra.ExternalID,
		Status:                 r.Status,
		RequestedAt:            instant(r.requestedAt()),
		StartedProcessingAt:    instant(r.startedAt()),
		FinishedProcessingAt:   instant(r.finishedAt()),
		ReviewedAt:             instant(r.ReviewedAt),
		ReviewedBy:             r.ReviewedBy,
		CustomFieldsApprovedBy: r.CustomFieldsApprovedBy,
		CustomFieldsApprovedAt: instant(r.CustomFieldsApprovedAt),
		ClientID:               r.Submission.ClientID,
		Origin:                 r.Submission.Origin,
		PolicyID:               orNull(r.Policy.ID),
		Policy:                 r.Policy.object(),
		PropertyID:             r.Submission.PropertyID,
		CancelReason:           extra.CancelReason,
		CanceledAt:             instant(r.CanceledAt),
		ConsentPreferences:     extra.ConsentPreferences,
		Source:                 r.Submission.Source,
		PausedAt:               instant(r.PausedAt),
		DueDate:                instant(r.DueDate),
		DaysLeft:               r.DaysLeft(now),
		CustomFields:           extra.CustomFields,
		Location:               r.Submission.Location,
	}
}

// Public gives the request as facts carry it at the given moment: the object
// without what is personal and without the identifier that the caller chose.
// The status is the one that the fact is about, which need not be the
// record's: one transition may publish several facts.
func (r Record) Public(now time.Time, status Status) events.Request {
	return events.Request{
		ID:                                 r.ID,
		Status:                             string(status),
		RequestedAt:                        utc(r.requestedAt()),
		StartedProcessingAt:                utc(r.startedAt()),
		FinishedProcessingAt:               utc(r.finishedAt()),
		ReviewedAt:                         utc(r.ReviewedAt),
		ReviewedBy:                         r.ReviewedBy,
		CustomPrivacyRequestFieldsApprover: r.CustomFieldsApprovedBy,
		CustomFieldsApprovedAt:             utc(r.CustomFieldsApprovedAt),
		ClientID:                           r.Submission.ClientID,
		Origin:                             r.Submission.Origin,
		PolicyID:                           r.Policy.ID,
		Policy:                             r.Policy.Public(),
		PropertyID:                         r.Submission.PropertyID,
		CanceledAt:                         utc(r.CanceledAt),
		Source:                             r.Submission.Source,
		PausedAt:                           utc(r.PausedAt),
		DueDate:                            utc(r.DueDate),
		DaysLeft:                           r.DaysLeft(now),
		Location:                           r.Submission.Location,
	}
}

// DaysLeft is the number of days from today to the day of the due date, both
// in UTC; negative once it has passed, nil where there is none.
func (r Record) DaysLeft(now time.Time) *int {
	if r.DueDate == nil {
		return nil
	}
	days := int(day(*r.DueDate).Sub(day(now)) / (24 * time.Hour))
	return &days
}

// Public gives the policy as facts and executions carry it.
func (p Policy) Public() events.Policy {
	rules := make([]events.Rule, 0, len(p.Rules))
	for _, rule := range p.Rules {
		var strategy *events.Strategy
		if rule.MaskingStrategy != nil {
			strategy = &events.Strategy{Strategy: *rule.MaskingStrategy}
		}
		rules = append(rules, events.Rule{
			ID: rule.ID, Name: rule.Name, Key: rule.Key, ActionType: rule.ActionType,
			MaskingStrategy: strategy, StorageDestinationID: rule.StorageDestinationID,
		})
	}
	return events.Policy{
		ID: p.ID, Name: p.Name, Key: p.Key, DRPAction: p.DRPAction,
		ExecutionTimeframe: p.ExecutionTimeframe, ClientID: p.ClientID, Rules: rules,
	}
}

func (p Policy) object() ObjectPolicy {
	rules := make([]ObjectRule, 0, len(p.Rules))
	for _, rule := range p.Rules {
		var strategy *ObjectStrategy
		if rule.MaskingStrategy != nil {
			strategy = &ObjectStrategy{Strategy: *rule.MaskingStrategy}
		}
		rules = append(rules, ObjectRule{
			ID: rule.ID, Name: rule.Name, Key: rule.Key, ActionType: rule.ActionType,
			MaskingStrategy: strategy, StorageDestinationID: rule.StorageDestinationID,
		})
	}
	return ObjectPolicy{
		ID: p.ID, Name: p.Name, Key: p.Key, DRPAction: p.DRPAction,
		ExecutionTimeframe: p.ExecutionTimeframe, ClientID: p.ClientID, Rules: rules,
	}
}

func (r Record) requestedAt() *time.Time {
	if r.Submission.RequestedAt.IsZero() {
		return nil
	}
	return &r.Submission.RequestedAt
}

// What happened wins over what the request was created with.
func (r Record) startedAt() *time.Time {
	if r.StartedAt != nil {
		return r.StartedAt
	}
	return r.Submission.StartedProcessingAt
}

func (r Record) finishedAt() *time.Time {
	if r.FinishedAt != nil {
		return r.FinishedAt
	}
	return r.Submission.FinishedAt
}

func instant(t *time.Time) *Instant {
	if t == nil {
		return nil
	}
	i := Instant(*t)
	return &i
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func day(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
