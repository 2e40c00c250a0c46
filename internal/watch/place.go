package watch

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// place is where a consumer was when it last moved.
type place struct {
	delivered, acknowledged uint64
	inHand                  int
	since                   time.Time
}

func placeOf(info *jetstream.ConsumerInfo) place {
	return place{
		delivered: info.Delivered.Consumer, acknowledged: info.AckFloor.Consumer, inHand: info.NumAckPending, since: time.Now(),
	}
}

// move notes that the consumer has moved: something was delivered, again or for
// the first time, or acknowledged. One that has nothing to do, or is told to
// pause, begins its wait anew.
func (p *place) move(info *jetstream.ConsumerInfo) {
	idle := info.NumPending == 0 && info.NumAckPending == 0
	now := placeOf(info)
	if idle || info.Paused || now.delivered != p.delivered || now.acknowledged != p.acknowledged || now.inHand != p.inHand {
		*p = now
	}
}

// stalled says whether the consumer should have moved by now.
func (p *place) stalled(info *jetstream.ConsumerInfo, after time.Duration, holds bool) bool {
	still := time.Since(p.since)
	if info.NumAckPending == 0 {
		return info.NumPending > 0 && still >= after
	}
	return !holds && still >= after+info.Config.AckWait
}
