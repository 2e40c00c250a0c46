package orchestrator_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/services/orchestrator"
)

func environ(change map[string]string) map[string]string {
	all := map[string]string{
		"PARLEY_HTTP_ADDR": "127.0.0.1:8082", "PARLEY_NATS_URL": "nats://127.0.0.1:4222",
		"PARLEY_DATABASE_URL": "postgres://user:pass@db/orchestrator", "PARLEY_ROOT_CLIENT_ID": "root",
		"PARLEY_ENCRYPTION_KEYS": "k1:" + strings.Repeat("A", 43) + "=", "PARLEY_EXECUTION": "immediate",
	}
	maps.Copy(all, change)
	return all
}

func TestSettingsHaveDefaults(t *testing.T) {
	t.Parallel()
	s, err := process.Load[orchestrator.Settings](environ(nil))
	must(t, err)
	if s.ManualApproval || s.DelayTimeout != 60*time.Hour || s.IdentityTTL != 168*time.Hour || s.RequestRetention != 0 ||
		s.EventRetention != 720*time.Hour || s.ExecutionTimeout != 24*time.Hour || s.DeliveryMaxAge != 24*time.Hour ||
		s.SubmissionsPerMinute != 60 {
		t.Errorf("%+v", s)
	}
}

func TestBadSettingsAreToldInOneLineWithoutTheirValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change map[string]string
		want   string
	}{
		"no database":        {map[string]string{"PARLEY_DATABASE_URL": ""}, "PARLEY_DATABASE_URL"},
		"bad database":       {map[string]string{"PARLEY_DATABASE_URL": "postgres://%zz-secret"}, "PARLEY_DATABASE_URL"},
		"no keys":            {map[string]string{"PARLEY_ENCRYPTION_KEYS": ""}, "PARLEY_ENCRYPTION_KEYS"},
		"bad keys":           {map[string]string{"PARLEY_ENCRYPTION_KEYS": "k:secret"}, "PARLEY_ENCRYPTION_KEYS"},
		"no root":            {map[string]string{"PARLEY_ROOT_CLIENT_ID": ""}, "PARLEY_ROOT_CLIENT_ID"},
		"no execution":       {map[string]string{"PARLEY_EXECUTION": ""}, "PARLEY_EXECUTION"},
		"unknown execution":  {map[string]string{"PARLEY_EXECUTION": "secret"}, "PARLEY_EXECUTION"},
		"identity too short": {map[string]string{"PARLEY_IDENTITY_TTL": "1h"}, "PARLEY_IDENTITY_TTL"},
		"no duration":        {map[string]string{"PARLEY_DELIVERY_MAX_AGE": "secret"}, "PARLEY_DELIVERY_MAX_AGE"},
		"short facts":        {map[string]string{"PARLEY_EVENT_RETENTION": "1s"}, "PARLEY_EVENT_RETENTION takes a duration such as 30s, 15m or 24h, at least 1h"},
		"negative limit":     {map[string]string{"PARLEY_SUBMISSIONS_PER_MINUTE": "-1"}, "PARLEY_SUBMISSIONS_PER_MINUTE"},
		"negative retention": {map[string]string{"PARLEY_REQUEST_RETENTION": "-1h"}, "less than PARLEY_DELIVERY_MAX_AGE counts as that"},
	} {
		_, err := process.Load[orchestrator.Settings](environ(c.change))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
