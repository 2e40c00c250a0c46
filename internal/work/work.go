// Package work has the shapes of what is ordered: commands to the
// orchestrator, calls to the dispatcher, and the answers that a waiting caller
// gets. They travel as JSON over the stream DSR_WORK; unknown fields are
// ignored, missing ones have a usable zero value.
package work

import (
	"encoding/json"
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

// Names of commands.
const (
	Submit     = "submit"
	Approve    = "approve"
	Deny       = "deny"
	Cancel     = "cancel"
	Resume     = "resume" // by a person: administrate/resume
	Retry      = "retry"
	Requeue    = "requeue"
	Resubmit   = "resubmit"
	SoftDelete = "soft_delete"
	Timeout    = "timeout"
	// Resend: an undelivered one_way call is to be made once more.
	Resend = "resend"
	// Recount: a pre-approval webhook may have gone, so that those that are
	// left decide.
	Recount = "recount"
)

// HeaderReply is the NATS header in which a caller names the inbox where it
// waits for the answer to a command or to a callback fact.
const HeaderReply = "Parley-Reply"

// Command is an input of the orchestrator, published on
// events.CommandSubject(RequestID) with Nats-Msg-Id = ID.
type Command struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	RequestID string    `json:"request_id"`
	At        time.Time `json:"at"`
	// Actor is the id of the API client that asked; "" is the system.
	Actor string `json:"actor,omitempty"`
	// Submission is set for submit.
	Submission *record.Submission `json:"submission,omitempty"`
	// SealedReason is set for deny and cancel, sealed for the vault's purpose.
	SealedReason string `json:"sealed_reason,omitempty"`
	// CallID names, for timeout, the step that is overdue, and for resend the
	// call.
	CallID      string `json:"call_id,omitempty"`
	TraceParent string `json:"traceparent,omitempty"`
}

// Answer is what a waiting caller gets for a command or a callback.
type Answer struct {
	Accepted bool `json:"accepted"`
	// Code says why not; see the Rejected constants.
	Code string `json:"code,omitempty"`
	// Status is the status of the request after (or at the refusal of) the
	// input.
	Status record.Status `json:"status,omitempty"`
	// CallID is, for resend, the call that is made in place of the undelivered
	// one.
	CallID string `json:"call_id,omitempty"`
	// Request is the REST object of contract §6.1, without identities.
	Request json.RawMessage `json:"request,omitempty"`
	// Behind is the revision that the read model did not have yet when this was
	// answered; 0 where it had what was changed. Who answers a person waits a
	// little for it.
	Behind uint64 `json:"behind,omitempty"`
}

// Codes of refusals.
const (
	RejectedUnknown     = "unknown_request"
	RejectedExists      = "request_exists"
	RejectedStatus      = "wrong_status"
	RejectedDeleted     = "deleted"
	RejectedNotAwaited  = "not_awaited" // no such step is waited for
	RejectedReplied     = "already_replied"
	RejectedPolicy      = "policy_not_found"
	RejectedNoRule      = "policy_without_rule"
	RejectedIdentity    = "identity_expired"
	RejectedCall        = "call_not_undelivered" // there is no such call to send again
	RejectedResent      = "already_resent"
	RejectedUnavailable = "unavailable" // could not be decided now; it is not applied
)

// Call is one attempt of a webhook call, published on
// events.CallSubject(ConnectionID, RequestID).
type Call struct {
	CallID    string         `json:"call_id"`
	RequestID string         `json:"request_id"`
	Run       int            `json:"run"`
	Phase     record.Phase   `json:"phase"`
	Order     int            `json:"order"`
	Webhook   record.Webhook `json:"webhook"`
	Attempt   int            `json:"attempt"` // from 1
	// Missed are those of the earlier attempts that were ordered and not made,
	// for a reason that was not the receiver's.
	Missed int `json:"missed,omitempty"`
	// Abandoned counts the earlier messages of this attempt that were delivered
	// too often while nobody said what came of them.
	Abandoned int       `json:"abandoned,omitempty"`
	OrderedAt time.Time `json:"ordered_at"`
	// Until is the deadline over all attempts of a two_way call.
	Until       time.Time `json:"until"`
	TraceParent string    `json:"traceparent,omitempty"`
}

// PolicyUse is what an orchestrator answers to events.PolicyUseSubject.
type PolicyUse struct {
	// Known is false where it could not find out.
	Known bool `json:"known"`
	// Referenced says whether any privacy request refers to the policy.
	Referenced bool `json:"referenced"`
}
