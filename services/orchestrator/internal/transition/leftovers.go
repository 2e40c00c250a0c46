package transition

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
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
// A submission without a record was passed over, and is put there anew.
func (l *Loop) clean(ctx context.Context) error {
	ticker := time.NewTicker(cmp.Or(l.CleanEvery, leftoversEvery))
	defer ticker.Stop()
	var candidate topology.Candidate
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if err := l.cleanOnce(ctx, &candidate); err != nil && ctx.Err() == nil {
			l.Logger.Debug("nothing is known of commands that are left over", "error", err)
		}
	}
}

func (l *Loop) cleanOnce(ctx context.Context, candidate *topology.Candidate) error {
	ctx, cancel := context.WithTimeout(ctx, leftoversWithin)
	defer cancel()
	stream, err := l.JS.Stream(ctx, events.StreamWork)
	if err != nil {
		return err
	}
	left := topology.Leftovers{Stream: stream, Consumer: topology.ConsumerCommands, Filter: events.CommandFilter, Done: l.applied}
	n, passed, err := left.Clean(ctx, l.NATS)
	if n > 0 {
		l.Logger.Info("commands that were acknowledged before are taken out of the work", "commands", n)
	}
	if err != nil || !candidate.Stands(passed, cmp.Or(l.CleanAfter, inputAckWait)) {
		return err
	}
	if err := left.Replace(ctx, l.NATS, passed, l.again); err != nil {
		return err
	}
	l.Logger.Warn("a submission was passed over and is put into the stream anew")
	return nil
}

// again puts a command into the stream anew. Its id names the message that it
// takes the place of.
func (l *Loop) again(ctx context.Context, msg *jetstream.RawStreamMsg) error {
	header := nats.Header{}
	if reply := msg.Header.Get(work.HeaderReply); reply != "" {
		header.Set(work.HeaderReply, reply)
	}
	_, err := l.JS.PublishMsg(ctx, &nats.Msg{Subject: msg.Subject, Header: header, Data: msg.Data},
		jetstream.WithMsgID(fmt.Sprintf("%s.after.%d", msg.Subject, msg.Sequence)), jetstream.WithExpectStream(events.StreamWork))
	return err
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
