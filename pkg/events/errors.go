package events

import "errors"

var (
	// ErrType is returned for an event type that is not one of Parley's.
	ErrType = errors.New("events: unknown event type")
	// ErrSubject is returned for an id that cannot stand in a subject.
	ErrSubject = errors.New("events: bad subject token")
	// ErrEvent is returned for an event that cannot be encoded or decoded.
	ErrEvent = errors.New("events: malformed event")
	// ErrTooLarge is returned for an event that is larger than the server
	// takes. Publishing it again will not help.
	ErrTooLarge = errors.New("events: the event is larger than the server takes")
	// ErrNotStored is returned where no acknowledgement came: the server or the
	// stream is away. The event may or may not be stored; publishing it again,
	// with the same id, is safe.
	ErrNotStored = errors.New("events: the event was not acknowledged")
	// ErrSubscription is returned for a Subscription that cannot be made.
	ErrSubscription = errors.New("events: bad subscription")
	// ErrAction is returned for an action that has no executions.
	ErrAction = errors.New("events: unknown action")
)
