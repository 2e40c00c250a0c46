package lifecycle

import (
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestPreApproval(t *testing.T) {
	t.Parallel()
	other := record.Webhook{ID: "pre_other", Key: "other", Name: "Other", Direction: record.TwoWay}
	ask := func(t *testing.T) *life {
		l := setup(t)
		l.ctx.ManualApproval, l.ctx.PreApproval = true, []record.Webhook{asked, other}
		l.command(work.Submit)
		l.want(record.AwaitingPreApproval, "request.created request.awaiting_pre_approval webhook.requested webhook.requested", "asked", "other")
		if want := "Triggered pre-approval webhooks: Asked, Other"; l.rec.Outbox[1].Message != want {
			t.Errorf("message %q, want %q", l.rec.Outbox[1].Message, want)
		}
		return l
	}
	t.Run("all eligible", func(t *testing.T) {
		t.Parallel()
		l := ask(t)
		l.callback(events.CallbackEligible, l.rec.Repliers[0].CallID, "")
		l.want(record.AwaitingPreApproval, "request.pre_approval_eligible")
		if want := "Pre-approval webhook 'Asked' responded: eligible"; l.rec.Outbox[0].Message != want {
			t.Errorf("message %q, want %q", l.rec.Outbox[0].Message, want)
		}
		l.refused(l.callback(events.CallbackEligible, l.rec.Repliers[0].CallID, ""), work.RejectedReplied)
		l.callback(events.CallbackEligible, l.rec.Repliers[1].CallID, "")
		l.want(record.InProcessing, "request.pre_approval_eligible request.approved request.started webhook.requested", "one")
		if approved := l.rec.Outbox[1]; approved.Webhook.ID != other.ID || approved.Message != "Request auto-approved by pre-approval webhooks" {
			t.Errorf("approved: %+v", approved)
		}
	})
	t.Run("resubmitted", func(t *testing.T) {
		t.Parallel()
		l := ask(t)
		for _, r := range l.rec.Repliers {
			l.callback(events.CallbackEligible, r.CallID, "")
		}
		l.want(record.InProcessing, "request.pre_approval_eligible request.approved request.started webhook.requested", "one")
		for range 2 { // nobody but them has approved it, so they are asked again
			l.command(work.Resubmit)
			l.want(record.AwaitingPreApproval,
				"request.resubmitted request.awaiting_pre_approval webhook.requested webhook.requested", "asked", "other")
		}
		l.command(work.Approve)
		l.command(work.Resubmit)
		l.want(record.InProcessing, "request.resubmitted request.started webhook.requested", "one")
	})
	t.Run("one not", func(t *testing.T) {
		t.Parallel()
		l := ask(t)
		l.callback(events.CallbackNotEligible, l.rec.Repliers[1].CallID, "")
		l.want(record.PreApprovalNotEligible, "request.pre_approval_not_eligible")
		l.refused(l.callback(events.CallbackEligible, l.rec.Repliers[0].CallID, ""), work.RejectedStatus)
		l.command(work.Approve)
		l.want(record.InProcessing, "request.approved request.started webhook.requested", "one")
	})
	t.Run("one deleted", func(t *testing.T) {
		t.Parallel()
		l := ask(t)
		l.ctx.PreApproval = []record.Webhook{asked}
		for _, reply := range []string{events.CallbackEligible, events.CallbackNotEligible} {
			l.refused(l.callback(reply, l.rec.Repliers[1].CallID, ""), work.RejectedNotAwaited)
		}
		l.callback(events.CallbackEligible, l.rec.Repliers[0].CallID, "")
		l.want(record.InProcessing, "request.pre_approval_eligible request.approved request.started webhook.requested", "one")
	})
	t.Run("one deleted after the other replied", func(t *testing.T) {
		t.Parallel()
		l := ask(t)
		l.callback(events.CallbackEligible, l.rec.Repliers[0].CallID, "")
		l.refused(l.command(work.Recount), work.RejectedNotAwaited)
		l.ctx.PreApproval = []record.Webhook{asked}
		l.command(work.Recount)
		l.want(record.InProcessing, "request.approved request.started webhook.requested", "one")
		l.refused(l.command(work.Recount), work.RejectedNotAwaited)
	})
	t.Run("none left", func(t *testing.T) {
		t.Parallel()
		for _, end := range []func(*life){
			func(l *life) { l.command(work.Recount) },
			func(l *life) { l.now = l.rec.Wait.Until; l.timeout() }, // at the latest
		} {
			l := ask(t)
			l.callback(events.CallbackEligible, l.rec.Repliers[0].CallID, "")
			l.ctx.PreApproval = nil
			end(l)
			l.want(record.Pending, "request.pending")
			if l.rec.Outbox[0].Reason != events.ReasonPreApprovalNoRepliers {
				t.Errorf("reason %s", l.rec.Outbox[0].Reason)
			}
		}
	})
	t.Run("one unreachable", func(t *testing.T) {
		t.Parallel()
		l := ask(t)
		l.webhook(events.WebhookFailed, events.WebhookData{CallID: l.rec.Repliers[0].CallID, Outcome: events.OutcomeRefused, Error: "connection refused"})
		l.want(record.Pending, "request.pending")
	})
}
