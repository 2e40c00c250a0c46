package config_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
)

// TestStory is what the published documentation has its readers do.
func TestStory(t *testing.T) {
	t.Parallel()
	b := setup(t)

	b.do("PATCH", "/v1/connection", b.root, "application/json", strings.NewReader(`[{
		"name": "My Webhook Connection Configuration", "key": "test_webhook_connection_config",
		"connection_type": "https", "access": "read"}]`)).want(t, http.StatusOK)
	b.do("PUT", "/v1/connection/test_webhook_connection_config/secret", b.root, "application/json",
		strings.NewReader(`{"url": "https://www.example.com", "authorization": "Bearer mysecrettoken"}`)).
		wantJSON(t, http.StatusOK, `{"msg":"Secrets updated for ConnectionConfig with key: test_webhook_connection_config.",
			"test_status":"skipped","failure_reason":null}`)

	// Older documents put the secrets on the connection itself.
	b.do("PUT", "/v1/connection/test_webhook_connection_config", b.root, "application/json",
		strings.NewReader(`{"url": "https://www.example.com", "authorization": "Bearer mysecrettoken"}`)).want(t, http.StatusOK)

	put := b.do("PUT", "/v1/policy/default_access_policy/webhook/pre_execution", b.root, "application/json", strings.NewReader(`[
		{"connection_config_key": "test_webhook_connection_config", "direction": "one_way",
		 "key": "wake_up_snowflake_db", "name": "Wake up Snowflake DB Webhook"},
		{"connection_config_key": "test_webhook_connection_config", "direction": "two_way",
		 "key": "prep_systems_webhook", "name": "Prep Systems Webhook"}]`)).want(t, http.StatusOK)
	if !strings.HasPrefix(put.body, `[{"direction":"one_way","key":"wake_up_snowflake_db","name":"Wake up Snowflake DB Webhook",`+
		`"connection_config":{"connection_type":"https","secrets":{"url":"https://www.example.com","authorization":"**********","headers":null},`+
		`"saas_config":null,"name":"My Webhook Connection Configuration","key":"test_webhook_connection_config","description":null,"access":"read","created_at":"`) {
		t.Errorf("the order of the members is another: %s", put.body)
	}

	patched := b.do("PATCH", "/v1/policy/default_access_policy/webhook/pre-execution/wake_up_snowflake_db", b.root,
		"application/json", strings.NewReader(`{"direction": "two_way", "order": 1}`)).want(t, http.StatusOK)
	want := []any{
		map[string]any{"key": "prep_systems_webhook", "order": 0.0},
		map[string]any{"key": "wake_up_snowflake_db", "order": 1.0},
	}
	if diff := cmp.Diff(want, patched.field("new_order")); diff != "" {
		t.Error(diff)
	}

	entry, err := b.policy("default_access_policy")
	if err != nil {
		t.Fatal(err)
	}
	ignore := cmpopts.IgnoreFields(record.Webhook{}, "ID", "ConnectionID")
	if diff := cmp.Diff([]record.Webhook{
		{Key: "prep_systems_webhook", Name: "Prep Systems Webhook", Direction: record.TwoWay, ConnectionKey: "test_webhook_connection_config"},
		{Key: "wake_up_snowflake_db", Name: "Wake up Snowflake DB Webhook", Direction: record.TwoWay, ConnectionKey: "test_webhook_connection_config"},
	}, entry.Pre, ignore); diff != "" {
		t.Error(diff)
	}
	if entry.Policy.Action() != record.ActionAccess || !strings.HasPrefix(entry.Policy.ID, "pol_") || entry.Post == nil {
		t.Errorf("the entry of the policy: %+v", entry)
	}
	connection := b.connection(entry.Pre[0].ConnectionID)
	plain, err := b.ring.Open(keyring.Secret, connection.SealedSecrets)
	if err != nil {
		t.Fatal(err)
	}
	var secrets catalog.Secrets
	if err := json.Unmarshal(plain, &secrets); err != nil {
		t.Fatal(err)
	}
	if secrets.URL != "https://www.example.com" || secrets.Authorization != "Bearer mysecrettoken" {
		t.Errorf("the secrets: %+v", secrets)
	}

	// "Call GET and pass the entire body of that response with any updates."
	list := b.call("GET", "/dsr/policy/default_access_policy/webhook/pre_execution", nil).want(t, http.StatusOK)
	b.call("PUT", "/dsr/policy/default_access_policy/webhook/pre_execution", list.body).want(t, http.StatusOK)
	again, err := b.policy("default_access_policy")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entry.Pre, again.Pre); diff != "" {
		t.Error(diff)
	}
}
