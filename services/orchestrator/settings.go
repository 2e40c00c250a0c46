package orchestrator

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

// What an execution is; see Settings.Execution.
const (
	ExecutionImmediate = "immediate"
	ExecutionExternal  = "external"
)

// Settings of the orchestrator, from the environment.
type Settings struct {
	process.Settings

	DatabaseURL string `env:"PARLEY_DATABASE_URL" secret:"url" takes:"a Postgres URL, such as postgres://user@host/orchestrator"`
	// EncryptionKeys read access tokens and seal the vault.
	EncryptionKeys string `env:"PARLEY_ENCRYPTION_KEYS" secret:"true" takes:"kid:base64 of 32 bytes, several separated by commas"`
	// RootClientID is the API client that may do everything.
	RootClientID string `env:"PARLEY_ROOT_CLIENT_ID" takes:"the id of the root API client"`

	// ManualApproval is used until the config service has published the
	// setting execution.require_manual_request_approval.
	ManualApproval bool `env:"PARLEY_REQUIRE_MANUAL_APPROVAL" envDefault:"false"`
	// DelayTimeout is the life of a halt and of its reply token.
	DelayTimeout time.Duration `env:"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT" envDefault:"60h" min:"1s"`
	// IdentityTTL is the life of an identity in the vault once the request runs.
	IdentityTTL time.Duration `env:"PARLEY_IDENTITY_TTL" envDefault:"168h" min:"1s"`
	// RequestRetention is the age at which ended requests go; 0 is never. None
	// goes before DeliveryMaxAge, and none that failed before IdentityTTL.
	RequestRetention time.Duration `env:"PARLEY_REQUEST_RETENTION" envDefault:"0s" min:"0s" takes:"a duration such as 8760h (0s is for ever; less than PARLEY_DELIVERY_MAX_AGE counts as that)"`
	// EventRetention is the age at which facts go. Who is away for longer has
	// missed them, and services are among those.
	EventRetention time.Duration `env:"PARLEY_EVENT_RETENTION" envDefault:"720h" min:"1h"`
	// Execution says who does the access, erasure or consent itself:
	// "immediate", nobody, the webhooks do the work; "external", an executor.
	Execution string `env:"PARLEY_EXECUTION" takes:"immediate (the webhooks do the work) or external (an executor answers)"`
	// ExecutionTimeout is how long an executor may be silent.
	ExecutionTimeout time.Duration `env:"PARLEY_EXECUTION_TIMEOUT" envDefault:"24h" min:"1s"`
	// SubmissionsPerMinute is how many privacy requests one client address may
	// submit in a minute without credentials; 0 is any number.
	SubmissionsPerMinute int `env:"PARLEY_SUBMISSIONS_PER_MINUTE" envDefault:"60" min:"0"`
	// DeliveryMaxAge is the deadline of two_way calls and of pre-approvals.
	DeliveryMaxAge time.Duration `env:"PARLEY_DELIVERY_MAX_AGE" envDefault:"24h" min:"1s"`

	// patience is how long a caller is kept for the answer, and a read for the
	// database; 0 is as usual.
	patience time.Duration
}

// Validate checks what the tags cannot say.
func (s Settings) Validate() error {
	const (
		database  = "a Postgres URL, such as postgres://user@host/orchestrator"
		keys      = "kid:base64 of 32 bytes, several separated by commas"
		execution = "immediate (the webhooks do the work) or external (an executor answers)"
	)
	if s.DatabaseURL == "" {
		return process.NotSet("PARLEY_DATABASE_URL", database)
	}
	if _, err := pgx.ParseConfig(s.DatabaseURL); err != nil {
		return process.Takes("PARLEY_DATABASE_URL", database)
	}
	if s.EncryptionKeys == "" {
		return process.NotSet("PARLEY_ENCRYPTION_KEYS", keys)
	}
	if _, err := keyring.Parse(s.EncryptionKeys); err != nil {
		return process.Takes("PARLEY_ENCRYPTION_KEYS", keys)
	}
	if s.RootClientID == "" {
		return process.NotSet("PARLEY_ROOT_CLIENT_ID", "the id of the root API client")
	}
	switch s.Execution {
	case ExecutionImmediate, ExecutionExternal:
	case "":
		return process.NotSet("PARLEY_EXECUTION", execution)
	default:
		return process.Takes("PARLEY_EXECUTION", execution)
	}
	if s.IdentityTTL < s.DelayTimeout {
		return process.Takes("PARLEY_IDENTITY_TTL", "a duration no shorter than PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT")
	}
	return nil
}
