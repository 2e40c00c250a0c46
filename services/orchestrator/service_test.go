package orchestrator_test

import (
	"slices"
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

func TestASubmittedRequestIsCarriedOut(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy([]record.Webhook{hook("first", record.OneWay), hook("second", record.TwoWay)},
		[]record.Webhook{hook("last", record.TwoWay)})
	dispatcher := dispatchertest.Play(t, s.js, dispatchertest.Succeed)

	id := s.submit()
	found := s.awaitStatus(id, "complete")

	called := []string{}
	for _, c := range dispatcher.Calls() {
		called = append(called, c.Webhook.Key)
	}
	if want := []string{"first", "second", "last"}; !slices.Equal(called, want) {
		t.Errorf("called %v, want %v", called, want)
	}
	if email := found["identity"].(object)["email"].(object)["value"]; email != "a@example.com" {
		t.Errorf("identity: %v", found["identity"])
	}
	s.eventually("the log is projected", func() bool {
		results, _ := s.get(id)["results"].(object)
		return results["Request approved"] != nil && results["Request finished"] != nil
	})
}

func TestCallersReadTheirWrites(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	for range 100 {
		id := s.submit()
		if status := s.get(id)["status"]; status != "pending" {
			t.Fatalf("after creation: %v", status)
		}
		var done bulk
		s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/cancel", object{"request_ids": []string{id}, "reason": "no"}, &done)
		if len(done.Succeeded) != 1 {
			t.Fatalf("cancel: %+v", done)
		}
		found := s.get(id)
		if found["status"] != "canceled" {
			t.Fatalf("after cancel: %v", found["status"])
		}
		results := found["results"].(object)["Request canceled"].([]any)
		if results[0].(object)["message"] != "no" {
			t.Fatalf("cancel in the log: %v", results)
		}
	}
}
