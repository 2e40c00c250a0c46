package readmodel

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// Kinds of log entries: the audit trail of decisions, and the execution log
// (contract §13).
const (
	kindAudit     = "audit"
	kindExecution = "execution"
)

// Actions of the audit trail that are not just a transition.
const (
	// AuditDenied and AuditCanceled are shown with the reason, which is sealed
	// in the record.
	AuditDenied   = "denied"
	AuditCanceled = "canceled"
)

// Statuses of the execution log that are used.
const (
	logComplete   = "complete"
	logError      = "error"
	logRetrying   = "retrying"
	logSkipped    = "skipped"
	logPaused     = "awaiting_processing"
	logInProgress = "in_processing"
)

// Groups of the execution log.
const (
	groupProcessing = "Privacy request processing"
	groupPolicy     = "Policy validation"
)

const systemUser = "system"

// Entry is a row of log_entries.
type Entry struct {
	FactID      string    `json:"fact_id"`
	Part        int       `json:"part"`
	RequestID   string    `json:"request_id"`
	Kind        string    `json:"kind"`
	DatasetName string    `json:"dataset_name"`
	Status      string    `json:"status"`
	Message     *string   `json:"message"`
	ActionType  *string   `json:"action_type"`
	UserID      *string   `json:"user_id"`
	WebhookID   *string   `json:"webhook_id"`
	Sequence    uint64    `json:"sequence"`
	At          time.Time `json:"at"`
}

// AddFact adds what a fact says to the batch. Types that say nothing to people
// add nothing; data that cannot be read is an error.
func (b *Batch) AddFact(e events.Event) error {
	switch noun(e.Type()) {
	case "request":
		return b.addRequest(e)
	case "webhook":
		return b.addWebhook(e)
	case "execution":
		return b.addExecution(e)
	}
	return nil
}

func (b *Batch) addRequest(e events.Event) error {
	switch e.Type() {
	case events.RequestCreated, events.RequestStarted:
		return nil // half of all facts about requests: not worth the reading
	}
	data, err := decode[events.RequestData](e)
	if err != nil {
		return err
	}
	entry, ok := requestEntry(e.Type(), data)
	if !ok {
		return nil
	}
	entry.Sequence = data.Sequence
	b.add(e, entry)
	return nil
}

// requestEntry is the entry of a transition.
func requestEntry(eventType string, data events.RequestData) (Entry, bool) {
	audit := func(action, group string, message, user *string) (Entry, bool) {
		return Entry{Kind: kindAudit, Status: action, DatasetName: group, Message: message, UserID: user}, true
	}
	switch eventType {
	case events.RequestApproved:
		return approved(data), true
	case events.RequestDenied:
		return audit(AuditDenied, "Request denied", nil, data.Request.ReviewedBy)
	case events.RequestCanceled:
		return audit(AuditCanceled, "Request canceled", nil, data.Actor)
	case events.RequestDeleted:
		return audit("deleted", "Request deleted", nil, data.Actor)
	case events.RequestAwaitingPreApproval:
		return audit("pre_approval_webhook_triggered", "Triggered pre-approval webhooks", &data.Message, nil)
	case events.RequestPreApprovalEligible:
		entry, ok := audit("pre_approval_eligible", "Request auto-approved by pre-approval webhooks", &data.Message, nil)
		entry.WebhookID = webhookID(data.Webhook)
		return entry, ok
	case events.RequestPreApprovalNotEligible:
		entry, ok := audit("pre_approval_not_eligible", "Request flagged for manual review by pre-approval webhooks", &data.Message, nil)
		entry.WebhookID = webhookID(data.Webhook)
		return entry, ok
	case events.RequestPending:
		return audit("pending", "Request pending", &data.Message, nil)
	case events.RequestPaused:
		return audit("paused", "Request paused", pausedText(data), nil)
	case events.RequestResumed:
		return audit("resumed", "Request resumed", resumedText(data), data.Actor)
	case events.RequestRetried:
		if data.Reason == events.ReasonRequeued {
			return audit("requeued", "Request requeued", nil, data.Actor)
		}
		return audit("retried", "Request retried", nil, data.Actor)
	case events.RequestResubmitted:
		return audit("resubmitted", "Request resubmitted", nil, data.Actor)
	case events.RequestCompleted:
		return audit("finished", "Request finished", text(""), text(systemUser))
	case events.RequestFailed:
		return failed(data), true
	}
	return Entry{}, false
}

// approved has the three forms of contract §13: by the system, by a person, by
// the pre-approval webhooks.
func approved(data events.RequestData) Entry {
	entry := Entry{Kind: kindAudit, Status: "approved", DatasetName: "Request approved"}
	switch data.Reason {
	case events.ReasonAutomatic:
		entry.UserID, entry.Message = text(systemUser), text("")
	case events.ReasonPreApproval:
		entry.Message, entry.WebhookID = &data.Message, webhookID(data.Webhook)
	default:
		entry.UserID = data.Request.ReviewedBy
	}
	return entry
}

func failed(data events.RequestData) Entry {
	entry := Entry{
		Kind: kindExecution, Status: logError, DatasetName: groupProcessing,
		Message: &data.Message, ActionType: actionOf(data.Request.Policy),
	}
	switch data.Reason {
	case events.ReasonWebhookFailed, events.ReasonWebhookInvalidAnswer, events.ReasonWebhookTimeout:
		if data.Webhook != nil {
			entry.DatasetName, entry.WebhookID = webhookGroup(data.Webhook.Key), &data.Webhook.ID
		}
	case events.ReasonPolicyInvalid:
		entry.DatasetName = groupPolicy
	}
	return entry
}

func pausedText(data events.RequestData) *string {
	if data.Webhook == nil {
		return nil
	}
	return text(fmt.Sprintf("Webhook '%s' halted the request", data.Webhook.Key))
}

func resumedText(data events.RequestData) *string {
	switch {
	case data.Reason == events.ReasonResumedByPerson:
		return text("Resumed by a person")
	case data.Webhook != nil:
		return text(fmt.Sprintf("Webhook '%s' resumed the request", data.Webhook.Key))
	}
	return nil
}

// addWebhook notes what became of a call, and tells it in the execution log.
// The failure of a two_way call of a run is told by the transition that it
// causes, not here.
func (b *Batch) addWebhook(e events.Event) error {
	data, err := decode[events.WebhookData](e)
	if err != nil {
		return err
	}
	b.Calls = append(b.Calls, callFact(e, data))
	entry := Entry{
		Kind: kindExecution, DatasetName: webhookGroup(data.Webhook.Key),
		WebhookID: &data.Webhook.ID, Sequence: data.Sequence,
	}
	switch e.Type() {
	case events.WebhookRequested:
		if data.ResendOf == "" {
			return nil
		}
		entry.Kind, entry.Status, entry.DatasetName, entry.UserID = kindAudit, "resent", "Webhook resent", data.Actor
		entry.Message = text(fmt.Sprintf("Webhook '%s' is called again", data.Webhook.Key))
	case events.WebhookSucceeded:
		entry.Status, entry.Message = logComplete, text(fmt.Sprintf("Webhook '%s' succeeded", data.Webhook.Key))
	case events.WebhookHalted:
		entry.Status, entry.Message = logPaused, text(fmt.Sprintf("Webhook '%s' asked to halt", data.Webhook.Key))
	case events.WebhookAttempted:
		entry.Status, entry.Message = logRetrying, troubleText(data, "will be called again")
	case events.WebhookSkipped:
		entry.Status, entry.Message = logSkipped, troubleText(data, "was skipped")
	case events.WebhookUndelivered:
		entry.Status, entry.Message = logError, troubleText(data, "could not be delivered")
	case events.WebhookFailed:
		if data.Phase != string(record.PreApproval) {
			return nil
		}
		entry.Status, entry.Message = logError, troubleText(data, "returned an error")
	default:
		return nil
	}
	b.add(e, entry)
	return nil
}

func troubleText(data events.WebhookData, what string) *string {
	if data.Error == "" {
		return text(fmt.Sprintf("Webhook '%s' %s", data.Webhook.Key, what))
	}
	return text(fmt.Sprintf("Webhook '%s' %s: %s", data.Webhook.Key, what, data.Error))
}

func (b *Batch) addExecution(e events.Event) error {
	data, err := decode[events.ExecutionData](e)
	if err != nil {
		return err
	}
	action, message := record.LogText(data.Action), record.LogText(data.Message) // an executor may say anything
	entry := Entry{Kind: kindExecution, DatasetName: "Execution: " + action, ActionType: text(action), Message: text(message)}
	switch e.Type() {
	case events.ExecutionCompleted:
		entry.Status = logComplete
	case events.ExecutionProgressed:
		if message == "" {
			return nil // a heartbeat
		}
		entry.Status = logInProgress
	default: // a failure is told by the transition
		return nil
	}
	b.add(e, entry)
	return nil
}

func (b *Batch) add(e events.Event, entry Entry) {
	entry.FactID, entry.RequestID, entry.At = e.ID(), e.Subject(), e.Time().UTC() // an executor may be in any zone
	b.Entries = append(b.Entries, entry)
}

// decode reads the data of a fact, which may be another's: by the rules of
// encoding/json, as the transition loop does. What is wrong with it is told by
// its place, since the error of the library may repeat a value.
func decode[T any](e events.Event) (data T, err error) {
	err = json.Unmarshal(e.Data(), &data, jsonv1.DefaultOptionsV1())
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return data, fmt.Errorf("%w: %s, at %q", errData, e.Type(), semantic.JSONPointer)
	}
	if err != nil {
		return data, fmt.Errorf("%w: %s", errData, e.Type())
	}
	return data, nil
}

// noun is the part of a type that says what the fact is about.
func noun(eventType string) string {
	rest, _ := strings.CutPrefix(eventType, "dev.parley.")
	noun, _, _ := strings.Cut(rest, ".")
	return noun
}

func webhookGroup(key string) string { return "Webhook: " + key }

func webhookID(w *events.Webhook) *string {
	if w == nil {
		return nil
	}
	return &w.ID
}

func actionOf(p events.Policy) *string {
	if len(p.Rules) == 0 {
		return nil
	}
	return &p.Rules[0].ActionType
}

func text(s string) *string { return &s }
