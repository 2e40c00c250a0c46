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
