package dispatcher

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// TestOutcomes plays, on one dispatcher, a call a row: every row has its own
// connection and request.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }
	large := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(" "), 2<<20)) }
	disabled := func(c *catalog.Connection) { c.Disabled = true }
	noSecrets := func(c *catalog.Connection) { c.SealedSecrets = "" }

	tests := []struct {
		name           string
		phase          record.Phase
		direction      string
		handler        http.HandlerFunc
		change         func(*catalog.Connection)
		eventType      string
		outcome        string
		status         int
		text           string
		withoutAttempt bool
	}{
		{name: "pre two_way, empty object", phase: record.Pre, direction: record.TwoWay, handler: answer(200, `{}`),
			eventType: events.WebhookSucceeded, outcome: events.OutcomeOK, status: 200},
		{name: "post two_way, the halt is ignored", phase: record.Post, direction: record.TwoWay, handler: answer(200, `{"halt": true}`),
			eventType: events.WebhookSucceeded, outcome: events.OutcomeOK, status: 200},
		{name: "pre one_way, the body is ignored", phase: record.Pre, direction: record.OneWay, handler: answer(200, `{"halt": true}`),
			eventType: events.WebhookSucceeded, outcome: events.OutcomeOK, status: 200},
		{name: "post one_way, large body", phase: record.Post, direction: record.OneWay, handler: large,
			eventType: events.WebhookSucceeded, outcome: events.OutcomeOK, status: 200},
		{name: "pre_approval, the body is ignored", phase: record.PreApproval, direction: record.TwoWay, handler: answer(202, `no JSON`),
			eventType: events.WebhookSucceeded, outcome: events.OutcomeOK, status: 202},
		{name: "two_way, 404", phase: record.Pre, direction: record.TwoWay, handler: answer(404, `{"halt": false}`),
			eventType: events.WebhookFailed, outcome: events.OutcomeStatus, status: 404, text: "Client call failed with status code '404'"},
		{name: "one_way, 404", phase: record.Pre, direction: record.OneWay, handler: answer(404, ``),
			eventType: events.WebhookUndelivered, outcome: events.OutcomeStatus, status: 404, text: "Client call failed with status code '404'"},
		{name: "pre_approval, 403", phase: record.PreApproval, direction: record.TwoWay, handler: answer(403, ``),
			eventType: events.WebhookFailed, outcome: events.OutcomeStatus, status: 403, text: "Client call failed with status code '403'"},
		{name: "not JSON", phase: record.Pre, direction: record.TwoWay, handler: answer(200, `jane@example.com`),
			eventType: events.WebhookFailed, outcome: events.OutcomeInvalid, status: 200, text: "the answer is not JSON"},
		{name: "empty body", phase: record.Post, direction: record.TwoWay, handler: answer(204, ``),
			eventType: events.WebhookFailed, outcome: events.OutcomeInvalid, status: 204, text: "the answer is not JSON"},
		{name: "no halt", phase: record.Pre, direction: record.TwoWay, handler: answer(200, `{"a": 1}`),
			eventType: events.WebhookFailed, outcome: events.OutcomeInvalid, status: 200, text: "halt: Field required"},
		{name: "redirect", phase: record.Pre, direction: record.TwoWay, handler: redirect,
			eventType: events.WebhookFailed, outcome: events.OutcomeRedirect, status: 302, text: "Client call failed with status code '302': redirects are not followed"},
		{name: "too large", phase: record.Pre, direction: record.TwoWay, handler: large,
			eventType: events.WebhookFailed, outcome: events.OutcomeTooLarge, status: 200, text: "the answer is larger than 1 MiB"},
		{name: "disabled, two_way", phase: record.Pre, direction: record.TwoWay, change: disabled,
			eventType: events.WebhookFailed, outcome: events.OutcomeDisabled, text: "the connection is disabled", withoutAttempt: true},
		{name: "disabled, one_way", phase: record.Post, direction: record.OneWay, change: disabled,
			eventType: events.WebhookSkipped, outcome: events.OutcomeDisabled, text: "the connection is disabled", withoutAttempt: true},
		{name: "disabled, pre_approval", phase: record.PreApproval, direction: record.TwoWay, change: disabled,
			eventType: events.WebhookFailed, outcome: events.OutcomeDisabled, text: "the connection is disabled", withoutAttempt: true},
		{name: "no secrets", phase: record.Pre, direction: record.TwoWay, change: noSecrets,
			eventType: events.WebhookFailed, outcome: events.OutcomeUnconfigured, withoutAttempt: true,
			text: "the connection does not exist or its secrets are not usable"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			url := "https://receiver.invalid/"
			if test.handler != nil {
				url = b.receiver(test.handler)
			}
			var change []func(*catalog.Connection)
			if test.change != nil {
				change = append(change, test.change)
			}
			b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret"}, change...)
			b.start()
			b.order(b.call("con_1", test.phase, test.direction))
			f := b.expect(test.eventType, test.outcome)
			attempts := 1
			if test.withoutAttempt {
				attempts = 0
			}
			if f.data.HTTPStatus != test.status || f.data.Error != test.text || f.data.Attempt != attempts {
				t.Errorf("row %d: %+v", i, f.data)
			}
			b.settled()
		})
	}
}

func TestOutcomesWithoutConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	b.expect(events.WebhookFailed, events.OutcomeUnconfigured)
	b.order(b.call("con_2", record.Pre, record.OneWay))
	b.expect(events.WebhookUndelivered, events.OutcomeUnconfigured)
	b.settled()
}

func TestPrivateAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusOK, `{}`)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	b.settings.EgressAllowCIDRs = nil
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	b.expect(events.WebhookFailed, events.OutcomeForbidden)
	if len(calls) != 0 {
		t.Error("the receiver was called")
	}
}

func TestAttemptsAreExhausted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusServiceUnavailable, ``)
	url := b.receiver(handler)
	b.settings.DeliveryMaxAttempts = 2
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret"})
	b.connection("con_2", catalog.Secrets{URL: url, Authorization: "s3cret"})
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	b.expect(events.WebhookAttempted, events.OutcomeStatus)
	if f := b.expect(events.WebhookFailed, events.OutcomeStatus); f.data.Attempt != 2 || f.data.HTTPStatus != 503 {
		t.Errorf("two_way: %+v", f.data)
	}
	b.order(b.call("con_2", record.Pre, record.OneWay))
	b.expect(events.WebhookAttempted, events.OutcomeStatus)
	if f := b.expect(events.WebhookUndelivered, events.OutcomeStatus); f.data.Attempt != 2 {
		t.Errorf("one_way: %+v", f.data)
	}
	if len(calls) != 4 {
		t.Errorf("%d calls were made", len(calls))
	}
	b.settled()
}

func TestWhatIsNoLongerWanted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		phase     record.Phase
		direction string
		change    func(*record.Record)
		made      bool
	}{
		{"two_way, answered", record.Pre, record.TwoWay, func(r *record.Record) { r.Wait = nil }, false},
		{"two_way, another call", record.Pre, record.TwoWay, func(r *record.Record) { r.Wait.CallID = "pri_1_1_pre_x_9" }, false},
		{"two_way, halted", record.Pre, record.TwoWay, func(r *record.Record) { r.Wait.Kind = record.WaitHalt }, false},
		{"two_way, canceled", record.Post, record.TwoWay, func(r *record.Record) { r.Status, r.Wait = record.Canceled, nil }, false},
		{"one_way, canceled", record.Pre, record.OneWay, func(r *record.Record) { r.Status, r.Wait = record.Canceled, nil }, false},
		{"one_way, denied", record.Pre, record.OneWay, func(r *record.Record) { r.Status, r.Wait = record.Denied, nil }, false},
		{"one_way, the request went on", record.Pre, record.OneWay, func(r *record.Record) { r.Wait = nil }, true},
		{"one_way, complete", record.Post, record.OneWay, func(r *record.Record) { r.Status, r.Wait = record.Complete, nil }, true},
		{"one_way, in error", record.Post, record.OneWay, func(r *record.Record) { r.Status, r.Wait = record.Failed, nil }, true},
		{"pre_approval, replied", record.PreApproval, record.TwoWay, func(r *record.Record) { r.Repliers[0].Reply = "eligible" }, false},
		{"pre_approval, deleted", record.PreApproval, record.TwoWay, func(r *record.Record) { r.Repliers[0].Gone = true }, false},
		{"pre_approval, decided by a person", record.PreApproval, record.TwoWay, func(r *record.Record) { r.Status = record.Approved }, false},
		{"pre_approval, another round", record.PreApproval, record.TwoWay, func(r *record.Record) { r.Repliers[0].CallID = "pri_1_2_preapproval_x_9" }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			handler, calls := answering(http.StatusOK, `{}`)
			b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
			b.start()
			b.order(b.call("con_1", test.phase, test.direction, test.change))
			b.settled()
			if made := len(calls) > 0; made != test.made {
				t.Errorf("made: %v, want %v", made, test.made)
			}
		})
	}
}

func TestRecordIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	for _, direction := range []string{record.TwoWay, record.OneWay} {
		call := b.call("con_1", record.Post, direction)
		must(t, b.requests.Remove(t.Context(), call.RequestID))
		b.order(call)
		b.settled()
	}
	b.expect(events.WebhookUndelivered, events.OutcomeIdentityGone)
}

func TestIdentityIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.connection("con_1", catalog.Secrets{URL: "https://receiver.invalid", Authorization: "s3cret"})
	b.start()
	call := b.call("con_1", record.Pre, record.TwoWay)
	must(t, b.vault.Remove(t.Context(), call.RequestID, nil))
	b.order(call)
	b.expect(events.WebhookFailed, events.OutcomeIdentityGone)
	b.settled()
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusOK, `{}`)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	b.start()
	late := b.call("con_1", record.Pre, record.TwoWay)
	late.Until = time.Now().Add(-time.Second)
	late.Attempt = 2
	b.order(late)
	if f := b.expect(events.WebhookFailed, events.OutcomeDeadline); f.data.Attempt != 1 || f.ID() != late.CallID+".2.failed" {
		t.Errorf("%s %+v", f.ID(), f.data)
	}
	if len(calls) != 0 {
		t.Error("the receiver was called")
	}
	unbound := b.call("con_1", record.Pre, record.OneWay)
	unbound.Until = late.Until
	b.order(unbound)
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
}

func TestPreApprovalHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusOK, ``)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	b.settings.PublicURL = "https://parley.example"
	b.start()
	call := b.call("con_1", record.PreApproval, record.TwoWay)
	b.order(call)
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	got := <-calls
	for name, want := range map[string]string{
		"reply-to-eligible":         "/privacy-request/pri_1/pre-approve/eligible",
		"reply-to-not-eligible":     "/privacy-request/pri_1/pre-approve/not-eligible",
		"reply-to-approve":          "/privacy-request/pri_1/pre-approve/eligible",
		"reply-to-deny":             "/privacy-request/pri_1/pre-approve/not-eligible",
		"reply-to-eligible-url":     "https://parley.example/api/v1/privacy-request/pri_1/pre-approve/eligible",
		"reply-to-not-eligible-url": "https://parley.example/api/v1/privacy-request/pri_1/pre-approve/not-eligible",
		"reply-to":                  "",
	} {
		if got.header.Get(name) != want {
			t.Errorf("header %s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	reply, err := token.ReadReply(b.ring, got.header.Get("reply-to-token"))
	must(t, err)
	if len(reply.Scopes) != 1 || reply.Scopes[0] != token.ScopeReview {
		t.Errorf("scopes: %v", reply.Scopes)
	}
	if got.body["privacy_request_status"] != "awaiting_pre_approval" || got.body["direction"] != "two_way" || got.body["callback_type"] != "pre_approval" {
		t.Errorf("body: %s", got.raw)
	}
}

func TestNoReplyHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusOK, `{}`)
	url := b.receiver(handler)
	b.settings.PublicURL = "https://parley.example"
	b.start()
	for i, kind := range []struct {
		phase     record.Phase
		direction string
	}{{record.Pre, record.OneWay}, {record.Post, record.OneWay}, {record.Post, record.TwoWay}} {
		id := fmt.Sprintf("con_%d", i)
		b.connection(id, catalog.Secrets{URL: url, Authorization: "s3cret"})
		b.order(b.call(id, kind.phase, kind.direction))
	}
	for range 3 {
		b.expect(events.WebhookSucceeded, events.OutcomeOK)
		for name := range (<-calls).header {
			if len(name) >= 8 && name[:8] == "Reply-To" {
				t.Errorf("header %s", name)
			}
		}
	}
}

func TestDerivedIdentityOfEarlierWebhooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusOK, `{"halt": false, "derived_identity": {"phone_number": "+15555555555"}}`)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	staged := b.expect(events.WebhookSucceeded, events.OutcomeOK).data.StagedKey
	<-calls
	b.order(b.call("con_1", record.Post, record.TwoWay, func(r *record.Record) { r.Staged = []string{staged} }))
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	person := (<-calls).body["identity"].(map[string]any)
	if person["phone_number"] != "+15555555555" || person["email"] != "jane@example.com" {
		t.Errorf("identity: %v", person)
	}
}

func TestUnreadableWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	_, err := b.js.Publish(t.Context(), events.CallSubject("con_1", "pri_1"), []byte("not a call"))
	must(t, err)
	b.settled()
}

func TestWaitsForWhatOthersOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(t, b.js.DeleteStream(t.Context(), "KV_"+topology.BucketConfig))
	d := b.start()
	b.until("the bucket is missed", func() bool {
		status, body := d.front.get(t, "/ready")
		return status == http.StatusServiceUnavailable && bytes.Contains([]byte(body), []byte(topology.BucketConfig))
	})
	must(t, topology.EnsureConfig(t.Context(), b.js, topology.Options{}))
	b.until("the service is ready", func() bool {
		status, _ := d.front.get(t, "/ready")
		return status == http.StatusOK
	})
}
