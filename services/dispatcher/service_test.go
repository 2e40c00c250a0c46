package dispatcher

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/pkg/events"
)

// received is what a receiver got.
type received struct {
	header http.Header
	body   map[string]any
	raw    string
}

// answering gives a receiver that passes on what it gets and answers the same
// each time.
func answering(status int, body string) (http.HandlerFunc, <-chan received) {
	calls := make(chan received, 100)
	return func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got := received{header: r.Header, raw: string(raw)}
		_ = json.Unmarshal(raw, &got.body)
		calls <- got
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}, calls
}

func TestTwoWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusOK, `{"halt": false}`)
	url := b.receiver(handler)
	b.settings.PublicURL = "https://parley.example/"
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret", Headers: map[string]string{"x-tenant": "7", "reply-to": "mine"}})
	b.start()
	call := b.call("con_1", record.Pre, record.TwoWay)
	b.order(call)

	f := b.expect(events.WebhookSucceeded, events.OutcomeOK)
	if f.ID() != call.CallID+".1.succeeded" || f.Subject() != call.RequestID || f.Source() != events.SourceDispatcher {
		t.Errorf("attributes: %s", f.Event)
	}
	if events.TraceParent(f.Event) != call.TraceParent {
		t.Errorf("traceparent %q", events.TraceParent(f.Event))
	}
	if f.data.CallID != call.CallID || f.data.Attempt != 1 || f.data.HTTPStatus != 200 || f.data.Phase != "pre" || f.data.Order != 3 {
		t.Errorf("data: %+v", f.data)
	}
	got := <-calls
	for name, want := range map[string]string{
		"authorization": "s3cret", "x-tenant": "7", "content-type": "application/json", "user-agent": "parley/1.2.3",
		"reply-to":     "/privacy-request/pri_1/resume",
		"reply-to-url": "https://parley.example/api/v1/privacy-request/pri_1/resume",
		"webhook-id":   call.CallID, "traceparent": call.TraceParent,
	} {
		if got.header.Get(name) != want {
			t.Errorf("header %s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	if got.header.Get("webhook-timestamp") == "" {
		t.Error("no webhook-timestamp")
	}
	reply, err := token.ReadReply(b.ring, got.header.Get("reply-to-token"))
	must(t, err)
	if reply.CallID != call.CallID || reply.RequestID != "pri_1" || reply.WebhookID != call.Webhook.ID ||
		reply.ID == "" || len(reply.Scopes) != 1 || reply.Scopes[0] != token.ScopeResume {
		t.Errorf("token: %+v", reply)
	}
	if !strings.HasPrefix(got.raw, `{"privacy_request_id":"pri_1","privacy_request_status":"in_processing","direction":"two_way",`+
		`"callback_type":"pre","identity":{"phone_number":null,"email":"jane@example.com",`) {
		t.Errorf("body: %s", got.raw)
	}
	if got.body["policy_action"] != "erasure" {
		t.Errorf("policy_action: %v", got.body["policy_action"])
	}
	b.settled()
}

func TestHaltWithDerivedIdentity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, calls := answering(http.StatusOK, `{"halt": "true", "derived_identity": {"phone_number": "+15555555555"}}`)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))

	f := b.expect(events.WebhookHalted, events.OutcomeOK)
	reply, err := token.ReadReply(b.ring, (<-calls).header.Get("reply-to-token"))
	must(t, err)
	if f.data.Until == nil || !f.data.Until.Equal(reply.ExpiresAt) {
		t.Errorf("the halt ends %v, its token %v", f.data.Until, reply.ExpiresAt)
	}
	if strings.Contains(f.raw, "555") {
		t.Errorf("the fact repeats the identity: %s", f.raw)
	}
	if len(f.data.DerivedFields) != 1 || f.data.DerivedFields[0] != "phone_number" {
		t.Errorf("derived fields: %v", f.data.DerivedFields)
	}
	person, err := b.vault.Read(t.Context(), "pri_1", []string{f.data.StagedKey})
	must(t, err)
	if person.Identity.PhoneNumber == nil || *person.Identity.PhoneNumber != "+15555555555" || *person.Identity.Email != "jane@example.com" {
		t.Errorf("merged identity: %v", person.Identity.Fields())
	}
	b.settled()
}

func TestRetry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	times := make(chan time.Time, 10)
	ids := make(chan string, 10)
	tokens := make(chan string, 10)
	url := b.receiver(func(w http.ResponseWriter, r *http.Request) {
		times <- time.Now()
		ids <- r.Header.Get("webhook-id")
		tokens <- r.Header.Get("reply-to-token")
		if len(times) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"halt": false}`)
	})
	b.connection("con_1", catalog.Secrets{URL: url, Authorization: "s3cret"})
	b.start()
	call := b.call("con_1", record.Pre, record.TwoWay)
	b.order(call)

	first := b.expect(events.WebhookAttempted, events.OutcomeStatus)
	if first.data.HTTPStatus != 500 || first.data.Attempt != 1 || first.data.NextAttemptAt == nil ||
		first.data.Error != "Client call failed with status code '500'" || first.ID() != call.CallID+".1.attempted" {
		t.Errorf("first: %s %+v", first.ID(), first.data)
	}
	second := b.expect(events.WebhookSucceeded, events.OutcomeOK)
	if second.data.Attempt != 2 || second.ID() != call.CallID+".2.succeeded" {
		t.Errorf("second: %s %+v", second.ID(), second.data)
	}
	<-times
	if again := <-times; again.Before(first.data.NextAttemptAt.Add(-50 * time.Millisecond)) {
		t.Errorf("the second attempt came at %s, planned for %s", again, first.data.NextAttemptAt)
	}
	if first, second := <-ids, <-ids; first != second {
		t.Error("the attempts have different webhook-ids")
	}
	if first, second := <-tokens, <-tokens; first == second {
		t.Error("the attempts have the same token")
	}
	b.settled()
}

// The order of one attempt reaches us twice, as after a crash: the receiver may
// see it twice, but there is one fact and one next attempt.
func TestRepeatedAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.DeliveryMaxAttempts = 2
	handler, calls := answering(http.StatusServiceUnavailable, ``)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	call := b.call("con_1", record.Post, record.OneWay)
	b.order(call)
	b.order(call)
	b.start()
	b.expect(events.WebhookAttempted, events.OutcomeStatus)
	b.expect(events.WebhookUndelivered, events.OutcomeStatus)
	b.settled()
	if n := len(calls); n != 3 {
		t.Errorf("%d calls, want the first attempt twice and the second once", n)
	}
	for range 3 {
		if got := <-calls; got.header.Get("webhook-id") != call.CallID {
			t.Errorf("webhook-id %q", got.header.Get("webhook-id"))
		}
	}
}
