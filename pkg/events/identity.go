package events

import "encoding/json"

// IdentityQuestion is the body of a request on IdentitySubject(request id): an
// executor asks for the person whom an execution is about.
type IdentityQuestion struct {
	// ExecutionID names the execution. It is answered only while the request
	// waits for that one.
	ExecutionID string `json:"execution_id"`
}

// IdentityAnswer is the reply: the person, or a code that says why not.
type IdentityAnswer struct {
	Code   string  `json:"code,omitempty"`
	Person *Person `json:"person,omitempty"`
}

// Codes of identity answers.
const (
	// IdentityNotAwaited: the request does not wait for this execution (any
	// more). The work is to be dropped.
	IdentityNotAwaited = "not_awaited"
	// IdentityExpired: the vault has nothing for the request any more.
	IdentityExpired = "identity_expired"
	// IdentityUnavailable: it could not be found out now. Ask again later.
	IdentityUnavailable = "unavailable"
)

// Person is what an executor needs to know of the person. It is personal data:
// it belongs in memory, for as long as the execution takes, and nowhere else.
type Person struct {
	// Identity has what is known, provided or derived, as webhooks see it: the
	// six standard fields, null where unknown, and custom ones as
	// {"label": …, "value": …}.
	Identity map[string]any `json:"identity"`
	// CustomFields are the custom fields of the request, by name.
	CustomFields map[string]any `json:"custom_fields,omitempty"`
	// ConsentPreferences as they were submitted.
	ConsentPreferences json.RawMessage `json:"consent_preferences,omitempty"`
	// EncryptionKey is the key that the caller wants results encrypted with.
	EncryptionKey string `json:"encryption_key,omitempty"`
}
