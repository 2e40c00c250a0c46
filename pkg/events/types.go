package events

// The types of the facts (CloudEvents attribute "type"). A change that breaks a
// consumer becomes a new type with the next version beside the old one.
const (
	RequestCreated                = "dev.parley.request.created.v1"
	RequestApproved               = "dev.parley.request.approved.v1"
	RequestDenied                 = "dev.parley.request.denied.v1"
	RequestCanceled               = "dev.parley.request.canceled.v1"
	RequestStarted                = "dev.parley.request.started.v1"
	RequestPaused                 = "dev.parley.request.paused.v1"
	RequestResumed                = "dev.parley.request.resumed.v1"
	RequestRetried                = "dev.parley.request.retried.v1"
	RequestResubmitted            = "dev.parley.request.resubmitted.v1"
	RequestFailed                 = "dev.parley.request.failed.v1"
	RequestCompleted              = "dev.parley.request.completed.v1"
	RequestAwaitingPreApproval    = "dev.parley.request.awaiting_pre_approval.v1"
	RequestPreApprovalNotEligible = "dev.parley.request.pre_approval_not_eligible.v1"
	// RequestPreApprovalEligible: a pre-approval webhook has replied that the
	// request is eligible, and the reply was taken.
	RequestPreApprovalEligible = "dev.parley.request.pre_approval_eligible.v1"
	// RequestPending: the request waits for a person although it did not at
	// first; the reason says why.
	RequestPending = "dev.parley.request.pending.v1"
	// RequestDeleted: the request was deleted softly; nothing is called for it
	// any more.
	RequestDeleted = "dev.parley.request.deleted.v1"

	WebhookRequested   = "dev.parley.webhook.requested.v1"
	WebhookAttempted   = "dev.parley.webhook.attempted.v1"
	WebhookSucceeded   = "dev.parley.webhook.succeeded.v1"
	WebhookHalted      = "dev.parley.webhook.halted.v1"
	WebhookFailed      = "dev.parley.webhook.failed.v1"
	WebhookSkipped     = "dev.parley.webhook.skipped.v1"
	WebhookUndelivered = "dev.parley.webhook.undelivered.v1"

	CallbackResumed     = "dev.parley.callback.resumed.v1"
	CallbackExpired     = "dev.parley.callback.expired.v1"
	CallbackEligible    = "dev.parley.callback.eligible.v1"
	CallbackNotEligible = "dev.parley.callback.not_eligible.v1"

	ExecutionCompleted  = "dev.parley.execution.completed.v1"
	ExecutionFailed     = "dev.parley.execution.failed.v1"
	ExecutionProgressed = "dev.parley.execution.progressed.v1"

	// The facts about configuration are published as
	// dsr.event.config.<noun>.changed.<key token>.
	ConfigConnectionChanged  = "dev.parley.config.connection.changed.v1"
	ConfigPolicyChanged      = "dev.parley.config.policy.changed.v1"
	ConfigPreApprovalChanged = "dev.parley.config.preapproval.changed.v1"
	ConfigClientChanged      = "dev.parley.config.client.changed.v1"
	ConfigSettingsChanged    = "dev.parley.config.settings.changed.v1"
)

// Sources (CloudEvents attribute "source").
const (
	SourceConfig       = "/parley/config"
	SourceOrchestrator = "/parley/orchestrator"
	SourceDispatcher   = "/parley/dispatcher"
	SourceCallback     = "/parley/callback"
	// SourceExecutor is the source of what Execute publishes.
	SourceExecutor = "/parley/executor"
)
