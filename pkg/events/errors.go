package events

import "errors"

var (
	// ErrType is returned for an event type that is not one of Parley's.
	ErrType = errors.New("events: unknown event type")
	// ErrSubject is returned for an id that cannot stand in a subject.
	ErrSubject = errors.New("events: bad subject token")
)
