package transition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

// base is what a step begins with: the record, nil where there is none, and its
// revision in the bucket.
type base struct {
	rec      *record.Record
	revision uint64
	// unread says that nobody has looked whether there is a record. The request
	// of a submission is one that nobody has heard of, but where the submission
	// comes again, so it is taken for that, and its commit says whether it is.
	unread bool
}

func isSubmission(in lifecycle.Input) bool {
	return in.Command != nil && in.Command.Name == work.Submit
}

// step is one pass: decide, commit, publish, and let somebody answer. It is
// errUnread where it would have to refuse an input to a record that was not
// read.
func (l *Loop) step(ctx context.Context, d Delivery, from base) (err error) {
	rec, revision := from.rec, from.revision
	goesOn(ctx, rec)
	unsettled := rec != nil && len(rec.Outbox) > 0
	if unsettled && !lifecycle.AnswersLastWork(rec, d.Input) {
		if _, err := l.publishOutbox(ctx, rec, revision, vault.Sealed{}); err != nil {
			return err
		}
	}
	var provided vault.Sealed
	if lifecycle.NeedsContext(rec, d.Input) {
		if d.Input.Context, provided, err = l.context(ctx, rec, d.Input); err != nil {
			return err
		}
	}
	now := l.Clock().UTC()
	rules := l.Rules
	rules.Epoch = *l.epoch.Load()
	out := rules.Decide(rec, d.Input, now)
	if from.unread && out.Next == nil {
		return errUnread
	}
	var facts []events.Event
	switch {
	case out.Next != nil:
		facts, err = l.commit(ctx, out.Next, revision, provided)
		if errors.Is(err, errUnwritable) {
			return errors.Join(err, l.refuse(ctx, d, rec, work.Answer{Code: work.RejectedUnavailable}))
		}
		if err != nil {
			return err
		}
		rec = out.Next
		l.moved(ctx, rec, d.Input)
	case unsettled:
		l.settle(rec, revision, l.ttl(rec))
	}
	if out.Next == nil && rec != nil && d.Input.Command != nil && d.Input.Command.Name == work.Timeout {
		_ = l.Apply(ctx, rec, nil) // the read model takes for overdue what is not; it may have lost a row
	}
	if !out.Answer.Accepted {
		return l.refuse(ctx, d, rec, out.Answer)
	}
	if d.ReplyTo != "" { // the database may take its time; the next step does not wait for it
		l.answers.Go(func() { l.answer(context.WithoutCancel(ctx), d, rec, facts, out.Answer) })
	}
	return nil
}

// load reads the record.
func (l *Loop) load(ctx context.Context, id string) (base, error) {
	entry, err := l.Requests.Get(ctx, id)
	if errors.Is(err, topology.ErrNotFound) {
		return base{}, nil
	}
	if err != nil {
		return base{}, fmt.Errorf("transition: read record: %w", err)
	}
	rec, err := record.Decode(entry.Value)
	if err != nil {
		return base{}, fmt.Errorf("transition: %s: %w", id, err)
	}
	l.memory.saw(entry.Revision)
	return base{rec: rec, revision: entry.Revision}, nil
}

// commit writes the next record, publishes its outbox and settles it.
func (l *Loop) commit(ctx context.Context, next *record.Record, revision uint64, provided vault.Sealed) ([]events.Event, error) {
	value, err := next.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnwritable, err)
	}
	ttl := l.ttl(next)
	if revision == 0 {
		revision, err = l.Requests.Create(ctx, next.ID, value, ttl)
	} else {
		revision, err = l.Requests.Update(ctx, next.ID, value, revision, ttl)
	}
	if errors.Is(err, topology.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", errUnwritable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("transition: commit: %w", err)
	}
	l.memory.wrote(written{id: next.ID, revision: next.Revision, epoch: next.Epoch, sequence: revision, stays: ttl == 0})
	l.releaseAt(next)
	facts, err := l.publishOutbox(ctx, next, revision, provided)
	if err != nil {
		return nil, err
	}
	l.settle(next, revision, ttl)
	return facts, nil
}

// Restore commits a record that was put back from the read model, over the
// given revision of the bucket (0: none), and publishes its outbox.
// topology.ErrConflict says that somebody else has written the record.
func (l *Loop) Restore(ctx context.Context, rec *record.Record, revision uint64) error {
	_, err := l.commit(ctx, rec, revision, vault.Sealed{})
	return err
}

// settle clears the outbox. Nobody waits for it: whoever changed the record
// meanwhile has published the outbox, and one that stays is published again.
func (l *Loop) settle(rec *record.Record, revision uint64, ttl time.Duration) {
	if len(rec.Outbox) == 0 {
		return
	}
	settled := *rec
	settled.Outbox = nil
	value, err := settled.Encode()
	if err != nil {
		return
	}
	_, _ = l.Requests.UpdateAsync(rec.ID, value, revision, ttl)
}

// ttl is the life of a record: for ever, or, once the request has ended or was
// deleted and where there is a retention, that and never less than anything may
// still ask for it: late attempts of one_way calls, and the retry of a failed
// run.
func (l *Loop) ttl(rec *record.Record) time.Duration {
	if l.Retention <= 0 || !rec.Status.Ended() && rec.DeletedAt == nil {
		return 0
	}
	needed := l.Rules.DeliveryMaxAge
	if rec.Status == record.Failed {
		needed = max(needed, l.IdentityTTL)
	}
	return max(l.Retention, needed)
}
