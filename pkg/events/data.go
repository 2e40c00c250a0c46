package events

import "time"

// Request is the privacy request as facts carry it: the object that webhooks
// receive (contract §14) without what is personal and without external_id.
// Times are UTC.
type Request struct {
	ID                                 string     `json:"id"`
	Status                             string     `json:"status"`
	RequestedAt                        *time.Time `json:"requested_at"`
	StartedProcessingAt                *time.Time `json:"started_processing_at"`
	FinishedProcessingAt               *time.Time `json:"finished_processing_at"`
	ReviewedAt                         *time.Time `json:"reviewed_at"`
	ReviewedBy                         *string    `json:"reviewed_by"`
	FinalizedAt                        *time.Time `json:"finalized_at"`
	FinalizedBy                        *string    `json:"finalized_by"`
	SubmittedBy                        *string    `json:"submitted_by"`
	CustomPrivacyRequestFieldsApprover *string    `json:"custom_privacy_request_fields_approved_by"`
	IdentityVerifiedAt                 *time.Time `json:"identity_verified_at"`
	CustomFieldsApprovedAt             *time.Time `json:"custom_privacy_request_fields_approved_at"`
	ClientID                           *string    `json:"client_id"`
	Origin                             *string    `json:"origin"`
	PolicyID                           string     `json:"policy_id"`
	Policy                             Policy     `json:"policy"`
	PropertyID                         *string    `json:"property_id"`
	CanceledAt                         *time.Time `json:"canceled_at"`
	Source                             *string    `json:"source"`
	PausedAt                           *time.Time `json:"paused_at"`
	DueDate                            *time.Time `json:"due_date"`
	DaysLeft                           *int       `json:"days_left"`
	Location                           *string    `json:"location"`
}

// Policy is the policy as it was when the run of the request started.
type Policy struct {
	ID                 string  `json:"id"`
	Name               string  `json:"name"`
	Key                string  `json:"key"`
	DRPAction          *string `json:"drp_action"`
	ExecutionTimeframe *int    `json:"execution_timeframe"` // days
	ClientID           *string `json:"client_id"`
	Rules              []Rule  `json:"rules"`
}

// Rule is a rule of a policy; the configuration of its masking strategy is
// withheld, since it may hold secrets.
type Rule struct {
	ID                   string    `json:"id"`
	Name                 string    `json:"name"`
	Key                  string    `json:"key"`
	ActionType           string    `json:"action_type"`
	MaskingStrategy      *Strategy `json:"masking_strategy"`
	StorageDestinationID *string   `json:"storage_destination_id"`
}

// Strategy names a masking strategy.
type Strategy struct {
	Strategy string `json:"strategy"`
}

// RequestData is the data of every request.* fact.
type RequestData struct {
	// Sequence grows by one over all facts that the orchestrator publishes
	// about a request; a repeat has the number it had.
	Sequence uint64 `json:"sequence"`
	Status   string `json:"status"`
	Run      int    `json:"run"`
	Step     string `json:"step,omitempty"`
	// Reason is a code: why the transition happened, where the type alone does
	// not say it. See the Reason constants.
	Reason string `json:"reason,omitempty"`
	// CallID names the call or the execution that the transition is about.
	CallID string `json:"call_id,omitempty"`
	// Message is the text of the log entry that belongs to the transition,
	// free of personal data.
	Message string `json:"message,omitempty"`
	// Webhook is the webhook that the transition is about, if it is about one.
	Webhook *Webhook `json:"webhook,omitempty"`
	// Until is the deadline of the wait that begins with the transition.
	Until   *time.Time `json:"until,omitempty"`
	Actor   *string    `json:"actor,omitempty"` // API client that asked for it
	Request Request    `json:"request"`
}

// Webhook names a webhook in facts.
type Webhook struct {
	ID            string `json:"id"`
	Key           string `json:"key"`
	Name          string `json:"name"`
	Direction     string `json:"direction"` // one_way, two_way
	ConnectionID  string `json:"connection_id"`
	ConnectionKey string `json:"connection_key"`
}

// WebhookData is the data of every webhook.* fact. Only webhook.requested,
// which the orchestrator publishes, has a Sequence.
type WebhookData struct {
	Sequence uint64  `json:"sequence,omitempty"`
	CallID   string  `json:"call_id"`
	Run      int     `json:"run"`
	Phase    string  `json:"phase"` // pre, post, pre_approval
	Order    int     `json:"order"` // grows with every retry and resend of the webhook
	Webhook  Webhook `json:"webhook"`
	// ResendOf, of webhook.requested, is the undelivered call that is made once
	// more, and Actor the API client that asked for it.
	ResendOf string  `json:"resend_of,omitempty"`
	Actor    *string `json:"actor,omitempty"`
	// Attempt is 1 for the first one; 0 where no attempt was made.
	Attempt int `json:"attempt,omitempty"`
	// Outcome says how the attempt ended. See the Outcome constants.
	Outcome    string `json:"outcome,omitempty"`
	HTTPStatus int    `json:"http_status,omitempty"`
	DurationMS int64  `json:"duration_ms,omitempty"`
	// Error says in words what went wrong, free of values from the answer.
	Error         string     `json:"error,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	// DerivedFields are the names of the identities that the answer gave;
	// StagedKey is where they wait, sealed, to be accepted.
	DerivedFields []string `json:"derived_fields,omitempty"`
	StagedKey     string   `json:"staged_key,omitempty"`
	// Until: of webhook.requested the deadline of the call; of webhook.halted
	// the end of the halt, which is the end of its reply token.
	Until *time.Time `json:"until,omitempty"`
}

// CallbackData is the data of every callback.* fact.
type CallbackData struct {
	CallID        string   `json:"call_id"`
	WebhookID     string   `json:"webhook_id"`
	DerivedFields []string `json:"derived_fields,omitempty"`
	StagedKey     string   `json:"staged_key,omitempty"`
}

// ExecutionData is the data of every execution.* fact.
type ExecutionData struct {
	// ExecutionID names the execution that was ordered; an answer to any other
	// is ignored.
	ExecutionID string `json:"execution_id"`
	Action      string `json:"action"` // access, erasure, consent
	// Message is for the log of the request. It must be free of personal data.
	// The log shows one line of it, the first 1000 characters.
	Message string `json:"message,omitempty"`
	// Reason is a code, where the execution failed for want of something that
	// the orchestrator knows of: ReasonIdentityExpired.
	Reason string `json:"reason,omitempty"`
}

// Execution is the work of an executor: message data on
// dsr.work.execute.<action>.<request id>.
type Execution struct {
	ExecutionID string     `json:"execution_id"`
	RequestID   string     `json:"request_id"`
	Action      string     `json:"action"`
	Run         int        `json:"run"`
	OrderedAt   time.Time  `json:"ordered_at"`
	Until       *time.Time `json:"until"`
	Policy      Policy     `json:"policy"`
	TraceParent string     `json:"traceparent,omitempty"`
}

// ConfigData is the data of every config.* fact.
type ConfigData struct {
	Noun    string `json:"noun"` // connection, policy, preapproval, client, settings
	Key     string `json:"key"`
	Version int64  `json:"version"`
	Deleted bool   `json:"deleted,omitempty"`
}

// Reasons of request.* facts.
const (
	ReasonManual                = "manual"                 // a person or API client decided
	ReasonAutomatic             = "automatic"              // no approval was required
	ReasonPreApproval           = "pre_approval"           // pre-approval webhooks decided
	ReasonPreApprovalTimeout    = "pre_approval_timeout"   // a reply did not come in time: for a person
	ReasonPreApprovalNoRepliers = "pre_approval_none_left" // no webhook is left that could reply: for a person
	ReasonHalted                = "halted"
	ReasonResumed               = "resumed"           // by the reply token
	ReasonResumedEarly          = "resumed_early"     // the resume came before the halt
	ReasonResumedByPerson       = "resumed_by_person" // administrate/resume
	ReasonWebhookFailed         = "webhook_failed"    // a two_way call ended without a usable answer
	ReasonWebhookInvalidAnswer  = "webhook_invalid_answer"
	ReasonWebhookTimeout        = "webhook_timeout" // the deadline of a two_way call passed
	ReasonHaltExpired           = "halt_expired"
	ReasonExecutionFailed       = "execution_failed"
	ReasonExecutionTimeout      = "execution_timeout"
	ReasonIdentityExpired       = "identity_expired"
	ReasonPolicyInvalid         = "policy_invalid" // the policy is gone or has no rule
	ReasonRequeued              = "requeued"
)

// Outcomes of attempts.
const (
	OutcomeOK           = "ok"
	OutcomeStatus       = "status"        // an HTTP status of 400 or above
	OutcomeRedirect     = "redirect"      // redirects are not followed
	OutcomeRefused      = "refused"       // connection refused
	OutcomeReset        = "reset"         // connection broken
	OutcomeDNS          = "dns"           // the name did not resolve
	OutcomeTLS          = "tls"           // handshake or certificate
	OutcomeTimeout      = "timeout"       // the deadline of the attempt passed
	OutcomeTooLarge     = "too_large"     // more than 1 MiB of answer
	OutcomeForbidden    = "forbidden"     // the egress rules do not allow the address
	OutcomeInvalid      = "invalid"       // the answer has not the format of contract §10
	OutcomeToken        = "token"         // the OAuth token could not be had
	OutcomeDisabled     = "disabled"      // the connection is disabled
	OutcomeUnconfigured = "unconfigured"  // the connection is gone or lacks its secrets
	OutcomeIdentityGone = "identity_gone" // the identity has expired
	OutcomeDeadline     = "deadline"      // the deadline of the call passed before it could be completed
	OutcomeUnreadable   = "unreadable"    // what the call needs cannot be opened with the keys of the dispatcher
	OutcomePoison       = "undeliverable" // the work was delivered too often without an end
)
