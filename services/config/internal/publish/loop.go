package publish

import (
	"context"
	"errors"
	"time"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// factWithin is how long the stream may take to acknowledge one fact.
const factWithin = 2 * time.Second

// Run publishes what is left over, after each change and every few seconds,
// until ctx ends. Call it after Open.
func (p *Publisher) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		p.sweep(ctx)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.kick:
		case <-ticker.C:
		}
	}
}

func (p *Publisher) sweep(ctx context.Context) {
	if p.tell(ctx, "entries", p.publishPending(ctx)) {
		p.tell(ctx, "facts", p.publishFacts(ctx))
	}
	if entries, facts, err := p.outbox.Waiting(ctx); err == nil {
		p.waiting.WithLabelValues("entries").Set(float64(entries))
		p.waiting.WithLabelValues("facts").Set(float64(facts))
	}
}

// tell logs when something begins to wait and when it waits no more, and
// nothing in between: a stream may be missing for hours.
func (p *Publisher) tell(ctx context.Context, what string, err error) (published bool) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !p.held[what]:
		p.logger.Warn("what is stored waits to be published", "what", what, "error", err)
	case err == nil && p.held[what]:
		p.logger.Info("what waited is published", "what", what)
	}
	p.held[what] = err != nil
	return err == nil
}

func (p *Publisher) publishPending(ctx context.Context) error {
	entries, err := p.outbox.PendingEntries(ctx)
	if err != nil || len(entries) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*publishWithin)
	defer cancel()
	if err := p.put(ctx, p.catalog.Load(), entries); !errors.Is(err, topology.ErrTooLarge) {
		return err
	}
	return nil // put has told; the facts must not wait for it
}

func (p *Publisher) publishFacts(ctx context.Context) error {
	for {
		n, err := p.outbox.Facts(ctx, p.publishFact)
		if err != nil || n == 0 {
			return err
		}
	}
}

// publishFact sends one fact. One that can never be sent is dropped, loudly:
// it must not hold up those behind it.
func (p *Publisher) publishFact(ctx context.Context, f db.Fact) error {
	event, err := events.New(events.SourceConfig, f.Type, f.ID, events.KeyToken(f.Key), f.OccurredAt, events.ConfigData{
		Noun: f.Noun, Key: f.Key, Version: f.Version, Deleted: f.Deleted,
	})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, factWithin)
		defer cancel()
		err = events.Publish(ctx, p.js, event)
	}
	if err != nil && !errors.Is(err, events.ErrNotStored) {
		p.logger.Error("a fact about the configuration was dropped", "id", f.ID, "type", f.Type, "error", err)
		return nil
	}
	return err
}
