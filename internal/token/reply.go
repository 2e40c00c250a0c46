package token

import (
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
)

// Reply is the token that a receiver gets with a call, to answer later. It
// names the request and the call, so that it is good for nothing else, and ID
// tells two tokens of one call apart.
type Reply struct {
	WebhookID string
	RequestID string
	CallID    string
	ID        string
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Expired says whether the token's time has passed.
func (t Reply) Expired(now time.Time) bool { return !now.Before(t.ExpiresAt) }

// replyClaims is the content of a reply token. Times are UTC in unix seconds.
type replyClaims struct {
	WebhookID string   `json:"webhook_id"`
	Scopes    []string `json:"scopes"`
	RequestID string   `json:"request_id"`
	CallID    string   `json:"call_id"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	// ClientID stands in access tokens only.
	ClientID *string `json:"client-id,omitempty"`
}

// IssueReply makes a reply token.
func IssueReply(r *keyring.Ring, t Reply) (string, error) {
	return seal(r, replyClaims{
		WebhookID: t.WebhookID, Scopes: list(t.Scopes), RequestID: t.RequestID, CallID: t.CallID,
		IssuedAt: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix(), ID: t.ID,
	})
}

// ReadReply reads a reply token. An access token is ErrInvalid here.
func ReadReply(r *keyring.Ring, s string) (Reply, error) {
	var claims replyClaims
	if err := open(r, s, &claims); err != nil {
		return Reply{}, err
	}
	named := claims.WebhookID != "" && claims.RequestID != "" && claims.CallID != ""
	if !named || claims.ExpiresAt <= 0 || claims.ClientID != nil {
		return Reply{}, ErrInvalid
	}
	return Reply{
		WebhookID: claims.WebhookID, RequestID: claims.RequestID, CallID: claims.CallID, ID: claims.ID,
		Scopes: claims.Scopes, IssuedAt: time.Unix(claims.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(claims.ExpiresAt, 0).UTC(),
	}, nil
}
