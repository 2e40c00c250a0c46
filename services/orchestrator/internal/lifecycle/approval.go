package lifecycle

import (
	"slices"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// Replies of pre-approval webhooks.
const (
	replyEligible    = "eligible"
	replyNotEligible = "not_eligible"
)

// seekApproval takes the approval step of contract §6.2: approved at once,
// pre-approval webhooks, or a person.
func (d *draft) seekApproval() {
	ctx := d.in.Context
	switch {
	case !ctx.ManualApproval || d.rec.Policy.Action() == record.ActionConsent:
		d.approve(events.ReasonAutomatic)
	case len(ctx.PreApproval) > 0:
		d.askRepliers(ctx.PreApproval)
	default:
		d.rec.Status = record.Pending
	}
}

// askRepliers pins the webhooks that have to reply and calls them all.
func (d *draft) askRepliers(hooks []record.Webhook) {
	until := d.now.Add(d.rules.DeliveryMaxAge)
	d.rec.Status = record.AwaitingPreApproval
	d.fact(events.RequestAwaitingPreApproval, func(r *record.Recipe) {
		r.Message, r.Until = messageTriggered(hooks), &until
	})
	d.rec.Repliers = nil
	for _, hook := range hooks {
		id := d.call(record.PreApproval, hook, until)
		d.rec.Repliers = append(d.rec.Repliers, record.Replier{Webhook: hook, CallID: id})
	}
	all := record.WebhookCall(d.rec.ID, d.rec.Run.Number, record.PreApproval, "all", d.rec.Run.Order)
	d.wait(record.WaitPreApproval, all.String(), until)
}

// replied takes the reply of a pre-approval webhook (contract §6.9). One that was
// deleted has no say any more (contract §11).
func (d *draft) replied(callID, reply string) Outcome {
	if d.rec.Status != record.Pending && d.rec.Status != record.AwaitingPreApproval {
		return d.refuse(work.RejectedStatus)
	}
	i := slices.IndexFunc(d.rec.Repliers, func(r record.Replier) bool { return r.CallID == callID })
	switch {
	case i < 0, !d.exists(d.rec.Repliers[i].Webhook.ID):
		return d.ignore()
	case d.rec.Repliers[i].Reply != "":
		return d.refuse(work.RejectedReplied)
	}
	d.rec.Repliers[i].Reply = reply
	hook := d.rec.Repliers[i].Webhook
	if reply == replyEligible {
		d.fact(events.RequestPreApprovalEligible, func(r *record.Recipe) {
			r.Webhook, r.CallID, r.Message = &hook, callID, messageEligible(hook)
		})
	}
	if reply == replyNotEligible {
		d.endWait()
		d.rec.Status = record.PreApprovalNotEligible
		d.fact(events.RequestPreApprovalNotEligible, func(r *record.Recipe) {
			r.Reason, r.Webhook, r.CallID = events.ReasonPreApproval, &hook, callID
			r.Message = messageNotEligible(hook)
		})
		return d.accept()
	}
	if d.allEligible() {
		d.approveByRepliers(&hook)
	}
	return d.accept()
}

// recount looks whether those pre-approval webhooks that still exist decide by
// themselves, since others were deleted before they replied. With none left the
// request is for a person (beyond §2).
func (d *draft) recount() Outcome {
	if d.rec.Status != record.AwaitingPreApproval {
		return d.ignore()
	}
	var last *record.Webhook
	for _, r := range d.rec.Repliers {
		if d.exists(r.Webhook.ID) {
			last = &r.Webhook
		}
	}
	switch {
	case last == nil:
		d.allEligible() // notes who is gone
		d.waitForPerson(events.ReasonPreApprovalNoRepliers, messagePreApprovalNoneLeft)
	case d.allEligible():
		d.approveByRepliers(last)
	default:
		return d.ignore()
	}
	return d.accept()
}

// approveByRepliers approves with the reply of the last one.
func (d *draft) approveByRepliers(last *record.Webhook) {
	d.endWait()
	d.review()
	d.rec.Status = record.Approved
	d.fact(events.RequestApproved, func(r *record.Recipe) {
		r.Reason, r.Message, r.Webhook = events.ReasonPreApproval, messageAutoApproved, last
	})
	d.start()
}

// allEligible says whether every webhook that is still expected has replied.
// One that was deleted before it replied no longer counts.
func (d *draft) allEligible() bool {
	all := true
	for i, r := range d.rec.Repliers {
		switch {
		case r.Reply == "" && !d.exists(r.Webhook.ID):
			d.rec.Repliers[i].Gone = true
		case r.Reply != replyEligible:
			all = false
		}
	}
	return all
}

// exists says whether there still is a pre-approval webhook.
func (d *draft) exists(id string) bool {
	return slices.ContainsFunc(d.in.Context.PreApproval, func(h record.Webhook) bool { return h.ID == id })
}

// approvedByRepliers says whether it was the pre-approval webhooks that approved
// the request: they do so with the last reply, before a person can.
func (d *draft) approvedByRepliers() bool {
	return len(d.rec.Repliers) > 0 && !slices.ContainsFunc(d.rec.Repliers, func(r record.Replier) bool {
		return r.Reply != replyEligible && !r.Gone
	})
}

// waitForPerson puts the request back to pending; replies that still come are
// taken.
func (d *draft) waitForPerson(reason, message string) {
	d.endWait()
	d.rec.Status = record.Pending
	d.fact(events.RequestPending, func(r *record.Recipe) { r.Reason, r.Message = reason, message })
}

// approve approves and starts the run.
func (d *draft) approve(reason string) {
	d.rec.Status = record.Approved
	d.fact(events.RequestApproved, because(reason))
	d.start()
}
