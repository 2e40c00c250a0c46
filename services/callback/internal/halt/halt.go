package halt

import (
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

// Halt is what the bucket says about a halted request, under the id of the call
// that halted it.
type Halt struct {
	CallID      string    `json:"call_id"`
	RequestID   string    `json:"request_id"`
	WebhookID   string    `json:"webhook_id"`
	WebhookKey  string    `json:"webhook_key"`
	WebhookName string    `json:"webhook_name"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
	// Trace is the traceparent under which the request was halted.
	Trace string `json:"trace,omitempty"`
}

// of gives the halt that a record waits in, by the call; ok is false where the
// request is not paused on that call.
func of(r record.Record, callID string) (h Halt, ok bool) {
	if r.Status != record.Paused || r.Wait == nil || r.Wait.Kind != record.WaitHalt || r.Wait.CallID != callID {
		return Halt{}, false
	}
	h = Halt{CallID: callID, RequestID: r.ID, Since: r.Wait.Since, Until: r.Wait.Until, Trace: r.Trace}
	call, err := record.ParseCallID(callID)
	if err != nil {
		return Halt{}, false
	}
	h.WebhookID = call.Target
	for _, w := range r.Run.Webhooks(call.WebhookPhase()) {
		if w.ID == call.Target {
			h.WebhookKey, h.WebhookName = w.Key, w.Name
		}
	}
	return h, true
}
