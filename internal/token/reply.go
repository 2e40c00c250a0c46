package token

import (
	"encoding/json"
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

// skew is how far the clocks of two machines may be apart.
const skew = 5 * time.Minute

// Premature says whether the token claims to have been made later than now, by
// more than clocks differ.
func (t Reply) Premature(now time.Time) bool { return t.IssuedAt.After(now.Add(skew)) }

// replyClaims is the content of a reply token. Times are UTC in unix seconds.
type replyClaims struct {
	WebhookID string   `json:"webhook_id"`
	Scopes    []string `json:"scopes"`
	RequestID string   `json:"request_id"`
	CallID    string   `json:"call_id"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
}

// IssueReply makes a reply token.
func IssueReply(r *keyring.Ring, t Reply) (string, error) {
	return seal(r, replyClaims{
		WebhookID: t.WebhookID, Scopes: list(t.Scopes), RequestID: t.RequestID, CallID: t.CallID,
		IssuedAt: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix(), ID: t.ID,
	})
}

// ReadReply reads a reply token. Anything else is ErrInvalid here: an access
// token, and a token that lacks a claim or has one that is not known here, since
// that may be a limit that its maker meant.
func ReadReply(r *keyring.Ring, s string) (Reply, error) {
	plain, err := open(r, s)
	if err != nil {
		return Reply{}, err
	}
	var claims replyClaims
	if !hasExactly(plain, "webhook_id", "scopes", "request_id", "call_id", "iat", "exp", "jti") || json.Unmarshal(plain, &claims) != nil {
		return Reply{}, ErrInvalid
	}
	named := claims.WebhookID != "" && claims.RequestID != "" && claims.CallID != "" && claims.ID != ""
	if !named || claims.IssuedAt <= 0 || claims.ExpiresAt <= 0 {
		return Reply{}, ErrInvalid
	}
	return Reply{
		WebhookID: claims.WebhookID, RequestID: claims.RequestID, CallID: claims.CallID, ID: claims.ID,
		Scopes: claims.Scopes, IssuedAt: time.Unix(claims.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(claims.ExpiresAt, 0).UTC(),
	}, nil
}

// hasExactly says whether a text is a JSON object with these members and no
// others.
func hasExactly(plain []byte, names ...string) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(plain, &members) != nil || len(members) != len(names) {
		return false
	}
	for _, name := range names {
		if _, ok := members[name]; !ok {
			return false
		}
	}
	return true
}
