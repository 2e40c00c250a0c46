package readmodel

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/parley-dsr/parley/pkg/events"
)

func TestEntriesOfTransitions(t *testing.T) {
	t.Parallel()
	hook := &events.Webhook{ID: "pol_1", Key: "k", Name: "n"}
	policy := events.Request{Policy: events.Policy{Rules: []events.Rule{{ActionType: "erasure"}}}}
	show := func(s *string) string {
		if s == nil {
			return "<null>"
		}
		return *s
	}
	for name, c := range map[string]struct {
		eventType string
		data      events.RequestData
		want      []string // kind, group, status, message, user, action
	}{
		"approved by the system": {
			events.RequestApproved, events.RequestData{Reason: events.ReasonAutomatic},
			[]string{"audit", "Request approved", "approved", "", "system", "<null>"},
		},
		"approved by a person": {
			events.RequestApproved, events.RequestData{Reason: events.ReasonManual},
			[]string{"audit", "Request approved", "approved", "<null>", "<null>", "<null>"},
		},
		"approved by webhooks": {
			events.RequestApproved, events.RequestData{Reason: events.ReasonPreApproval, Message: "Request auto-approved by pre-approval webhooks"},
			[]string{"audit", "Request approved", "approved", "Request auto-approved by pre-approval webhooks", "<null>", "<null>"},
		},
		"asked": {
			events.RequestAwaitingPreApproval, events.RequestData{Message: "Triggered pre-approval webhooks: a, b"},
			[]string{
				"audit", "Triggered pre-approval webhooks", "pre_approval_webhook_triggered", "Triggered pre-approval webhooks: a, b",
				"<null>", "<null>",
			},
		},
		"one is eligible": {
			events.RequestPreApprovalEligible, events.RequestData{Message: "Pre-approval webhook 'n' responded: eligible", Webhook: hook},
			[]string{
				"audit", "Request auto-approved by pre-approval webhooks", "pre_approval_eligible",
				"Pre-approval webhook 'n' responded: eligible", "<null>", "<null>",
			},
		},
		"finished": {
			events.RequestCompleted, events.RequestData{},
			[]string{"audit", "Request finished", "finished", "", "system", "<null>"},
		},
		"a webhook failed": {
			events.RequestFailed, events.RequestData{Reason: events.ReasonWebhookFailed, Webhook: hook, Message: "m", Request: policy},
			[]string{"execution", "Webhook: k", "error", "m", "<null>", "erasure"},
		},
		"a halt expired": {
			events.RequestFailed, events.RequestData{Reason: events.ReasonHaltExpired, Webhook: hook, Message: "m", Request: policy},
			[]string{"execution", "Privacy request processing", "error", "m", "<null>", "erasure"},
		},
		"the policy is gone": {
			events.RequestFailed, events.RequestData{Reason: events.ReasonPolicyInvalid, Message: "m"},
			[]string{"execution", "Policy validation", "error", "m", "<null>", "<null>"},
		},
	} {
		e, err := events.New(events.SourceOrchestrator, c.eventType, "f", "pri_1", time.Now(), c.data)
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		if err := b.AddFact(e); err != nil {
			t.Fatal(err)
		}
		if len(b.Entries) != 1 {
			t.Fatalf("%s: %d entries", name, len(b.Entries))
		}
		got := b.Entries[0]
		for i, have := range []string{got.Kind, got.DatasetName, got.Status, show(got.Message), show(got.UserID), show(got.ActionType)} {
			if have != c.want[i] {
				t.Errorf("%s: %q, want %q", name, have, c.want[i])
			}
		}
		if got.FactID != "f" || got.RequestID != "pri_1" {
			t.Errorf("%s: belongs to %s %s", name, got.FactID, got.RequestID)
		}
	}
}

func TestFactsWithoutAnEntry(t *testing.T) {
	t.Parallel()
	for eventType, data := range map[string]any{
		events.RequestCreated: events.RequestData{}, events.RequestStarted: events.RequestData{},
		events.CallbackResumed: events.CallbackData{}, events.CallbackEligible: events.CallbackData{},
		events.ExecutionProgressed: events.ExecutionData{},
		events.ExecutionFailed:     events.ExecutionData{Message: "m"}, events.WebhookRequested: events.WebhookData{},
		events.WebhookFailed: events.WebhookData{Phase: "pre"},
	} {
		e, err := events.New(events.SourceDispatcher, eventType, "f", "pri_1", time.Now(), data)
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		if err := b.AddFact(e); err != nil || len(b.Entries) != 0 {
			t.Errorf("%s: %v %v", eventType, b.Entries, err)
		}
	}
}

func TestWhatExecutorsSayIsCleaned(t *testing.T) {
	t.Parallel()
	e, err := events.New(events.SourceExecutor, events.ExecutionCompleted, "f", "pri_1", time.Now(),
		events.ExecutionData{Action: "acc\x00ess", Message: "a\x00b\n" + strings.Repeat("x", 2000)})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := b.AddFact(e); err != nil || len(b.Entries) != 1 {
		t.Fatalf("%v %v", b.Entries, err)
	}
	got := b.Entries[0]
	if got.DatasetName != "Execution: access" || *got.ActionType != "access" ||
		!strings.HasPrefix(*got.Message, "ab xx") || utf8.RuneCountInString(*got.Message) != 1000 {
		t.Errorf("%+v", got)
	}
}

// Executors are written in any language: what encoding/json reads of their facts
// is read here.
func TestFactsOfExecutorsAreReadAsTheLoopReadsThem(t *testing.T) {
	t.Parallel()
	e, err := events.New(events.SourceExecutor, events.ExecutionCompleted, "f", "pri_1", time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	e.DataEncoded = []byte(`{"Action":"access","message":"one","message":"t` + "\xff" + `wo","new":{}}`)
	var b Batch
	if err := b.AddFact(e); err != nil || len(b.Entries) != 1 || !strings.HasPrefix(*b.Entries[0].Message, "t") {
		t.Fatalf("%+v %v", b.Entries, err)
	}
}

func TestACallThatIsMadeAgainIsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	actor := "client"
	e, err := events.New(events.SourceOrchestrator, events.WebhookRequested, "f", "pri_1", time.Now(), events.WebhookData{
		CallID: "c2", ResendOf: "c1", Actor: &actor, Webhook: events.Webhook{ID: "pol_1", Key: "k"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := b.AddFact(e); err != nil || len(b.Entries) != 1 {
		t.Fatalf("%v %v", b.Entries, err)
	}
	if got := b.Entries[0]; got.Kind != kindAudit || got.Status != "resent" || *got.Message != "Webhook 'k' is called again" || *got.UserID != actor {
		t.Errorf("%+v", got)
	}
}
