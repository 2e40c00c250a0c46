package receiver

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Reply headers of a call (contract §9.2).
const (
	headerReplyTo       = "Reply-To"
	headerReplyToToken  = "Reply-To-Token"
	headerEligible      = "Reply-To-Eligible"
	headerNotEligible   = "Reply-To-Not-Eligible"
	headerWebhookID     = "Webhook-Id"
	headerAuthorization = "Authorization"
)

// Call is one call that the receiver got.
type Call struct {
	// Number counts the calls to this path, from 1.
	Number int
	Method string
	Path   string
	Header http.Header
	Body   []byte
	At     time.Time
	// Certificate is the client's certificate, if it showed one.
	Certificate *x509.Certificate
}

// Payload is the part of a webhook's body that receivers usually look at.
type Payload struct {
	PrivacyRequestID     string         `json:"privacy_request_id"`
	PrivacyRequestStatus string         `json:"privacy_request_status"`
	Direction            string         `json:"direction"`
	CallbackType         string         `json:"callback_type"`
	Identity             map[string]any `json:"identity"`
	PolicyAction         *string        `json:"policy_action"`
	PrivacyRequest       map[string]any `json:"privacy_request"`
	Timestamp            string         `json:"timestamp"`
}

// Payload reads the body as that of a webhook.
func (c Call) Payload() (Payload, error) {
	var p Payload
	if err := json.Unmarshal(c.Body, &p); err != nil {
		return Payload{}, fmt.Errorf("receiver: body of %s: %w", c.Path, err)
	}
	return p, nil
}

// ReplyTo is the path to which the reply goes, "" where none is expected.
func (c Call) ReplyTo() string { return c.Header.Get(headerReplyTo) }

// Token is the reply token.
func (c Call) Token() string { return c.Header.Get(headerReplyToToken) }

// WebhookID is the id of the call, the same for all its attempts.
func (c Call) WebhookID() string { return c.Header.Get(headerWebhookID) }

func (c Call) form() url.Values {
	values, err := url.ParseQuery(string(c.Body))
	if err != nil {
		return url.Values{}
	}
	return values
}

func (c Call) basic() [2]string {
	r := http.Request{Header: c.Header}
	user, password, _ := r.BasicAuth()
	id, err := url.QueryUnescape(user) // RFC 6749 §2.3.1: both are form-encoded first
	if err != nil {
		return [2]string{user, password}
	}
	secret, err := url.QueryUnescape(password)
	if err != nil {
		return [2]string{user, password}
	}
	return [2]string{id, secret}
}
