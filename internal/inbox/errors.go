package inbox

import "errors"

var (
	// ErrNotStored is returned for an input that could not be published: it will
	// not be applied, and may be sent again.
	ErrNotStored = errors.New("inbox: the input could not be stored")
	// ErrUnconfirmed is returned for an input of which nobody knows whether it
	// was stored: it may still be applied, and may be sent again.
	ErrUnconfirmed = errors.New("inbox: it is not known whether the input was stored")
	// ErrNoAnswer is returned for an input that is stored and was not answered
	// in time: it will be applied.
	ErrNoAnswer = errors.New("inbox: the input is stored and not yet answered")
)
