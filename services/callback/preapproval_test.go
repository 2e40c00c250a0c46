package callback

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	eligible    = "/api/v1/privacy-request/" + requestID + "/pre-approve/eligible"
	notEligible = "/api/v1/privacy-request/" + requestID + "/pre-approve/not-eligible"
)

func TestPreApprovalReplies(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	for _, status := range []record.Status{record.Pending, record.AwaitingPreApproval} {
		b.put(with(asked(), func(r *record.Record) { r.Status = status }))
		for path, eventType := range map[string]string{eligible: events.CallbackEligible, notEligible: events.CallbackNotEligible} {
			for _, body := range []string{"", `{}`, `not json`} { // a body is ignored
				if got := b.do(http.MethodPost, path, b.reviewToken(nil), body); got.status != http.StatusOK || got.body != "null" {
					t.Errorf("%s with %q: %+v", path, body, got)
					continue
				}
				e := receive(t, b.facts)
				data := dataOf(t, e)
				if e.Type() != eventType || e.Subject() != requestID || data.WebhookID != webhookID || data.CallID != callOf(requestID, record.PreApproval, 1) {
					t.Errorf("%s: %v %+v", path, e, data)
				}
			}
		}
	}
}

func TestPreApprovalAliases(t *testing.T) {
	t.Parallel()
	b := setup(t, accept)
	b.put(asked())
	for _, prefix := range []string{"", "/v1", "/api/v1"} {
		for _, noun := range []string{"privacy-request", "privacy_request"} {
			for _, end := range []string{"eligible", "not-eligible", "eligible/"} {
				path := prefix + "/" + noun + "/" + requestID + "/pre-approve/" + end
				if got := b.do(http.MethodPost, path, b.reviewToken(nil), ""); got.status != http.StatusOK {
					t.Errorf("%s: %+v", path, got)
				}
			}
		}
	}
}

func TestPreApprovalRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t, func(e events.Event) *work.Answer {
		t.Errorf("a refused reply was published: %s", e.ID())
		return nil
	})
	const (
		forbidden = `{"detail":"Not Authorized for this action"}`
		unknown   = `{"detail":"No privacy request found with id: '` + requestID + `'."}`
		wrong     = `{"detail":"Privacy request with id '` + requestID + `' is not in pending or awaiting pre-approval status."}`
		deleted   = `{"detail":"Privacy request with id ` + requestID + ` has been deleted."}`
	)
	good := b.reviewToken(nil)
	expired := b.reviewToken(func(r *token.Reply) { r.ExpiresAt = time.Now().Add(-time.Second) })
	foreign := b.reviewToken(func(r *token.Reply) { r.RequestID, r.CallID = otherID, callOf(otherID, record.PreApproval, 1) })
	now := time.Now()
	status := func(s record.Status) *record.Record {
		r := with(asked(), func(r *record.Record) { r.Status = s })
		return &r
	}
	replied := with(asked(), func(r *record.Record) { r.Repliers[0].Reply = "eligible" })
	gone := with(asked(), func(r *record.Record) { r.DeletedAt = &now })
	tests := []struct {
		name   string
		record *record.Record
		bearer string
		status int
		want   string
	}{
		{"no token", nil, "", http.StatusUnauthorized, `{"detail":"Failed to authenticate"}`},
		{"garbage token", nil, "invalid", http.StatusForbidden, forbidden},
		{"access token", status(record.Pending), b.accessToken(rootID, token.ScopeReview), http.StatusForbidden, forbidden},
		{"resume token", status(record.Pending), b.resumeToken(nil), http.StatusForbidden, forbidden},
		{"another request's token", status(record.Pending), foreign, http.StatusForbidden, forbidden},
		{"expired token", nil, expired, http.StatusForbidden, `{"detail":"Webhook token expired"}`},
		{"unknown request", nil, good, http.StatusNotFound, unknown},
		{"deleted request", &gone, good, http.StatusUnprocessableEntity, deleted},
		{"approved", status(record.Approved), good, http.StatusBadRequest, wrong},
		{"not eligible already", status(record.PreApprovalNotEligible), good, http.StatusBadRequest, wrong},
		{"complete", status(record.Complete), good, http.StatusBadRequest, wrong},
	}
	for _, tt := range tests {
		if err := b.records.Remove(t.Context(), requestID); err != nil {
			t.Fatal(err)
		}
		if tt.record != nil {
			b.put(*tt.record)
		}
		for _, path := range []string{eligible, notEligible} {
			if got := b.do(http.MethodPost, path, tt.bearer, ""); got.status != tt.status || got.body != tt.want {
				t.Errorf("%s at %s: got %d %s, want %d %s", tt.name, path, got.status, got.body, tt.status, tt.want)
			}
		}
	}
	b.put(replied)
	for path, words := range map[string]string{eligible: "eligible", notEligible: "not eligible"} {
		got := b.do(http.MethodPost, path, good, "")
		if got.status != http.StatusBadRequest || !strings.HasPrefix(got.body, `{"detail":"Failed to mark privacy request `+requestID+` as `+words+` due to: `) {
			t.Errorf("a second reply: %+v", got)
		}
	}
}

func TestPreApprovalAnswers(t *testing.T) {
	t.Parallel()
	var script atomic.Pointer[work.Answer]
	b := setup(t, func(events.Event) *work.Answer { return script.Load() })
	b.put(asked())
	const wrong = "Privacy request with id '" + requestID + "' is not in pending or awaiting pre-approval status."
	tests := []struct {
		answer work.Answer
		status int
		want   string
	}{
		{work.Answer{Code: work.RejectedStatus, Status: record.Approved}, http.StatusBadRequest, wrong},
		{work.Answer{Code: work.RejectedNotAwaited, Status: record.Approved}, http.StatusBadRequest, wrong},
		{work.Answer{Code: work.RejectedNotAwaited, Status: record.AwaitingPreApproval}, http.StatusNotFound, "No Pre-Approval Webhook found with id '" + webhookID + "'."},
		{work.Answer{Code: work.RejectedReplied, Status: record.AwaitingPreApproval}, http.StatusBadRequest, "Failed to mark privacy request " + requestID + " as eligible due to: this webhook has already replied for this request."},
		{work.Answer{Code: work.RejectedUnknown}, http.StatusNotFound, "No privacy request found with id: '" + requestID + "'."},
		{work.Answer{Code: work.RejectedDeleted}, http.StatusUnprocessableEntity, "Privacy request with id " + requestID + " has been deleted."},
	}
	for _, tt := range tests {
		script.Store(&tt.answer)
		if got := b.do(http.MethodPost, eligible, b.reviewToken(nil), ""); got.status != tt.status || got.body != `{"detail":"`+tt.want+`"}` {
			t.Errorf("%+v: got %d %s", tt.answer, got.status, got.body)
		}
	}
}
