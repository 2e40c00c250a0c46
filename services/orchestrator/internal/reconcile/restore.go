package reconcile

import (
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// restored is a record of the read model as it is put back into the bucket: one
// revision further and of a new epoch, so that nothing it publishes has an id
// that was given before. An outbox that was not settled keeps its ids, for some
// of it may have been published. Where it was settled, the work that the
// request waits for is ordered again: it may be lost with the record.
func restored(rec *record.Record, epoch string, now time.Time, maxAge time.Duration) *record.Record {
	next := *rec
	next.Revision++
	next.Epoch = epoch
	if len(rec.Outbox) == 0 {
		next.Outbox = nil
		reorder(&next, now, maxAge)
	}
	return &next
}

// reorder puts into the outbox what makes the wait of the request end.
func reorder(rec *record.Record, now time.Time, maxAge time.Duration) {
	put := func(r record.Recipe) {
		r.ID = fmt.Sprintf("%s.%d.%s.%d", rec.ID, rec.Revision, rec.Epoch, len(rec.Outbox))
		r.Time = now
		rec.Outbox = append(rec.Outbox, r)
	}
	w := rec.Wait
	if w == nil {
		return
	}
	switch w.Kind {
	case record.WaitCall, record.WaitRelease:
		until := w.Since.Add(maxAge)
		if hook, phase := current(rec); hook != nil {
			put(record.Recipe{Kind: record.RecipeCall, CallID: w.CallID, Webhook: hook, Phase: phase, Until: &until})
		}
	case record.WaitPreApproval:
		for _, r := range rec.Repliers {
			if r.Reply == "" && !r.Gone {
				put(record.Recipe{Kind: record.RecipeCall, CallID: r.CallID, Webhook: &r.Webhook, Phase: record.PreApproval, Until: &w.Until})
			}
		}
	case record.WaitExecution:
		put(record.Recipe{Kind: record.RecipeExecute, CallID: w.CallID, Step: rec.Run.Step, Until: &w.Until})
	case record.WaitHalt:
		hook, phase := current(rec)
		rec.Sequence++
		put(record.Recipe{
			Kind: record.RecipeFact, Type: events.RequestPaused, Sequence: rec.Sequence, Status: rec.Status, Step: rec.Run.Step,
			Reason: events.ReasonHalted, CallID: w.CallID, Webhook: hook, Phase: phase, Until: &w.Until,
		})
	}
}

// current is the webhook at work.
func current(rec *record.Record) (*record.Webhook, record.Phase) {
	phase := record.Pre
	if rec.Run.Step == record.PostWebhooks {
		phase = record.Post
	}
	hooks := rec.Run.Webhooks(phase)
	if rec.Run.Index >= len(hooks) {
		return nil, phase
	}
	hook := hooks[rec.Run.Index]
	return &hook, phase
}
