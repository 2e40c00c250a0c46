package lane

import (
	"context"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// clean takes calls out of the stream that were acknowledged and that a server
// which was killed has kept. Nobody gets them, and they would keep their lane
// open for ever. A lane that makes calls is not looked at: it is alive.
func (k *Keeper) clean(ctx context.Context, waiting map[string]backlog) {
	for id := range waiting {
		if !k.quiet(id) {
			continue
		}
		n, err := topology.AckLeftovers(ctx, k.js.Conn(), k.stream, topology.LaneConsumer(id), events.LaneFilter(id))
		if n > 0 {
			k.config.Logger.Info("calls that were acknowledged before are taken out of the work", "connection_id", id, "calls", n)
		}
		if err != nil {
			return // it is looked for again
		}
	}
}

// quiet says whether a lane is open here and makes no call.
func (k *Keeper) quiet(connectionID string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.lanes[connectionID]
	return ok && l.inFlight.Load() == 0
}
