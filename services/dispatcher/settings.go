package dispatcher

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

// Settings of the dispatcher, from the environment.
type Settings struct {
	process.Settings

	// EncryptionKeys open the secrets of connections and the vault, and seal
	// reply tokens.
	EncryptionKeys string `env:"PARLEY_ENCRYPTION_KEYS" secret:"true" takes:"kid:base64 of 32 bytes, several separated by commas"`

	DeliveryTimeout     time.Duration `env:"PARLEY_DELIVERY_TIMEOUT" envDefault:"30s" min:"100ms" max:"10m"`
	DeliveryMaxAttempts int           `env:"PARLEY_DELIVERY_MAX_ATTEMPTS" envDefault:"6" min:"1" max:"1000"`
	DeliveryBackoff     time.Duration `env:"PARLEY_DELIVERY_BACKOFF" envDefault:"5s" min:"1s" max:"1h"`
	// DeliveryMaxAge is the deadline of a two_way call whose order names none.
	DeliveryMaxAge  time.Duration `env:"PARLEY_DELIVERY_MAX_AGE" envDefault:"24h" min:"1s"`
	LaneConcurrency int           `env:"PARLEY_LANE_CONCURRENCY" envDefault:"16" min:"1" max:"1000"`

	EgressAllowCIDRs []netip.Prefix `env:"PARLEY_EGRESS_ALLOW_CIDRS" takes:"networks such as 10.1.0.0/16, separated by commas"`
	EgressAllowHTTP  bool           `env:"PARLEY_EGRESS_ALLOW_HTTP" envDefault:"false"`
	EgressCAFile     string         `env:"PARLEY_EGRESS_CA_FILE" takes:"the path of a PEM file with root certificates"`

	// PublicURL is where receivers reach us; it may be empty.
	PublicURL string `env:"PARLEY_PUBLIC_URL" takes:"an absolute http or https URL"`
	// DelayTimeout is the life of a halt and of its reply token.
	DelayTimeout time.Duration `env:"PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT" envDefault:"60h" min:"1s"`
	// IdentityTTL is the life of a derived identity.
	IdentityTTL time.Duration `env:"PARLEY_IDENTITY_TTL" envDefault:"168h" min:"1s"`

	// The pace of the lanes; the zero value means the default.
	sweep, linger, drain, coolDown, overdue, date time.Duration
	// resolver of names; nil is the system's.
	resolver *net.Resolver
}

// The pace of the lanes.
const (
	defaultSweep  = 2 * time.Second
	defaultLinger = 30 * time.Second
	// What remains of the time to stop is for the listener and the last
	// messages to NATS.
	defaultDrain = 15 * time.Second
)

// Validate checks what the tags cannot say.
func (s Settings) Validate() error {
	if s.EncryptionKeys == "" {
		return process.NotSet("PARLEY_ENCRYPTION_KEYS", "kid:base64 of 32 bytes, several separated by commas")
	}
	if _, err := keyring.Parse(s.EncryptionKeys); err != nil {
		return process.Takes("PARLEY_ENCRYPTION_KEYS", "kid:base64 of 32 bytes, several separated by commas")
	}
	if s.IdentityTTL < s.DelayTimeout {
		return process.Takes("PARLEY_IDENTITY_TTL", "a duration no shorter than PARLEY_PRIVACY_REQUEST_DELAY_TIMEOUT")
	}
	if s.PublicURL != "" {
		u, err := url.Parse(s.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return process.Takes("PARLEY_PUBLIC_URL", "an absolute http or https URL")
		}
	}
	if _, err := s.roots(); err != nil {
		return err
	}
	return nil
}

// roots are the system's certificates and those of EgressCAFile; nil stands for
// the system's alone.
func (s Settings) roots() (*x509.CertPool, error) {
	if s.EgressCAFile == "" {
		return nil, nil
	}
	data, err := os.ReadFile(s.EgressCAFile) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, process.Takes("PARLEY_EGRESS_CA_FILE", "the path of a readable file")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, process.Takes("PARLEY_EGRESS_CA_FILE", "the path of a PEM file with at least one certificate")
	}
	return pool, nil
}

func or(value, otherwise time.Duration) time.Duration {
	if value > 0 {
		return value
	}
	return otherwise
}

func (s Settings) ring() (*keyring.Ring, error) {
	ring, err := keyring.Parse(s.EncryptionKeys)
	if err != nil {
		return nil, fmt.Errorf("PARLEY_ENCRYPTION_KEYS: %w", err)
	}
	return ring, nil
}
