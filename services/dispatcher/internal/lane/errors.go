package lane

import "errors"

// ErrUnreadable is returned by a handler for a message that no delivery can
// make readable: it is taken out of the stream.
var ErrUnreadable = errors.New("lane: the message cannot be read")
