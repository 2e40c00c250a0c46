// Package catalog is what the config service publishes for the others: the
// values in the bucket dsr_config. An entry carries the version of its row,
// taken from one sequence of the database, and an older version never
// overwrites a newer one. A deleted row leaves an entry that says so.
package catalog

import (
	"errors"

	"github.com/parley-dsr/parley/internal/record"
)

// ErrNotFound is returned for an entry that does not exist or is deleted.
var ErrNotFound = errors.New("catalog: no such entry")

// Keys of the bucket.
const (
	// KeyPreApproval is the one entry of the pre-approval webhooks.
	KeyPreApproval = "preapproval"
	// KeySettings is the one entry of the runtime settings.
	KeySettings = "settings"
)

// PolicyKey is the key of a policy's entry, by the policy's key.
func PolicyKey(key string) string { return "policy." + key }

// ConnectionKey is the key of a connection's entry, by the connection's id.
func ConnectionKey(id string) string { return "connection." + id }

// ClientKey is the key of an API client's entry, by the client's id.
func ClientKey(id string) string { return "client." + id }

// Entry is what all entries have.
type Entry struct {
	Version int64 `json:"version"`
	Deleted bool  `json:"deleted,omitempty"`
}

// Policy is a policy with its webhooks in order.
type Policy struct {
	Entry
	Policy record.Policy    `json:"policy"`
	Pre    []record.Webhook `json:"pre"`
	Post   []record.Webhook `json:"post"`
}

// PreApproval are the pre-approval webhooks, oldest first. Their direction is
// two_way.
type PreApproval struct {
	Entry
	Webhooks []record.Webhook `json:"webhooks"`
}

// Connection is a connection; its secrets are sealed with the keyring's secret
// purpose.
type Connection struct {
	Entry
	ID       string `json:"id"`
	Key      string `json:"key"`
	Name     string `json:"name"`
	Type     string `json:"connection_type"`
	Disabled bool   `json:"disabled"`
	// SealedSecrets is the sealed JSON of Secrets, "" while none are set.
	SealedSecrets string `json:"sealed_secrets,omitempty"`
	// SealedOAuth is the sealed JSON of OAuth, "" where there is none.
	SealedOAuth string `json:"sealed_oauth,omitempty"`
}

// Secrets of an https connection, in the clear: in memory only.
type Secrets struct {
	URL               string            `json:"url"`
	Authorization     string            `json:"authorization,omitempty"`
	Headers           map[string]string `json:"headers"`
	SigningSecret     string            `json:"signing_secret,omitempty"`
	SigningSecretOld  string            `json:"signing_secret_previous,omitempty"`
	ClientCertificate string            `json:"client_certificate,omitempty"`
	ClientKey         string            `json:"client_key,omitempty"`
}

// OAuth settings of a connection, in the clear: in memory only.
type OAuth struct {
	GrantType    string  `json:"grant_type"`
	TokenURL     string  `json:"token_url"`
	Scope        *string `json:"scope"`
	ClientID     string  `json:"client_id"`
	ClientSecret *string `json:"client_secret"`
}

// Client is an API client as the edges check its tokens.
type Client struct {
	Entry
	ID     string   `json:"id"`
	Scopes []string `json:"scopes"`
	Roles  []string `json:"roles,omitempty"`
}

// Settings are the runtime settings (contract §1.4).
type Settings struct {
	Entry
	RequireManualRequestApproval *bool `json:"require_manual_request_approval,omitempty"`
}
