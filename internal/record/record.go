// Package record is the present of a privacy request: the value under its key
// in the bucket dsr_requests, written by the orchestrator alone, with a
// compare-and-set, and read by the dispatcher and the callback service before
// they act.
//
// A record holds nothing personal in the clear: identities, custom fields,
// consent preferences and the encryption key are in the vault; reasons are
// sealed. A field that is added later must have a usable zero value, since
// records outlive the version of the service that wrote them.
package record

import "time"

// Status of a privacy request (contract §7).
type Status string

// The statuses that a request of Parley can have.
const (
	Pending                Status = "pending"
	AwaitingPreApproval    Status = "awaiting_pre_approval"
	PreApprovalNotEligible Status = "pre_approval_not_eligible"
	Approved               Status = "approved"
	Denied                 Status = "denied"
	InProcessing           Status = "in_processing"
	Paused                 Status = "paused"
	Complete               Status = "complete"
	Canceled               Status = "canceled"
	Failed                 Status = "error"
)

// Final says whether nothing leaves the status any more.
func (s Status) Final() bool { return s == Complete || s == Denied || s == Canceled }

// Ended says whether the request is not running and waits for nothing by
// itself: a final status, or error, which a person may retry.
func (s Status) Ended() bool { return s.Final() || s == Failed }

// Step of a run.
type Step string

// The steps of a run, in order. The execution is the one of the three that the
// policy's first rule asks for.
const (
	PreWebhooks  Step = "pre_webhooks"
	Access       Step = "access"
	Erasure      Step = "erasure"
	Consent      Step = "consent"
	PostWebhooks Step = "post_webhooks"
	Finalization Step = "finalization"
)

// Phase is the kind of a webhook: before the execution, after it, or before the
// approval.
type Phase string

// The phases (callback_type of contract §9.1).
const (
	Pre         Phase = "pre"
	Post        Phase = "post"
	PreApproval Phase = "pre_approval"
)

// Directions of a webhook.
const (
	OneWay = "one_way"
	TwoWay = "two_way"
)

// Actions of a rule.
const (
	ActionAccess  = "access"
	ActionErasure = "erasure"
	ActionConsent = "consent"
)

// Webhook as a run has it pinned. The connection is named, not copied: it is
// resolved at call time, so that a rotated secret is used at once.
type Webhook struct {
	ID            string `json:"id"`
	Key           string `json:"key"`
	Name          string `json:"name"`
	Direction     string `json:"direction"`
	ConnectionID  string `json:"connection_id"`
	ConnectionKey string `json:"connection_key"`
}

// Policy as a run has it pinned.
type Policy struct {
	ID                 string  `json:"id"`
	Name               string  `json:"name"`
	Key                string  `json:"key"`
	DRPAction          *string `json:"drp_action"`
	ExecutionTimeframe *int    `json:"execution_timeframe"`
	ClientID           *string `json:"client_id"`
	Rules              []Rule  `json:"rules"`
}

// Action is the action of the policy's first rule, or "" where it has none.
func (p Policy) Action() string {
	if len(p.Rules) == 0 {
		return ""
	}
	return p.Rules[0].ActionType
}

// Rule of a policy; the strategy is named without its configuration.
type Rule struct {
	ID                   string  `json:"id"`
	Name                 string  `json:"name"`
	Key                  string  `json:"key"`
	ActionType           string  `json:"action_type"`
	MaskingStrategy      *string `json:"masking_strategy"`
	StorageDestinationID *string `json:"storage_destination_id"`
}

// Submission is what a request was created with, less what is personal.
type Submission struct {
	PolicyKey   string    `json:"policy_key"`
	RequestedAt time.Time `json:"requested_at"`
	// SealedExternalID is the identifier that the caller chose, which may be
	// anything, sealed with the keyring's vault purpose; "" for none.
	SealedExternalID    string     `json:"sealed_external_id,omitempty"`
	StartedProcessingAt *time.Time `json:"started_processing_at"`
	FinishedAt          *time.Time `json:"finished_processing_at"`
	Source              *string    `json:"source"`
	Location            *string    `json:"location"`
	PropertyID          *string    `json:"property_id"`
	Origin              *string    `json:"origin"`
	ClientID            *string    `json:"client_id"`
	// IdentityHashes are keyed hashes (HMAC) by which the request is found: for
	// each field, which has a number and no name, one for each key of the
	// keyring.
	IdentityHashes map[string][]string `json:"identity_hashes,omitempty"`
	// CustomFields says whether the vault has custom fields.
	CustomFields bool `json:"custom_fields,omitempty"`
	// CustomFieldHashes are as IdentityHashes.
	CustomFieldHashes map[string][]string `json:"custom_field_hashes,omitempty"`
	// Fingerprint is a keyed hash of all that was submitted at once, where the
	// caller gave that an Idempotency-Key; the id of the request is then one of
	// the key.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// WaitKind is what a request waits for.
type WaitKind string

// What a request may wait for.
const (
	// WaitCall: the answer of a two_way call.
	WaitCall WaitKind = "call"
	// WaitRelease: the first attempt of a one_way call.
	WaitRelease WaitKind = "release"
	// WaitHalt: the resume of a halt.
	WaitHalt WaitKind = "halt"
	// WaitExecution: an executor.
	WaitExecution WaitKind = "execution"
	// WaitPreApproval: the replies of the pre-approval webhooks.
	WaitPreApproval WaitKind = "pre_approval"
)

// Wait says what a request waits for and until when. A request in pending
// waits for a person and has none.
type Wait struct {
	Kind   WaitKind  `json:"kind"`
	CallID string    `json:"call_id"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// Run is one passage through the steps. A retry goes on in the same run; a
// resubmit begins the next.
type Run struct {
	Number int  `json:"number"`
	Step   Step `json:"step,omitempty"`
	// Index is the position, in the phase's list, of the webhook at work.
	Index int `json:"index"`
	// Order is the number of the last call or execution that was ordered in
	// this run; it grows with each, so that no two have the same id.
	Order int       `json:"order"`
	Pre   []Webhook `json:"pre,omitempty"`
	Post  []Webhook `json:"post,omitempty"`
}

// Webhooks gives the pinned list of a phase.
func (r Run) Webhooks(p Phase) []Webhook {
	if p == Post {
		return r.Post
	}
	return r.Pre
}

// Replier is a pre-approval webhook whose reply a request waits for.
type Replier struct {
	Webhook Webhook `json:"webhook"`
	CallID  string  `json:"call_id"`
	Reply   string  `json:"reply,omitempty"` // "", eligible, not_eligible
	Gone    bool    `json:"gone,omitempty"`  // deleted before it replied
}

// Undelivered is a one_way call that did not reach its receiver.
type Undelivered struct {
	CallID  string  `json:"call_id"`
	Webhook Webhook `json:"webhook"`
	// ResentAs is the call that was made in its place, "" while nobody has
	// asked for one.
	ResentAs string `json:"resent_as,omitempty"`
}

// EarlyResume is a resume that came before the halt that it answers.
type EarlyResume struct {
	CallID    string `json:"call_id"`
	StagedKey string `json:"staged_key,omitempty"`
}

// Record is the present of one privacy request.
type Record struct {
	ID string `json:"id"`
	// Revision is the record's own counter: one more with every transition.
	Revision uint64 `json:"revision"`
	// Epoch is a random value of the process that decided this revision, and
	// another after a restore: ids of outputs are never given twice, and two
	// records of one revision are told apart.
	Epoch string `json:"epoch"`
	// Sequence is the number of the last fact about this request.
	Sequence uint64 `json:"sequence"`

	Status     Status     `json:"status"`
	Submission Submission `json:"submission"`
	Policy     Policy     `json:"policy"`
	Run        Run        `json:"run"`
	Wait       *Wait      `json:"wait,omitempty"`
	Repliers   []Replier  `json:"repliers,omitempty"`

	// Staged are the vault keys of accepted derived identities, in the order
	// in which they lie over the provided identity.
	Staged      []string     `json:"staged,omitempty"`
	EarlyResume *EarlyResume `json:"early_resume,omitempty"`

	// Trace is the W3C traceparent of the last transition that had one: what
	// goes on from here in a trace of its own is linked to it.
	Trace string `json:"trace,omitempty"`

	// Undelivered are the last one_way calls that did not reach their
	// receivers, oldest first: a person may have them sent again.
	Undelivered []Undelivered `json:"undelivered,omitempty"`

	CreatedAt              time.Time  `json:"created_at"`
	UpdatedAt              time.Time  `json:"updated_at"`
	StartedAt              *time.Time `json:"started_at,omitempty"`
	FinishedAt             *time.Time `json:"finished_at,omitempty"`
	PausedAt               *time.Time `json:"paused_at,omitempty"`
	CanceledAt             *time.Time `json:"canceled_at,omitempty"`
	ReviewedAt             *time.Time `json:"reviewed_at,omitempty"`
	ReviewedBy             *string    `json:"reviewed_by,omitempty"`
	DueDate                *time.Time `json:"due_date,omitempty"`
	CustomFieldsApprovedAt *time.Time `json:"custom_fields_approved_at,omitempty"`
	CustomFieldsApprovedBy *string    `json:"custom_fields_approved_by,omitempty"`
	DeletedAt              *time.Time `json:"deleted_at,omitempty"`
	DeletedBy              *string    `json:"deleted_by,omitempty"`

	// SealedDenyReason and SealedCancelReason are sealed with the keyring's
	// vault purpose.
	SealedDenyReason   string `json:"sealed_deny_reason,omitempty"`
	SealedCancelReason string `json:"sealed_cancel_reason,omitempty"`

	// Commands are the ids of the last commands that changed the record,
	// newest last: a repeat of one is answered with success and changes
	// nothing.
	Commands []string `json:"commands,omitempty"`

	// Outbox are the recipes of what the last transition has to publish. It is
	// unsettled while it is not empty.
	Outbox []Recipe `json:"outbox,omitempty"`
}

// Recipe says what to publish. Its body is a pure function of the record and
// the recipe.
type Recipe struct {
	// ID is <request>.<revision>.<epoch>.<n>: CloudEvents id and Nats-Msg-Id.
	ID string `json:"id"`
	// Kind is fact, call, execute or touch (extend the life of the identity).
	Kind RecipeKind `json:"kind"`
	// Type is the event type of a fact.
	Type  string    `json:"type,omitempty"`
	Time  time.Time `json:"time"`
	Trace string    `json:"trace,omitempty"` // traceparent
	// What the body of a fact says beyond the record.
	Sequence uint64     `json:"sequence,omitempty"`
	Status   Status     `json:"status,omitempty"`
	Step     Step       `json:"step,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Message  string     `json:"message,omitempty"`
	CallID   string     `json:"call_id,omitempty"`
	ResendOf string     `json:"resend_of,omitempty"`
	Webhook  *Webhook   `json:"webhook,omitempty"`
	Phase    Phase      `json:"phase,omitempty"`
	Until    *time.Time `json:"until,omitempty"`
	Actor    string     `json:"actor,omitempty"`
}

// RecipeKind is what a recipe makes.
type RecipeKind string

// The kinds of recipes, in the order in which they are carried out.
const (
	RecipeTouch   RecipeKind = "touch"
	RecipeFact    RecipeKind = "fact"
	RecipeCall    RecipeKind = "call"
	RecipeExecute RecipeKind = "execute"
)
