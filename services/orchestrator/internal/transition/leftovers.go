package transition

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	leftoversEvery  = 10 * time.Second
	leftoversWithin = 5 * time.Second
)

// clean looks, until ctx ends, for commands that the consumer has passed: they
// would stand in the stream for ever, as if they were to be applied. Those that
// were acknowledged, and that a server which was killed has kept, are taken out.
// A submission without a record was passed over, and is delivered.
func (l *Loop) clean(ctx context.Context) error {
	ticker := time.NewTicker(cmp.Or(l.CleanEvery, leftoversEvery))
	defer ticker.Stop()
	var passed uint64
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		var err error
		if passed, err = l.cleanOnce(ctx, passed); err != nil && ctx.Err() == nil {
			l.Logger.Debug("nothing is known of commands that are left over", "error", err)
		}
	}
}

// cleanOnce gives a command that the consumer seems to have passed over, for the
// next look: it is believed the second time.
func (l *Loop) cleanOnce(ctx context.Context, before uint64) (passed uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, leftoversWithin)
	defer cancel()
	stream, err := l.JS.Stream(ctx, events.StreamWork)
	if err != nil {
		return 0, err
	}
	left := topology.Leftovers{Stream: stream, Consumer: topology.ConsumerCommands, Filter: events.CommandFilter, Done: l.applied}
	n, passed, err := left.Clean(ctx, l.NATS)
	if n > 0 {
		l.Logger.Info("commands that were acknowledged before are taken out of the work", "commands", n)
	}
	if err != nil || passed == 0 || passed != before {
		return passed, err
	}
	again, err := left.Again(ctx, passed)
	if again {
		l.Logger.Warn("a submission was passed over and is delivered again")
	}
	return passed, err
}

// applied says whether a command was. Of others than submissions that cannot be
// told, and who waits for their answer asks again.
func (l *Loop) applied(ctx context.Context, msg *jetstream.RawStreamMsg) (bool, error) {
	var command work.Command
	if err := stored.Decode(msg.Data, &command); err != nil || command.Name != work.Submit {
		return true, nil
	}
	from, err := l.load(ctx, command.RequestID)
	return from.rec != nil, err
}
