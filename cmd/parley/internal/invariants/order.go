package invariants

import (
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

// order looks at the orders of the orchestrator, which follow the pinned lists
// one by one, and at the calls, which follow the orders.
func (k *checker) order() {
	hooks := append(append([]record.Webhook{}, k.at.record.Run.Pre...), k.at.record.Run.Post...)
	last, again := -1, false
	for _, f := range k.at.facts {
		if f.Name == "request.retried" {
			again = true
		}
		call, err := record.ParseCallID(f.CallID)
		if f.Name != "webhook.requested" || f.ResendOf != "" || err != nil || call.WebhookPhase() == record.PreApproval {
			continue
		}
		switch {
		case last+1 < len(hooks) && hooks[last+1].ID == call.Target:
			last++
		case again && last >= 0 && hooks[last].ID == call.Target:
		default:
			k.violate(RuleOrder, "webhook %s was ordered after %d of %d: %s", call.Target, last+1, len(hooks), k.at.story())
			return
		}
		again = false
	}
	if k.at.record.Status == record.Complete && last != len(hooks)-1 {
		k.violate(RuleOrder, "is complete after %d of %d webhooks: %s", last+1, len(hooks), k.at.story())
	}
	k.arrivals()
}

// arrival is the first time that a call came.
type arrival struct {
	Call
	id record.CallID
}

// arrivals looks at the order in which calls came for the first time. One_way
// calls whose first attempt did not get there come when they can.
func (k *checker) arrivals() {
	var seen []arrival
	known := map[string]bool{}
	for _, c := range k.at.calls {
		id, err := record.ParseCallID(c.WebhookID)
		if err != nil || id.RequestID != k.at.id {
			k.violate(RuleUnexpected, "a call has the id %q", c.WebhookID)
			continue
		}
		if known[c.WebhookID] || id.WebhookPhase() == record.PreApproval {
			continue
		}
		known[c.WebhookID] = true
		for _, before := range seen {
			late := c.Direction == record.OneWay && k.at.mayBeLate(c)
			if before.id.Run == id.Run && before.id.Order > id.Order && !late {
				k.violate(RuleOrder, "%s came after %s: %s", c.WebhookID, before.WebhookID, k.at.story())
			}
		}
		seen = append(seen, arrival{c, id})
	}
}

// releaseAfter is when a one_way call that was not made yet no longer holds the
// request.
const releaseAfter = 30 * time.Second

// mayBeLate says whether a one_way call was attempted before in vain, or waited
// too long, or was sent again.
func (r *request) mayBeLate(c Call) bool {
	for _, f := range r.facts {
		if f.CallID != c.WebhookID {
			continue
		}
		if f.Name == "webhook.attempted" || f.Name == "webhook.undelivered" || f.ResendOf != "" ||
			f.Name == "webhook.requested" && c.At.Sub(f.At) > releaseAfter {
			return true
		}
	}
	return false
}

// ended looks for calls that came when the request had ended: after a
// cancellation or a denial none does, after any end no two_way one.
func (k *checker) ended() {
	for _, c := range k.at.calls {
		end := k.at.endBefore(c.At)
		if end == nil || c.At.Sub(end.At) <= k.Slack {
			continue
		}
		forbidden := c.Direction == record.TwoWay || end.Status == record.Canceled || end.Status == record.Denied
		if forbidden && !k.broken(end.At, c.At, Slowed) {
			k.violate(RuleEnded, "%s came %s after %s: %s", c.WebhookID, c.At.Sub(end.At), end.Name, k.at.story())
		}
	}
}

// endBefore is the fact by which the request had ended at a moment, nil where
// it ran.
func (r *request) endBefore(at time.Time) *Fact {
	var end *Fact
	for i, f := range r.facts {
		if f.Number == 0 || f.Name == "webhook.requested" || f.At.After(at) {
			continue
		}
		if end = nil; f.Status.Ended() {
			end = &r.facts[i]
		}
	}
	return end
}
