// Package publish brings what was committed to Postgres to the other services:
// entries into the bucket dsr_config, and facts into the stream of facts.
//
// A change is answered only when its entries stand in the bucket, so whoever
// got a 200 finds the change everywhere. What could not be published stays
// marked in the database and is published by the loop in the background, also
// after a restart. Facts only tell of changes: they leave in order, in the
// background, and a stream that does not exist yet delays them and nothing
// else.
//
// It is safe to publish anything again: an entry carries a version and never
// overwrites a newer one, a fact carries an id by which the stream knows a
// repeat.
package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

const (
	// checkWithin is how long NATS may take to answer before a change.
	checkWithin = 2 * time.Second
	// publishWithin is how long the entries of one change may take.
	publishWithin = 5 * time.Second
	// sweepEvery is the pause after which the loop looks for leftovers, also
	// those of a replica that died.
	sweepEvery = 5 * time.Second
)

var (
	// ErrUnreachable is returned where NATS does not answer; nothing was
	// published.
	ErrUnreachable = errors.New("publish: NATS cannot be reached")
	// ErrUnconfirmed is returned where entries are stored and not known to
	// stand in the bucket; they will be published.
	ErrUnconfirmed = errors.New("publish: the publication was not confirmed")
)

// Outbox is what waits in the database to be published.
type Outbox interface {
	AllEntries(ctx context.Context) ([]db.Entry, error)
	PendingEntries(ctx context.Context) ([]db.Entry, error)
	Published(ctx context.Context, entries []db.Entry) error
	Facts(ctx context.Context, publish func(ctx context.Context, f db.Fact) error) (int, error)
	Reconcile(ctx context.Context, inBucket map[string]int64) error
	Waiting(ctx context.Context) (entries, facts int64, err error)
}

// Publisher publishes. Its methods may be called at once from many goroutines.
type Publisher struct {
	outbox  Outbox
	js      jetstream.JetStream
	logger  *slog.Logger
	catalog atomic.Pointer[catalog.Store] // nil until Open
	kick    chan struct{}
	waiting *prometheus.GaugeVec
	held    map[string]bool // what the log has been told of; the loop's own
	large   sync.Map        // the version that was too large, by the entry's key
}

// New returns a publisher that cannot publish until Open. The registerer gets
// the number of what waits to be published.
func New(outbox Outbox, js jetstream.JetStream, logger *slog.Logger, registry prometheus.Registerer) (*Publisher, error) {
	waiting := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "parley_config_unpublished",
		Help: "Entries and facts that are stored and wait to be published.",
	}, []string{"what"})
	if err := registry.Register(waiting); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return &Publisher{
		outbox: outbox, js: js, logger: logger, kick: make(chan struct{}, 1), waiting: waiting, held: map[string]bool{},
	}, nil
}

// Open gives the publisher the bucket, which must exist, and rebuilds what is
// in it from the database. It fails if either cannot be reached.
func (p *Publisher) Open(ctx context.Context, bucket *topology.Bucket) error {
	there, err := versions(ctx, bucket)
	if err != nil {
		return err
	}
	if err := p.outbox.Reconcile(ctx, there); err != nil {
		return err
	}
	entries, err := p.outbox.AllEntries(ctx)
	if err != nil {
		return err
	}
	store := catalog.NewStore(bucket)
	if err := p.put(ctx, store, entries); err != nil && !errors.Is(err, topology.ErrTooLarge) {
		return err
	}
	p.catalog.Store(store)
	return nil
}

// Use gives the publisher the bucket as it is, for who publishes a change while
// the service runs elsewhere.
func (p *Publisher) Use(_ context.Context, bucket *topology.Bucket) error {
	p.catalog.Store(catalog.NewStore(bucket))
	return nil
}

// versions reads the version of every entry that lives in the bucket.
func versions(ctx context.Context, bucket *topology.Bucket) (map[string]int64, error) {
	there := map[string]int64{}
	for e, err := range bucket.Entries(ctx, ">") {
		if err != nil {
			return nil, err
		}
		var head catalog.Entry
		if json.Unmarshal(e.Value, &head) == nil && !head.Deleted {
			there[e.Key] = head.Version
		}
	}
	return there, nil
}

// Check says whether the bucket answers. Call it before a change.
func (p *Publisher) Check(ctx context.Context) error {
	store := p.catalog.Load()
	if store == nil {
		return ErrUnreachable
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if _, err := store.Settings(ctx); err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// Publish puts the entries of a change that was committed into the bucket and
// returns when they stand there. The caller's going away does not end it.
func (p *Publisher) Publish(ctx context.Context, entries []db.Entry) error {
	defer p.wake()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishWithin)
	defer cancel()
	store := p.catalog.Load()
	if store == nil {
		return ErrUnconfirmed
	}
	if err := p.put(ctx, store, entries); err != nil {
		return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	return nil
}

// put writes entries. One that is too large for the server holds up no other:
// it goes on waiting, and its error is returned when all others stand there.
func (p *Publisher) put(ctx context.Context, store *catalog.Store, entries []db.Entry) error {
	var large error
	done := make([]db.Entry, 0, len(entries))
	for _, e := range entries {
		_, err := store.Put(ctx, e.Key, json.RawMessage(e.Body))
		if errors.Is(err, topology.ErrTooLarge) {
			large = err
			p.tellLarge(e)
			continue
		}
		if err != nil {
			return err
		}
		done = append(done, e)
	}
	// The entries stand in the bucket. If the note of it fails, the loop looks
	// once more.
	if err := p.outbox.Published(ctx, done); err != nil {
		p.logger.Debug("published entries could not be noted", "error", err)
	}
	return large
}

// tellLarge logs, once, that a version of an entry is too large.
func (p *Publisher) tellLarge(e db.Entry) {
	if told, there := p.large.Swap(e.Key, e.Version); !there || told != e.Version {
		p.logger.Error("an entry is larger than the NATS server takes and is not published", "key", e.Key, "bytes", len(e.Body))
	}
}

func (p *Publisher) wake() {
	select {
	case p.kick <- struct{}{}:
	default: // it is awake
	}
}
