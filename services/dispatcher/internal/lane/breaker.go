package lane

import (
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// Health is what a handler has learnt of the receiver that it called.
type Health int

// What may be known of a receiver.
const (
	// Unknown: the receiver was not called, or what came of it says nothing
	// about the receiver.
	Unknown Health = iota
	// Up: the receiver answered, if only to refuse the call.
	Up
	// Down: there was no answer, or one that says that the receiver fails.
	Down
	// Broken: the receiver answered that it failed, which may be for this call
	// alone. Among calls as they come it is as good as Down.
	Broken
)

// When a breaker opens, and for how long. The cool-down doubles with every
// trial that fails, so that an outage of an hour costs about fifteen calls one
// attempt each. The times of many breakers are spread, so that receivers
// behind one gateway are not all tried in one moment.
const (
	failuresInARow  = 5
	firstCoolDown   = 10 * time.Second
	longestCoolDown = 5 * time.Minute
	spread          = 0.2
	// brokenAtMost is how many calls a trial makes where each is Broken: those
	// that were first in the lane may be the ones that can never succeed.
	brokenAtMost = 3
)

// breaker says whether the receiver of a lane may be called. It is closed (it
// may), open (not before the cool-down is over), or half-open (one call is let
// through, and what comes of it decides; where it is Broken, another).
//
// Each time it changes it takes a new circuit. A call reports to the circuit
// under which it began, so that one that hung since before the outage was
// noticed says nothing about the trial that followed.
type breaker struct {
	first, longest time.Duration

	mu       sync.Mutex
	circuit  circuit
	coolDown time.Duration // zero while closed
	opened   chan struct{} // closed while the breaker is not
	changed  time.Time
	broken   int // calls of this trial that told no more than that they are
}

type circuit = circuitbreaker.CircuitBreaker[any]

func newBreaker(first, longest time.Duration) *breaker {
	b := &breaker{first: first, longest: longest, opened: make(chan struct{}), changed: time.Now()}
	b.circuit = b.build(first)
	return b
}

func (b *breaker) build(coolDown time.Duration) circuit {
	return circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(failuresInARow).
		WithSuccessThreshold(1).
		WithDelay(coolDown).
		WithJitterFactor(spread).
		Build()
}

// begin is called when a call begins, and gives what tells the breaker how it
// ended.
func (b *breaker) begin() (report func(Health)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	began := b.circuit
	return func(h Health) { b.report(began, h) }
}

func (b *breaker) report(began circuit, h Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h == Unknown || began != b.circuit {
		return
	}
	before := began.State()
	if h == Broken && before == circuitbreaker.HalfOpenState {
		if b.broken++; b.broken < brokenAtMost {
			return
		}
	}
	if h == Up {
		began.RecordSuccess()
	} else {
		began.RecordFailure()
	}
	after := began.State()
	if after == before {
		return
	}
	switch after {
	case circuitbreaker.OpenState:
		b.open()
	case circuitbreaker.ClosedState:
		b.close()
	}
}

func (b *breaker) open() {
	if b.coolDown == 0 {
		close(b.opened)
	}
	b.coolDown = min(max(2*b.coolDown, b.first), b.longest)
	b.circuit = b.build(b.coolDown)
	b.circuit.Open()
	b.changed = time.Now()
}

func (b *breaker) close() {
	b.coolDown = 0
	b.opened = make(chan struct{})
	b.circuit = b.build(b.first)
	b.changed = time.Now()
}

// try makes the breaker half-open once the cool-down is over. It returns how
// long that will be.
func (b *breaker) try() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.circuit.IsOpen() {
		if wait := b.circuit.RemainingDelay(); wait > 0 {
			return wait
		}
		b.circuit.HalfOpen()
		b.broken = 0
	}
	return 0
}

// openedNow gives a channel that is closed while the breaker is not.
func (b *breaker) openedNow() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}

// closed says whether calls may be made as they come.
func (b *breaker) closed() bool { return b.state() == circuitbreaker.ClosedState }

func (b *breaker) state() circuitbreaker.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit.State()
}

// remaining is what is left of the cool-down.
func (b *breaker) remaining() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit.RemainingDelay()
}

// unchangedFor says how long the breaker has been as it is.
func (b *breaker) unchangedFor() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.changed)
}
