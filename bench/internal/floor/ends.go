package floor

import "sync"

// ends knows who waits for the end of which lifecycle.
type ends struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
	err     error
	failed  chan struct{}
}

func (e *ends) init() { e.waiting, e.failed = map[string]chan struct{}{}, make(chan struct{}) }

func (e *ends) begin(id string) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	end := make(chan struct{})
	e.waiting[id] = end
	return end
}

func (e *ends) end(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if end := e.waiting[id]; end != nil {
		close(end)
		delete(e.waiting, id)
	}
}

func (e *ends) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
		close(e.failed)
	}
}

func (e *ends) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
