package lane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/pkg/events"
)

// Status is what is known of a lane.
type Status struct {
	ConnectionID string
	// Pending counts the calls in the stream, those in flight included.
	Pending uint64
	// Oldest is when the call that waits longest came into the lane, zero for
	// an empty lane.
	Oldest time.Time
	// InFlight counts the calls that are being made here.
	InFlight int
	// Breaker is the state of the breaker, "" where there is no lane here.
	Breaker string
	// CoolDown is what is left of it.
	CoolDown time.Duration
}

// backlog is what waits in the stream for one connection.
type backlog struct {
	pending uint64
	oldest  time.Time
}

// Lanes gives all lanes, those of this keeper and those that the stream has
// calls for, in the order of their connections' ids.
func (k *Keeper) Lanes(ctx context.Context) ([]Status, error) {
	waiting, err := k.pending(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.date(ctx, waiting); err != nil {
		return nil, err
	}
	return k.status(waiting), nil
}

func (k *Keeper) status(waiting map[string]backlog) []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string]Status{}
	for id, w := range waiting {
		all[id] = Status{ConnectionID: id, Pending: w.pending, Oldest: w.oldest}
	}
	for id, l := range k.lanes {
		s := all[id]
		s.ConnectionID, s.InFlight = id, int(l.inFlight.Load())
		s.Breaker, s.CoolDown = l.breaker.state().String(), l.breaker.remaining()
		all[id] = s
	}
	for id, b := range k.breakers {
		s := all[id]
		s.ConnectionID, s.Breaker, s.CoolDown = id, b.state().String(), b.remaining()
		all[id] = s
	}
	statuses := make([]Status, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		statuses = append(statuses, all[id])
	}
	return statuses
}

// pending counts what waits for each connection.
func (k *Keeper) pending(ctx context.Context) (map[string]backlog, error) {
	info, err := k.stream.Info(ctx, jetstream.WithSubjectFilter(events.CallFilter))
	if err != nil {
		return nil, fmt.Errorf("lane: look: %w", err)
	}
	waiting := map[string]backlog{}
	for subject, n := range info.State.Subjects {
		id := connectionOf(subject, 3)
		if !events.ValidToken(id) {
			continue
		}
		waiting[id] = backlog{pending: waiting[id].pending + n}
	}
	return waiting, nil
}

// date adds since when they wait, where that is not known.
func (k *Keeper) date(ctx context.Context, waiting map[string]backlog) error {
	for id, w := range waiting {
		if !w.oldest.IsZero() {
			continue
		}
		msg, err := k.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(events.LaneFilter(id)))
		switch {
		case err == nil:
			w.oldest = msg.Time
			waiting[id] = w
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return fmt.Errorf("lane: look: %w", err)
		}
	}
	return nil
}

// breakerNumber is how a breaker stands in a metric.
func breakerNumber(state string) float64 {
	switch state {
	case circuitbreaker.OpenState.String():
		return 2
	case circuitbreaker.HalfOpenState.String():
		return 1
	}
	return 0
}
