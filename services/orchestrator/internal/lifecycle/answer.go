package lifecycle

import (
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// webhook takes a fact of the dispatcher.
func (d *draft) webhook(f *WebhookFact) Outcome {
	id := f.Data.CallID
	noted := d.noteUndelivered(f)
	switch {
	case d.waitsFor(record.WaitCall, id):
		return d.twoWayAnswer(f)
	case d.waitsFor(record.WaitRelease, id):
		d.endWait()
		d.rec.Run.Index++
		d.advance()
		return d.accept()
	case noted:
		return d.accept()
	case d.rec.Status == record.AwaitingPreApproval && f.Type == events.WebhookFailed:
		return d.replierUnreachable(f)
	}
	return d.ignore()
}

// twoWayAnswer takes the end of the two_way call that is waited for.
func (d *draft) twoWayAnswer(f *WebhookFact) Outcome {
	switch f.Type {
	case events.WebhookAttempted, events.WebhookRequested:
		return d.ignore() // another attempt follows
	case events.WebhookSucceeded, events.WebhookHalted:
		d.stage(f.Data.StagedKey)
		if f.Type == events.WebhookHalted && d.phase() == record.Pre && d.rec.EarlyResume == nil {
			return d.pause(f)
		}
		d.proceedEarly()
		d.rec.Run.Index++
		d.advance()
	default:
		hook := d.current()
		reason, message := failureOf(hook, f)
		d.fail(reason, message, hook)
	}
	return d.accept()
}

// stage accepts a derived identity: readers lay it over the earlier ones.
func (d *draft) stage(key string) {
	if key != "" {
		d.rec.Staged = append(d.rec.Staged, key)
	}
}

func (d *draft) pause(f *WebhookFact) Outcome {
	until := d.now.Add(d.rules.DelayTimeout)
	if f.Data.Until != nil {
		until = *f.Data.Until
	}
	d.rec.Status = record.Paused
	d.rec.PausedAt = &d.now
	d.wait(record.WaitHalt, f.Data.CallID, until)
	d.fact(events.RequestPaused, func(r *record.Recipe) {
		r.Reason, r.CallID, r.Webhook, r.Phase, r.Until =
			events.ReasonHalted, f.Data.CallID, d.current(), record.Pre, &until
	})
	d.touch()
	return d.accept()
}

// proceedEarly applies a resume that came before the call had ended, and ends
// the wait.
func (d *draft) proceedEarly() {
	early := d.rec.EarlyResume
	call := d.endWait()
	if early == nil {
		return
	}
	d.stage(early.StagedKey)
	d.fact(events.RequestResumed, func(r *record.Recipe) {
		r.Reason, r.CallID = events.ReasonResumedEarly, call
	})
}

// resume ends the halt and goes on with the next webhook.
func (d *draft) resume(reason, stagedKey string) Outcome {
	hook := d.current()
	call := d.endWait()
	d.stage(stagedKey)
	d.rec.Status = record.InProcessing
	d.fact(events.RequestResumed, func(r *record.Recipe) {
		r.Reason, r.CallID, r.Webhook, r.Phase = reason, call, hook, record.Pre
	})
	d.touch()
	d.rec.Run.Index++
	d.advance()
	return d.accept()
}

// callback takes a fact of the callback service.
func (d *draft) callback(f *CallbackFact) Outcome {
	id := f.Data.CallID
	switch f.Type {
	case events.CallbackResumed:
		return d.resumed(f)
	case events.CallbackExpired:
		if !d.waitsFor(record.WaitHalt, id) {
			return d.ignore()
		}
		d.fail(events.ReasonHaltExpired, MessageExpired, d.current())
		return d.accept()
	case events.CallbackEligible:
		return d.replied(id, replyEligible)
	case events.CallbackNotEligible:
		return d.replied(id, replyNotEligible)
	}
	return d.ignore()
}

// resumed takes a resume: of the halt that is waited for, or, early, of the
// call that has not ended yet.
func (d *draft) resumed(f *CallbackFact) Outcome {
	id := f.Data.CallID
	switch {
	case d.waitsFor(record.WaitHalt, id):
		return d.resume(events.ReasonResumed, f.Data.StagedKey)
	case d.waitsFor(record.WaitCall, id) && d.phase() == record.Pre && d.rec.EarlyResume == nil:
		d.rec.EarlyResume = &record.EarlyResume{CallID: id, StagedKey: f.Data.StagedKey}
		return d.accept()
	}
	return d.refuse(work.RejectedStatus)
}

// replierUnreachable takes the final failure of a pre-approval call: its reply
// will hardly come, so a person has to look.
func (d *draft) replierUnreachable(f *WebhookFact) Outcome {
	for _, r := range d.rec.Repliers {
		if r.CallID != f.Data.CallID || r.Reply != "" {
			continue
		}
		_, message := failureOf(&r.Webhook, f)
		d.waitForPerson(events.ReasonWebhookFailed, message)
		return d.accept()
	}
	return d.ignore()
}

// execution takes a fact of an executor.
func (d *draft) execution(f *ExecutionFact) Outcome {
	if !d.waitsFor(record.WaitExecution, f.Data.ExecutionID) {
		return d.ignore()
	}
	switch f.Type {
	case events.ExecutionCompleted:
		d.endWait()
		d.rec.Run.Step, d.rec.Run.Index = record.PostWebhooks, 0
		d.advance()
	case events.ExecutionFailed:
		if f.Data.Reason == events.ReasonIdentityExpired {
			d.fail(events.ReasonIdentityExpired, MessageExpired, nil)
			break
		}
		d.fail(events.ReasonExecutionFailed, messageExecutionFailed(f.Data.Message), nil)
	case events.ExecutionProgressed:
		until := d.now.Add(d.rules.ExecutionTimeout)
		if !until.After(d.rec.Wait.Until) {
			return d.ignore()
		}
		d.rec.Wait.Until = until
	default:
		return d.ignore()
	}
	return d.accept()
}
