package lifecycle

import (
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// start pins the policy as it is now and takes the first step of the run.
func (d *draft) start() {
	policy := d.in.Context.Policy
	switch {
	case d.in.Context.IdentityGone:
		d.fail(events.ReasonIdentityExpired, MessageExpired, nil)
		return
	case policy == nil:
		d.fail(events.ReasonPolicyInvalid, messagePolicyGone(d.rec.Submission.PolicyKey), nil)
		return
	case len(policy.Policy.Rules) == 0:
		d.fail(events.ReasonPolicyInvalid, MessageNoRule(policy.Policy.Key), nil)
		return
	}
	d.rec.Policy = policy.Policy
	d.rec.Run = record.Run{
		Number: d.rec.Run.Number, Order: d.rec.Run.Order, Step: record.PreWebhooks,
		Pre: policy.Pre, Post: policy.Post,
	}
	d.rec.Status = record.InProcessing
	if d.rec.StartedAt == nil {
		d.rec.StartedAt = &d.now
	}
	d.fact(events.RequestStarted, nil)
	d.touch()
	d.advance()
}

// phase is the phase of the step, "" where the step calls no webhooks.
func (d *draft) phase() record.Phase {
	switch d.rec.Run.Step {
	case record.PreWebhooks:
		return record.Pre
	case record.PostWebhooks:
		return record.Post
	}
	return ""
}

// current is the webhook at work, nil outside the webhook steps.
func (d *draft) current() *record.Webhook {
	hooks, i := d.rec.Run.Webhooks(d.phase()), d.rec.Run.Index
	if d.phase() == "" || i < 0 || i >= len(hooks) {
		return nil
	}
	hook := hooks[i]
	return &hook
}

// advance takes the run on from where it stands: it orders the next call or
// execution, or ends the run.
func (d *draft) advance() {
	for {
		if hook := d.current(); hook != nil {
			d.orderCall(*hook)
			return
		}
		run := &d.rec.Run
		switch run.Step {
		case record.PreWebhooks:
			run.Step, run.Index = executionStep(d.rec.Policy), 0
			if d.rules.External {
				d.orderExecution()
				return
			}
		case record.Access, record.Erasure, record.Consent:
			run.Step, run.Index = record.PostWebhooks, 0
		default:
			d.complete()
			return
		}
	}
}

// executionStep is the step of the policy's first rule. A rule with an action
// that no executor knows is treated as access: it changes nothing.
func executionStep(p record.Policy) record.Step {
	switch p.Action() {
	case record.ActionErasure:
		return record.Erasure
	case record.ActionConsent:
		return record.Consent
	}
	return record.Access
}

func (d *draft) orderCall(hook record.Webhook) {
	until := d.now.Add(d.rules.DeliveryMaxAge)
	id := d.call(d.phase(), hook, until)
	if hook.Direction == record.TwoWay {
		d.wait(record.WaitCall, id, until)
		return
	}
	d.wait(record.WaitRelease, id, d.now.Add(d.rules.ReleaseAfter))
}

func (d *draft) orderExecution() {
	d.rec.Run.Order++
	until := d.now.Add(d.rules.ExecutionTimeout)
	action := string(d.rec.Run.Step)
	id := record.ExecutionCall(d.rec.ID, d.rec.Run.Number, action, d.rec.Run.Order).String()
	d.put(record.Recipe{Kind: record.RecipeExecute, CallID: id, Step: d.rec.Run.Step, Until: &until})
	d.wait(record.WaitExecution, id, until)
}

func (d *draft) complete() {
	d.rec.Run.Step = record.Finalization
	d.rec.Status = record.Complete
	d.rec.FinishedAt = &d.now
	message := ""
	if !d.rules.External {
		message = messageImmediate
	}
	d.fact(events.RequestCompleted, func(r *record.Recipe) { r.Message = message })
}

// fail ends the run in error; a retry goes on from where it stands.
func (d *draft) fail(reason, message string, hook *record.Webhook) {
	call := d.endWait()
	d.rec.Status = record.Failed
	d.rec.FinishedAt = &d.now
	d.fact(events.RequestFailed, func(r *record.Recipe) {
		r.Reason, r.Message, r.Webhook, r.CallID = reason, message, hook, call
		if hook != nil {
			r.Phase = d.phase()
		}
	})
}

// retry goes on at the step and webhook that failed (beyond §4).
func (d *draft) retry() Outcome {
	switch {
	case d.rec.Status != record.Failed:
		return d.refuse(work.RejectedStatus)
	case d.in.Context.IdentityGone:
		return d.refuse(work.RejectedIdentity)
	}
	d.again("")
	return d.accept()
}

// requeue orders the step at work again; an answer to the earlier order is
// then no longer waited for.
func (d *draft) requeue() Outcome {
	switch {
	case d.rec.Status != record.InProcessing && d.rec.Status != record.Approved:
		return d.refuse(work.RejectedStatus)
	case d.in.Context.IdentityGone:
		return d.refuse(work.RejectedIdentity)
	}
	d.endWait()
	d.again(events.ReasonRequeued)
	return d.accept()
}

// again takes the step at work once more, or the first one where the run never
// began.
func (d *draft) again(reason string) {
	d.rec.Status = record.InProcessing
	d.fact(events.RequestRetried, because(reason))
	switch d.rec.Run.Step {
	case "":
		d.start()
		return
	case record.Access, record.Erasure, record.Consent:
		if d.rules.External {
			d.touch()
			d.orderExecution()
			return
		}
	}
	d.touch()
	d.advance()
}

// resubmit begins the next run with what was submitted. What a person has not
// approved is not approved by it (beyond §4), and the pre-approval webhooks are
// asked again (contract §6.7).
func (d *draft) resubmit() Outcome {
	switch {
	case d.rec.Status.Final():
		return d.refuse(work.RejectedStatus)
	case d.in.Context.IdentityGone:
		return d.refuse(work.RejectedIdentity)
	}
	call, byPerson := d.endWait(), d.rec.ReviewedAt != nil && !d.approvedByRepliers()
	d.rec.Status = record.Pending
	d.rec.Staged, d.rec.Repliers, d.rec.FinishedAt = nil, nil, nil
	d.rec.Run = record.Run{Number: d.rec.Run.Number + 1}
	d.fact(events.RequestResubmitted, func(r *record.Recipe) {
		r.Reason, r.CallID = events.ReasonManual, call
	})
	if byPerson {
		d.start()
		return d.accept()
	}
	d.rec.ReviewedAt, d.rec.CustomFieldsApprovedAt = nil, nil
	d.seekApproval()
	return d.accept()
}
