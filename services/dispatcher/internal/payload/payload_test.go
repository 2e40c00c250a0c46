package payload

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 10, 0, 1, 250_900_000, time.FixedZone("", 7200))
	email := "jane@example.com"
	request := record.Record{
		ID: "pri_1", Status: record.InProcessing,
		Policy: record.Policy{ID: "pol_1", Key: "p", Name: "P", Rules: []record.Rule{{ActionType: record.ActionAccess}, {ActionType: record.ActionErasure}}},
	}
	person := vault.Person{
		Identity:           identity.Identity{Email: &email, Custom: map[string]identity.Labeled{"loyalty": {Label: "Loyalty", Value: "7"}}},
		CustomFields:       map[string]identity.Labeled{"team": {Label: "Team", Value: "blue"}},
		ConsentPreferences: json.RawMessage(`[{"data_use": "marketing", "opt_in": false}]`),
		EncryptionKey:      "never-to-be-sent",
	}
	body, err := Build(work.Call{Phase: record.Pre, Webhook: record.Webhook{Direction: record.OneWay}}, &request, person, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	const begins = `{"privacy_request_id":"pri_1","privacy_request_status":"in_processing","direction":"one_way","callback_type":"pre",` +
		`"identity":{"phone_number":null,"email":"jane@example.com","ga_client_id":null,"ljt_readerID":null,` +
		`"fides_user_device_id":null,"external_id":null,"loyalty":{"label":"Loyalty","value":"7"}},` +
		`"policy_action":"access","privacy_request":{"id":"pri_1",`
	const ends = `"custom_fields":{"team":{"label":"Team","value":"blue"}},"location":null},"timestamp":"2026-05-01T08:00:01.250Z"}`
	text := string(body)
	if !strings.HasPrefix(text, begins) || !strings.HasSuffix(text, ends) {
		t.Errorf("got %s", text)
	}
	if !strings.Contains(text, `"consent_preferences":[{"data_use":"marketing","opt_in":false}]`) {
		t.Error("no consent preferences")
	}
	if strings.Contains(text, "never-to-be-sent") {
		t.Error("the encryption key is sent")
	}
}

func TestBuildWithoutRules(t *testing.T) {
	t.Parallel()
	body, err := Build(work.Call{Phase: record.PreApproval}, &record.Record{Status: record.AwaitingPreApproval}, vault.Person{}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"policy_action":null`, `"direction":"two_way"`, `"callback_type":"pre_approval"`, `"custom_fields":null`, `"rules":[]`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}
