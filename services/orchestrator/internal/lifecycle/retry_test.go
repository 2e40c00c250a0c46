package lifecycle

import (
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestFailureAndRetry(t *testing.T) {
	t.Parallel()
	l := setup(t)
	failed := l.running()
	l.webhook(events.WebhookFailed, events.WebhookData{Outcome: events.OutcomeStatus, Error: "Client call failed with status code '500'"})
	l.want(record.Failed, "request.failed")
	r := l.rec.Outbox[0]
	if want := "Webhook 'two' returned an error: Client call failed with status code '500'"; r.Message != want || r.Reason != events.ReasonWebhookFailed {
		t.Errorf("failure says %q (%s), want %q", r.Message, r.Reason, want)
	}
	l.command(work.Retry)
	l.want(record.InProcessing, "request.retried webhook.requested", "two")
	if l.rec.Wait.CallID == failed {
		t.Errorf("the retried call has the id of the failed one, %s", failed)
	}
	l.refused(l.webhook(events.WebhookSucceeded, events.WebhookData{CallID: failed}), work.RejectedNotAwaited)
	l.refused(l.command(work.Retry), work.RejectedStatus)
}

func TestRetryWithoutIdentity(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.running()
	l.webhook(events.WebhookFailed, events.WebhookData{Outcome: events.OutcomeIdentityGone})
	if r := l.rec.Outbox[0]; r.Reason != events.ReasonIdentityExpired || r.Message != MessageExpired {
		t.Errorf("failure says %q (%s)", r.Message, r.Reason)
	}
	l.ctx.IdentityGone = true
	l.refused(l.command(work.Retry), work.RejectedIdentity)
	l.refused(l.command(work.Resubmit), work.RejectedIdentity)
}

func TestResubmitApprovesNothing(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.ctx.ManualApproval = true
	l.command(work.Submit)
	l.want(record.Pending, "request.created")
	l.command(work.Resubmit)
	l.want(record.Pending, "request.resubmitted")
	l.command(work.Approve)
	l.want(record.InProcessing, "request.approved request.started webhook.requested", "one")
	l.command(work.Resubmit)
	l.want(record.InProcessing, "request.resubmitted request.started webhook.requested", "one")
}
