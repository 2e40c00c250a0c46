package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
)

const (
	// recheckWithin is how long one look at what came back may take.
	recheckWithin = 10 * time.Second
	// recallWithin is how long the database may take to say how far it has seen.
	recallWithin = time.Second
)

// recheck looks, after the connection was lost and before requests move on,
// whether NATS came back with what it had: a server whose disk was put back from
// a copy, or that lost its last writes with the power, has gone back, and this
// process goes on. Then ids are given under another epoch, and the two places
// that remember are compared as they are at a start.
func (v *service) recheck(ctx context.Context, b buckets, loop *transition.Loop) error {
	looking, cancel := context.WithTimeout(ctx, recheckWithin)
	defer cancel()
	back, err := v.wentBack(looking, b, loop)
	if err != nil || !back {
		return err
	}
	v.deps.Logger.Warn("NATS has come back without what it had; requests are compared with the database before they move on")
	loop.Renew(newEpoch())
	if err := topology.EnsureOrchestrator(looking, v.js, v.topology()); err != nil {
		return fmt.Errorf("make the streams again: %w", err)
	}
	compared := make(chan struct{})
	c := v.comparison(b, loop)
	v.group.Go("comparison", func(ctx context.Context) error {
		defer close(compared)
		return v.compare(ctx, c)
	})
	v.awaitCompared(ctx, compared)
	return nil
}

// wentBack asks this process's memory, and the database's, which has seen what
// other replicas wrote. A database that is away is not waited for.
func (v *service) wentBack(ctx context.Context, b buckets, loop *transition.Loop) (bool, error) {
	back, err := loop.Forgotten(ctx)
	if err != nil || back {
		return back, err
	}
	for feed, stream := range map[string]string{
		readmodel.FeedRecords: b.requests.StreamName(), readmodel.FeedEvents: events.StreamEvents,
	} {
		position, known := v.projected(ctx, feed)
		if !known {
			continue
		}
		s, err := v.js.Stream(ctx, stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("look at the stream %s: %w", stream, err)
		}
		if s.CachedInfo().State.LastSeq < position {
			return true, nil
		}
	}
	return false, nil
}

// projected is the place in its stream up to which a feed has brought what there
// was to the database; known is false where that does not answer.
func (v *service) projected(ctx context.Context, feed string) (position uint64, known bool) {
	ctx, cancel := context.WithTimeout(ctx, recallWithin)
	defer cancel()
	position, _, err := v.store.FeedSeen(ctx, feed)
	return position, err == nil
}

// awaitCompared waits for the comparison with the database, not for ever:
// requests move on without Postgres.
func (v *service) awaitCompared(ctx context.Context, compared <-chan struct{}) {
	timer := time.NewTimer(rememberWithin)
	defer timer.Stop()
	select {
	case <-compared:
	case <-timer.C:
		v.deps.Logger.Warn("requests move on before the database was compared; it is compared when it answers")
	case <-ctx.Done():
	}
}
