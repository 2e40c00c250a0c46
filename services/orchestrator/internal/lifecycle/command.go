package lifecycle

import (
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// submit creates the record (contract §6.2) and takes the approval step.
func (ru Rules) submit(in Input, now time.Time) Outcome {
	policy := in.Context.Policy
	switch {
	case in.Command.Submission == nil || policy == nil:
		return reject(work.RejectedPolicy, "")
	case len(policy.Policy.Rules) == 0:
		return reject(work.RejectedNoRule, "")
	}
	sub := *in.Command.Submission
	d := &draft{rules: ru, in: in, now: now, rec: &record.Record{
		ID: in.Command.RequestID, Revision: 1, Epoch: ru.Epoch,
		Status: record.Pending, Submission: sub, Policy: policy.Policy,
		Run:       record.Run{Number: 1},
		CreatedAt: now, UpdatedAt: now,
		StartedAt: sub.StartedProcessingAt, FinishedAt: sub.FinishedAt,
		DueDate: dueDate(sub.RequestedAt, policy.Policy.ExecutionTimeframe),
	}}
	d.fact(events.RequestCreated, nil)
	d.seekApproval()
	return d.accept()
}

func dueDate(requestedAt time.Time, days *int) *time.Time {
	if days == nil {
		return nil
	}
	due := requestedAt.AddDate(0, 0, *days)
	if due.Year() < firstYear || due.Year() > lastYear {
		return nil // not everybody could write it down
	}
	return &due
}

// firstYear and lastYear are those between which every timestamp can be written.
const (
	firstYear = 1
	lastYear  = 9999
)

// command applies a command to a record that exists.
func (d *draft) command(c *work.Command) Outcome {
	switch c.Name {
	case work.Approve:
		if !d.reviewable() {
			return d.refuse(work.RejectedStatus)
		}
		d.endWait()
		d.review()
		d.approve(events.ReasonManual)
		return d.accept()
	case work.Deny:
		return d.deny(c)
	case work.Cancel:
		return d.cancel(c)
	case work.Resume:
		if d.rec.Status != record.Paused {
			return d.refuse(work.RejectedStatus)
		}
		return d.resume(events.ReasonResumedByPerson, "")
	case work.Retry:
		return d.retry()
	case work.Requeue:
		return d.requeue()
	case work.Resubmit:
		return d.resubmit()
	case work.SoftDelete:
		return d.softDelete(c)
	case work.Timeout:
		return d.timeout(c.CallID)
	case work.Resend:
		return d.resend(c.CallID)
	case work.Recount:
		return d.recount()
	}
	return d.ignore()
}

// reviewable are the statuses in which a person may approve or deny
// (contract §7).
func (d *draft) reviewable() bool {
	return slices.Contains([]record.Status{
		record.Pending, record.AwaitingPreApproval, record.PreApprovalNotEligible,
	}, d.rec.Status)
}

// review notes that the request was reviewed now. API clients are no users, so
// nobody is named.
func (d *draft) review() {
	d.rec.ReviewedAt = &d.now
	if d.rec.Submission.CustomFields {
		d.rec.CustomFieldsApprovedAt = &d.now
	}
}

func (d *draft) deny(c *work.Command) Outcome {
	if !d.reviewable() {
		return d.refuse(work.RejectedStatus)
	}
	d.endWait()
	d.rec.Status = record.Denied
	d.rec.ReviewedAt = &d.now
	d.rec.SealedDenyReason = c.SealedReason
	d.fact(events.RequestDenied, because(events.ReasonManual))
	return d.accept()
}

func (d *draft) cancel(c *work.Command) Outcome {
	if d.rec.Status.Ended() {
		return d.refuse(work.RejectedStatus)
	}
	call := d.endWait()
	d.rec.Status = record.Canceled
	d.rec.CanceledAt = &d.now
	d.rec.SealedCancelReason = c.SealedReason
	d.fact(events.RequestCanceled, func(r *record.Recipe) {
		r.Reason, r.CallID = events.ReasonManual, call
	})
	return d.accept()
}

// softDelete hides the request. Nothing is called for it any more, and no
// answer is waited for.
func (d *draft) softDelete(c *work.Command) Outcome {
	call := d.endWait()
	d.rec.DeletedAt = &d.now
	if c.Actor != "" {
		actor := c.Actor
		d.rec.DeletedBy = &actor
	}
	d.fact(events.RequestDeleted, func(r *record.Recipe) {
		r.Reason, r.CallID = events.ReasonManual, call
	})
	return d.accept()
}

// timeout ends the wait that the command names, if its deadline has passed.
func (d *draft) timeout(callID string) Outcome {
	w := d.rec.Wait
	if w == nil || w.CallID != callID || d.now.Before(w.Until) {
		return d.ignore()
	}
	switch w.Kind {
	case record.WaitRelease:
		d.endWait()
		d.rec.Run.Index++
		d.advance()
	case record.WaitPreApproval:
		if out := d.recount(); out.Next != nil {
			return out
		}
		d.waitForPerson(events.ReasonPreApprovalTimeout, messagePreApprovalTimeout)
	case record.WaitCall:
		hook := d.current()
		d.fail(events.ReasonWebhookTimeout, messageCallTimeout(hook, w), hook)
	case record.WaitHalt:
		d.fail(events.ReasonHaltExpired, MessageExpired, d.current())
	case record.WaitExecution:
		d.fail(events.ReasonExecutionTimeout, messageExecutionTimeout(d.rec.Run.Step, d.rules.ExecutionTimeout), nil)
	}
	return d.accept()
}
