package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// short is a patience in which a busy machine can store something.
const short = 3 * time.Second

type bundle struct {
	*Inbox
	nc *nats.Conn
}

func setup(t *testing.T, patience time.Duration) bundle {
	t.Helper()
	nc, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	i, err := Open(nc, js, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return bundle{i, nc}
}

// loop plays the transition loop: it hands commands to the script and answers
// each twice, unless the answer is nil.
func (b bundle) loop(t *testing.T, script func(work.Command) *work.Answer) {
	t.Helper()
	consumer, err := b.js.CreateOrUpdateConsumer(t.Context(), events.StreamWork, jetstream.ConsumerConfig{
		Durable: "played-loop", FilterSubject: events.CommandFilter, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	taking, err := consumer.Consume(func(m jetstream.Msg) {
		var c work.Command
		if err := json.Unmarshal(m.Data(), &c); err != nil {
			t.Error(err)
		}
		if answer := script(c); answer != nil {
			data, err := json.Marshal(answer)
			if err != nil {
				t.Error(err)
			}
			for range 2 {
				_ = b.nc.Publish(m.Headers().Get(work.HeaderReply), data)
			}
		}
		_ = m.Ack()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taking.Stop)
}

func command(t *testing.T, id string) *nats.Msg {
	t.Helper()
	data, err := json.Marshal(work.Command{ID: id, RequestID: "pri_1"})
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: events.CommandSubject("pri_1"), Data: data}
}

func TestEveryCallerGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, 30*time.Second)
	b.loop(t, func(c work.Command) *work.Answer { return &work.Answer{Accepted: true, Code: c.ID} })
	var asking sync.WaitGroup
	for n := range 50 {
		asking.Go(func() {
			id := fmt.Sprintf("command-%d", n)
			answer, err := b.Ask(t.Context(), command(t, id), jetstream.WithMsgID(id))
			if err != nil || answer.Code != id {
				t.Errorf("%s: %+v, %v", id, answer, err)
			}
		})
	}
	asking.Wait()
	if len(b.callers) != 0 {
		t.Errorf("%d callers are remembered", len(b.callers))
	}
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	b := setup(t, short)
	stored := make(chan string, 4)
	b.loop(t, func(c work.Command) *work.Answer {
		stored <- c.ID
		return nil
	})
	if _, err := b.Ask(t.Context(), command(t, "silence")); !errors.Is(err, ErrNoAnswer) {
		t.Fatalf("got %v", err)
	}
	if id := <-stored; id != "silence" {
		t.Fatalf("stored: %s", id)
	}
	// The caller goes away; the input stays.
	b.patience = time.Hour
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := b.Ask(ctx, command(t, "left"))
		left <- err
	}()
	if id := <-stored; id != "left" {
		t.Fatalf("stored: %s", id)
	}
	leave()
	if err := <-left; !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestWithoutTheStreamNothingIsStored(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	i, err := Open(nc, js, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Ask(t.Context(), command(t, "lost")); !errors.Is(err, ErrNotStored) {
		t.Errorf("got %v", err)
	}
}

// An input whose sender hears nothing of the server may be stored, and nobody
// says that it was not.
func TestWhatWasSentMayBeStored(t *testing.T) {
	t.Parallel()
	server := testbed.NATSServer(t)
	nc, js := testbed.Connect(t, server.URL())
	i, err := Open(nc, js, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if _, err := i.Ask(t.Context(), command(t, "a")); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("without an answer: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := i.Ask(gone, command(t, "b")); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("without the caller: %v", err)
	}
}

// What nobody waits for, or nobody understands, is dropped.
func TestStrayAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	name, answers := b.expect()
	b.deliver(&nats.Msg{Subject: b.prefix + "nobody", Data: []byte(`{"accepted":true}`)})
	b.deliver(&nats.Msg{Subject: b.prefix + name, Data: []byte(`rubbish`)})
	b.deliver(&nats.Msg{Subject: b.prefix + name, Data: []byte(`{"accepted":true}`)})
	b.deliver(&nats.Msg{Subject: b.prefix + name, Data: []byte(`{"accepted":false}`)})
	if answer := <-answers; !answer.Accepted {
		t.Fatal("a later answer counted")
	}
	b.forget(name)
	b.deliver(&nats.Msg{Subject: b.prefix + name, Data: []byte(`{}`)})
}
