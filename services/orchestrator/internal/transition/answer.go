package transition

import (
	"context"
	"fmt"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

// refuse tells a caller that waits that nothing was changed, once the input can
// never come again: the record does not remember what it refused, and might
// accept it another time.
func (l *Loop) refuse(ctx context.Context, d Delivery, rec *record.Record, answer work.Answer) error {
	if d.ReplyTo == "" {
		return nil
	}
	if d.Confirm != nil {
		if err := d.Confirm(ctx); err != nil {
			return fmt.Errorf("transition: acknowledge what is refused: %w", err)
		}
	}
	l.answer(ctx, d, rec, nil, answer)
	return nil
}

// answer tells the read model and then the caller, where one waits. The read
// model has another feed, so its failure changes nothing.
func (l *Loop) answer(ctx context.Context, d Delivery, rec *record.Record, facts []events.Event, answer work.Answer) {
	if d.ReplyTo == "" {
		return
	}
	if rec != nil {
		if answer.Accepted {
			if err := l.Apply(ctx, rec, facts); err != nil {
				l.Metrics.lateApplies.Inc()
				answer.Behind = rec.Revision
			}
		}
		shown, err := l.Show(shownAs(rec, d.Input, answer), l.Clock().UTC())
		if err != nil {
			l.Logger.Error("the answer lacks the request", "request_id", rec.ID, "error", err)
		}
		answer.Request = shown
	}
	data, err := jsonv1.Marshal(answer)
	if err != nil {
		l.Logger.Error("the answer cannot be written", "request_id", d.RequestID, "error", err)
		return
	}
	if err := l.NATS.Publish(d.ReplyTo, data); err != nil {
		l.Logger.Warn("the caller could not be answered", "request_id", d.RequestID, "error", err)
	}
}

// shownAs is the record as an answer shows it. A resume that succeeds is
// answered with in_processing (contract §6.8), however far the run came with it.
func shownAs(rec *record.Record, in lifecycle.Input, answer work.Answer) *record.Record {
	resume := in.Callback != nil && in.Callback.Type == events.CallbackResumed ||
		in.Command != nil && in.Command.Name == work.Resume
	if !resume || !answer.Accepted || rec.Status != record.Complete {
		return rec
	}
	shown := *rec
	shown.Status, shown.FinishedAt = record.InProcessing, nil
	return &shown
}
