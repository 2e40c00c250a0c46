package lifecycle

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestStory(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.command(work.Submit)
	l.want(record.InProcessing, "request.created request.approved request.started webhook.requested", "one")
	if due := l.now.AddDate(0, 0, 45); !l.rec.DueDate.Equal(due) {
		t.Errorf("due %s, want %s", l.rec.DueDate, due)
	}
	l.webhook(events.WebhookAttempted, events.WebhookData{})
	l.want(record.InProcessing, "webhook.requested", "two")
	halted := l.rec.Wait.CallID
	until := l.now.Add(time.Hour)
	l.webhook(events.WebhookHalted, events.WebhookData{StagedKey: "pri_1.a", Until: &until})
	l.want(record.Paused, "request.paused")
	if !l.rec.Wait.Until.Equal(until) {
		t.Errorf("halted until %s, want the token's end %s", l.rec.Wait.Until, until)
	}
	if a := l.callback(events.CallbackResumed, halted, "pri_1.b"); !a.Accepted || a.Status != record.InProcessing {
		t.Errorf("answer to the resume: %+v", a)
	}
	l.want(record.InProcessing, "request.resumed webhook.requested", "three")
	if !slices.Equal(l.rec.Staged, []string{"pri_1.a", "pri_1.b"}) {
		t.Errorf("accepted identities %v", l.rec.Staged)
	}
	l.webhook(events.WebhookSucceeded, events.WebhookData{})
	l.want(record.InProcessing, "webhook.requested", "after")
	l.webhook(events.WebhookSucceeded, events.WebhookData{})
	l.want(record.Complete, "request.completed")
}

func TestSubmitRefused(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.ctx.Policy.Policy.Rules = nil
	l.refused(l.command(work.Submit), work.RejectedNoRule)
	l.ctx.Policy = nil
	l.refused(l.command(work.Submit), work.RejectedPolicy)
	l.refused(l.command(work.Approve), work.RejectedUnknown)
}

// TestMatrix is the table of contract §7 for the statuses that Parley reaches,
// with the differences of beyond §4.
func TestMatrix(t *testing.T) {
	t.Parallel()
	reach := map[record.Status]func(*life){
		record.Pending: func(l *life) { l.ctx.ManualApproval = true; l.command(work.Submit) },
		record.AwaitingPreApproval: func(l *life) {
			l.ctx.PreApproval = []record.Webhook{asked}
			l.ctx.ManualApproval = true
			l.command(work.Submit)
		},
		record.InProcessing: func(l *life) { l.running() },
		record.Paused:       func(l *life) { l.running(); l.webhook(events.WebhookHalted, events.WebhookData{}) },
		record.Failed:       func(l *life) { l.running(); l.webhook(events.WebhookFailed, events.WebhookData{}) },
		record.Canceled:     func(l *life) { l.running(); l.command(work.Cancel) },
		record.Denied:       func(l *life) { l.ctx.ManualApproval = true; l.command(work.Submit); l.command(work.Deny) },
		record.Complete: func(l *life) {
			l.ctx.Policy.Pre, l.ctx.Policy.Post = nil, nil
			l.command(work.Submit)
		},
	}
	allowed := map[string][]record.Status{
		work.Approve:  {record.Pending, record.AwaitingPreApproval},
		work.Deny:     {record.Pending, record.AwaitingPreApproval},
		work.Cancel:   {record.Pending, record.AwaitingPreApproval, record.InProcessing, record.Paused},
		work.Resume:   {record.Paused},
		work.Retry:    {record.Failed},
		work.Requeue:  {record.InProcessing},
		work.Resubmit: {record.Pending, record.AwaitingPreApproval, record.InProcessing, record.Paused, record.Failed},
	}
	for status, to := range reach {
		for command, statuses := range allowed {
			t.Run(string(status)+"/"+command, func(t *testing.T) {
				t.Parallel()
				l := setup(t)
				to(l)
				if l.rec.Status != status {
					t.Fatalf("reached %s", l.rec.Status)
				}
				if got, want := l.command(command).Accepted, slices.Contains(statuses, status); got != want {
					t.Fatalf("accepted: %t, want %t", got, want)
				}
			})
		}
	}
}

func TestAnswersLastWork(t *testing.T) {
	t.Parallel()
	l := setup(t)
	call := l.running()
	answer := func(id string) Input {
		return Input{Webhook: &WebhookFact{Type: events.WebhookSucceeded, Data: events.WebhookData{CallID: id}}}
	}
	if !AnswersLastWork(l.rec, answer(call)) {
		t.Error("the answer to the call in the outbox is not seen as one")
	}
	if AnswersLastWork(l.rec, answer("pri_1_1_pre_pol_one_1")) || AnswersLastWork(l.rec, Input{Command: &work.Command{Name: work.Cancel}}) {
		t.Error("something else is seen as the answer to the call in the outbox")
	}
}
