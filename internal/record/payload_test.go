package record

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func sample() Record {
	text := func(s string) *string { return &s }
	at := time.Date(2024, 8, 1, 14, 38, 32, 499588123, time.FixedZone("", 7200))
	due := time.Date(2024, 9, 15, 1, 0, 0, 0, time.UTC)
	days := 45
	return Record{
		ID: "pri_1", Status: InProcessing,
		Submission: Submission{
			PolicyKey: "erase", RequestedAt: at, Location: text("US-CA"),
			IdentityHashes: map[string][]string{"email": {"hash"}},
		},
		Policy: Policy{
			ID: "pol_1", Name: "Erase", Key: "erase", ExecutionTimeframe: &days,
			Rules: []Rule{{ID: "rul_1", Name: "R", Key: "r", ActionType: ActionErasure, MaskingStrategy: text("nullify")}},
		},
		StartedAt: &at, DueDate: &due,
		SealedCancelReason: "sealed",
	}
}

const wire = `{"id":"pri_1","external_id":"ext-1","status":"in_processing",` +
	`"requested_at":"2024-08-01T12:38:32.499588+00:00","started_processing_at":"2024-08-01T12:38:32.499588+00:00",` +
	`"finished_processing_at":null,"reviewed_at":null,"reviewed_by":null,"finalized_at":null,"finalized_by":null,` +
	`"submitted_by":null,"custom_privacy_request_fields_approved_by":null,"identity_verified_at":null,` +
	`"custom_privacy_request_fields_approved_at":null,"client_id":null,"origin":null,"policy_id":"pol_1",` +
	`"policy":{"id":"pol_1","name":"Erase","key":"erase","drp_action":null,"execution_timeframe":45,"client_id":null,` +
	`"rules":[{"id":"rul_1","name":"R","key":"r","action_type":"erasure",` +
	`"masking_strategy":{"strategy":"nullify","configuration":{}},"storage_destination_id":null}]},` +
	`"property_id":null,"cancel_reason":null,"canceled_at":null,"consent_preferences":null,"source":null,` +
	`"paused_at":null,"due_date":"2024-09-15T01:00:00+00:00","days_left":-1,` +
	`"custom_fields":{"team":{"label":"Team","value":"blue"}},"location":"US-CA"}`

func TestObjectWritesEveryKeyInOrder(t *testing.T) {
	t.Parallel()
	now := time.Date(2024, 9, 16, 23, 59, 0, 0, time.UTC)
	external := "ext-1"
	got, err := json.Marshal(sample().Object(now, ObjectExtra{
		CustomFields: json.RawMessage(`{"team":{"label":"Team","value":"blue"}}`), ExternalID: &external,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != wire {
		t.Errorf("got  %s\nwant %s", got, wire)
	}
}

func TestPublicLeavesOutWhatIsNotForEverybody(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(sample().Public(time.Date(2024, 9, 1, 0, 0, 0, 0, time.UTC), Paused))
	if err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{"external_id", "ext-1", "custom_fields\"", "consent_preferences", "cancel_reason", "hash", "sealed", "configuration"} {
		if strings.Contains(string(data), forbidden) {
			t.Errorf("%q in %s", forbidden, data)
		}
	}
	var back struct {
		Status   string `json:"status"`
		DaysLeft int    `json:"days_left"`
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Status != "paused" || back.DaysLeft != 14 {
		t.Errorf("got %+v", back)
	}
}
