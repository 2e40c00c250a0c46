package transition

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/work"
)

// verdict is what becomes of a message.
type verdict int

const (
	// verdictAck: it is done.
	verdictAck verdict = iota
	// verdictRetry: it comes again after a pause.
	verdictRetry
	// verdictRelease: it comes again at once, for another process.
	verdictRelease
	// verdictDrop: nobody will ever be able to read or to apply it.
	verdictDrop
)

const (
	retryFirst   = 100 * time.Millisecond
	retryLongest = 30 * time.Second
	// alarmAfter is the number of deliveries after which a message that still
	// fails is told as an error.
	alarmAfter = 20
)

// judge decides by the error alone.
func judge(err error) verdict {
	switch {
	case err == nil:
		return verdictAck
	case errors.Is(err, errUnreadable), errors.Is(err, errUnwritable):
		return verdictDrop
	case errors.Is(err, context.Canceled):
		return verdictRelease
	}
	return verdictRetry
}

func isTimeout(d Delivery) bool {
	return d.Input.Command != nil && d.Input.Command.Name == work.Timeout
}

// pause grows with the number of deliveries.
func pause(deliveries uint64) time.Duration {
	if deliveries > alarmAfter {
		return retryLongest
	}
	d := retryFirst << max(deliveries, 1) >> 1
	return min(d, retryLongest)
}

// end tells the server what becomes of a message. A message that cannot be
// acknowledged comes again, which is harmless.
func (l *Loop) end(ctx context.Context, m message, err error) {
	deliveries := uint64(1)
	if meta, metaErr := m.msg.Metadata(); metaErr == nil {
		deliveries = meta.NumDelivered
	}
	var ackErr error
	v := judge(err)
	if v == verdictRetry && deliveries >= alarmAfter && isTimeout(m.delivery) {
		// The sweep tells of the wait again as long as it is overdue. Those that
		// are never applied would gather, and in the end hold up all commands.
		v = verdictDrop
	}
	switch v {
	case verdictAck:
		ackErr = m.msg.Ack()
	case verdictRelease:
		ackErr = m.msg.Nak()
	case verdictDrop:
		l.Logger.ErrorContext(ctx, "a message is left out", "subject", m.msg.Subject(), "error", err)
		ackErr = m.msg.TermWithReason("it can never be applied")
	case verdictRetry:
		l.report(ctx, m, deliveries, err)
		ackErr = m.msg.NakWithDelay(pause(deliveries))
	}
	if ackErr != nil && !errors.Is(ackErr, jetstream.ErrMsgAlreadyAckd) {
		l.Logger.Debug("acknowledgement failed", "subject", m.msg.Subject(), "error", ackErr)
	}
}

func (l *Loop) report(ctx context.Context, m message, deliveries uint64, err error) {
	log := l.Logger.WarnContext
	if deliveries >= alarmAfter {
		log = l.Logger.ErrorContext
	}
	log(ctx, "input not applied, it comes again", "subject", m.msg.Subject(), "deliveries", deliveries, "error", err)
}
