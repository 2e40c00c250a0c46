package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

var (
	one   = record.Webhook{ID: "pol_one", Key: "one", Name: "One", Direction: record.OneWay}
	two   = record.Webhook{ID: "pol_two", Key: "two", Name: "Two", Direction: record.TwoWay}
	three = record.Webhook{ID: "pol_three", Key: "three", Name: "Three", Direction: record.TwoWay}
	after = record.Webhook{ID: "pol_after", Key: "after", Name: "After", Direction: record.OneWay}
	asked = record.Webhook{ID: "pre_asked", Key: "asked", Name: "Asked", Direction: record.TwoWay}
)

// life drives one request through Decide.
type life struct {
	t     *testing.T
	rules Rules
	ctx   Context
	now   time.Time
	rec   *record.Record
	ids   int
}

func setup(t *testing.T) *life {
	t.Helper()
	days := 45
	return &life{
		t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		rules: Rules{
			DeliveryMaxAge: 24 * time.Hour, DelayTimeout: 60 * time.Hour, ReleaseAfter: 30 * time.Second,
			ExecutionTimeout: 24 * time.Hour, Epoch: "ep",
		},
		ctx: Context{Policy: &catalog.Policy{
			Policy: record.Policy{
				ID: "pol_p", Key: "p", ExecutionTimeframe: &days,
				Rules: []record.Rule{{Key: "r", ActionType: record.ActionErasure}},
			},
			Pre: []record.Webhook{one, two, three}, Post: []record.Webhook{after},
		}},
	}
}

func (l *life) give(in Input) work.Answer {
	l.ids++
	if in.ID == "" {
		in.ID = fmt.Sprint("in", l.ids)
	}
	in.Context = l.ctx
	out := l.rules.Decide(l.rec, in, l.now)
	if out.Next != nil {
		l.rec = out.Next
	}
	return out.Answer
}

func (l *life) command(name string) work.Answer {
	return l.give(Input{Command: &work.Command{
		Name: name, RequestID: "pri_1", Actor: "client",
		Submission: &record.Submission{PolicyKey: "p", RequestedAt: l.now},
	}})
}

func (l *life) timeout() work.Answer {
	return l.give(Input{Command: &work.Command{Name: work.Timeout, RequestID: "pri_1", CallID: l.rec.Wait.CallID}})
}

func (l *life) webhook(eventType string, data events.WebhookData) work.Answer {
	if data.CallID == "" {
		data.CallID = l.rec.Wait.CallID
	}
	return l.give(Input{Webhook: &WebhookFact{Type: eventType, Data: data}})
}

func (l *life) callback(eventType, callID, staged string) work.Answer {
	return l.give(Input{Callback: &CallbackFact{Type: eventType, Data: events.CallbackData{CallID: callID, StagedKey: staged}}})
}

// facts are the types in the outbox, less what is common to all.
func (l *life) facts() string {
	var names []string
	for _, r := range l.rec.Outbox {
		if r.Kind == record.RecipeFact {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(r.Type, "dev.parley."), ".v1"))
		}
	}
	return strings.Join(names, " ")
}

// calls are the keys of the webhooks whose call is in the outbox.
func (l *life) calls() []string {
	var keys []string
	for _, r := range l.rec.Outbox {
		if r.Kind == record.RecipeCall {
			keys = append(keys, r.Webhook.Key)
		}
	}
	return keys
}

func (l *life) want(status record.Status, facts string, calls ...string) {
	l.t.Helper()
	if l.rec.Status != status {
		l.t.Fatalf("status %s, want %s", l.rec.Status, status)
	}
	if got := l.facts(); got != facts {
		l.t.Fatalf("facts %q, want %q", got, facts)
	}
	if got := l.calls(); !slices.Equal(got, calls) {
		l.t.Fatalf("calls %q, want %q", got, calls)
	}
}

func (l *life) refused(a work.Answer, code string) {
	l.t.Helper()
	if a.Accepted || a.Code != code {
		l.t.Fatalf("answer %+v, want refusal %s", a, code)
	}
}

// running brings the request to the two_way call of the second webhook.
func (l *life) running() string {
	l.t.Helper()
	l.command(work.Submit)
	l.webhook(events.WebhookSucceeded, events.WebhookData{})
	l.want(record.InProcessing, "webhook.requested", "two")
	return l.rec.Wait.CallID
}

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

func TestResume(t *testing.T) {
	t.Parallel()
	t.Run("early", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		if a := l.callback(events.CallbackResumed, call, "pri_1.b"); !a.Accepted {
			t.Fatalf("early resume: %+v", a)
		}
		l.refused(l.callback(events.CallbackResumed, call, "pri_1.c"), work.RejectedStatus)
		l.webhook(events.WebhookHalted, events.WebhookData{StagedKey: "pri_1.a"})
		l.want(record.InProcessing, "request.resumed webhook.requested", "three")
		if !slices.Equal(l.rec.Staged, []string{"pri_1.a", "pri_1.b"}) {
			t.Errorf("accepted identities %v", l.rec.Staged)
		}
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.callback(events.CallbackResumed, call, "")
		l.refused(l.callback(events.CallbackResumed, call, "pri_1.late"), work.RejectedStatus)
		if len(l.rec.Staged) != 0 {
			t.Errorf("a refused resume changed the identity: %v", l.rec.Staged)
		}
	})
	t.Run("by a person", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		l.running()
		l.refused(l.command(work.Resume), work.RejectedStatus)
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.command(work.Resume)
		l.want(record.InProcessing, "request.resumed webhook.requested", "three")
	})
	t.Run("against expiry", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.callback(events.CallbackExpired, call, "")
		l.want(record.Failed, "request.failed")
		if got := l.rec.Outbox[0].Message; got != MessageExpired {
			t.Errorf("message %q", got)
		}
		l.refused(l.callback(events.CallbackResumed, call, ""), work.RejectedStatus)
	})
	t.Run("of an earlier halt", func(t *testing.T) {
		t.Parallel()
		l := setup(t)
		call := l.running()
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.callback(events.CallbackResumed, call, "")
		l.webhook(events.WebhookHalted, events.WebhookData{})
		l.want(record.Paused, "request.paused")
		l.refused(l.callback(events.CallbackResumed, call, ""), work.RejectedStatus)
		l.refused(l.callback(events.CallbackExpired, call, ""), work.RejectedNotAwaited)
	})
}

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
