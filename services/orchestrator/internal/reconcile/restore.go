package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/pkg/events"
)

// restored is a record of the read model as it is put back into the bucket: one
// revision further, also than the record in whose place it is put, and of a new
// epoch, so that what it publishes from now on has no id that was given before.
//
// Facts that its outbox still has keep their ids: some of them may have been
// published, and who has seen one must know the repeat. Work gets new ids, for
// the server would drop a repeat whose first copy it has lost or delivered; who
// does it asks the record first, and a receiver knows it by its webhook-id. If
// the outbox was settled, the work that the request waits for is ordered again.
func restored(rec *record.Record, over uint64, epoch string, now time.Time, maxAge time.Duration) *record.Record {
	next := *rec
	next.Revision = max(rec.Revision, over) + 1
	next.Epoch = epoch
	next.Outbox = slices.Clone(rec.Outbox)
	for i, r := range next.Outbox {
		if r.Kind == record.RecipeCall || r.Kind == record.RecipeExecute {
			next.Outbox[i].ID = recipeID(&next, i)
		}
	}
	if len(next.Outbox) == 0 {
		reorder(&next, now, maxAge)
	}
	return &next
}

// raised is a record of the bucket that counts although the database has another
// under its revision, or a higher one.
func raised(rec *record.Record, over uint64, epoch string) *record.Record {
	next := *rec
	next.Revision = max(rec.Revision, over) + 1
	next.Epoch = epoch
	return &next
}

func recipeID(rec *record.Record, n int) string {
	return fmt.Sprintf("%s.%d.%s.%d", rec.ID, rec.Revision, rec.Epoch, n)
}

// reorder puts into the outbox what makes the wait of the request end.
func reorder(rec *record.Record, now time.Time, maxAge time.Duration) {
	put := func(r record.Recipe) {
		r.ID = recipeID(rec, len(rec.Outbox))
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
	hooks, i := rec.Run.Webhooks(phase), rec.Run.Index
	if i < 0 || i >= len(hooks) {
		return nil, phase
	}
	hook := hooks[i]
	return &hook, phase
}
