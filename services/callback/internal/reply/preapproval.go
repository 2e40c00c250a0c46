package reply

import (
	"context"
	"net/http"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/callback/internal/api"
)

// ReplyEligible records that a pre-approval webhook has no objection (contract
// §6.9).
func (h *Handlers) ReplyEligible(ctx context.Context, r api.ReplyEligibleRequestObject) (api.ReplyEligibleResponseObject, error) {
	return recorded{}, h.review(ctx, r.PrivacyRequestId, events.CallbackEligible, "eligible")
}

// ReplyNotEligible records that a pre-approval webhook wants a person to decide
// (contract §6.9).
func (h *Handlers) ReplyNotEligible(ctx context.Context, r api.ReplyNotEligibleRequestObject) (api.ReplyNotEligibleResponseObject, error) {
	return recorded{}, h.review(ctx, r.PrivacyRequestId, events.CallbackNotEligible, "not eligible")
}

func (h *Handlers) review(ctx context.Context, id, eventType, words string) error {
	t, err := h.Gate.admit(edge.Bearer(ctx), id, wants{scope: token.ScopeReview, phase: record.PreApproval})
	if err != nil {
		return err
	}
	rec, err := h.record(ctx, id, unknownColon(id))
	if err != nil {
		return err
	}
	if !reviewable(rec.Status) {
		return notReviewable(id)
	}
	for _, replier := range rec.Repliers {
		if replier.CallID == t.CallID && replier.Reply != "" {
			return alreadyReplied(id, words)
		}
	}
	answer, err := h.ask(ctx, eventType, t, events.CallbackData{CallID: t.CallID, WebhookID: t.WebhookID})
	if err != nil {
		return err
	}
	return reviewRefusal(id, t.WebhookID, words, answer)
}

func reviewable(s record.Status) bool {
	return s == record.Pending || s == record.AwaitingPreApproval
}

// reviewRefusal is the error for what the orchestrator refused. A webhook whose
// reply is not waited for though the request could take one was deleted, or was
// asked in an earlier run of a request that has been resubmitted since.
func reviewRefusal(id, webhookID, words string, a work.Answer) error {
	switch {
	case a.Accepted:
		return nil
	case a.Code == work.RejectedUnknown:
		return unknownColon(id)
	case a.Code == work.RejectedDeleted:
		return deleted(id)
	case a.Code == work.RejectedReplied:
		return alreadyReplied(id, words)
	case a.Code == work.RejectedNotAwaited && reviewable(a.Status):
		return edge.NotFound("No Pre-Approval Webhook found with id '%s'.", webhookID)
	}
	return notReviewable(id)
}

func unknownColon(id string) error {
	return edge.NotFound("No privacy request found with id: '%s'.", id)
}

func notReviewable(id string) error {
	return edge.BadRequest("Privacy request with id '%s' is not in pending or awaiting pre-approval status.", id)
}

func alreadyReplied(id, words string) error {
	return edge.BadRequest("Failed to mark privacy request %s as %s due to: this webhook has already replied for this request.", id, words)
}

// recorded is the answer to a pre-approval reply: null.
type recorded struct{}

// VisitReplyEligibleResponse implements the generated interface.
func (recorded) VisitReplyEligibleResponse(w http.ResponseWriter) error { return writeNull(w) }

// VisitReplyNotEligibleResponse implements the generated interface.
func (recorded) VisitReplyNotEligibleResponse(w http.ResponseWriter) error { return writeNull(w) }

func writeNull(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write([]byte("null"))
	return err
}
