package config

import (
	"net/netip"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

const (
	takesDatabase = "a Postgres URL, such as postgres://user@host/config"
	takesKeys     = "kid:base64 of 32 bytes, several separated by commas"
	takesClient   = "the id of the root API client, letters, digits, '_' and '-'"
	takesSecret   = "the secret of the root API client"
)

// Settings of the config service, from the environment.
type Settings struct {
	process.Settings

	DatabaseURL string `env:"PARLEY_DATABASE_URL" secret:"url" takes:"a Postgres URL, such as postgres://user@host/config"`

	// The root client may do everything. It is not stored.
	RootClientID     string `env:"PARLEY_ROOT_CLIENT_ID" takes:"the id of the root API client, letters, digits, '_' and '-'"`
	RootClientSecret string `env:"PARLEY_ROOT_CLIENT_SECRET" secret:"true" takes:"the secret of the root API client"`

	// EncryptionKeys seal access tokens and the secrets of connections.
	EncryptionKeys string `env:"PARLEY_ENCRYPTION_KEYS" secret:"true" takes:"kid:base64 of 32 bytes, several separated by commas"`

	AccessTokenTTL time.Duration `env:"PARLEY_ACCESS_TOKEN_TTL" envDefault:"192h" min:"1s"`
	// RequireManualApproval holds while nobody has set it over the API.
	RequireManualApproval bool `env:"PARLEY_REQUIRE_MANUAL_APPROVAL" envDefault:"false"`

	// What may be stored as the address of a receiver.
	EgressAllowCIDRs []netip.Prefix `env:"PARLEY_EGRESS_ALLOW_CIDRS"`
	EgressAllowHTTP  bool           `env:"PARLEY_EGRESS_ALLOW_HTTP" envDefault:"false"`
}

// Validate checks what the tags cannot say.
func (s Settings) Validate() error {
	switch {
	case s.DatabaseURL == "":
		return process.NotSet("PARLEY_DATABASE_URL", takesDatabase)
	case s.RootClientID == "":
		return process.NotSet("PARLEY_ROOT_CLIENT_ID", takesClient)
	case s.RootClientSecret == "":
		return process.NotSet("PARLEY_ROOT_CLIENT_SECRET", takesSecret)
	case s.EncryptionKeys == "":
		return process.NotSet("PARLEY_ENCRYPTION_KEYS", takesKeys)
	}
	if _, err := keyring.Parse(s.EncryptionKeys); err != nil {
		return process.Takes("PARLEY_ENCRYPTION_KEYS", takesKeys)
	}
	return nil
}
