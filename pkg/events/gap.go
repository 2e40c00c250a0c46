package events

import "fmt"

// GapError says that facts are gone which the subscription has not seen:
// retention, or somebody's purge, removed them first.
type GapError struct {
	// From and To are the sequences, in the stream, of the first and the last
	// fact that may be gone.
	From, To uint64
	// RequestID is the request that misses facts, where that is known, and
	// FromSequence and ToSequence are the missing numbers of RequestData.
	RequestID                string
	FromSequence, ToSequence uint64
}

// Error gives the positions and, where it is known, the request.
func (e *GapError) Error() string {
	text := fmt.Sprintf("events: facts %d to %d of stream %s are gone unseen", e.From, e.To, StreamEvents)
	if e.RequestID != "" {
		text += fmt.Sprintf(" (request %s: %d to %d)", e.RequestID, e.FromSequence, e.ToSequence)
	}
	return text
}
