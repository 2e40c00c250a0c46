package invariants

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// settling is how long after a fault its consequences may be seen: what was in
// hand is found out to be lost, and connections are made again.
const settling = 5 * time.Second

// Kind is what a fault may explain.
type Kind int

// What faults explain.
const (
	// Lost: an answer, a publish or an acknowledgement of the dispatcher.
	Lost Kind = iota
	// Slowed: the dispatcher, between looking and calling.
	Slowed
)

func (f Fault) explains(kind Kind) bool {
	if kind == Slowed {
		return f.Target == "dispatcher" && f.What == "stop" || f.Target == NATS && f.What == "stop"
	}
	return f.Target == "dispatcher" || f.Target == NATS
}

// broken says whether a fault of a kind explains what is between two moments.
func (k *checker) broken(from, to time.Time, kind Kind) bool {
	return k.faults(from, to, kind) > 0
}

func (k *checker) faults(from, to time.Time, kind Kind) (n int) {
	for _, f := range k.Faults {
		if f.explains(kind) && !f.From.After(to) && !f.To.Add(settling).Before(from) {
			n++
		}
	}
	return n
}

// resumes looks at what ended halts.
func (k *checker) resumes() {
	halted := map[string]bool{}
	for _, c := range k.at.calls {
		if c.Halt {
			halted[c.WebhookID] = true
		}
	}
	until := map[string]time.Time{}
	for _, f := range k.at.facts {
		switch {
		case f.Name == "webhook.halted":
			until[f.CallID] = f.Until
			fallthrough
		case f.Name == "request.paused", f.Name == "request.resumed":
			if !halted[f.CallID] {
				k.violate(RuleResume, "%s of %s, which nobody halted: %s", f.Name, f.CallID, k.at.story())
			}
		case f.Name == "request.failed" && f.Reason == events.ReasonHaltExpired:
			// whole seconds, and clocks of several processes
			if end, ok := until[f.CallID]; !ok || f.At.Before(end.Add(-time.Second)) {
				k.violate(RuleResume, "the halt of %s expired at %s, before %s", f.CallID, f.At, end)
			}
		}
	}
}

// repeats looks at calls that came more than once: further attempts were
// announced, and the rest is explained by faults. A webhook gets a new id with
// a retry or a resend alone.
func (k *checker) repeats() {
	byID, first := map[string][]Call{}, map[string]time.Time{}
	for _, c := range k.at.calls {
		byID[c.WebhookID] = append(byID[c.WebhookID], c)
		if first[c.WebhookID].IsZero() {
			first[c.WebhookID] = c.At
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		calls := byID[id]
		ordered, attempts := k.at.count("webhook.requested", id), k.at.count("webhook.attempted", id)
		if ordered != 1 {
			k.violate(RuleRepeat, "%s was called and ordered %d times", id, ordered)
		}
		extra := len(calls) - 1 - attempts
		if extra <= 0 {
			continue
		}
		last := calls[len(calls)-1].At
		if explained := k.faults(first[id], last, Lost); extra > explained {
			k.violate(RuleRepeat, "%s came %d times, %d further attempts were announced and %d faults could have repeated it: %s",
				id, len(calls), attempts, explained, k.at.story())
		}
	}
	k.newIDs()
}

// newIDs counts the ids under which each webhook was ordered.
func (k *checker) newIDs() {
	orders, again := map[string]int{}, 1
	for _, f := range k.at.facts {
		if f.Name == "request.retried" {
			again++
		}
		call, err := record.ParseCallID(f.CallID)
		if f.Name != "webhook.requested" || f.ResendOf != "" || err != nil {
			continue
		}
		of := call.Phase + " " + call.Target
		if orders[of]++; orders[of] > again {
			k.violate(RuleRepeat, "webhook %s has %d ids after %d retries: %s", of, orders[of], again-1, k.at.story())
		}
	}
}

// count counts the facts of a name about a call.
func (r *request) count(name, callID string) (n int) {
	for _, f := range r.facts {
		if f.Name == name && f.CallID == callID {
			n++
		}
	}
	return n
}

// ends of a call.
var ends = []string{"webhook.succeeded", "webhook.halted", "webhook.failed", "webhook.undelivered", "webhook.skipped"}

// answered looks whether all that was ordered came to an end, and whether what
// is said to have succeeded was called.
func (k *checker) answered() {
	stopped := k.at.record.Status == record.Canceled || k.at.record.Status == record.Denied
	for _, f := range k.at.facts {
		if f.Name == "webhook.succeeded" || f.Name == "webhook.halted" {
			if !k.at.was(f.CallID, func(c Call) bool { return c.Status == http.StatusOK }) {
				k.violate(RuleAnswered, "%s of %s, which no receiver answered so", f.Name, f.CallID)
			}
		}
		if f.Name != "webhook.requested" {
			continue
		}
		n := 0
		for _, name := range ends {
			n += k.at.count(name, f.CallID)
		}
		if n == 0 && !stopped && !k.at.abandoned(f.CallID) || n > max(1, k.at.taken(f.CallID)) {
			k.violate(RuleAnswered, "%s has %d ends: %s", f.CallID, n, k.at.story())
		}
	}
}

// was says whether there was such a call.
func (r *request) was(callID string, such func(Call) bool) bool {
	return slices.ContainsFunc(r.calls, func(c Call) bool { return c.WebhookID == callID && such(c) })
}

// taken counts how often a receiver answered a call with success. Each time may
// be told: a fault can let a call be made once more under its next attempt, and
// repeats says whether there was one.
func (r *request) taken(callID string) (n int) {
	for _, c := range r.calls {
		if c.WebhookID == callID && c.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// abandoned says whether the request stopped waiting for a call: its time had
// passed, or a person decided before the pre-approval did.
func (r *request) abandoned(callID string) bool {
	if id, err := record.ParseCallID(callID); err == nil && id.WebhookPhase() == record.PreApproval {
		return true
	}
	return slices.ContainsFunc(r.facts, func(f Fact) bool {
		return f.Name == "request.failed" && f.Reason == events.ReasonWebhookTimeout && f.CallID == callID
	})
}
