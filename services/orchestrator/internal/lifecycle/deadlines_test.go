package lifecycle

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestDeadlines(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(*life)
		status  record.Status
		reason  string
		calls   []string
	}{
		"queued one_way call": {
			func(l *life) { l.command(work.Submit) },
			record.InProcessing, "", []string{"two"},
		},
		"two_way call": {
			func(l *life) { l.running() },
			record.Failed, events.ReasonWebhookTimeout, nil,
		},
		"halt": {
			func(l *life) { l.running(); l.webhook(events.WebhookHalted, events.WebhookData{}) },
			record.Failed, events.ReasonHaltExpired, nil,
		},
		"pre-approval": {
			func(l *life) {
				l.ctx.ManualApproval, l.ctx.PreApproval = true, []record.Webhook{asked}
				l.command(work.Submit)
			},
			record.Pending, events.ReasonPreApprovalTimeout, nil,
		},
		"execution": {
			func(l *life) {
				l.rules.External, l.ctx.Policy.Pre = true, nil
				l.command(work.Submit)
			},
			record.Failed, events.ReasonExecutionTimeout, nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t)
			tt.prepare(l)
			deadline := l.rec.Wait.Until
			l.now = deadline.Add(-time.Millisecond)
			l.refused(l.timeout(), work.RejectedNotAwaited)
			l.now = deadline
			l.timeout()
			if l.rec.Status != tt.status || l.rec.Outbox[0].Reason != tt.reason || !slices.Equal(l.calls(), tt.calls) {
				t.Fatalf("%s, reason %q, calls %v; want %s, %q, %v", l.rec.Status, l.rec.Outbox[0].Reason, l.calls(), tt.status, tt.reason, tt.calls)
			}
		})
	}
}

func TestExecutorProgressMovesTheDeadline(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.rules.External, l.ctx.Policy.Pre = true, nil
	l.command(work.Submit)
	first := l.rec.Wait.Until
	l.now = l.now.Add(time.Hour)
	l.give(Input{Execution: &ExecutionFact{Type: events.ExecutionProgressed, Data: events.ExecutionData{ExecutionID: l.rec.Wait.CallID}}})
	if want := first.Add(time.Hour); !l.rec.Wait.Until.Equal(want) {
		t.Fatalf("deadline %s, want %s", l.rec.Wait.Until, want)
	}
	l.give(Input{Execution: &ExecutionFact{Type: events.ExecutionCompleted, Data: events.ExecutionData{ExecutionID: l.rec.Wait.CallID}}})
	l.want(record.InProcessing, "webhook.requested", "after")
}
