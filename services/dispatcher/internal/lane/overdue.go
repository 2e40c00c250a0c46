package lane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/pkg/events"
)

const (
	// overdueAfter is how long after its time an attempt may still be moved to
	// its lane by the server.
	overdueAfter = 15 * time.Second
	// timersAtOnce is how many timers a look reads. The next one goes on where
	// it ended.
	timersAtOnce = 500
)

// wake puts attempts that are overdue onto their timers once more. A server
// that has no space left when the time of an attempt comes cannot move it to
// its lane, and does not try again until it is restarted.
//
// The timer is replaced only if it is still the one that was read, and several
// replicas give the new one the same id: an attempt that is moved meanwhile is
// not ordered twice.
func (k *Keeper) wake(ctx context.Context) {
	for range timersAtOnce {
		msg, err := k.stream.GetMsg(ctx, k.timer+1, jetstream.WithGetMsgSubject(events.TimerFilter))
		if err != nil {
			k.timer = 0 // these were all, or it is looked again
			return
		}
		k.timer = msg.Sequence
		if !overdue(msg.Header, time.Now().Add(-or(k.config.Overdue, overdueAfter))) {
			continue
		}
		switch err := k.orderAgain(ctx, msg); {
		case err == nil:
			k.config.Logger.Warn("an attempt was overdue and is ordered again", "subject", msg.Subject)
		case ctx.Err() == nil && !moved(err):
			k.config.Logger.Warn("an attempt is overdue and cannot be ordered again", "subject", msg.Subject, "error", err)
		}
	}
}

func or(value, otherwise time.Duration) time.Duration {
	if value > 0 {
		return value
	}
	return otherwise
}

// overdue says whether the time of an attempt came before a moment.
func overdue(header nats.Header, before time.Time) bool {
	text, ok := strings.CutPrefix(header.Get(jetstream.ScheduleHeader), "@at ")
	if !ok {
		return false
	}
	at, err := time.Parse(time.RFC3339, text)
	return err == nil && at.Before(before)
}

// orderAgain orders an attempt for now, in place of the timer that was read.
func (k *Keeper) orderAgain(ctx context.Context, msg *jetstream.RawStreamMsg) error {
	_, err := k.js.PublishMsg(ctx, &nats.Msg{Subject: msg.Subject, Data: msg.Data},
		jetstream.WithMsgID(fmt.Sprintf("%s.%d", msg.Subject, msg.Sequence)),
		jetstream.WithExpectStream(events.StreamWork),
		jetstream.WithExpectLastSequencePerSubject(msg.Sequence),
		jetstream.WithScheduleAt(time.Now().Add(time.Second)),
		jetstream.WithScheduleTarget(msg.Header.Get(jetstream.ScheduleTargetHeader)),
	)
	return err
}

// moved says that the timer is another one by now, or gone.
func moved(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && (refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
