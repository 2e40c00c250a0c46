package transition

import "errors"

var (
	// errUnreadable: the message is not what its subject promises. It will
	// never be.
	errUnreadable = errors.New("transition: unreadable message")
	// errContended: others changed the record every time.
	errContended = errors.New("transition: too many conflicts")
	// errDisconnected: the connection to NATS was lost during the step.
	errDisconnected = errors.New("transition: the connection to NATS was lost")
)
