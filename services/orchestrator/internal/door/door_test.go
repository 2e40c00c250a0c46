package door

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// answer plays the transition loop: it answers every command with its id.
func answer(t *testing.T, nc *nats.Conn, js jetstream.JetStream) {
	t.Helper()
	consumer, err := js.CreateOrUpdateConsumer(t.Context(), events.StreamWork, jetstream.ConsumerConfig{
		Durable: "played-loop", FilterSubject: events.CommandFilter, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	taking, err := consumer.Consume(func(msg jetstream.Msg) {
		var c work.Command
		if err := json.Unmarshal(msg.Data(), &c); err != nil {
			t.Error(err)
		}
		if id := msg.Headers().Get(jetstream.MsgIDHeader); id != c.ID || msg.Subject() != events.CommandSubject(c.RequestID) {
			t.Errorf("command %s came as %s on %s", c.ID, id, msg.Subject())
		}
		data, err := json.Marshal(work.Answer{Accepted: true, Code: c.ID})
		if err != nil {
			t.Error(err)
		}
		_ = nc.Publish(msg.Headers().Get(work.HeaderReply), data)
		_ = msg.Ack()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taking.Stop)
}

func TestSend(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	d, err := Open(nc, js, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Send(t.Context(), work.Command{ID: "lost", RequestID: "pri_1"}); err == nil || errors.Is(err, ErrNoAnswer) {
		t.Errorf("without the stream: %v", err)
	}
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	answer(t, nc, js)
	got, err := d.Send(t.Context(), work.Command{ID: "one", Name: work.Retry, RequestID: "pri_1"})
	if err != nil || !got.Accepted || got.Code != "one" {
		t.Errorf("%+v, %v", got, err)
	}
}
