package work

import "time"

// ProbeWithin is how long a probe may take; who asks should wait a little
// longer.
const ProbeWithin = 20 * time.Second

// ProbeAnswer says whether a connection can be reached: its name resolves, the
// address may be called and takes a TLS connection, and with OAuth the token
// endpoint gives a token. Nothing is posted to the webhook.
type ProbeAnswer struct {
	// Passed says that all went well.
	Passed bool `json:"passed"`
	// FailureReason says in words what did not, without repeating anything
	// that is secret; "" for nothing.
	FailureReason string `json:"failure_reason,omitempty"`
}
