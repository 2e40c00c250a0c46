package transition

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	// releaseGrace leaves the wait for a one_way call to the sweep, which is
	// sooner where it can.
	releaseGrace = 3 * time.Second
	// releaseAgain is the pause before another try, where NATS did not answer.
	releaseAgain = 30 * time.Second
)

// releaseAt sees to it that a one_way call does not hold its request for longer
// than it may, also while there is no database to sweep. What this process
// forgets when it ends is left to the sweep; other waits, which are long, are
// too.
func (l *Loop) releaseAt(rec *record.Record) {
	if w := rec.Wait; w != nil && w.Kind == record.WaitRelease {
		l.releaseIn(w.Until.Sub(l.Clock())+releaseGrace, rec.ID, w.CallID)
	}
}

func (l *Loop) releaseIn(wait time.Duration, id, callID string) {
	time.AfterFunc(wait, func() {
		if !l.NATS.IsClosed() && l.release(id, callID) != nil {
			l.releaseIn(releaseAgain, id, callID)
		}
	})
}

// release sends a timeout, if the request still waits for the call.
func (l *Loop) release(id, callID string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	now, err := l.load(ctx, id)
	if rec := now.rec; err != nil || rec == nil || rec.Wait == nil || rec.Wait.CallID != callID {
		return err
	}
	c := work.Command{ID: callID + ".release", Name: work.Timeout, RequestID: id, At: l.Clock().UTC(), CallID: callID}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = l.JS.PublishMsg(ctx, &nats.Msg{Subject: events.CommandSubject(id), Data: data}, jetstream.WithMsgID(c.ID))
	return err
}
