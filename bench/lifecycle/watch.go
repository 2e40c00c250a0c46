package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// watcher notes, as their facts are published, which requests have completed or
// halted. A request that fails fails the benchmark.
type watcher struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
	early   map[string]bool // seen before anybody waited
	seen    int
	counted bool // only counted, nobody waits for one request
	failed  string
}

// watch begins to note.
func watch(nc *nats.Conn) (*watcher, error) {
	w := &watcher{waiting: map[string]chan struct{}{}, early: map[string]bool{}}
	for _, fact := range []string{"completed", "paused", "failed"} {
		_, err := nc.Subscribe("dsr.event.request."+fact+".*", func(m *nats.Msg) {
			w.note(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], fact == "failed")
		})
		if err != nil {
			return nil, err
		}
	}
	return w, nc.Flush()
}

func (w *watcher) note(id string, failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	if failed {
		w.failed = id
	}
	if waits := w.waiting[id]; waits != nil {
		close(waits)
		delete(w.waiting, id)
	} else if !w.counted {
		w.early[id] = true
	}
}

// reset forgets what was seen. With counted, nobody will wait for one request.
func (w *watcher) reset(counted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.early)
	w.seen, w.counted = 0, counted
}

// count is how often requests completed or halted since the reset.
func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// awaitCount waits until so many have completed or halted since the reset.
func (w *watcher) awaitCount(ctx context.Context, n int) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	last, since := -1, time.Now()
	for {
		count := w.count()
		if count >= n {
			return w.problem()
		}
		if count != last {
			last, since = count, time.Now()
		}
		if time.Since(since) > stuck {
			return fmt.Errorf("%d of %d requests went on, and no other for %s", count, n, stuck)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// stuck is how long nothing happens before it is given up.
const stuck = 2 * time.Minute

// problem is the failure of a request, if one has failed.
func (w *watcher) problem() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != "" {
		return fmt.Errorf("request %s has failed", w.failed)
	}
	return nil
}

// await waits until a request has completed or halted.
func (w *watcher) await(ctx context.Context, id string) error {
	w.mu.Lock()
	if w.early[id] {
		delete(w.early, id)
		w.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	w.waiting[id] = done
	w.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("request %s has not ended: %w", id, ctx.Err())
	}
}
