package events

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// position is where a subscription stands in the stream, so far as this process
// knows. Its methods may be called while another goroutine reads mark.
type position struct {
	mu      sync.Mutex
	started bool
	// handled is the stream sequence of the last fact that was handled here;
	// what other subscribers of the same durable handled is not in it.
	handled uint64
	// consumer is the consumer's number of the last delivery to this process,
	// or of the last one that was acknowledged before the first.
	consumer uint64
}

// known gives the last handled sequence, if there is one to speak of.
func (p *position) known() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handled, p.started
}

// begin is for a consumer that is new: all up to floor is none of its business.
func (p *position) begin(floor uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started, p.handled, p.consumer = true, floor, 0
}

// replace is for a consumer that takes the place of one that was lost.
func (p *position) replace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consumer = 0
}

// resume is for a consumer that the server remembers; see resumeAt.
func (p *position) resume(floor jetstream.SequenceInfo, seen uint64, marked bool, first, last uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		seen, marked = max(seen, p.handled), true
	}
	if !marked {
		seen = floor.Stream
	}
	p.handled = resumeAt(floor.Stream, seen, first, last)
	p.started, p.consumer = true, floor.Consumer
}

// resumeAt decides up to where a durable has seen the stream. The server's
// floor would say it, but the server lifts it over what retention or a purge
// removed, handled or not: also over a fact that was on its way to a subscriber
// that died. A floor below the stream's first message may have been lifted so;
// then the mark that the subscribers leave behind (seen) counts. The mark may lag
// by some seconds if the last subscriber died, so a gap may be said to be larger
// than it is; it is never left unsaid.
func resumeAt(floor, seen, first, last uint64) uint64 {
	seen = min(seen, last) // less, if the stream was put back to an earlier state
	if lifted := floor < first; lifted && seen < floor {
		return seen
	}
	return max(floor, seen)
}

// missingBefore gives the range that is gone before the stream's first message.
func (p *position) missingBefore(first uint64) *GapError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first == 0 || p.handled+1 >= first {
		return nil
	}
	return &GapError{From: p.handled + 1, To: first - 1}
}

// arrive takes note of a delivery. It gives the range that is gone before it,
// and says whether the deliveries to this process are unbroken: if not, other
// subscribers got some, and what they got is not gone. Deliveries count the
// repeats to others too, so fewer may be found missing than are, never more.
func (p *position) arrive(stream, consumer uint64) (gap *GapError, unbroken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	elsewhere := uint64(0)
	if consumer > p.consumer+1 {
		elsewhere = consumer - p.consumer - 1
	}
	if stream > p.handled+1+elsewhere {
		gap = &GapError{From: p.handled + 1, To: stream - 1}
	}
	p.consumer = consumer
	return gap, elsewhere == 0
}

// done takes note that all up to the sequence is handled or given up.
func (p *position) done(stream uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handled = max(p.handled, stream)
}
