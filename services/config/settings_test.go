package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	config "github.com/parley-dsr/parley/services/config"
)

func environment(t *testing.T) map[string]string {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"PARLEY_DATABASE_URL":   "postgres://user:hunter2@db/config",
		"PARLEY_ROOT_CLIENT_ID": "root", "PARLEY_ROOT_CLIENT_SECRET": "hunter2", "PARLEY_ENCRYPTION_KEYS": keys,
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := process.Load[config.Settings](environment(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.AccessTokenTTL != 192*time.Hour || s.RequireManualApproval || s.EgressAllowHTTP || len(s.EgressAllowCIDRs) != 0 {
		t.Errorf("the defaults: %+v", s)
	}
}

func TestBadSettingsAreOneLine(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"PARLEY_DATABASE_URL":            "",
		"PARLEY_ROOT_CLIENT_ID":          "",
		"PARLEY_ROOT_CLIENT_SECRET":      "",
		"PARLEY_ENCRYPTION_KEYS":         "hunter2",
		"PARLEY_ACCESS_TOKEN_TTL":        "hunter2",
		"PARLEY_REQUIRE_MANUAL_APPROVAL": "hunter2",
		"PARLEY_EGRESS_ALLOW_CIDRS":      "hunter2",
		"PARLEY_EGRESS_ALLOW_HTTP":       "hunter2",
	} {
		environ := environment(t)
		environ[name] = value
		_, err := process.Load[config.Settings](environ)
		if err == nil {
			t.Errorf("%s=%q is taken", name, value)
			continue
		}
		if text := err.Error(); !strings.Contains(text, name) || strings.Contains(text, "\n") || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
