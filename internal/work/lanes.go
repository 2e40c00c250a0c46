package work

import "time"

// Lanes is what one dispatcher knows of the lanes, in the order of the
// connections' ids. What waits in the stream is the same for all of them; calls
// in flight and the breaker are its own.
type Lanes struct {
	// Replica tells the answers of several dispatchers apart.
	Replica string `json:"replica"`
	Lanes   []Lane `json:"lanes"`
}

// Lane is the calls of one connection. There is one for every connection that
// has calls, and for some that had until a moment ago.
type Lane struct {
	ConnectionID string `json:"connection_id"`
	// ConnectionKey is "" where the connection is gone.
	ConnectionKey string `json:"connection_key,omitempty"`
	// Pending counts the calls in the stream, those in flight included.
	Pending uint64 `json:"pending"`
	// InFlight counts the calls that this dispatcher is making.
	InFlight int `json:"in_flight"`
	// Breaker is "closed", "open" or "half-open"; "" where this dispatcher has
	// no such lane.
	Breaker string `json:"breaker,omitempty"`
	// TryAt is when the receiver is tried again, for an open breaker.
	TryAt *time.Time `json:"try_at,omitempty"`
	// Oldest is when the call that waits longest came into the lane; nil for
	// an empty lane.
	Oldest *time.Time `json:"oldest,omitempty"`
}
