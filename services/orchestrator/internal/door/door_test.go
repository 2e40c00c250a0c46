package door

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func setup(t *testing.T) (*Door, *nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	d, err := Open(nc, js)
	if err != nil {
		t.Fatal(err)
	}
	return d, nc, js
}

// answer plays the transition loop: it answers every command, twice.
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
		data, err := json.Marshal(work.Answer{Accepted: true, Code: c.ID})
		if err != nil {
			t.Error(err)
		}
		for range 2 {
			_ = nc.Publish(msg.Headers().Get(work.HeaderReply), data)
		}
		_ = msg.Ack()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taking.Stop)
}

func TestEveryCallerGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	d, nc, js := setup(t)
	answer(t, nc, js)
	failures := make(chan error)
	for i := range 50 {
		go func() {
			id := string(rune('a'+i%26)) + string(rune('a'+i/26))
			got, err := d.Send(context.WithoutCancel(t.Context()), work.Command{ID: id, Name: work.Retry, RequestID: "pri_1"})
			if err == nil && got.Code != id {
				err = errors.New("the answer of another: " + got.Code)
			}
			failures <- err
		}()
	}
	for range 50 {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	if len(d.callers) != 0 {
		t.Errorf("%d callers are remembered", len(d.callers))
	}
}

func TestAnUnansweredCommandIsStored(t *testing.T) {
	t.Parallel()
	d, _, js := setup(t)
	d.wait = 50 * time.Millisecond
	if _, err := d.Send(t.Context(), work.Command{ID: "a", RequestID: "pri_1"}); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v", err)
	}
	stream, err := js.Stream(t.Context(), events.StreamWork)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d commands are stored", n)
	}
}

func TestWithoutTheStreamNothingIsStored(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	d, err := Open(nc, js)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Send(t.Context(), work.Command{ID: "a", RequestID: "pri_1"}); !errors.Is(err, ErrNotStored) {
		t.Errorf("%v", err)
	}
}

// TestWhatWasSentMayBeStored gives up while the command is on its way: then it
// must not be said that it was not stored.
func TestWhatWasSentMayBeStored(t *testing.T) {
	t.Parallel()
	server := testbed.NATSServer(t)
	nc, js := testbed.Connect(t, server.URL())
	d, err := Open(nc, js)
	if err != nil {
		t.Fatal(err)
	}
	d.wait = 50 * time.Millisecond
	server.Close()
	if _, err := d.Send(t.Context(), work.Command{ID: "a", RequestID: "pri_1"}); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("without an answer: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := d.Send(gone, work.Command{ID: "b", RequestID: "pri_1"}); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("without the caller: %v", err)
	}
}
