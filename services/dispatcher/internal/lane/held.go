package lane

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// held are the messages that are being worked on here. One that is delivered
// again meanwhile, since what we told the server of it was late or lost, is not
// begun a second time: the acknowledgement of the first counts for both.
type held struct {
	mu       sync.Mutex
	messages map[identity]struct{}
}

// identity tells messages apart, also across a store that gives its sequences
// once more.
type identity struct {
	sequence uint64
	stored   int64
}

// take notes a message. It says false for one that is held, or else gives what
// lets it go.
func (h *held) take(msg jetstream.Msg) (release func(), ok bool) {
	meta, err := msg.Metadata()
	if err != nil {
		return func() {}, true
	}
	id := identity{sequence: meta.Sequence.Stream, stored: meta.Timestamp.UnixNano()}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, twice := h.messages[id]; twice {
		return nil, false
	}
	if h.messages == nil {
		h.messages = map[identity]struct{}{}
	}
	h.messages[id] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.messages, id)
	}, true
}
