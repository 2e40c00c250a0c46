package invariants

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

func complete() *story { return begun().halts().goesOn().completes() }

// TestNothingIsFound plays what is as it should be.
func TestNothingIsFound(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*story{
		"a request that completes":       complete(),
		"one that is canceled":           begun().halts().cancels(),
		"one whose halt expires":         expired(6 * time.Second),
		"one that is retried":            retried(),
		"a resume that came early":       early(events.ReasonResumedEarly),
		"a call on its way":              canceledThenCalled(500 * time.Millisecond),
		"a call of a stopped dispatcher": canceledThenCalled(10*time.Second).broken("stop", "dispatcher"),
		"a further attempt": repeated(func(s *story) {
			s.fact("webhook.attempted", about(call("C", 3)))
		}),
		"a repeat after the death of the dispatcher": repeated(nil).broken("kill", "dispatcher"),
		"a repeat after a fault of NATS":             repeated(nil).broken("stop", NATS),
		"a repeat that has an end too": repeated(func(s *story) {
			s.fact("webhook.succeeded", about(call("C", 3)))
		}).broken("stop", NATS),
		"a late one_way call that was attempted": late(record.OneWay, func(s *story) {
			s.fact("webhook.attempted", about(call("A", 1)))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range Check(s.Collected) {
				t.Error(v)
			}
		})
	}
}

// TestEveryViolationIsFound breaks one rule after the other.
func TestEveryViolationIsFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		rule string
		s    *story
	}{
		{"a fact that stands twice", RuleHistory, change(func(s *story) { s.Facts = append(s.Facts, s.Facts[5]) })},
		{"a missing number", RuleHistory, change(func(s *story) { s.Facts = slices.Delete(s.Facts, 1, 2) })},
		{"two ends", RuleHistory, change(func(s *story) { s.says("request.canceled", record.Canceled) })},
		{"an end twice", RuleHistory, change(func(s *story) { s.says("request.completed", record.Complete) })},
		{"a fact with another status", RuleHistory, change(func(s *story) { s.Facts[1].Status = record.Pending })},
		{"a resume while nothing is paused", RuleHistory, early(events.ReasonResumed)},
		{"a request that runs", RuleStuck, begun().is(record.InProcessing)},
		{"a wait after the end", RuleStuck, change(func(s *story) {
			rec := s.Records[id]
			rec.Wait = &record.Wait{Kind: record.WaitCall}
			s.Records[id] = rec
		})},
		{"an error that need not be", RuleStuck, begun().fails(call("A", 1), events.ReasonWebhookFailed)},
		{"a record that says something else", RuleAgreement, complete().is(record.Canceled)},
		{"a list that shows something else", RuleAgreement, change(func(s *story) { s.Shown[id] = record.Paused })},
		{"a database that does not know it", RuleAgreement, change(func(s *story) { delete(s.Stored, id) })},
		{"a webhook that was left out", RuleOrder, begun().goesOn().completes()},
		{"an end before the last webhook", RuleOrder, begun().halts().completes()},
		{"calls in another order", RuleOrder, late(record.TwoWay, nil)},
		{"a late one_way call for no reason", RuleOrder, late(record.OneWay, nil)},
		{"a call after the cancellation", RuleEnded, canceledThenCalled(2 * time.Second)},
		{"a two_way call after the end", RuleEnded, change(func(s *story) { s.now = s.now.Add(time.Minute); s.called(call("C", 3), record.TwoWay) })},
		{"a stop of somebody else", RuleEnded, canceledThenCalled(10*time.Second).broken("stop", "callback")},
		{"a resume of what nobody halted", RuleResume, change(func(s *story) { s.Calls[1].Halt = false })},
		{"an expiry before its time", RuleResume, expired(time.Second)},
		{"a repeat for no reason", RuleRepeat, repeated(nil)},
		{"a repeat after a fault of somebody else", RuleRepeat, repeated(nil).broken("kill", "config")},
		{"more repeats than faults", RuleRepeat, repeated(func(s *story) { s.called(call("C", 3), record.TwoWay, known) }).broken("kill", NATS)},
		{"a second id without a retry", RuleRepeat, begun().halts().repeatsOrder("B", 3)},
		{"a call that nobody ordered", RuleRepeat, change(func(s *story) { s.called(call("C", 9), record.TwoWay, known) })},
		{"a call without an end", RuleAnswered, change(func(s *story) { s.Facts = slices.Delete(s.Facts, 4, 5) })},
		{"a call with two ends", RuleAnswered, change(func(s *story) { s.fact("webhook.undelivered", about(call("A", 1))) })},
		{"two ends of what was called once", RuleAnswered, change(func(s *story) { s.fact("webhook.succeeded", about(call("A", 1))) })},
		{"a success that was none", RuleAnswered, change(func(s *story) { s.Calls[0].Status = 500 })},
		{"an identity that was derived and lost", RuleIdentity, change(func(s *story) { delete(s.Calls[2].Identity, "phone") })},
		{"an identity that came with the resume and was lost", RuleIdentity, change(func(s *story) { s.Calls[2].Identity["email"] = "a@example.com" })},
		{"a cancellation that was promised", RulePromise, change(func(s *story) {
			s.Promises = append(s.Promises, Promise{RequestID: id, What: Canceled})
		})},
		{"a resume of another call that was promised", RulePromise, change(func(s *story) {
			s.Promises = append(s.Promises, Promise{RequestID: id, What: Resumed, CallID: call("C", 3)})
		})},
		{"a request that was promised", RuleUnexpected, change(func(s *story) {
			s.Promises = append(s.Promises, Promise{RequestID: "pri_b", What: Created})
		})},
		{"a request in the list alone", RuleUnexpected, change(func(s *story) { s.Shown["pri_b"] = record.Complete })},
		{"a call with an id of nothing", RuleUnexpected, change(func(s *story) { s.called("x", record.OneWay) })},
		{"work that is left", RuleLeftovers, change(func(s *story) { s.Work = []string{"dsr.work.command.pri_a"} })},
		{"a consumer that lags", RuleLeftovers, change(func(s *story) { s.Unread = []string{"1"} })},
		{"a halt that is kept", RuleLeftovers, change(func(s *story) { s.Halts = []string{call("B", 2)} })},
		{"a person in a log", RulePersonal, change(func(s *story) { s.Personal = []Found{{"e-mail", "a log"}} })},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := Check(test.s.Collected)
			if !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == test.rule }) {
				t.Errorf("found %v, want a violation of %q", found, test.rule)
			}
		})
	}
}

// change spoils a story that is as it should be.
func change(spoil func(*story)) *story {
	s := complete()
	spoil(s)
	return s
}

// broken has something broken from before the story until its end.
func (s *story) broken(what, target string) *story {
	s.Faults = append(s.Faults, Fault{What: what, Target: target, From: began, To: s.now})
	return s
}

// repeatsOrder orders a webhook once more, for no reason.
func (s *story) repeatsOrder(target string, order int) *story {
	s.says("request.resumed", record.InProcessing, about(call(target, order-1)), because(events.ReasonResumed))
	s.says("webhook.requested", "", about(call(target, order)))
	return s.cancels()
}

func known(c *Call) { c.Identity = map[string]string{"email": "b@example.com", "phone": "1"} }

// repeated makes the third call twice, within the slack.
func repeated(between func(*story)) *story {
	s := complete()
	s.Slack = time.Minute
	s.called(call("C", 3), record.TwoWay, known)
	if between != nil {
		between(s)
	}
	return s
}

// late makes the first call after the second one.
func late(direction string, between func(*story)) *story {
	s := complete()
	s.Calls[0].Direction = direction
	s.Calls[0].At = s.Calls[1].At.Add(time.Second / 2)
	if between != nil {
		between(s)
	}
	return s
}

// expired is a halt whose time is said to be over so long after it began.
func expired(after time.Duration) *story {
	s := begun().halts()
	s.now = s.Facts[len(s.Facts)-2].At.Add(after)
	s.MayFail = []string{events.ReasonHaltExpired}
	return s.fails(call("B", 2), events.ReasonHaltExpired)
}

// retried is a request that failed at its second webhook, and was called under
// a new id.
func retried() *story {
	s := begun()
	s.says("webhook.requested", "", about(call("B", 2)))
	s.called(call("B", 2), record.TwoWay, func(c *Call) { c.Status = 500 })
	s.fact("webhook.failed", about(call("B", 2)))
	s.says("request.failed", record.Failed, about(call("B", 2)), because(events.ReasonWebhookFailed))
	s.says("request.retried", record.InProcessing)
	s.says("webhook.requested", "", about(call("B", 3)))
	s.called(call("B", 3), record.TwoWay)
	s.fact("webhook.succeeded", about(call("B", 3)))
	return s.cancels()
}

// early is a resume that came before the halt.
func early(reason string) *story {
	s := begun()
	s.says("webhook.requested", "", about(call("B", 2)))
	s.called(call("B", 2), record.TwoWay, func(c *Call) { c.Halt = true })
	s.fact("webhook.halted", about(call("B", 2)))
	s.says("request.resumed", record.InProcessing, about(call("B", 2)), because(reason))
	return s.cancels()
}

// canceledThenCalled calls the first webhook again so long after the end.
func canceledThenCalled(after time.Duration) *story {
	s := begun()
	s.fact("webhook.attempted", about(call("A", 1)))
	s.cancels()
	s.now = s.now.Add(after - time.Second)
	s.called(call("A", 1), record.OneWay)
	return s
}
