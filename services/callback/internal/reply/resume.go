package reply

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/callback/internal/api"
)

// ResumePrivacyRequest lets a halted request go on (contract §6.8).
func (h *Handlers) ResumePrivacyRequest(ctx context.Context, r api.ResumePrivacyRequestRequestObject) (api.ResumePrivacyRequestResponseObject, error) {
	id := r.PrivacyRequestId
	t, err := h.Gate.admit(edge.Bearer(ctx), id, wants{scope: token.ScopeResume, phase: record.Pre})
	if err != nil {
		return nil, err
	}
	var body json.RawMessage
	if r.Body != nil {
		body = *r.Body
	}
	derived, err := derivedIdentity(body)
	if err != nil {
		return nil, err
	}
	rec, err := h.record(ctx, id, unknown(id))
	if err != nil {
		return nil, err
	}
	if !awaits(rec, t.CallID) {
		return nil, refused(id, rec.Status)
	}
	answer, err := h.resume(ctx, t, derived)
	if err != nil {
		return nil, err
	}
	if err := resumeRefusal(id, answer); err != nil {
		return nil, err
	}
	return resumed(answer.Request), nil
}

// resume stages what was derived and hands the resume to the orchestrator.
func (h *Handlers) resume(ctx context.Context, t token.Reply, derived identity.Identity) (work.Answer, error) {
	data := events.CallbackData{CallID: t.CallID, WebhookID: t.WebhookID}
	if !derived.Empty() {
		key := vault.StageKey(t.RequestID)
		if err := h.Vault.Stage(ctx, key, derived, h.IdentityTTL); err != nil {
			h.Logger.Warn("derived identity cannot be stored", "request_id", t.RequestID, "call_id", t.CallID, "error", err)
			return work.Answer{}, edge.Unavailable(later, "The derived identity could not be stored; send the reply again.")
		}
		data.StagedKey, data.DerivedFields = key, derived.Fields()
	}
	return h.ask(ctx, events.CallbackResumed, t, data)
}

// awaits says whether the record waits for the resume of a call: it is halted
// by it, or the call is in flight and nothing has resumed it yet.
func awaits(r record.Record, callID string) bool {
	if r.Wait == nil || r.Wait.CallID != callID {
		return false
	}
	switch r.Wait.Kind {
	case record.WaitHalt:
		return r.Status == record.Paused
	case record.WaitCall:
		return r.EarlyResume == nil || r.EarlyResume.CallID != callID
	}
	return false
}

// derivedIdentity reads the body: an object, in which a derived identity may
// stand.
func derivedIdentity(body json.RawMessage) (identity.Identity, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || bytes.Equal(body, []byte("null")) {
		return identity.Identity{}, edge.Unprocessable([]edge.Problem{{Type: "missing", Loc: []any{"body"}, Msg: "Field required"}})
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return identity.Identity{}, edge.Unprocessable([]edge.Problem{{
			Type: "model_attributes_type", Loc: []any{"body"},
			Msg: "Input should be a valid dictionary or object to extract fields from",
		}})
	}
	raw := fields["derived_identity"]
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return identity.Identity{}, nil
	}
	derived, problems := identity.Parse(raw, "body", "derived_identity")
	if len(problems) > 0 {
		return identity.Identity{}, edge.Unprocessable(problems)
	}
	return derived, nil
}

// resumeRefusal is the error for what the orchestrator refused.
func resumeRefusal(id string, a work.Answer) error {
	switch {
	case a.Accepted:
		return nil
	case a.Code == work.RejectedUnknown:
		return unknown(id)
	case a.Code == work.RejectedDeleted:
		return deleted(id)
	}
	return refused(id, a.Status)
}

func unknown(id string) error {
	return edge.NotFound("No privacy request found with id '%s'.", id)
}

func refused(id string, status record.Status) error {
	return edge.BadRequest("Invalid resume request: privacy request '%s' status = %s.", id, status)
}

// resumed is the answer to a resume: the request as the orchestrator gives it.
type resumed json.RawMessage

// VisitResumePrivacyRequestResponse implements the generated interface.
func (r resumed) VisitResumePrivacyRequestResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if len(r) == 0 {
		r = resumed("null") // accepted, and nothing is known of the request
	}
	_, err := w.Write(r)
	return err
}
