package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// remembered is how many ids of accepted inputs a record keeps. An input can
// come again after a crash, and then before anything newer than what the
// consumer had in flight for the same request.
const remembered = 8

// draft is a record on its way to its next revision.
type draft struct {
	rules Rules
	in    Input
	now   time.Time
	rec   *record.Record
}

// open begins the next revision with a copy of rec. Lists that are pinned are
// shared, since nothing changes them in place.
func (ru Rules) open(rec *record.Record, in Input, now time.Time) *draft {
	next := *rec
	next.Outbox = nil
	next.Staged = slices.Clone(rec.Staged)
	next.Repliers = slices.Clone(rec.Repliers)
	next.Commands = slices.Clone(rec.Commands)
	next.Undelivered = slices.Clone(rec.Undelivered)
	if rec.Wait != nil {
		wait := *rec.Wait
		next.Wait = &wait
	}
	next.Revision++
	next.Epoch = ru.Epoch
	next.UpdatedAt = now
	if in.Trace != "" {
		next.Trace = in.Trace
	}
	return &draft{rules: ru, in: in, now: now, rec: &next}
}

// accept ends the decision: the draft is the next record.
func (d *draft) accept() Outcome {
	if d.in.Command != nil || d.in.Callback != nil {
		d.rec.Commands = append(d.rec.Commands, d.in.ID)
		if extra := len(d.rec.Commands) - remembered; extra > 0 {
			d.rec.Commands = slices.Clone(d.rec.Commands[extra:])
		}
	}
	return Outcome{Next: d.rec, Answer: work.Answer{Accepted: true, Status: d.rec.Status}}
}

// refuse ends the decision: nothing changes.
func (d *draft) refuse(code string) Outcome { return reject(code, d.rec.Status) }

// ignore ends the decision on an answer to a step that is not waited for.
func (d *draft) ignore() Outcome { return d.refuse(work.RejectedNotAwaited) }

// waitsFor says whether the record waits, in the given way, for the call.
func (d *draft) waitsFor(kind record.WaitKind, callID string) bool {
	w := d.rec.Wait
	return w != nil && w.Kind == kind && w.CallID == callID
}

func (d *draft) actor() string {
	if d.in.Command == nil {
		return ""
	}
	return d.in.Command.Actor
}

// put appends a recipe to the outbox, with what all have.
func (d *draft) put(r record.Recipe) {
	r.ID = fmt.Sprintf("%s.%d.%s.%d", d.rec.ID, d.rec.Revision, d.rec.Epoch, len(d.rec.Outbox))
	r.Time = d.now
	r.Trace = d.in.Trace
	d.rec.Outbox = append(d.rec.Outbox, r)
}

// fact orders a fact about the request as it now is; set adds what belongs to
// this one.
func (d *draft) fact(eventType string, set func(*record.Recipe)) {
	d.rec.Sequence++
	r := record.Recipe{
		Kind: record.RecipeFact, Type: eventType, Sequence: d.rec.Sequence,
		Status: d.rec.Status, Step: d.rec.Run.Step, Actor: d.actor(),
	}
	if set != nil {
		set(&r)
	}
	d.put(r)
}

// because is the common way to fill a fact.
func because(reason string) func(*record.Recipe) {
	return func(r *record.Recipe) { r.Reason = reason }
}

// touch orders that the life of the identity begins anew.
func (d *draft) touch() { d.put(record.Recipe{Kind: record.RecipeTouch}) }

// call orders a call of a webhook and returns its id.
func (d *draft) call(phase record.Phase, hook record.Webhook, until time.Time) string {
	return d.callInPlaceOf("", phase, hook, until)
}

// callInPlaceOf orders a call, in place of an undelivered one where it is named.
func (d *draft) callInPlaceOf(undelivered string, phase record.Phase, hook record.Webhook, until time.Time) string {
	d.rec.Run.Order++
	id := record.WebhookCall(d.rec.ID, d.rec.Run.Number, phase, hook.ID, d.rec.Run.Order).String()
	set := func(r *record.Recipe) {
		r.CallID, r.ResendOf, r.Webhook, r.Phase, r.Until = id, undelivered, &hook, phase, &until
	}
	d.fact(events.WebhookRequested, set)
	r := record.Recipe{Kind: record.RecipeCall}
	set(&r)
	d.put(r)
	return id
}

// wait begins a wait.
func (d *draft) wait(kind record.WaitKind, callID string, until time.Time) {
	d.rec.Wait = &record.Wait{Kind: kind, CallID: callID, Since: d.now, Until: until}
}

// endWait ends the wait and returns the call that was waited for.
func (d *draft) endWait() string {
	d.rec.EarlyResume = nil
	if d.rec.Wait == nil {
		return ""
	}
	id := d.rec.Wait.CallID
	d.rec.Wait = nil
	return id
}
