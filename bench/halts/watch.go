package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// watcher notes when something happened to a request for the first time.
type watcher struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func newWatcher() *watcher { return &watcher{seen: map[string]time.Time{}} }

func (w *watcher) note(requestID string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.seen[requestID]; !known {
		w.seen[requestID] = now
	}
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// since gives the times from a moment of each request to what was seen.
func (w *watcher) since(moments map[string]time.Time) *lags {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &lags{}
	for id, seen := range w.seen {
		if moment, ok := moments[id]; ok {
			l.add(seen.Sub(moment))
		}
	}
	return l
}

// watchMarkers notes the expiry markers in the bucket of halts from now on.
func (h *house) watchMarkers(ctx context.Context, w *watcher) (stop func(), err error) {
	return h.watch(ctx, h.halted.StreamName(), "", func(m jetstream.Msg) {
		if !topology.IsExpiry(m.Headers()) {
			return
		}
		if call, err := record.ParseCallID(topology.KeyOfSubject(m.Subject())); err == nil {
			w.note(call.RequestID)
		}
	})
}

// watchFacts notes facts of a type from now on, by their request, and hands them
// on.
func (h *house) watchFacts(ctx context.Context, eventType string, w *watcher, then func(jetstream.Msg)) (stop func(), err error) {
	filter, err := events.Filter(eventType)
	if err != nil {
		return nil, err
	}
	return h.watch(ctx, events.StreamEvents, filter, func(m jetstream.Msg) {
		w.note(m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:])
		if then != nil {
			then(m)
		}
	})
}

func (h *house) watch(ctx context.Context, stream, filter string, see func(jetstream.Msg)) (stop func(), err error) {
	config := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy}
	if filter != "" {
		config.FilterSubjects = []string{filter}
	}
	consumer, err := h.js.OrderedConsumer(ctx, stream, config)
	if err != nil {
		return nil, err
	}
	consuming, err := consumer.Consume(see)
	if err != nil {
		return nil, err
	}
	return consuming.Stop, nil
}

// agree does what the orchestrator does with a resume that it accepts: it
// changes the record, tells it and answers.
func (h *house) agree(ctx context.Context, m jetstream.Msg) error {
	var data events.CallbackData
	if err := json.Unmarshal(m.Data(), &data); err != nil {
		return err
	}
	call, err := record.ParseCallID(data.CallID)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	r := pausedRecord(0, now, now)
	r.ID, r.Revision, r.Sequence, r.Status, r.Wait = call.RequestID, 5, 5, record.InProcessing, nil
	if _, err := h.requests.Put(ctx, r.ID, encode(r), 0); err != nil {
		return err
	}
	if err := h.tell(ctx, r, events.RequestResumed); err != nil {
		return err
	}
	reply := m.Headers().Get(work.HeaderReply)
	answer := work.Answer{Accepted: true, Status: r.Status, Request: encode(map[string]string{"id": r.ID, "status": string(r.Status)})}
	return h.nc.Publish(reply, encode(answer))
}
