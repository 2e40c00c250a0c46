package call

// ahead is something that is read while we read something else. What a call
// needs does not depend on each other, as far as NATS is concerned, and a lane
// is as fast as its calls are in flight: so the call waits for one round trip,
// and the questions leave, and the answers come, together.
type ahead[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// readAhead begins to read.
func readAhead[T any](read func() (T, error)) *ahead[T] {
	a := &ahead[T]{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.value, a.err = read()
	}()
	return a
}

// wait gives what was read. Reading ends with the context of the call, so this
// does.
func (a *ahead[T]) wait() (T, error) {
	<-a.done
	return a.value, a.err
}
