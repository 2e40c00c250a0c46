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

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/watch"
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
	// CleanEvery is the pause between two looks for commands that the consumer
	// has passed; zero is the default.
	CleanEvery time.Duration
	// CleanAfter is how long a submission must seem to have been passed before
	// it is put into the stream anew; zero is the default.
	CleanAfter time.Duration
	// Workers is the number of inputs that are handled at the same time.
	Workers int
}

// Loop is the transition loop of one process.
type Loop struct {
	Config
	connection *connection
	memory     memory
	// unpublished is shown by Count.
	unpublished unpublished
	answers     sync.WaitGroup
	epoch       atomic.Pointer[string]
	renewed     atomic.Uint64 // how often
}

// New returns a loop that has not started.
func New(c Config) *Loop {
	if c.Workers <= 0 {
		c.Workers = 128
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
	workers := newWorkers(l.Workers, func(m message) { l.take(working, m) })
	group := process.NewGroup(ctx, l.Logger)
	lost := l.NATS.StatusChanged(nats.RECONNECTING)
	defer l.NATS.RemoveStatusListener(lost)
	group.Go("connection", func(ctx context.Context) error { return l.follow(ctx, lost) })
	group.Go("leftovers", l.clean)
	group.Go("outboxes", l.count)
	for _, source := range sources() {
		group.Go(source.config.Durable, func(ctx context.Context) error { return l.pull(ctx, source, workers) })
	}
	err := group.Wait()
	cut := time.AfterFunc(drainTimeout, stop)
	defer cut.Stop()
	workers.drain()
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
	if isSubmission(d.Input) {
		err := l.step(ctx, d, base{unread: true})
		if !errors.Is(err, topology.ErrConflict) && !errors.Is(err, errUnread) {
			return err
		}
	}
	for range maxConflicts {
		from, err := l.load(ctx, d.RequestID)
		if err != nil {
			return err
		}
		err = l.step(ctx, d, from)
		if !errors.Is(err, topology.ErrConflict) {
			return err
		}
		l.Metrics.conflicts.Inc()
	}
	return fmt.Errorf("%w: %s", errContended, d.RequestID)
}
