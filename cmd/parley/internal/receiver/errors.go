package receiver

import "errors"

var (
	// ErrClosed is returned to those who wait for a call when the receiver ends.
	ErrClosed = errors.New("receiver: closed")
	// ErrNoReply is returned for a call that cannot be replied to: it came
	// without the reply headers, or the receiver does not know where Parley is.
	ErrNoReply = errors.New("receiver: this call cannot be replied to")
)
