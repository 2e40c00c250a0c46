// Package dispatchertest plays the dispatcher in tests of the orchestrator: it
// takes the calls that are ordered and reports what a test says became of
// them, as the real one would.
package dispatchertest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// Report is what became of a call: a type and what the fact says beyond the
// call. An empty type reports nothing.
type Report struct {
	Type string
	Data events.WebhookData
}

// Succeed reports that every call succeeded.
func Succeed(work.Call) Report { return Report{Type: events.WebhookSucceeded} }

// Dispatcher plays. Calls that it has taken are counted by webhook key.
type Dispatcher struct {
	mu    sync.Mutex
	calls []work.Call
	seen  map[string]bool
}

// Play starts a dispatcher that reports what answer says, and stops with the
// test.
func Play(t testing.TB, js jetstream.JetStream, answer func(work.Call) Report) *Dispatcher {
	t.Helper()
	consumer, err := js.CreateOrUpdateConsumer(t.Context(), events.StreamWork, jetstream.ConsumerConfig{
		Durable: "played-dispatcher", FilterSubject: events.CallFilter, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatalf("play the dispatcher: %v", err)
	}
	d := &Dispatcher{seen: map[string]bool{}}
	taking, err := consumer.Consume(func(msg jetstream.Msg) {
		var call work.Call
		if err := json.Unmarshal(msg.Data(), &call); err != nil {
			t.Errorf("call: %v", err)
			return
		}
		d.note(call)
		if err := publish(t.Context(), js, call, answer(call)); err != nil {
			if t.Context().Err() == nil {
				t.Errorf("report: %v", err)
			}
			return
		}
		_ = msg.Ack()
	})
	if err != nil {
		t.Fatalf("play the dispatcher: %v", err)
	}
	t.Cleanup(taking.Stop)
	return d
}

// Calls gives the calls that were taken, in order, each once.
func (d *Dispatcher) Calls() []work.Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]work.Call{}, d.calls...)
}

func (d *Dispatcher) note(c work.Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.seen[c.CallID] {
		d.seen[c.CallID] = true
		d.calls = append(d.calls, c)
	}
}

func publish(ctx context.Context, js jetstream.JetStream, c work.Call, r Report) error {
	if r.Type == "" {
		return nil
	}
	e, err := Fact(c, r)
	if err != nil {
		return err
	}
	return events.Publish(ctx, js, e)
}

// Fact is the report as the dispatcher publishes it.
func Fact(c work.Call, r Report) (events.Event, error) {
	data := r.Data
	data.CallID, data.Run, data.Phase, data.Order = c.CallID, c.Run, string(c.Phase), c.Order
	data.Webhook = events.Webhook{
		ID: c.Webhook.ID, Key: c.Webhook.Key, Name: c.Webhook.Name, Direction: c.Webhook.Direction,
		ConnectionID: c.Webhook.ConnectionID, ConnectionKey: c.Webhook.ConnectionKey,
	}
	if data.Attempt == 0 {
		data.Attempt = 1
	}
	id := fmt.Sprintf("%s.%d.%s", c.CallID, data.Attempt, r.Type)
	return events.New(events.SourceDispatcher, r.Type, id, c.RequestID, time.Now(), data)
}
