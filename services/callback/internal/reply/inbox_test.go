package reply

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
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func openInbox(t *testing.T) (*Inbox, *nats.Conn) {
	t.Helper()
	nc, js := testbed.NATS(t)
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	inbox, err := OpenInbox(nc, js)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inbox.Close(); err != nil {
			t.Error(err)
		}
	})
	return inbox, nc
}

// orchestrator answers facts by a script; nil is no answer.
func orchestrator(t *testing.T, nc *nats.Conn, js jetstream.JetStream, script func(events.Event) *work.Answer) {
	t.Helper()
	consumer, err := js.OrderedConsumer(t.Context(), events.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"dsr.event.callback.>"}})
	if err != nil {
		t.Fatal(err)
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		e, err := events.Decode(m.Headers(), m.Data())
		if err != nil {
			t.Error(err)
			return
		}
		answer := script(e)
		if answer == nil {
			return
		}
		encoded, err := json.Marshal(answer)
		if err != nil {
			t.Error(err)
			return
		}
		if err := nc.Publish(m.Headers().Get(work.HeaderReply), encoded); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consuming.Stop)
}

func fact(t *testing.T, id string) events.Event {
	t.Helper()
	e, err := events.New(events.SourceCallback, events.CallbackResumed, id, requestID, time.Now(), events.CallbackData{CallID: call(requestID, record.Pre, 3)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Everyone gets the answer to their own fact.
func TestAsk(t *testing.T) {
	t.Parallel()
	inbox, nc := openInbox(t)
	orchestrator(t, nc, inbox.js, func(e events.Event) *work.Answer {
		return &work.Answer{Code: e.ID(), Status: record.Paused}
	})
	var asking sync.WaitGroup
	for n := range 50 {
		asking.Go(func() {
			id := fmt.Sprintf("fact-%d", n)
			answer, err := inbox.Ask(t.Context(), fact(t, id))
			if err != nil || answer.Code != id {
				t.Errorf("%s: %+v, %v", id, answer, err)
			}
		})
	}
	asking.Wait()
	if len(inbox.waiting) != 0 {
		t.Errorf("%d are still waited for", len(inbox.waiting))
	}
}

func TestAskWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	inbox, nc := openInbox(t)
	inbox.patience = 3 * time.Second // storing takes its time on a busy machine
	stored := make(chan string, 4)
	orchestrator(t, nc, inbox.js, func(e events.Event) *work.Answer {
		stored <- e.ID()
		return nil
	})
	if _, err := inbox.Ask(t.Context(), fact(t, "silence")); !errors.Is(err, ErrNoAnswer) {
		t.Fatalf("got %v", err)
	}
	if id := <-stored; id != "silence" {
		t.Fatalf("stored: %s", id)
	}
	// The caller goes away; the fact stays.
	inbox.patience = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := inbox.Ask(ctx, fact(t, "left"))
		left <- err
	}()
	if id := <-stored; id != "left" {
		t.Fatalf("stored: %s", id)
	}
	cancel()
	if err := <-left; !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestAskWithoutAStream(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	inbox, err := OpenInbox(nc, js)
	if err != nil {
		t.Fatal(err)
	}
	inbox.patience = 3 * time.Second // storing takes its time on a busy machine
	if _, err := inbox.Ask(t.Context(), fact(t, "lost")); !errors.Is(err, ErrNotStored) {
		t.Fatalf("got %v", err)
	}
}

// What nobody waits for, or nobody understands, is dropped.
func TestStrayAnswers(t *testing.T) {
	t.Parallel()
	inbox, nc := openInbox(t)
	name, answers := inbox.expect()
	inbox.deliver(&nats.Msg{Subject: inbox.prefix + "nobody", Data: []byte(`{"accepted":true}`)})
	inbox.deliver(&nats.Msg{Subject: inbox.prefix + name, Data: []byte(`rubbish`)})
	inbox.deliver(&nats.Msg{Subject: inbox.prefix + name, Data: []byte(`{"accepted":true}`)})
	inbox.deliver(&nats.Msg{Subject: inbox.prefix + name, Data: []byte(`{"accepted":false}`)})
	if answer := <-answers; !answer.Accepted {
		t.Fatal("a later answer counted")
	}
	inbox.forget(name)
	if err := nc.Publish(inbox.prefix+name, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
}
