package lane

import (
	"context"
	"time"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// cleanWithin bounds one look for what lanes have passed.
const cleanWithin = 5 * time.Second

// clean takes calls out of the stream that were acknowledged and that a server
// which was killed has kept, and puts those anew that their lane has passed over.
// Nobody would get them, and they would keep their lane open for ever.
func (k *Keeper) clean(ctx context.Context, waiting map[string]backlog) {
	ctx, cancel := context.WithTimeout(ctx, cleanWithin)
	defer cancel()
	for id := range k.passed {
		if _, ok := waiting[id]; !ok {
			delete(k.passed, id)
		}
	}
	for id := range waiting {
		left := topology.Leftovers{Stream: k.stream, Consumer: topology.LaneConsumer(id), Filter: events.LaneFilter(id), Done: k.config.Done}
		n, passed, err := left.Clean(ctx, k.js.Conn())
		if n > 0 {
			k.config.Logger.Info("calls that were acknowledged before are taken out of the work", "connection_id", id, "calls", n)
		}
		if err != nil {
			return // it is looked for again
		}
		candidate := k.passed[id]
		stands := candidate.Stands(passed, k.config.AckWait)
		k.passed[id] = candidate
		if !stands {
			continue
		}
		if err := left.Replace(ctx, k.js.Conn(), passed, k.config.Again); err != nil {
			k.config.Logger.Warn("a call was passed over by its lane and cannot be put there anew", "connection_id", id, "error", err)
			continue
		}
		k.config.Logger.Warn("a call was passed over by its lane and is put there anew", "connection_id", id)
	}
}
