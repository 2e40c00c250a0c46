package watch

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// rewindsAtMost is how often it is tried to put a consumer back. A server that
// cannot do it will not at the next look either.
const rewindsAtMost = 6

// led is what a consumer had acknowledged when it was last looked at, and under
// which leader.
type led struct {
	leader string
	floor  uint64
	tried  int // how often it was tried to put it back
}

// Rewinding has consumers go back that have got another leader, to where they
// were known to be under the one before. A leader that is lost may take with it
// what it had delivered: the next one takes that for passed, though nobody has
// acknowledged it. What was acknowledged since the last look is delivered again
// too, so this is for readers to whom a repeat is no harm.
func (w *Watch) Rewinding() *Watch {
	w.rewinds = true
	return w
}

// follow notices another leader. Readings come and go with leaders, so what is
// known of a consumer outlives them.
func (w *Watch) follow(ctx context.Context, info *jetstream.ConsumerInfo) {
	if !w.rewinds || info.Cluster == nil || info.Cluster.Leader == "" {
		return
	}
	name, now := nameOf(info), led{leader: info.Cluster.Leader, floor: info.AckFloor.Stream}
	w.mu.Lock()
	before, known := w.led[name]
	w.mu.Unlock()
	// One that stands further back was made anew, or its store went back: it has
	// passed nothing over, and would, were it put forward.
	if known && before.leader != now.leader && before.floor < now.floor {
		if !w.rewind(ctx, info, before.floor) && before.tried < rewindsAtMost {
			before.tried++
			now = before // at the next look
		} else {
			now.floor = before.floor
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.led[name] = now
}

func (w *Watch) rewind(ctx context.Context, info *jetstream.ConsumerInfo, floor uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	log := w.logger.With("stream", info.Stream, "consumer", info.Name, "after", floor)
	_, err := w.resets.ResetConsumerToSequence(ctx, info.Stream, info.Name, floor+1)
	switch {
	case err == nil:
		log.Info("a consumer has another leader; it goes back to what was acknowledged under the one before")
	case errors.Is(err, jetstream.ErrConsumerInvalidReset): // it begins later than that
	default:
		if ctx.Err() == nil {
			log.Warn("a consumer has another leader and cannot be put back to what was acknowledged; trying again", "error", err)
		}
		return false
	}
	return true
}

func nameOf(info *jetstream.ConsumerInfo) string { return info.Stream + "." + info.Name }
