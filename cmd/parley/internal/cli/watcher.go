package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/pkg/events"
)

// watcher is a subscriber as anyone can write it: a connection of its own, and
// pkg/events.
type watcher struct {
	nc        *nats.Conn
	timeline  *timeline
	cancel    context.CancelFunc
	ended     chan error
	completed chan string

	mu   sync.Mutex
	seen map[string]int // by request
}

func startWatcher(ctx context.Context, url string, t *timeline) (*watcher, error) {
	nc, err := nats.Connect(url, nats.Name("parley demo subscriber"))
	if err != nil {
		return nil, fmt.Errorf("subscriber: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("subscriber: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{
		nc: nc, timeline: t, cancel: cancel,
		ended: make(chan error, 1), completed: make(chan string, 16), seen: map[string]int{},
	}
	go func() { w.ended <- events.Subscribe(ctx, js, events.Subscription{}, w.see) }()
	return w, nil
}

// see prints an event about a request; those about configuration are left out.
func (w *watcher) see(ctx context.Context, e events.Event) error {
	name := strings.TrimSuffix(strings.TrimPrefix(e.Type(), "dev.parley."), ".v1")
	if strings.HasPrefix(name, "config.") {
		return nil
	}
	w.mu.Lock()
	w.seen[e.Subject()]++
	w.mu.Unlock()
	w.timeline.right(name + detail(e))
	if e.Type() == events.RequestCompleted {
		select {
		case w.completed <- e.Subject():
		case <-ctx.Done():
		}
	}
	return nil
}

// detail is what is worth a word beside the type.
func detail(e events.Event) string {
	var data struct {
		Sequence uint64          `json:"sequence"`
		Reason   string          `json:"reason"`
		Webhook  *events.Webhook `json:"webhook"`
		Derived  []string        `json:"derived_fields"`
	}
	if json.Unmarshal(e.Data(), &data) != nil {
		return ""
	}
	var words []string
	if data.Webhook != nil {
		words = append(words, data.Webhook.Key)
	}
	if len(data.Derived) > 0 {
		words = append(words, "derived "+strings.Join(data.Derived, ", "))
	}
	if data.Reason != "" {
		words = append(words, data.Reason)
	}
	if len(words) == 0 {
		return ""
	}
	return "  (" + strings.Join(words, "; ") + ")"
}

// untilCompleted waits for the end of the request and says how many events it
// had.
func (w *watcher) untilCompleted(ctx context.Context, requestID string) (int, error) {
	for {
		select {
		case id := <-w.completed:
			if id != requestID {
				continue
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.seen[id], nil
		case err := <-w.ended:
			return 0, fmt.Errorf("subscriber: %w", err)
		case <-ctx.Done():
			return 0, fmt.Errorf("subscriber: waiting for request.completed: %w", ctx.Err())
		}
	}
}

func (w *watcher) close() {
	w.cancel()
	w.nc.Close()
}
