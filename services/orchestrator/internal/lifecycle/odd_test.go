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

func TestADueDateThatNobodyCanWriteIsNone(t *testing.T) {
	t.Parallel()
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		requested time.Time
		days      int
		want      bool
	}{
		{year(2026), 45, true},
		{year(2026), -1, true},
		{year(1), 0, true},
		{year(1), -1, false},
		{year(2026), -740_000, false},
		{year(2026), -1 << 31, false},
		{year(9999), 364, true},
		{year(9999), 365, false},
		{year(2026), 1 << 31, false},
	} {
		if due := dueDate(c.requested, &c.days); due != nil != c.want {
			t.Errorf("%d days after %s: %v", c.days, c.requested, due)
		}
	}
}
