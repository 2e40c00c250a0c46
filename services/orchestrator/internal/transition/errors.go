package transition

import "errors"

var (
	// errUnreadable: the message is not what its subject promises. It will
	// never be.
	errUnreadable = errors.New("transition: unreadable message")
	// errUnwritable: the input leads to a record that no bucket can hold. It
	// always will.
	errUnwritable = errors.New("transition: the next record cannot be written")
	// errUnread: the step has to be done over the record, which was not read.
	errUnread = errors.New("transition: the record has to be read")
	// errContended: others changed the record every time.
	errContended = errors.New("transition: too many conflicts")
	// errDisconnected: the connection to NATS was lost during the step.
	errDisconnected = errors.New("transition: the connection to NATS was lost")
)
