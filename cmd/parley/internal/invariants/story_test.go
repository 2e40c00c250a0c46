package invariants

import (
	"fmt"
	"net/http"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

const id = "pri_a"

// began is when the story of these tests begins. Each thing happens a second
// after the one before.
var began = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// story is a collection under construction.
type story struct {
	Collected
	now    time.Time
	number uint64
	told   int
}

// call is the id of the call of a webhook, named by a letter.
func call(target string, order int) string {
	phase := record.Pre
	if target == "D" {
		phase = record.Post
	}
	return record.WebhookCall(id, 1, phase, target, order).String()
}

func (s *story) at() time.Time {
	s.now = s.now.Add(time.Second)
	return s.now
}

// says adds a fact of the orchestrator.
func (s *story) says(name string, status record.Status, more ...func(*Fact)) {
	s.number++
	s.fact(name, append(more, func(f *Fact) { f.Number, f.Status = s.number, status })...)
}

// fact adds a fact of somebody else.
func (s *story) fact(name string, more ...func(*Fact)) {
	s.told++
	f := Fact{Name: name, ID: fmt.Sprint("fact ", s.told), RequestID: id, At: s.at()}
	for _, set := range more {
		set(&f)
	}
	s.Facts = append(s.Facts, f)
}

func about(callID string) func(*Fact)   { return func(f *Fact) { f.CallID = callID } }
func because(reason string) func(*Fact) { return func(f *Fact) { f.Reason = reason } }
func staged(f *Fact)                    { f.Staged = true }

// called adds a call that was answered.
func (s *story) called(callID, direction string, more ...func(*Call)) {
	c := Call{
		WebhookID: callID, RequestID: id, Direction: direction, At: s.at(), Status: http.StatusOK,
		Identity: map[string]string{"email": "a@example.com"},
	}
	for _, set := range more {
		set(&c)
	}
	s.Calls = append(s.Calls, c)
}

// begun is a request that is approved and has called its first webhook, which is
// one_way. The second halts, the third comes after it, the fourth after the
// execution.
func begun() *story {
	s := &story{now: began}
	s.Slack = time.Second
	s.Submitted = map[string]map[string]string{id: {"email": "a@example.com"}}
	s.Resumed = map[string]map[string]string{call("B", 2): {"email": "b@example.com"}}
	s.says("request.created", record.Pending)
	s.says("request.approved", record.Approved)
	s.says("request.started", record.InProcessing)
	s.says("webhook.requested", "", about(call("A", 1)))
	s.called(call("A", 1), record.OneWay)
	s.fact("webhook.succeeded", about(call("A", 1)))
	return s
}

func (s *story) halts() *story {
	s.says("webhook.requested", "", about(call("B", 2)))
	s.called(call("B", 2), record.TwoWay, func(c *Call) { c.Halt, c.Derived = true, map[string]string{"phone": "1"} })
	s.fact("webhook.halted", about(call("B", 2)), staged, func(f *Fact) { f.Until = s.now.Add(5 * time.Second) })
	s.says("request.paused", record.Paused, about(call("B", 2)))
	return s
}

func (s *story) goesOn() *story {
	s.says("request.resumed", record.InProcessing, about(call("B", 2)), because(events.ReasonResumed))
	s.says("webhook.requested", "", about(call("C", 3)))
	s.called(call("C", 3), record.TwoWay, func(c *Call) {
		c.Identity = map[string]string{"email": "b@example.com", "phone": "1"}
	})
	s.fact("webhook.succeeded", about(call("C", 3)))
	s.says("webhook.requested", "", about(call("D", 4)))
	s.called(call("D", 4), record.OneWay)
	s.fact("webhook.succeeded", about(call("D", 4)))
	return s
}

// completes ends the story as it should end.
func (s *story) completes() *story {
	s.says("request.completed", record.Complete)
	s.Promises = []Promise{{RequestID: id, What: Created}, {RequestID: id, What: Resumed, CallID: call("B", 2)}}
	return s.is(record.Complete)
}

func (s *story) cancels() *story {
	s.says("request.canceled", record.Canceled)
	s.Promises = []Promise{{RequestID: id, What: Canceled}}
	return s.is(record.Canceled)
}

func (s *story) fails(callID, reason string) *story {
	s.says("request.failed", record.Failed, about(callID), because(reason))
	return s.is(record.Failed)
}

// is sets the status everywhere.
func (s *story) is(status record.Status) *story {
	hooks := func(targets ...string) (all []record.Webhook) {
		for _, target := range targets {
			all = append(all, record.Webhook{ID: target})
		}
		return all
	}
	s.Records = map[string]record.Record{id: {
		ID: id, Status: status, Run: record.Run{Number: 1, Pre: hooks("A", "B", "C"), Post: hooks("D")},
	}}
	s.Shown = map[string]record.Status{id: status}
	s.Stored = map[string]record.Status{id: status}
	return s
}
