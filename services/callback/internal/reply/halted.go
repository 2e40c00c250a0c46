package reply

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/callback/internal/api"
	"github.com/parley-dsr/parley/services/callback/internal/halt"
)

// ListHalted lists what is halted, what ends first before the others.
func (h *Handlers) ListHalted(ctx context.Context, r api.ListHaltedRequestObject) (api.ListHaltedResponseObject, error) {
	paging := edge.PagingOf(r.Params.Page, r.Params.Size)
	halts, total, err := h.Halted.Page(ctx, paging.Offset(), paging.Size)
	if err != nil {
		h.Logger.Warn("halts cannot be listed", "error", err)
		return nil, edge.Unavailable(later, "The halts cannot be read at the moment.")
	}
	items := make([]haltItem, len(halts))
	for i, one := range halts {
		items[i] = itemOf(one)
	}
	return haltPage(edge.NewPage(items, total, paging.Page, paging.Size)), nil
}

// haltItem is a halt as the API shows it.
type haltItem struct {
	RequestID   string         `json:"privacy_request_id"`
	CallID      string         `json:"call_id"`
	WebhookID   string         `json:"webhook_id"`
	WebhookKey  string         `json:"webhook_key"`
	WebhookName string         `json:"webhook_name"`
	Since       edge.Timestamp `json:"since"`
	Until       edge.Timestamp `json:"until"`
}

func itemOf(h halt.Halt) haltItem {
	return haltItem{
		RequestID: h.RequestID, CallID: h.CallID, WebhookID: h.WebhookID, WebhookKey: h.WebhookKey,
		WebhookName: h.WebhookName, Since: edge.Timestamp(h.Since), Until: edge.Timestamp(h.Until),
	}
}

type haltPage edge.Page[haltItem]

// VisitListHaltedResponse implements the generated interface.
func (p haltPage) VisitListHaltedResponse(w http.ResponseWriter) error {
	body, err := json.Marshal(edge.Page[haltItem](p))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(body)
	return err
}
