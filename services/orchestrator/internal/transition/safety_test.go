package transition_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

// unpublished gives the record of a submission whose writer died between the
// commit and the publishes.
func (b *bench) unpublished(id string, pre ...record.Webhook) *record.Record {
	b.t.Helper()
	b.policy(pre, nil)
	policy, err := b.catalog.Policy(b.t.Context(), "p1")
	must(b.t, err)
	out := b.loop.Rules.Decide(nil, lifecycle.Input{
		ID: "submit", Command: &work.Command{
			ID: "submit", Name: work.Submit, RequestID: id,
			Submission: &record.Submission{PolicyKey: "p1", RequestedAt: time.Now()},
		},
		Context: lifecycle.Context{Policy: &policy},
	}, time.Now())
	value, err := json.Marshal(out.Next)
	must(b.t, err)
	_, err = b.requests.Create(b.t.Context(), id, value, 0)
	must(b.t, err)
	return out.Next
}

func TestTheNextInputPublishesWhatADeadWriterLeft(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.unpublished("pri_1", hook("first", record.TwoWay))
	b.run()
	dispatchertest.Play(t, b.js, dispatchertest.Succeed)

	answer := b.command(work.Command{ID: rand.Text(), Name: work.Retry, RequestID: "pri_1"})
	if answer.Accepted || answer.Code != work.RejectedStatus {
		t.Fatalf("a retry of a running request: %+v", answer)
	}
	b.facts.await(events.RequestCompleted, "pri_1")
	if created := b.facts.await(events.RequestCreated, "pri_1"); created.ID() != "pri_1.1."+b.loop.Rules.Epoch+".0" {
		t.Errorf("id of the fact: %s", created.ID())
	}
}

func TestARedeliveredInputIsAppliedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	rec := b.unpublished("pri_1", hook("first", record.TwoWay), hook("second", record.TwoWay))
	call := work.Call{CallID: rec.Wait.CallID, RequestID: "pri_1", Run: 1, Phase: record.Pre, Webhook: hook("first", record.TwoWay)}
	e, err := dispatchertest.Fact(call, dispatchertest.Report{Type: events.WebhookSucceeded})
	must(t, err)
	var data events.WebhookData
	must(t, e.DataAs(&data))
	delivery := transition.Delivery{RequestID: "pri_1", Input: lifecycle.Input{
		ID: e.ID(), Webhook: &lifecycle.WebhookFact{Type: e.Type(), Data: data},
	}}
	for range 3 {
		must(t, b.loop.Handle(t.Context(), delivery))
	}
	after := b.record("pri_1")
	if after.Run.Index != 1 || after.Revision != 2 {
		t.Errorf("index %d, revision %d after three deliveries", after.Run.Index, after.Revision)
	}
	stream, err := b.js.Stream(t.Context(), events.StreamWork)
	must(t, err)
	info, err := stream.Info(t.Context())
	must(t, err)
	if info.State.Msgs != 1 {
		t.Errorf("%d pieces of work, want the call of the second webhook alone", info.State.Msgs)
	}
}

func TestAConflictStartsOver(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	b.run()
	b.submit("pri_1")
	others := make(chan error)
	for range 8 { // all want the same request, past the order of the loop's workers
		go func() {
			others <- b.loop.Handle(context.WithoutCancel(t.Context()), transition.Delivery{
				RequestID: "pri_1", Input: lifecycle.Input{ID: rand.Text(), Command: &work.Command{
					ID: rand.Text(), Name: work.Requeue, RequestID: "pri_1",
				}},
			})
		}()
	}
	for range 8 {
		must(t, <-others)
	}
	if rec := b.record("pri_1"); rec.Run.Order != 9 {
		t.Errorf("order %d after eight requeues, want 9", rec.Run.Order)
	}
}

func TestAHaltIsResumedOnceAndEarlyOnesAreKept(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"after the halt": false, "before the halt": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
			b.run()
			b.submit("pri_1")
			callID := b.record("pri_1").Wait.CallID
			halt := func() {
				e, err := dispatchertest.Fact(
					work.Call{CallID: callID, RequestID: "pri_1", Run: 1, Phase: record.Pre},
					dispatchertest.Report{Type: events.WebhookHalted})
				must(t, err)
				must(t, events.Publish(t.Context(), b.js, e))
			}
			if !early {
				halt()
				b.facts.await(events.RequestPaused, "pri_1")
			}
			answer := b.resume("pri_1", callID)
			if !answer.Accepted {
				t.Fatalf("resume: %+v", answer)
			}
			var shown struct {
				Status   record.Status
				Finished *string `json:"finished_processing_at"`
			}
			must(t, json.Unmarshal(answer.Request, &shown))
			if shown.Status != record.InProcessing || shown.Finished != nil { // contract §6.8, though nothing is left to do
				t.Errorf("a resumed request is shown as %+v", shown)
			}
			if early {
				halt()
			}
			b.facts.await(events.RequestCompleted, "pri_1")
			if answer := b.resume("pri_1", callID); answer.Accepted || answer.Code != work.RejectedStatus {
				t.Errorf("a second resume: %+v", answer)
			}
		})
	}
}

// resume plays the callback service: a fact with an inbox for the answer.
func (b *bench) resume(id, callID string) work.Answer {
	b.t.Helper()
	e, err := events.New(events.SourceCallback, events.CallbackResumed, rand.Text(), id, time.Now(), events.CallbackData{CallID: callID})
	must(b.t, err)
	msg, err := events.Encode(e)
	must(b.t, err)
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	must(b.t, err)
	msg.Header.Set(work.HeaderReply, inbox)
	_, err = b.js.PublishMsg(b.t.Context(), msg)
	must(b.t, err)
	reply, err := sub.NextMsg(time.Minute)
	must(b.t, err)
	var a work.Answer
	must(b.t, json.Unmarshal(reply.Data, &a))
	return a
}

func TestTheReadModelIsToldBeforeTheCaller(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	b := setup(t, func(c *transition.Config) {
		c.Apply = func(_ context.Context, _ *record.Record, facts []events.Event) error {
			told.Add(int64(len(facts)))
			return errors.New("the database is away")
		}
	})
	b.policy(nil, nil)
	b.run()
	answer := b.submit("pri_1")
	if !answer.Accepted || len(answer.Request) == 0 {
		t.Errorf("without a read model: %+v", answer)
	}
	if told.Load() == 0 {
		t.Error("the read model was not told")
	}
}

// A database that has lost its last rows takes for overdue what went on long
// ago. It is told how things are, or it would never stop.
func TestATimeoutForWhatIsNotAwaitedCorrectsTheReadModel(t *testing.T) {
	t.Parallel()
	told := make(chan record.Status, 1)
	b := setup(t, func(c *transition.Config) {
		c.Apply = func(_ context.Context, rec *record.Record, facts []events.Event) error {
			if len(facts) == 0 {
				told <- rec.Status
			}
			return nil
		}
	})
	b.policy(nil, nil)
	b.run()
	b.submit("pri_1")
	b.send(work.Command{ID: rand.Text(), Name: work.Timeout, RequestID: "pri_1", CallID: "pri_1_1_pre_pol_1_1"})
	select {
	case status := <-told:
		if status != record.Complete {
			t.Errorf("told that it is %s", status)
		}
	case <-time.After(time.Minute):
		t.Error("the read model was not told")
	}
}

func TestUnreadableMessagesDoNotComeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.policy(nil, nil)
	b.run()
	_, err := b.js.Publish(t.Context(), events.CommandSubject("pri_1"), []byte("{"))
	must(t, err)
	_, err = b.js.Publish(t.Context(), "dsr.event.webhook.succeeded.pri_1", []byte("{"))
	must(t, err)
	if answer := b.submit("pri_1"); !answer.Accepted {
		t.Fatalf("behind the unreadable ones: %+v", answer)
	}
	stream, err := b.js.Stream(t.Context(), events.StreamWork)
	must(t, err)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		info, err := stream.Info(t.Context())
		must(t, err)
		if info.State.Msgs == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal("the message is still there")
		}
	}
}

func TestEndedRecordsGo(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *transition.Config) { c.Retention, c.Rules.DeliveryMaxAge = time.Second, time.Second })
	b.policy(nil, nil)
	b.run()
	b.submit("pri_1")
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := b.requests.Get(t.Context(), "pri_1")
		if errors.Is(err, topology.ErrNotFound) {
			return
		}
		must(t, err)
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal("the record is still there")
		}
	}
}

// A submission is taken for the first of its request, unread; one that comes
// again is answered by what there is, whatever has become of its policy.
func TestASubmissionThatComesAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.unpublished("pri_1", hook("first", record.TwoWay))
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	must(t, err)
	submit := func(id, policy string) (a work.Answer) {
		t.Helper()
		must(t, b.loop.Handle(t.Context(), transition.Delivery{
			RequestID: "pri_1", ReplyTo: inbox, Input: lifecycle.Input{ID: id, Command: &work.Command{
				ID: id, Name: work.Submit, RequestID: "pri_1",
				Submission: &record.Submission{PolicyKey: policy, RequestedAt: time.Now()},
			}},
		}))
		msg, err := sub.NextMsg(time.Minute)
		must(t, err)
		must(t, json.Unmarshal(msg.Data, &a))
		return a
	}
	for _, policy := range []string{"p1", "gone"} {
		if a := submit("submit", policy); !a.Accepted || a.Status != record.InProcessing {
			t.Errorf("policy %s, the same again: %+v", policy, a)
		}
		if a := submit("another", policy); a.Accepted || a.Code != work.RejectedExists {
			t.Errorf("policy %s, another: %+v", policy, a)
		}
	}
	if rec := b.record("pri_1"); rec.Revision != 1 {
		t.Errorf("the record was changed: revision %d", rec.Revision)
	}
}
