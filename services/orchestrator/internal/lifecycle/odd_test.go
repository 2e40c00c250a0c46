package lifecycle

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// TestAPlaceThatNoListHasEndsNoProcess: a record that only a hand can have
// written is nobody's webhook, and no reason to end the process, which would
// meet it again after every start.
func TestAPlaceThatNoListHasEndsNoProcess(t *testing.T) {
	t.Parallel()
	for _, index := range []int{-1, 1, 1 << 40} {
		rec := &record.Record{
			ID: "pri_1", Revision: 1, Status: record.InProcessing,
			Run:  record.Run{Number: 1, Step: record.PreWebhooks, Index: index, Pre: []record.Webhook{{ID: "pol_1"}}},
			Wait: &record.Wait{Kind: record.WaitCall, CallID: "c"},
		}
		for _, in := range []Input{
			{ID: "1", Webhook: &WebhookFact{Type: events.WebhookHalted, Data: events.WebhookData{CallID: "c"}}},
			{ID: "2", Webhook: &WebhookFact{Type: events.WebhookFailed, Data: events.WebhookData{CallID: "c"}}},
			{ID: "3", Command: &work.Command{Name: work.Requeue}},
			{ID: "4", Command: &work.Command{Name: work.Timeout, CallID: "c"}},
		} {
			if out := (Rules{}).Decide(rec, in, time.Now()); out.Next == nil {
				t.Errorf("place %d, input %s: %+v", index, in.ID, out.Answer)
			}
		}
	}
}
