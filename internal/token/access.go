package token

import (
	"encoding/json"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
)

// Access is the token of an API client (contract §1.1).
type Access struct {
	ClientID  string
	Scopes    []string
	Roles     []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Expired says whether the token's time has passed.
func (a Access) Expired(now time.Time) bool { return !now.Before(a.ExpiresAt) }

// accessClaims is the content of an access token. The empty lists are part of
// the shape that clients of the existing system know.
type accessClaims struct {
	ClientID    string   `json:"client-id"`
	Scopes      []string `json:"scopes"`
	IssuedAt    string   `json:"iat"`
	ExpiresAt   int64    `json:"exp"`
	Roles       []string `json:"roles"`
	Systems     []string `json:"systems"`
	Connections []string `json:"connections"`
	Monitors    []string `json:"monitors"`
	// WebhookID stands in reply tokens only.
	WebhookID *string `json:"webhook_id,omitempty"`
}

// issuedLayout is ISO 8601 with microseconds and an offset.
const issuedLayout = "2006-01-02T15:04:05.000000-07:00"

// IssueAccess makes an access token.
func IssueAccess(r *keyring.Ring, a Access) (string, error) {
	return seal(r, accessClaims{
		ClientID: a.ClientID, Scopes: list(a.Scopes), Roles: list(a.Roles),
		IssuedAt: a.IssuedAt.UTC().Format(issuedLayout), ExpiresAt: a.ExpiresAt.Unix(),
		Systems: []string{}, Connections: []string{}, Monitors: []string{},
	})
}

// ReadAccess reads an access token. A reply token is ErrInvalid here.
func ReadAccess(r *keyring.Ring, s string) (Access, error) {
	plain, err := open(r, s)
	if err != nil {
		return Access{}, err
	}
	var claims accessClaims
	if err := json.Unmarshal(plain, &claims); err != nil {
		return Access{}, ErrInvalid
	}
	issued, err := time.Parse(time.RFC3339Nano, claims.IssuedAt)
	if err != nil || claims.ClientID == "" || claims.ExpiresAt <= 0 || claims.WebhookID != nil {
		return Access{}, ErrInvalid
	}
	return Access{
		ClientID: claims.ClientID, Scopes: claims.Scopes, Roles: claims.Roles,
		IssuedAt: issued.UTC(), ExpiresAt: time.Unix(claims.ExpiresAt, 0).UTC(),
	}, nil
}

// list gives an empty list for none, so that the claim is never null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
