package dispatcher

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Generate()
	must(t, err)
	s, err := process.Load[Settings](map[string]string{"PARLEY_ENCRYPTION_KEYS": keys})
	must(t, err)
	if s.DeliveryTimeout != 30*time.Second || s.DeliveryMaxAttempts != 6 || s.DeliveryBackoff != 5*time.Second ||
		s.DeliveryMaxAge != 24*time.Hour || s.LaneConcurrency != 16 || s.EgressAllowHTTP || s.DelayTimeout != 60*time.Hour ||
		s.IdentityTTL != 168*time.Hour || s.EgressAllowCIDRs != nil {
		t.Errorf("defaults: %+v", process.Summary(s))
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Generate()
	must(t, err)
	notPEM := filepath.Join(t.TempDir(), "roots.pem")
	must(t, os.WriteFile(notPEM, []byte("no certificate"), 0o600))
	tests := []struct{ name, value string }{
		{"PARLEY_ENCRYPTION_KEYS", "secret"},
		{"PARLEY_DELIVERY_TIMEOUT", "soon"},
		{"PARLEY_DELIVERY_MAX_ATTEMPTS", "0"},
		{"PARLEY_DELIVERY_BACKOFF", "10ms"},
		{"PARLEY_LANE_CONCURRENCY", "0"},
		{"PARLEY_EGRESS_ALLOW_CIDRS", "10.0.0.0/99"},
		{"PARLEY_EGRESS_ALLOW_HTTP", "perhaps"},
		{"PARLEY_EGRESS_CA_FILE", "/does/not/exist"},
		{"PARLEY_EGRESS_CA_FILE", notPEM},
		{"PARLEY_PUBLIC_URL", "parley.example"},
		{"PARLEY_IDENTITY_TTL", "1h"},
	}
	for _, test := range tests {
		environ := map[string]string{"PARLEY_ENCRYPTION_KEYS": keys, test.name: test.value}
		_, err := process.Load[Settings](environ)
		if err == nil || !strings.HasPrefix(err.Error(), test.name+" takes ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s=%s: %v", test.name, test.value, err)
		}
	}
	if _, err := process.Load[Settings](nil); err == nil || !strings.HasPrefix(err.Error(), "PARLEY_ENCRYPTION_KEYS is not set") {
		t.Errorf("no keys: %v", err)
	}
}
