package stored_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
)

// reads holds what is read to what encoding/json reads.
func reads[T any](t *testing.T, text string) {
	t.Helper()
	var want, got T
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatalf("encoding/json does not read it: %v", err)
	}
	if err := stored.Decode([]byte(text), &got); err != nil {
		t.Errorf("%.100q: %v", text, err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%.100q (-encoding/json +Decode):\n%s", text, diff)
	}
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	t.Parallel()
	given := `{"a": 1, "a": 2, "b": "` + "\xff\xfe" + `", "c": "\ud800", "d": 1e999, "é": "< > &   \u0000"}`
	deep := strings.Repeat("[", 9990) + strings.Repeat("]", 9990)
	for _, preferences := range []string{`null`, `[]`, `"x"`, given, deep} {
		reads[vault.Person](t, `{"identity": {"phone_number": null, "email": "a@b.c", "ga_client_id": "", "loyalty_id": {"label": "L", "value": 9007199254740993}},
			"custom_fields": {"1": {"label": "x", "value": ["a", 1]}, "2": {"label": "y", "value": null}},
			"consent_preferences": `+preferences+`, "encryption_key": "k", "later": {"x": [1]}}`)
		reads[work.Answer](t, `{"accepted": true, "status": "complete", "request": `+preferences+`, "behind": 18446744073709551615}`)
	}
	reads[vault.Person](t, `{"identity": {}, "custom_fields": null}`)
	reads[catalog.Policy](t, `{"version": 9223372036854775807, "policy": {"id": "pol_1", "execution_timeframe": 45, "drp_action": null,
		"rules": [{"id": "rul_1", "action_type": "erasure", "targets": [{"x": 1}]}]}, "pre": null, "post": [{"id": "web_1", "direction": "one_way"}], "new": {}}`)
	reads[catalog.Policy](t, `{"version": 3, "deleted": true}`)
	reads[catalog.PreApproval](t, `{"version": 1, "webhooks": [{"id": "web_1"}, {}]}`)
	reads[catalog.Connection](t, ` {"version": 2, "id": "con_1", "name": "a\"b\u00e9\ufffd", "disabled": true, "secrets": {"x": null}} `)
	reads[catalog.Client](t, `{"version": 1, "id": "api_1", "scopes": null, "roles": []}`)
	reads[catalog.Settings](t, `{"version": 1, "require_manual_request_approval": null}`)
	reads[work.Call](t, `{"call_id": "c", "ordered_at": "2024-08-01T14:38:32.499588123+02:00", "until": "0001-01-01T00:00:00Z"}`)
}

func TestWhatCannotBeReadIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `secret`, `"secret"`, `["secret"]`, `{"id":"secret"`, `{"id":"secret"} x`, `{"secret":}`, `{"version":"secret"}`, `{"version":1.5}`,
	} {
		err := stored.Decode([]byte(text), new(catalog.Connection))
		if !errors.Is(err, stored.ErrUnreadable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`{"identity": {"email": 5}}`, `{"identity": {"secret": "x"}}`, `{"identity": null}`, `{"identity": {"x": {"label": 1}}}`} {
		err := stored.Decode([]byte(text), new(vault.Person))
		if !errors.Is(err, stored.ErrUnreadable) || strings.Contains(err.Error(), "secret") || json.Unmarshal([]byte(text), new(vault.Person)) == nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := stored.Decode([]byte(`{"ordered_at": "secret"}`), new(work.Call)); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a time: %v", err)
	}
}
