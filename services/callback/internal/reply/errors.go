package reply

import "errors"

var (
	// ErrNotStored says that a fact was not, or perhaps not, stored.
	ErrNotStored = errors.New("reply: the fact could not be stored")
	// ErrNoAnswer says that a fact is stored but the orchestrator was silent.
	ErrNoAnswer = errors.New("reply: stored, but not answered in time")
)
