package topology

import "errors"

var (
	// ErrNotFound is returned for a key that does not exist, was removed or
	// has expired.
	ErrNotFound = errors.New("topology: no such key")
	// ErrConflict is returned where the key has another revision than the one
	// that was expected.
	ErrConflict = errors.New("topology: the key was changed by another writer")
	// ErrExpired is returned for a time to live that is over already.
	ErrExpired = errors.New("topology: the time to live is over")
	// ErrTooLarge is returned for a value that no message can hold. Writing it
	// again will not help.
	ErrTooLarge = errors.New("topology: the value is larger than the server takes")
	// ErrKey is returned for a key that cannot stand in a subject.
	ErrKey = errors.New("topology: bad key")
)
