package callback

import (
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

// Settings of the callback service, from the environment.
type Settings struct {
	process.Settings

	// EncryptionKeys read reply and access tokens and seal derived identities.
	EncryptionKeys string `env:"PARLEY_ENCRYPTION_KEYS" secret:"true" takes:"kid:base64 of 32 bytes, several separated by commas"`
	// RootClientID is the API client that may do everything. Its secret is
	// needed where tokens are issued, not here.
	RootClientID string `env:"PARLEY_ROOT_CLIENT_ID" takes:"the id of the root API client"`

	// DelayTimeout is the life of a halt and of its reply token. Both are set
	// where they are made; here it is the lower bound of IdentityTTL.
	DelayTimeout time.Duration `env:"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT" envDefault:"60h" min:"1s"`
	// IdentityTTL is the life of a derived identity.
	IdentityTTL time.Duration `env:"PARLEY_IDENTITY_TTL" envDefault:"168h" min:"1s"`

	// RefusedRepliesPerMinute is how many replies with a bad token one client
	// address may send in a minute; further ones are 429. Good ones never count.
	RefusedRepliesPerMinute int `env:"PARLEY_REFUSED_REPLIES_PER_MINUTE" envDefault:"120" min:"1"`
}

// Validate checks what the tags cannot say.
func (s Settings) Validate() error {
	const keys = "kid:base64 of 32 bytes, several separated by commas"
	if s.EncryptionKeys == "" {
		return process.NotSet("PARLEY_ENCRYPTION_KEYS", keys)
	}
	if _, err := keyring.Parse(s.EncryptionKeys); err != nil {
		return process.Takes("PARLEY_ENCRYPTION_KEYS", keys)
	}
	if s.RootClientID == "" {
		return process.NotSet("PARLEY_ROOT_CLIENT_ID", "the id of the root API client")
	}
	if s.IdentityTTL < s.DelayTimeout {
		return process.Takes("PARLEY_IDENTITY_TTL", "a duration no shorter than PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT")
	}
	return nil
}
