package callback

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestResume(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	if got := b.resume(b.resumeToken(nil), `{}`); got.status != http.StatusOK || got.body != inProcessing || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("answer: %+v", got)
	}
	e := receive(t, b.facts)
	data := dataOf(t, e)
	call := callOf(requestID, record.Pre, 3)
	if e.Type() != events.CallbackResumed || e.Subject() != requestID || e.Source() != events.SourceCallback || !strings.HasPrefix(e.ID(), call+".one.") {
		t.Fatalf("fact: %v", e)
	}
	if data.CallID != call || data.WebhookID != webhookID || data.StagedKey != "" || data.DerivedFields != nil {
		t.Fatalf("data: %+v", data)
	}
}

// A derived identity is in the vault when the fact that names it is published,
// and nowhere else.
func TestResumeWithADerivedIdentity(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	const body = `{"derived_identity":{"email":"somebody@example.com","phone_number":null,"loyalty":{"label":"Loyalty","value":"L-4711"}},"unknown":[1]}`
	if got := b.resume(b.resumeToken(nil), body); got.status != http.StatusOK {
		t.Fatalf("answer: %+v", got)
	}
	e := receive(t, b.facts)
	data := dataOf(t, e)
	if strings.Join(data.DerivedFields, " ") != "email loyalty" {
		t.Fatalf("fields: %v", data.DerivedFields)
	}
	staged, err := b.vault.Provided(t.Context(), data.StagedKey)
	if err != nil || staged.Identity.Email == nil || *staged.Identity.Email != "somebody@example.com" || staged.Identity.Custom["loyalty"].Value != "L-4711" {
		t.Fatalf("vault: %+v, %v", staged, err)
	}
	for _, personal := range []string{"somebody", "4711"} {
		if strings.Contains(string(e.Data()), personal) || strings.Contains(b.log.String(), personal) {
			t.Errorf("%q stands in the fact or in the log", personal)
		}
	}
}

func TestResumeCarriesTheTrace(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct{ sent, want string }{{trace, trace}, {"rubbish", ""}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/api/v1/privacy-request/"+requestID+"/resume", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+b.resumeToken(nil))
		r.Header.Set("traceparent", tt.sent)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := events.TraceParent(receive(t, b.facts)); got != tt.want {
			t.Errorf("trace %q, want %q", got, tt.want)
		}
	}
}

// Every refusal that needs no orchestrator, in the order of the checks: each
// row is wrong in everything that is checked later, too, where it can be.
func TestResumeRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t, func(e events.Event) *work.Answer {
		t.Errorf("a refused resume was published: %s", e.ID())
		return nil
	})
	const (
		forbidden = `{"detail":"Not Authorized for this action"}`
		missing   = `{"detail":[{"type":"missing","loc":["body"],"msg":"Field required"}]}`
		badBody   = `[]`
		email     = `{"derived_identity":{"email":"somebody"}}`
	)
	good, access := b.resumeToken(nil), b.accessToken(rootID, token.ScopeResume)
	expired := b.resumeToken(func(r *token.Reply) { r.ExpiresAt = time.Now().Add(-time.Second) })
	foreign := b.resumeToken(func(r *token.Reply) { r.RequestID, r.CallID = otherID, callOf(otherID, record.Pre, 3) })
	deletedAt := time.Now()
	status := func(s record.Status) *record.Record { return &record.Record{ID: requestID, Status: s} }
	of := func(r record.Record) *record.Record { return &r }
	invalid := func(s record.Status) string {
		return `{"detail":"Invalid resume request: privacy request '` + requestID + `' status = ` + string(s) + `."}`
	}
	tests := []struct {
		name   string
		record *record.Record
		bearer string
		body   string
		status int
		want   string // "" is not looked at
	}{
		{"malformed body, no token", nil, "", `{"derived`, http.StatusUnprocessableEntity, ""},
		{"malformed body, good token", of(paused()), good, `{} trailing`, http.StatusUnprocessableEntity, ""},
		{"no token", nil, "", badBody, http.StatusUnauthorized, `{"detail":"Failed to authenticate"}`},
		{"another scheme", nil, "Basic " + good, badBody, http.StatusUnauthorized, `{"detail":"Failed to authenticate"}`},
		{"garbage token", nil, "invalid", badBody, http.StatusForbidden, forbidden},
		{"access token", of(paused()), access, badBody, http.StatusForbidden, forbidden},
		{"another request's token", of(paused()), foreign, badBody, http.StatusForbidden, forbidden},
		{"review token", of(paused()), b.reviewToken(nil), badBody, http.StatusForbidden, forbidden},
		{"expired token", nil, expired, badBody, http.StatusForbidden, `{"detail":"Webhook token expired"}`},
		{"no body", nil, good, "", http.StatusUnprocessableEntity, missing},
		{"list as body", nil, good, badBody, http.StatusUnprocessableEntity, ""},
		{"text as body", nil, good, `"x"`, http.StatusUnprocessableEntity, ""},
		{"bad identity", nil, good, email, http.StatusUnprocessableEntity, ""},
		{"identity as text", nil, good, `{"derived_identity":"x"}`, http.StatusUnprocessableEntity, ""},
		{"custom identity without a label", nil, good, `{"derived_identity":{"x":"y"}}`, http.StatusUnprocessableEntity, ""},
		{"unknown request", nil, good, `{}`, http.StatusNotFound, `{"detail":"No privacy request found with id '` + requestID + `'."}`},
		{"deleted request", of(with(paused(), func(r *record.Record) { r.DeletedAt = &deletedAt })), good, `{}`, http.StatusUnprocessableEntity,
			`{"detail":"Privacy request with id ` + requestID + ` has been deleted."}`},
		{"pending", status(record.Pending), good, `{}`, http.StatusBadRequest, invalid(record.Pending)},
		{"in processing", status(record.InProcessing), good, `{}`, http.StatusBadRequest, invalid(record.InProcessing)},
		{"complete", status(record.Complete), good, `{}`, http.StatusBadRequest, invalid(record.Complete)},
		{"canceled", status(record.Canceled), good, `{}`, http.StatusBadRequest, invalid(record.Canceled)},
		{"failed", status(record.Failed), good, `{"derived_identity":{"email":"a@example.com"}}`, http.StatusBadRequest, invalid(record.Failed)},
		{"paused on another call", of(with(paused(), func(r *record.Record) { r.Wait.CallID = callOf(requestID, record.Pre, 4) })), good, `{}`,
			http.StatusBadRequest, invalid(record.Paused)},
		{"another call in flight", of(with(paused(), func(r *record.Record) {
			r.Status, r.Wait.Kind, r.Wait.CallID = record.InProcessing, record.WaitCall, callOf(requestID, record.Pre, 4)
		})), good, `{}`, http.StatusBadRequest, invalid(record.InProcessing)},
		{"early, a second time", of(with(paused(), func(r *record.Record) {
			r.Status, r.Wait.Kind = record.InProcessing, record.WaitCall
			r.EarlyResume = &record.EarlyResume{CallID: r.Wait.CallID}
		})), good, `{}`, http.StatusBadRequest, invalid(record.InProcessing)},
	}
	for _, tt := range tests { // one after the other: they share the record
		if err := b.records.Remove(t.Context(), requestID); err != nil {
			t.Fatal(err)
		}
		if tt.record != nil {
			b.put(*tt.record)
		}
		got := b.resume(tt.bearer, tt.body)
		if got.status != tt.status || (tt.want != "" && got.body != tt.want) {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, got.status, got.body, tt.status, tt.want)
		}
		if tt.status == http.StatusUnauthorized && got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: WWW-Authenticate %q", tt.name, got.header.Get("WWW-Authenticate"))
		}
		if tt.status == http.StatusUnprocessableEntity && tt.want == "" && !strings.HasPrefix(got.body, `{"detail":[{"type":"`) {
			t.Errorf("%s: %s", tt.name, got.body)
		}
	}
	if got := b.resume(good, email); !strings.Contains(got.body, `"loc":["body","derived_identity","email"]`) || strings.Contains(got.body, "somebody") {
		t.Errorf("bad identity: %s", got.body)
	}
	for key, err := range b.bucket("dsr_identities").Keys(t.Context(), ">") {
		t.Errorf("a refused resume left %s in the vault (%v)", key, err)
	}
	for _, secret := range []string{good, access, "somebody"} {
		if strings.Contains(b.log.String(), secret) {
			t.Error("a token or an identity stands in the log")
		}
	}
}

// The call is still in flight, or its halt not yet recorded: the resume is
// handed on.
func TestResumeTooEarly(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(with(paused(), func(r *record.Record) { r.Status, r.Wait.Kind = record.InProcessing, record.WaitCall }))
	if got := b.resume(b.resumeToken(nil), `{"derived_identity":{"phone_number":"+15555555555"}}`); got.status != http.StatusOK || got.body != inProcessing {
		t.Fatalf("answer: %+v", got)
	}
	if data := dataOf(t, receive(t, b.facts)); data.StagedKey == "" || len(data.DerivedFields) != 1 {
		t.Fatalf("data: %+v", data)
	}
}

// null for the derived identity is none (the existing system answers 500).
func TestResumeWithNull(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	for _, body := range []string{`{"derived_identity":null}`, `{"derived_identity":{}}`, `{"derived_identity":{"email":null}}`, `{"other":1}`} {
		if got := b.resume(b.resumeToken(nil), body); got.status != http.StatusOK {
			t.Errorf("%s: %+v", body, got)
		}
		if data := dataOf(t, receive(t, b.facts)); data.StagedKey != "" {
			t.Errorf("%s: staged", body)
		}
	}
}

// What the orchestrator says is what the caller gets.
func TestResumeAnswers(t *testing.T) {
	t.Parallel()
	var script atomic.Pointer[work.Answer]
	b := setup(t, func(events.Event) *work.Answer { return script.Load() })
	b.put(paused())
	tests := []struct {
		answer work.Answer
		status int
		want   string
	}{
		{work.Answer{Code: work.RejectedStatus, Status: record.Canceled}, http.StatusBadRequest, "Invalid resume request: privacy request '" + requestID + "' status = canceled."},
		{work.Answer{Code: work.RejectedNotAwaited, Status: record.InProcessing}, http.StatusBadRequest, "Invalid resume request: privacy request '" + requestID + "' status = in_processing."},
		{work.Answer{Code: work.RejectedUnknown}, http.StatusNotFound, "No privacy request found with id '" + requestID + "'."},
		{work.Answer{Code: work.RejectedDeleted}, http.StatusUnprocessableEntity, "Privacy request with id " + requestID + " has been deleted."},
		{work.Answer{Code: work.RejectedUnavailable}, http.StatusServiceUnavailable, "The reply could not be decided at the moment and was not applied; send it again."},
	}
	for _, tt := range tests {
		script.Store(&tt.answer)
		got := b.resume(b.resumeToken(nil), `{}`)
		if got.status != tt.status || got.body != `{"detail":"`+tt.want+`"}` {
			t.Errorf("%+v: got %d %s", tt.answer, got.status, got.body)
		}
		if tt.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
			t.Errorf("%+v: no Retry-After", tt.answer)
		}
	}
}

func TestResumeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, func(events.Event) *work.Answer { return nil })
	b.put(paused())
	got := b.resume(b.resumeToken(nil), `{}`)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "5" || !strings.Contains(got.body, "is stored and will still be applied") {
		t.Fatalf("answer: %+v", got)
	}
	receive(t, b.facts)
}

// Of two resumes at the same time the orchestrator takes one.
func TestTwoResumes(t *testing.T) {
	t.Parallel()
	var taken atomic.Bool
	b := setup(t, func(e events.Event) *work.Answer {
		if taken.Swap(true) {
			return &work.Answer{Code: work.RejectedNotAwaited, Status: record.InProcessing}
		}
		return accept(e)
	})
	b.put(paused())
	bearer := b.resumeToken(nil)
	var statuses [2]int
	var both sync.WaitGroup
	for i := range statuses {
		both.Go(func() { statuses[i] = b.resume(bearer, `{}`).status })
	}
	both.Wait()
	if sum := statuses[0] + statuses[1]; sum != http.StatusOK+http.StatusBadRequest {
		t.Fatalf("got %v", statuses)
	}
	b.put(record.Record{ID: requestID, Status: record.InProcessing})
	if got := b.resume(bearer, `{}`); got.status != http.StatusBadRequest {
		t.Fatalf("a third one: %+v", got)
	}
}

// The published documents disagree on the address; all spellings work.
func TestResumeAliases(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(paused())
	for _, prefix := range []string{"", "/v1", "/api/v1"} {
		for _, noun := range []string{"privacy-request", "privacy_request"} {
			for _, end := range []string{"", "/"} {
				path := prefix + "/" + noun + "/" + requestID + "/resume" + end
				if got := b.do(http.MethodPost, path, b.resumeToken(nil), `{}`); got.status != http.StatusOK {
					t.Errorf("%s: %+v", path, got)
				}
			}
		}
	}
	if got := b.do(http.MethodGet, "/api/v1/privacy-request/"+requestID+"/resume", b.resumeToken(nil), ""); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %+v", got)
	}
}

// A caller that goes away takes nothing with it.
func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	b := setup(t, func(events.Event) *work.Answer { return nil })
	b.put(paused())
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/api/v1/privacy-request/"+requestID+"/resume", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.resumeToken(nil))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close()
		}
	}()
	receive(t, b.facts)
	cancel()
	<-gone
}
