package orchestrator_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

func TestAFailedWebhookIsInTheLogAndCanBeRetried(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay), hook("second", record.TwoWay)}, nil)
	dispatcher := dispatchertest.Play(t, s.js, func(c work.Call) dispatchertest.Report {
		if c.Webhook.Key == "second" && c.Order == 2 {
			return dispatchertest.Report{Type: events.WebhookFailed, Data: events.WebhookData{
				Outcome: events.OutcomeStatus, HTTPStatus: 500, Error: "Client call failed with status code '500'",
			}}
		}
		return dispatchertest.Succeed(c)
	})
	id := s.submit()
	found := s.awaitStatus(id, "error")
	if found["resume_endpoint"] != "/privacy-request/"+id+"/retry" {
		t.Errorf("resume_endpoint: %v", found["resume_endpoint"])
	}
	if step := found["action_required_details"].(object)["step"]; step != "pre_webhooks" {
		t.Errorf("step: %v", step)
	}
	var log struct {
		Items []struct {
			DatasetName string `json:"dataset_name"`
			Status      string
			Message     string
			ActionType  string `json:"action_type"`
		}
	}
	s.eventually("the failure is in the log", func() bool {
		s.expect(200, "GET", "/api/v1/privacy-request/"+id+"/log", nil, &log)
		return slices.ContainsFunc(log.Items, func(i struct {
			DatasetName string `json:"dataset_name"`
			Status      string
			Message     string
			ActionType  string `json:"action_type"`
		},
		) bool {
			return i.DatasetName == "Webhook: second" && i.Status == "error" && i.ActionType == "access" &&
				i.Message == "Webhook 'second' returned an error: Client call failed with status code '500'"
		})
	})
	s.expect(200, "POST", "/api/v1/privacy-request/"+id+"/retry", nil, nil)
	s.awaitStatus(id, "complete")
	called := []string{}
	for _, c := range dispatcher.Calls() {
		called = append(called, c.Webhook.Key)
	}
	if want := []string{"first", "second", "second"}; !slices.Equal(called, want) {
		t.Errorf("called %v, want %v", called, want)
	}
	var deliveries []object
	s.eventually("three deliveries", func() bool {
		s.expect(200, "GET", "/api/v1/privacy-request/"+id+"/delivery", nil, &deliveries)
		return len(deliveries) == 3 && deliveries[2]["status"] == "succeeded"
	})
	if deliveries[1]["status"] != "failed" {
		t.Errorf("deliveries: %v", deliveries)
	}
}

func TestAPersonFreesAHaltedRequest(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy([]record.Webhook{hook("first", record.TwoWay), hook("second", record.TwoWay)}, nil)
	dispatchertest.Play(t, s.js, func(c work.Call) dispatchertest.Report {
		if c.Webhook.Key == "first" {
			return dispatchertest.Report{Type: events.WebhookHalted}
		}
		return dispatchertest.Succeed(c)
	})
	id := s.submit()
	if found := s.awaitStatus(id, "paused"); found["resume_endpoint"] != "/privacy-request/"+id+"/resume" || found["paused_at"] == nil {
		t.Errorf("paused: %v", found)
	}
	var resumed object
	s.expect(200, "POST", "/api/v1/privacy-request/"+id+"/administrate/resume", nil, &resumed)
	if resumed["status"] != "in_processing" {
		t.Errorf("resumed: %v", resumed["status"])
	}
	s.awaitStatus(id, "complete")
	status, body := s.call("POST", "/api/v1/privacy-request/"+id+"/administrate/resume", nil)
	if want := `{"detail":"Invalid resume request: privacy request '` + id + `' status = complete."}`; status != 400 || strings.TrimSpace(string(body)) != want {
		t.Errorf("a second time: %d %s", status, body)
	}
}

func TestOverdueWaitsEnd(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *orchestrator.Settings) { o.DeliveryMaxAge = time.Second })
	s.ready()
	s.policy([]record.Webhook{hook("silent", record.TwoWay)}, nil)
	id := s.submit()
	found := s.awaitStatus(id, "error")
	if found["finished_processing_at"] == nil {
		t.Errorf("finished_processing_at is null")
	}
}

func TestManualApproval(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	approved, denied := s.submit(), s.submit()
	var done bulk
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/approve", object{"request_ids": []string{approved, "pri_nobody"}}, &done)
	if len(done.Succeeded) != 1 || len(done.Failed) != 1 || done.Failed[0].Message != "No privacy request found with id 'pri_nobody'" {
		t.Errorf("approve: %+v", done)
	}
	s.awaitStatus(approved, "complete")
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/deny", object{"request_ids": []string{denied}, "reason": "it's <b>"}, &done)
	found := s.get(denied)
	if found["status"] != "denied" || found["reviewed_at"] == nil {
		t.Errorf("denied: %v", found)
	}
	if entry := found["results"].(object)["Request denied"].([]any)[0].(object); entry["message"] != "it&#x27;s &lt;b&gt;" || entry["status"] != "denied" {
		t.Errorf("log: %v", entry)
	}
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/approve", []string{denied}, &done)
	if len(done.Failed) != 1 || done.Failed[0].Message != "Cannot transition status" {
		t.Errorf("approve a denied one: %+v", done)
	}
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/cancel", object{"filters": object{"status": "denied"}}, &done)
	if len(done.Failed) != 1 || done.Failed[0].Message != "Cannot cancel privacy request in denied status" {
		t.Errorf("cancel a denied one: %+v", done)
	}
}

func TestPreApproval(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	_, err := s.catalog.Put(t.Context(), catalog.KeyPreApproval, catalog.PreApproval{
		Entry: catalog.Entry{Version: 1}, Webhooks: []record.Webhook{hook("legal", record.TwoWay)},
	})
	must(t, err)
	dispatchertest.Play(t, s.js, dispatchertest.Succeed)
	id := s.submit()
	s.awaitStatus(id, "awaiting_pre_approval")
	callID := record.WebhookCall(id, 1, record.PreApproval, "pol_legal", 1).String()
	e, err := events.New(events.SourceCallback, events.CallbackEligible, rand.Text(), id, time.Now(),
		events.CallbackData{CallID: callID, WebhookID: "pol_legal"})
	must(t, err)
	must(t, events.Publish(t.Context(), s.js, e))
	s.awaitStatus(id, "complete")
	s.eventually("the reply is in the log", func() bool {
		results := s.get(id)["results"].(object)
		group, _ := results["Request auto-approved by pre-approval webhooks"].([]any)
		return len(group) == 1 && group[0].(object)["message"] == "Pre-approval webhook 'Webhook legal' responded: eligible" &&
			results["Triggered pre-approval webhooks"] != nil && results["Request approved"] != nil
	})
}

func TestAnExecutorIsToldThePersonWhileItIsAwaited(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *orchestrator.Settings) { o.Execution = orchestrator.ExecutionExternal })
	s.ready()
	s.policy(nil, nil)
	seen := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = events.Execute(ctx, s.nc, "access", func(_ context.Context, task *events.ExecutionTask) error {
			data, err := json.Marshal(task.Person.Identity)
			if err == nil {
				seen <- string(data)
			}
			return err
		})
	}()
	defer func() { cancel(); <-ended }()
	id := s.submit()
	s.awaitStatus(id, "complete")
	if person := <-seen; !strings.Contains(person, "a@example.com") {
		t.Errorf("the executor saw %s", person)
	}
	question, err := json.Marshal(events.IdentityQuestion{ExecutionID: record.ExecutionCall(id, 1, "access", 1).String()})
	must(t, err)
	reply, err := s.nc.Request(events.IdentitySubject(id), question, time.Minute)
	must(t, err)
	if want := `{"code":"not_awaited"}`; string(reply.Data) != want {
		t.Errorf("afterwards: %s", reply.Data)
	}
}

func TestSubmissionsAreChecked(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	_, err := s.catalog.Put(t.Context(), catalog.PolicyKey("empty"), catalog.Policy{
		Entry: catalog.Entry{Version: 1}, Policy: record.Policy{ID: "pol_2", Name: "Empty", Key: "empty"},
	})
	must(t, err)
	email := object{"email": "a@example.com"}
	var created bulk
	s.expect(200, "POST", "/v1/privacy_request/", []object{
		{"policy_key": "access", "identity": email},
		{"policy_key": "nope", "identity": email},
		{"policy_key": "empty", "identity": email},
		{"policy_key": "access", "identity": object{"phone_number": ""}},
	}, &created)
	messages := []string{}
	for _, f := range created.Failed {
		messages = append(messages, f.Message)
	}
	want := []string{
		"Policy with key nope does not exist", "Policy with key empty must contain at least one Rule.",
		"You must provide at least one identity to process",
	}
	if len(created.Succeeded) != 1 || !slices.Equal(messages, want) {
		t.Errorf("created %d, failed %v", len(created.Succeeded), messages)
	}
	if got := created.Succeeded[0]; got["status"] != "pending" || got["started_processing_at"] != nil || len(got) != 29 {
		t.Errorf("the answer has %d keys: %v", len(got), got)
	}
	for name, c := range map[string]struct {
		item object
		want string
	}{
		"key":      {object{"policy_key": "access", "identity": email, "encryption_key": "short"}, "Encryption key must be 16 bytes long"},
		"location": {object{"policy_key": "access", "identity": email, "location": "nowhere"}, "Invalid location format 'nowhere'"},
		"phone":    {object{"policy_key": "access", "identity": object{"phone_number": "1"}}, "E.164"},
		"missing":  {object{"identity": email}, "Field required"},
		"source":   {object{"policy_key": "access", "identity": email, "source": "x"}, "Input should be"},
	} {
		status, body := s.call("POST", "/api/v1/privacy-request", []object{c.item})
		if status != 422 || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := s.call("POST", "/api/v1/privacy-request", make([]object, 51)); status != 422 || !strings.Contains(string(body), "at most 50 items") {
		t.Errorf("51 items: %d %s", status, body)
	}
}

func TestRequestsAreFound(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	id := s.submit()
	var created bulk
	s.expect(200, "POST", "/api/v1/privacy-request/authenticated", []object{{
		"policy_key": "access", "location": "us_ca",
		"identity": object{"loyalty": object{"label": "Loyalty", "value": 12}, "phone_number": "+15558675309"},
	}}, &created)
	other := created.Succeeded[0]["id"].(string)
	find := func(filter object) []string {
		t.Helper()
		var page struct{ Items []object }
		s.expect(200, "POST", "/api/v1/privacy-request/search", filter, &page)
		ids := []string{}
		for _, i := range page.Items {
			ids = append(ids, i["id"].(string))
		}
		return ids
	}
	for name, c := range map[string]struct {
		filter object
		want   []string
	}{
		"all, newest first": {object{}, []string{other, id}},
		"oldest first":      {object{"sort_direction": "asc"}, []string{id, other}},
		"part of the id":    {object{"request_id": strings.ToUpper(id[4:20])}, []string{id}},
		"e-mail":            {object{"identities": object{"email": " a@EXAMPLE.com"}}, []string{id}},
		"custom identity":   {object{"identities": object{"loyalty": 12}}, []string{other}},
		"nobody":            {object{"identities": object{"email": "b@example.com"}}, []string{}},
		"external id":       {object{"external_id": "EXT"}, []string{id}},
		"country":           {object{"location": "us"}, []string{other}},
		"status":            {object{"status": []string{"pending", "error"}}, []string{other, id}},
		"other status":      {object{"status": "complete"}, []string{}},
		"action":            {object{"action_type": "erasure"}, []string{}},
		"created":           {object{"created_gt": time.Now().Add(time.Hour).Format(time.RFC3339)}, []string{}},
		"fuzzy":             {object{"fuzzy_search_str": "+15558675309"}, []string{other}},
		"overdue":           {object{"is_overdue": true}, []string{}},
		"not overdue":       {object{"is_overdue": false}, []string{other, id}},
	} {
		if got := find(c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	var page struct {
		Items []object
		Total int
		Pages int
	}
	s.expect(200, "GET", "/api/v1/privacy-request?identity=a@example.com&status=pending&size=1", nil, &page)
	if page.Total != 1 || page.Pages != 1 || page.Items[0]["id"] != id || page.Items[0]["identity"] != nil {
		t.Errorf("by query: %+v", page)
	}
	s.expect(200, "POST", "/api/v1/privacy-request/"+id+"/soft-delete", nil, nil)
	if got := find(object{}); !slices.Equal(got, []string{other}) {
		t.Errorf("after a soft delete: %v", got)
	}
	if got := find(object{"include_deleted_requests": true}); len(got) != 2 {
		t.Errorf("with the deleted one: %v", got)
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/api/v1/privacy-request/" + id + "/retry":    {422, "Privacy request with id " + id + " has been deleted."},
		"/api/v1/privacy-request/pri_no/retry":        {404, "No privacy request found with id 'pri_no'."},
		"/api/v1/privacy-request/pri_no/resubmit":     {404, "Privacy request not found"},
		"/api/v1/privacy-request/" + other + "/retry": {400, "Cannot restart privacy request from failure: privacy request '" + other + "' status = pending."},
		"/api/v1/privacy-request/" + other + "/requeue": {
			400, "Cannot re-queue privacy request " + other + " with status pending",
		},
	} {
		status, body := s.call("POST", path, nil)
		var refusal struct{ Detail string }
		must(t, json.Unmarshal(body, &refusal))
		if status != want.status || refusal.Detail != want.text {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for query, want := range map[string]string{
		"completed_lt=2020-01-01&errored_lt=2020-01-01": "Cannot specify both succeeded and failed query params.",
		"created_lt=2018-01-01&created_gt=2019-01-01":   "Value specified for created_lt: 2018-01-01 00:00:00+00:00 must be after created_gt: 2019-01-01 00:00:00+00:00.",
	} {
		if status, body := s.call("GET", "/api/v1/privacy-request?"+query, nil); status != 400 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	if status, body := s.call("GET", "/api/v1/privacy-request?sort_field=nope", nil); status != 422 || !strings.Contains(string(body), "nope is not on PrivacyRequest") {
		t.Errorf("sort field: %d %s", status, body)
	}
}
