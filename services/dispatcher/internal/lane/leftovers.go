package lane

import (
	"context"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// clean takes calls out of the stream that were acknowledged and that a server
// which was killed has kept, and has those delivered that their lane has passed
// over. Nobody would get them, and they would keep their lane open for ever. A
// lane that makes calls is not looked at: it is alive.
func (k *Keeper) clean(ctx context.Context, waiting map[string]backlog) {
	before := k.passed
	k.passed = map[string]uint64{}
	for id := range waiting {
		if !k.quiet(id) {
			continue
		}
		left := topology.Leftovers{Stream: k.stream, Consumer: topology.LaneConsumer(id), Filter: events.LaneFilter(id), Done: k.config.Done}
		n, passed, err := left.Clean(ctx, k.js.Conn())
		if n > 0 {
			k.config.Logger.Info("calls that were acknowledged before are taken out of the work", "connection_id", id, "calls", n)
		}
		switch {
		case err != nil:
			return // it is looked for again
		case passed == 0:
		case passed != before[id]: // what tells that it was done may be on its way
			k.passed[id] = passed
		default:
			k.again(ctx, id, left, passed)
		}
	}
}

// again has a call delivered that its lane has passed over.
func (k *Keeper) again(ctx context.Context, id string, left topology.Leftovers, passed uint64) {
	again, err := left.Again(ctx, passed)
	switch {
	case again:
		k.config.Logger.Warn("a call was passed over by its lane and is delivered again", "connection_id", id)
	case err != nil && ctx.Err() == nil:
		k.config.Logger.Warn("a call was passed over by its lane and cannot be delivered again", "connection_id", id, "error", err)
	default:
		k.passed[id] = passed
	}
}

// quiet says whether a lane is open here and makes no call.
func (k *Keeper) quiet(connectionID string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.lanes[connectionID]
	return ok && l.inFlight.Load() == 0
}
