package lifecycle

import (
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// Input is one durable message for one request: exactly one of Command,
// Webhook, Callback and Execution is set.
type Input struct {
	// ID is stable over redelivery: the command's id or the fact's.
	ID string
	// Trace is the W3C traceparent that the input carried.
	Trace string

	Command   *work.Command
	Webhook   *WebhookFact
	Callback  *CallbackFact
	Execution *ExecutionFact

	// Context is what Decide may have to look at beyond the record. The loop
	// loads it for the inputs for which NeedsContext says so.
	Context Context
}

// WebhookFact is a fact of the dispatcher.
type WebhookFact struct {
	Type string
	Data events.WebhookData
}

// CallbackFact is a fact of the callback service.
type CallbackFact struct {
	Type string
	Data events.CallbackData
}

// ExecutionFact is a fact of an executor.
type ExecutionFact struct {
	Type string
	Data events.ExecutionData
}

// Context is what the config service and the vault say at the moment of the
// decision.
type Context struct {
	// Policy is nil where there is none under the request's policy key.
	Policy *catalog.Policy
	// PreApproval are the pre-approval webhooks that exist now.
	PreApproval []record.Webhook
	// ManualApproval is the setting execution.require_manual_request_approval.
	ManualApproval bool
	// IdentityGone says that the vault has nothing for the request any more.
	IdentityGone bool
}

// Rules are the settings that decisions depend on.
type Rules struct {
	// DeliveryMaxAge is the deadline of two_way calls and of pre-approvals.
	DeliveryMaxAge time.Duration
	// DelayTimeout is the life of a halt.
	DelayTimeout time.Duration
	// ReleaseAfter is how long a queued one_way call may hold a request.
	ReleaseAfter time.Duration
	// ExecutionTimeout is how long an executor may be silent.
	ExecutionTimeout time.Duration
	// External says that executions are done by executors; otherwise the
	// execution step ends at once.
	External bool
	// Epoch is put into every next record: two that were decided from the same
	// one, before and after the store went back, differ in it.
	Epoch string
}

// Outcome is what Decide says.
type Outcome struct {
	// Next is the record after the input, nil where nothing changes. Its
	// Outbox says what to publish.
	Next *record.Record
	// Answer is for the caller that waits, if there is one.
	Answer work.Answer
}
