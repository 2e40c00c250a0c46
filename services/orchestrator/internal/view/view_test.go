package view_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

func at(minute int) time.Time { return time.Date(2026, 5, 1, 8, minute, 0, 123456789, time.UTC) }

func paused() *record.Record {
	created, pausedAt, due := at(0), at(2), at(0).AddDate(0, 0, 3)
	strategy, storage, location := "hmac", "s3", "US-CA"
	return &record.Record{
		ID: "pri_1", Status: record.Paused, CreatedAt: created, PausedAt: &pausedAt, DueDate: &due,
		Submission: record.Submission{Location: &location},
		Policy: record.Policy{Name: "P", Key: "p", Rules: []record.Rule{{
			Name: "R", Key: "r", ActionType: "erasure", MaskingStrategy: &strategy, StorageDestinationID: &storage,
		}}},
		Run: record.Run{Number: 1, Step: record.PreWebhooks},
	}
}

func TestARequestHasItsKeysInOrder(t *testing.T) {
	t.Parallel()
	data, err := view.JSON(paused(), nil, at(3))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"pri_1","created_at":"2026-05-01T08:00:00.123456Z","started_processing_at":null,"reviewed_at":null,` +
		`"reviewed_by":null,"submitted_by":null,"reviewer":null,"submitter":null,"finished_processing_at":null,` +
		`"identity_verified_at":null,"paused_at":"2026-05-01T08:02:00.123456Z","status":"paused","external_id":null,` +
		`"identity":null,"custom_privacy_request_fields":null,"policy":{"name":"P","key":"p","rules":[{"name":"R","key":"r",` +
		`"action_type":"erasure","storage_destination":{"name":null,"type":null,"details":null,"key":"s3","format":null,` +
		`"is_default":false},"masking_strategy":{"strategy":"hmac"}}],"drp_action":null,"execution_timeframe":null,` +
		`"conditions":null},"action_required_details":null,"resume_endpoint":null,"days_left":3,` +
		`"custom_privacy_request_fields_approved_by":null,"custom_privacy_request_fields_approved_at":null,"source":null,` +
		`"location":"US-CA","property_id":null,"deleted_at":null,"deleted_by":null,"finalized_at":null,"finalized_by":null,` +
		`"duplicate_request_group_id":null}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var again view.Request
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(again)
	if err != nil || string(shown) != want {
		t.Errorf("what was shown is not shown again: %s %v", shown, err)
	}
}

func TestListsSayWhatCanBeDone(t *testing.T) {
	t.Parallel()
	rec := paused()
	if got := view.Listed(view.Of(rec, nil, at(3)), rec); got.ResumeEndpoint == nil || *got.ResumeEndpoint != "/privacy-request/pri_1/resume" {
		t.Errorf("paused: %v", got.ResumeEndpoint)
	}
	rec.Status = record.Failed
	got := view.Listed(view.Of(rec, nil, at(3)), rec)
	if got.ResumeEndpoint == nil || *got.ResumeEndpoint != "/privacy-request/pri_1/retry" || got.ActionRequired.Step != "pre_webhooks" {
		t.Errorf("error: %v %v", got.ResumeEndpoint, got.ActionRequired)
	}
}

func TestTheAnswerToACreationShowsWhatWasSubmitted(t *testing.T) {
	t.Parallel()
	for status, want := range map[record.Status]string{
		record.Complete: "pending", record.InProcessing: "pending", record.Pending: "pending",
		record.AwaitingPreApproval: "awaiting_pre_approval",
	} {
		rec := paused()
		started := at(1)
		rec.Status, rec.StartedAt, rec.FinishedAt = status, &started, &started
		got := view.Created(view.Of(rec, nil, at(3)), rec.Submission)
		if got.Status != want || got.StartedProcessingAt != nil || got.FinishedProcessingAt != nil || got.PausedAt != nil {
			t.Errorf("%s: %+v", status, got)
		}
	}
}

func TestOnlyVerboseItemsHaveResults(t *testing.T) {
	t.Parallel()
	item := view.Item{Request: view.Of(paused(), nil, at(3))}
	data, err := json.Marshal(item)
	if err != nil || strings.Contains(string(data), "results") || strings.Contains(string(data), "task_status") {
		t.Errorf("plain: %s %v", data, err)
	}
	item.Results, item.Tasks = &map[string][]view.Result{}, &map[string]string{}
	data, err = json.Marshal(item)
	if err != nil || !strings.HasSuffix(string(data), `"results":{},"task_status_by_dataset":{}}`) {
		t.Errorf("verbose: %s %v", data, err)
	}
}

func TestDeliveriesPutFactsTogetherByCall(t *testing.T) {
	t.Parallel()
	next := at(9)
	status := 503
	fact := func(call, verb string, minute, attempt int) view.CallFact {
		f := view.CallFact{Delivery: view.Delivery{CallID: call, WebhookKey: "k"}, Verb: verb, At: at(minute)}
		if attempt > 0 {
			f.Attempt = view.Attempt{Attempt: attempt, Outcome: "status", HTTPStatus: &status}
		}
		if verb == "attempted" {
			f.Next = &next
		}
		return f
	}
	got := view.Deliveries([]view.CallFact{
		fact("a", "requested", 0, 0), fact("b", "requested", 1, 0), fact("a", "attempted", 2, 1),
		fact("b", "undelivered", 3, 2), fact("b", "attempted", 3, 1),
	})
	if len(got) != 2 || got[0].Status != "attempted" || got[0].NextAttemptAt == nil || len(got[0].Attempts) != 1 {
		t.Fatalf("first: %+v", got)
	}
	if got[1].Status != "undelivered" || got[1].NextAttemptAt != nil || len(got[1].Attempts) != 2 {
		t.Errorf("an end stays an end: %+v", got[1])
	}
}
