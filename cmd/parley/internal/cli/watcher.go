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
	nc       *nats.Conn
	timeline *timeline
	cancel   context.CancelFunc
	ended    chan error

	mu      sync.Mutex
	events  int
	seen    map[string]bool // request and type
	changed chan struct{}   // closed, and replaced, with every event
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
		ended: make(chan error, 1), seen: map[string]bool{}, changed: make(chan struct{}),
	}
	go func() { w.ended <- events.Subscribe(ctx, js, events.Subscription{}, w.see) }()
	return w, nil
}

// see prints an event about a request; those about configuration are left out.
func (w *watcher) see(_ context.Context, e events.Event) error {
	name := strings.TrimSuffix(strings.TrimPrefix(e.Type(), "dev.parley."), ".v1")
	if strings.HasPrefix(name, "config.") {
		return nil
	}
	w.timeline.right(name + detail(e))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events++
	w.seen[e.Subject()+" "+e.Type()] = true
	close(w.changed)
	w.changed = make(chan struct{})
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

// until waits until the request has had an event of the type.
func (w *watcher) until(ctx context.Context, requestID, eventType string) error {
	for {
		w.mu.Lock()
		seen, changed := w.seen[requestID+" "+eventType], w.changed
		w.mu.Unlock()
		if seen {
			return nil
		}
		select {
		case <-changed:
		case err := <-w.ended:
			return fmt.Errorf("subscriber: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("subscriber: waiting for %s: %w", eventType, ctx.Err())
		}
	}
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events
}

func (w *watcher) close() {
	w.cancel()
	w.nc.Close()
}
