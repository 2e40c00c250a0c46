package lifecycle

import (
	"testing"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestResend(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.command(work.Submit)
	first := l.rec.Wait.CallID
	resend := func(id string) work.Answer {
		return l.give(Input{Command: &work.Command{Name: work.Resend, RequestID: "pri_1", CallID: id, Actor: "client"}})
	}
	l.refused(resend(first), work.RejectedCall)
	l.webhook(events.WebhookUndelivered, events.WebhookData{Webhook: events.Webhook(one)})
	l.want(record.InProcessing, "webhook.requested", "two")
	l.refused(resend(l.rec.Wait.CallID), work.RejectedCall) // a two_way call has another way: retry
	l.webhook(events.WebhookSucceeded, events.WebhookData{})
	l.webhook(events.WebhookSucceeded, events.WebhookData{})
	late := l.rec.Wait.CallID
	l.now = l.rec.Wait.Until
	l.timeout()
	l.want(record.Complete, "request.completed")

	answer := resend(first)
	l.want(record.Complete, "webhook.requested", "one")
	if call := l.rec.Outbox[1]; call.CallID != answer.CallID || answer.CallID == first || call.ResendOf != first || call.Phase != record.Pre {
		t.Errorf("%+v answered with %s", call, answer.CallID)
	}
	l.refused(resend(first), work.RejectedResent)
	l.refused(l.webhook(events.WebhookUndelivered, events.WebhookData{CallID: first, Webhook: events.Webhook(one)}), work.RejectedNotAwaited)

	// a call that the run has left behind long since, and the new one
	l.webhook(events.WebhookUndelivered, events.WebhookData{CallID: late, Webhook: events.Webhook(after)})
	l.webhook(events.WebhookUndelivered, events.WebhookData{CallID: answer.CallID, Webhook: events.Webhook(one)})
	l.ctx.IdentityGone = true
	l.refused(resend(late), work.RejectedIdentity)
	l.ctx.IdentityGone = false
	resend(late)
	l.want(record.Complete, "webhook.requested", "after")
	resend(answer.CallID)
	l.want(record.Complete, "webhook.requested", "one")

	in := Input{ID: "again", Command: &work.Command{Name: work.Resend, RequestID: "pri_1", CallID: l.rec.Outbox[1].CallID}}
	l.webhook(events.WebhookUndelivered, events.WebhookData{CallID: in.Command.CallID, Webhook: events.Webhook(one)})
	if once, twice := l.give(in), l.give(in); once.CallID == "" || once.CallID != twice.CallID {
		t.Errorf("a repeated command is answered with %q, then with %q", once.CallID, twice.CallID)
	}
}

func TestAResendThatIsSkippedIsSentAgain(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.command(work.Submit)
	first := l.rec.Wait.CallID
	resend := func(id string) work.Answer {
		return l.give(Input{Command: &work.Command{Name: work.Resend, RequestID: "pri_1", CallID: id, Actor: "client"}})
	}
	skipped := func(id string) work.Answer {
		return l.webhook(events.WebhookSkipped, events.WebhookData{CallID: id, Webhook: events.Webhook(one)})
	}
	l.webhook(events.WebhookUndelivered, events.WebhookData{Webhook: events.Webhook(one)})
	again := resend(first).CallID
	skipped(again) // the connection is disabled
	l.refused(skipped(again), work.RejectedNotAwaited)
	l.refused(resend(first), work.RejectedResent)
	third := resend(again).CallID
	l.want(record.InProcessing, "webhook.requested", "one")
	if third == "" || third == again || third == first {
		t.Errorf("%q was sent again as %q", again, third)
	}
	l.refused(resend(again), work.RejectedResent)
}

func TestACallThatIsSkippedAtOnceIsNotSentAgain(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.command(work.Submit)
	first := l.rec.Wait.CallID
	l.webhook(events.WebhookSkipped, events.WebhookData{Webhook: events.Webhook(one)})
	l.want(record.InProcessing, "webhook.requested", "two")
	l.refused(l.give(Input{Command: &work.Command{Name: work.Resend, RequestID: "pri_1", CallID: first, Actor: "client"}}), work.RejectedCall)
}

func TestAnUndeliveredCallOfAnotherIsNotNoted(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.command(work.Submit)
	for _, id := range []string{
		"", "nonsense", "pri_2_1_pre_pol_one_1", "pri_1_2_pre_pol_one_1", "pri_1_1_pre_pol_two_1",
		"pri_1_1_preapproval_pol_one_1", "pri_1_1_execute_access_1",
	} {
		l.refused(l.give(Input{Webhook: &WebhookFact{
			Type: events.WebhookUndelivered, Data: events.WebhookData{CallID: id, Webhook: events.Webhook(one)},
		}}), work.RejectedNotAwaited)
	}
}
