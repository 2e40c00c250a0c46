package transition

import (
	"context"
	"time"

	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	leftoversEvery  = 10 * time.Second
	leftoversWithin = 5 * time.Second
)

// clean looks, until ctx ends, for commands that were acknowledged and that a
// server which was killed has kept: they would stand in the stream for ever, as
// if they were to be applied.
func (l *Loop) clean(ctx context.Context) error {
	ticker := time.NewTicker(leftoversEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		n, err := l.acknowledgeLeftovers(ctx)
		switch {
		case n > 0:
			l.Logger.Info("commands that were acknowledged before are taken out of the work", "commands", n)
		case err != nil && ctx.Err() == nil:
			l.Logger.Debug("nothing is known of commands that are left over", "error", err)
		}
	}
}

func (l *Loop) acknowledgeLeftovers(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, leftoversWithin)
	defer cancel()
	stream, err := l.JS.Stream(ctx, events.StreamWork)
	if err != nil {
		return 0, err
	}
	return topology.AckLeftovers(ctx, l.NATS, stream, topology.ConsumerCommands, events.CommandFilter)
}
