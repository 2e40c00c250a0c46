// Package transition is the loop that moves privacy requests on. Every input
// is a durable message: a command, or a fact of another service. The loop reads
// the record, lets package lifecycle decide, commits the next record with one
// compare-and-set, publishes what the decision ordered, and only then
// acknowledges the input. Who waits for an answer gets it beside that, when the
// read model has been told.
//
// State commits once, at the compare-and-set. Everything after it may be done
// again: a record keeps, as its outbox, what it still has to publish, under ids
// that do not change, and whoever next gets an input for the request publishes
// it first. A process may therefore die at any point; nothing is lost, and what
// is repeated carries the id it had.
//
// Inputs of one request are handled one after the other in a process. Between
// processes the compare-and-set decides, and the one that loses starts over.
//
// The loop needs NATS only. The read model is told what happened, for callers
// that want to read their writes, and may be away.
package transition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/watch"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
)

const (
	maxConflicts = 32
	stepTimeout  = 15 * time.Second
	drainTimeout = 5 * time.Second
)

// Config is what a Loop works with.
type Config struct {
	NATS     *nats.Conn
	JS       jetstream.JetStream
	Requests *topology.Bucket
	Vault    *vault.Vault
	Catalog  *catalog.Store
	Rules    lifecycle.Rules
	// ManualApproval is used until the config service has published the
	// setting.
	ManualApproval bool
	// IdentityTTL is the life that an identity is given again at each touch.
	IdentityTTL time.Duration
	// Retention is how long the record of an ended request stays; 0 is for
	// ever.
	Retention time.Duration
	// Apply tells the read model, before a waiting caller is answered.
	Apply func(ctx context.Context, rec *record.Record, facts []events.Event) error
	// Show makes the REST object of a record for answers.
	Show    func(rec *record.Record, now time.Time) (json.RawMessage, error)
	Logger  *slog.Logger
	Metrics *Metrics
	// Watch may be nil: then nobody looks whether inputs stall.
	Watch *watch.Watch
	// Tracer may be nil.
	Tracer *tracing.Tracer
	Clock  func() time.Time
	// Recheck looks, after every loss of the connection and before anything
	// moves on, whether the store still has what was written; nil looks at
	// nothing. See Loop.Forgotten.
	Recheck func(ctx context.Context) error
	// Workers is the number of inputs that are handled at the same time.
	Workers int
}

// Loop is the transition loop of one process.
type Loop struct {
	Config
	connection *connection
	memory     memory
	answers    sync.WaitGroup
	epoch      atomic.Pointer[string]
	renewed    atomic.Uint64 // how often
}

// New returns a loop that has not started.
func New(c Config) *Loop {
	if c.Workers <= 0 {
		c.Workers = 32
	}
	l := &Loop{Config: c, connection: newConnection()}
	l.Renew(c.Rules.Epoch)
	return l
}

// Renew is for a store that went back. It gives the ids of what is published
// from now on another epoch, since the revisions that the store has forgotten
// are given again. So are the sequences of its streams, by which inputs are
// acknowledged: what was taken until now is left to come again.
func (l *Loop) Renew(epoch string) {
	l.epoch.Store(&epoch)
	l.renewed.Add(1)
}

// Run takes inputs until ctx ends, and returns when those that it has taken are
// done.
func (l *Loop) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	shards := newShards(l.Workers, func(m message) { l.take(working, m) })
	group := process.NewGroup(ctx, l.Logger)
	lost := l.NATS.StatusChanged(nats.RECONNECTING)
	defer l.NATS.RemoveStatusListener(lost)
	group.Go("connection", func(ctx context.Context) error { return l.follow(ctx, lost) })
	group.Go("leftovers", l.clean)
	for _, source := range sources() {
		group.Go(source.config.Durable, func(ctx context.Context) error { return l.pull(ctx, source, shards) })
	}
	err := group.Wait()
	cut := time.AfterFunc(drainTimeout, stop)
	defer cut.Stop()
	shards.drain()
	l.answers.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// take handles one message to its end.
func (l *Loop) take(ctx context.Context, m message) {
	l.connection.await(ctx)
	if m.renewed != l.renewed.Load() {
		return
	}
	ctx, stop := l.connection.while(ctx)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	started := time.Now()
	ctx, span := l.begin(ctx, &m)
	defer span.End()
	err := m.err
	if err == nil {
		m.delivery.Confirm = m.msg.DoubleAck
		err = l.Handle(ctx, m.delivery)
	}
	if err != nil && errors.Is(context.Cause(ctx), errDisconnected) {
		err = errDisconnected // it comes again, however the step saw it
	}
	l.Metrics.handled(m.delivery, err, time.Since(started))
	ended(span, err)
	if m.renewed == l.renewed.Load() {
		l.end(ctx, m, err)
	}
}

// Delivery is an input as it came, with the inbox of the caller that waits for
// its answer, if there is one.
type Delivery struct {
	RequestID string
	Input     lifecycle.Input
	ReplyTo   string
	// Confirm acknowledges the input and knows that it was; nil where nobody
	// acknowledges it.
	Confirm func(ctx context.Context) error
}

// Handle applies one input. When it returns nil the input may be acknowledged;
// any error means that it has to come again.
func (l *Loop) Handle(ctx context.Context, d Delivery) error {
	for range maxConflicts {
		err := l.step(ctx, d)
		if !errors.Is(err, topology.ErrConflict) {
			return err
		}
		l.Metrics.conflicts.Inc()
	}
	return fmt.Errorf("%w: %s", errContended, d.RequestID)
}

// step is one pass: read, decide, commit, publish, and let somebody answer.
func (l *Loop) step(ctx context.Context, d Delivery) error {
	rec, revision, err := l.load(ctx, d.RequestID)
	if err != nil {
		return err
	}
	goesOn(ctx, rec)
	unsettled := rec != nil && len(rec.Outbox) > 0
	if unsettled && !lifecycle.AnswersLastWork(rec, d.Input) {
		if _, err := l.publish(ctx, rec); err != nil {
			return err
		}
	}
	if lifecycle.NeedsContext(rec, d.Input) {
		if d.Input.Context, err = l.context(ctx, rec, d.Input); err != nil {
			return err
		}
	}
	now := l.Clock().UTC()
	rules := l.Rules
	rules.Epoch = *l.epoch.Load()
	out := rules.Decide(rec, d.Input, now)
	var facts []events.Event
	switch {
	case out.Next != nil:
		facts, err = l.commit(ctx, out.Next, revision)
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

// load reads the record; nil and revision 0 where there is none.
func (l *Loop) load(ctx context.Context, id string) (*record.Record, uint64, error) {
	entry, err := l.Requests.Get(ctx, id)
	if errors.Is(err, topology.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("transition: read record: %w", err)
	}
	rec, err := record.Decode(entry.Value)
	if err != nil {
		return nil, 0, fmt.Errorf("transition: %s: %w", id, err)
	}
	l.memory.saw(entry.Revision)
	return rec, entry.Revision, nil
}

// commit writes the next record, publishes its outbox and settles it.
func (l *Loop) commit(ctx context.Context, next *record.Record, revision uint64) ([]events.Event, error) {
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
	facts, err := l.publish(ctx, next)
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
	_, err := l.commit(ctx, rec, revision)
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
