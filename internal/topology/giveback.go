package topology

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// returnWithin is how long GiveBack waits for messages that are on their way.
const returnWithin = time.Second

// GiveBack ends a pull and returns what was delivered and not begun, so that
// another replica gets it at once instead of when its acknowledgement is
// overdue.
func GiveBack(messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(returnWithin))
		if err != nil {
			break // most often: all is given back
		}
		_ = msg.Nak()
	}
	messages.Stop()
}
