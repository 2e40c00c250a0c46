package transition

import (
	"context"
	"sync"
)

// workers handle messages, so many at a time: those of one request one after
// the other and in order. None waits for another request's while a worker is
// free.
type workers struct {
	handle func(message)
	free   chan struct{} // has as many as there are at work
	next   chan message
	wg     sync.WaitGroup

	mu sync.Mutex
	// behind are, by request, the messages that wait for one that is handled.
	behind map[string][]message
}

func newWorkers(n int, handle func(message)) *workers {
	w := &workers{
		handle: handle, free: make(chan struct{}, n), next: make(chan message, n), behind: map[string][]message{},
	}
	for range n {
		w.wg.Go(func() {
			for m := range w.next {
				w.work(m)
				<-w.free
			}
		})
	}
	return w
}

// put waits for a worker, and leaves the message to another one if that has a
// message of the same request. It says false if ctx ended first.
func (w *workers) put(ctx context.Context, m message) bool {
	select {
	case w.free <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if w.queue(m) {
		<-w.free
		return true
	}
	w.next <- m
	return true
}

// queue puts a message behind one of its request that is handled. It says false
// where there is none: then the request is taken for this one.
func (w *workers) queue(m message) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := m.delivery.RequestID
	behind, busy := w.behind[id]
	if busy {
		behind = append(behind, m)
	}
	w.behind[id] = behind
	return busy
}

// work handles a message, and those of its request that come meanwhile.
func (w *workers) work(m message) {
	for more := true; more; m, more = w.after(m) {
		w.handle(m)
	}
}

// after gives the next message of a request, or lets the request go.
func (w *workers) after(m message) (next message, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := m.delivery.RequestID
	behind := w.behind[id]
	if len(behind) == 0 {
		delete(w.behind, id)
		return message{}, false
	}
	w.behind[id] = behind[1:]
	return behind[0], true
}

// drain returns when everything that was put is handled. Nothing may be put
// any more.
func (w *workers) drain() {
	close(w.next)
	w.wg.Wait()
}
