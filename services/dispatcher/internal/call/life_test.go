package call

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

var errAway = errors.New("away")

// away is a NATS that answers nothing.
type away struct{ Vault }

func (away) Get(context.Context, string) (topology.Entry, error) { return topology.Entry{}, errAway }
func (away) Connection(context.Context, string) (catalog.Connection, error) {
	return catalog.Connection{}, errAway
}
func (away) AskConnection(context.Context, string) func() (catalog.Connection, error) {
	return func() (catalog.Connection, error) { return catalog.Connection{}, errAway }
}
func (away) Fetch(context.Context, string) (vault.Sealed, error) { return vault.Sealed{}, errAway }

// TestWhatIsAwayUsesUpNoCall takes a call up while nothing can be read. It stays
// where it is, and with its last delivery is put into the stream anew, without a
// mark, so that it may wait for as long as it takes.
func TestWhatIsAwayUsesUpNoCall(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	c := New(Config{
		JetStream: js, Records: away{}, Connections: away{}, Vault: away{}, Clock: time.Now,
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	ordered := work.Call{
		CallID: "pri_1_call", RequestID: "pri_1", Phase: record.Pre, Attempt: 2, Abandoned: 1,
		Webhook: record.Webhook{ConnectionID: "con_1", Direction: record.TwoWay},
	}
	for delivery, msg := range deliver(t, js, ordered) {
		_, err := c.Handle(t.Context(), msg)
		if last := delivery == deliveries; last != (err == nil) {
			t.Fatalf("delivery %d: %v", delivery, err)
		}
		if err == nil {
			break
		}
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), events.StreamWork)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetLastMsgForSubject(t.Context(), events.TimerSubject(ordered.CallID, ordered.Attempt))
	if err != nil {
		t.Fatal(err)
	}
	var next work.Call
	if err := json.Unmarshal(stored.Data, &next); err != nil || next.Attempt != ordered.Attempt || next.Abandoned != 0 {
		t.Errorf("next: %+v, %v", next, err)
	}
}

// deliver gives the message of a call with each of its deliveries.
func deliver(t *testing.T, js jetstream.JetStream, call work.Call) func(yield func(int, jetstream.Msg) bool) {
	t.Helper()
	data, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), events.CallSubject(call.Webhook.ConnectionID, call.RequestID), data); err != nil {
		t.Fatal(err)
	}
	consumer, err := js.CreateConsumer(t.Context(), events.StreamWork, jetstream.ConsumerConfig{
		FilterSubject: events.LaneFilter(call.Webhook.ConnectionID), AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(int, jetstream.Msg) bool) {
		for n := 1; ; n++ {
			msg, err := consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if !yield(n, msg) {
				return
			}
		}
	}
}
