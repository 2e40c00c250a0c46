package eventstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// bed is a server with the streams, and a connection to it.
type bed struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	options embedded.NATSOptions
	server  *embedded.NATS
}

func setup(t *testing.T) *bed {
	t.Helper()
	b := &bed{options: embedded.NATSOptions{Dir: t.TempDir(), Addr: testbed.FreeAddr(t)}}
	b.server = testbed.StartNATS(t, b.options)
	b.nc, b.js = testbed.Connect(t, b.server.URL())
	if err := topology.EnsureOrchestrator(t.Context(), b.js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// restart stops the server and starts it again over the same store.
func (b *bed) restart(t *testing.T) {
	t.Helper()
	b.server.Close()
	b.server = testbed.StartNATS(t, b.options)
	for !b.nc.IsConnected() {
		if err := b.nc.FlushTimeout(10 * time.Second); err != nil && !errors.Is(err, nats.ErrConnectionReconnecting) {
			t.Logf("reconnecting: %v", err)
		}
		if t.Context().Err() != nil {
			t.Fatal("the connection did not come back")
		}
	}
}

// fact makes the n-th fact of the orchestrator about a request.
func fact(t *testing.T, request string, n int) events.Event {
	t.Helper()
	e, err := events.New(events.SourceOrchestrator, events.RequestStarted, fmt.Sprintf("%s.%d", request, n), request,
		time.Date(2026, 7, 1, 12, 0, n, 0, time.UTC), events.RequestData{Sequence: uint64(n), Status: "in_processing"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// publish publishes the facts from to to about a request.
func (b *bed) publish(t *testing.T, request string, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := events.Publish(t.Context(), b.js, fact(t, request, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// subscriber runs a Subscribe and hands on what it gets.
type subscriber struct {
	got    chan events.Event
	ended  chan error
	cancel context.CancelFunc
	stop   sync.Once
}

func subscribe(t *testing.T, js jetstream.JetStream, s events.Subscription) *subscriber {
	t.Helper()
	return subscribeWith(t, js, s, nil)
}

// subscribeWith asks before for an error, which the handler returns.
func subscribeWith(t *testing.T, js jetstream.JetStream, s events.Subscription, before func(events.Event) error) *subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	sub := &subscriber{got: make(chan events.Event, 10_000), ended: make(chan error, 1), cancel: cancel}
	if s.Backoff == nil {
		s.Backoff = func(int) time.Duration { return 10 * time.Millisecond }
	}
	go func() {
		sub.ended <- events.Subscribe(ctx, js, s, func(_ context.Context, e events.Event) error {
			if before != nil {
				if err := before(e); err != nil {
					return err
				}
			}
			sub.got <- e
			return nil
		})
	}()
	t.Cleanup(func() { sub.away(t) })
	return sub
}

// away ends the subscriber and waits until it has ended.
func (s *subscriber) away(t *testing.T) {
	t.Helper()
	s.stop.Do(func() {
		s.cancel()
		select {
		case err := <-s.ended:
			if err == nil {
				t.Error("Subscribe ended without an error")
			}
		case <-time.After(patience):
			t.Error("Subscribe did not end")
		}
	})
}

// end waits until the subscriber ends by itself.
func (s *subscriber) end(t *testing.T) error {
	t.Helper()
	var err error
	s.stop.Do(func() {
		defer s.cancel()
		select {
		case err = <-s.ended:
		case <-time.After(patience):
			t.Fatal("Subscribe did not end")
		}
	})
	return err
}

const patience = time.Minute

// next waits for a fact.
func (s *subscriber) next(t *testing.T) events.Event {
	t.Helper()
	select {
	case e := <-s.got:
		return e
	case err := <-s.ended:
		s.ended <- err
		t.Fatalf("Subscribe ended: %v", err)
	case <-time.After(patience):
		t.Fatal("no fact came")
	}
	return events.Event{}
}

// expect waits for the facts from to to about a request, in order.
func (s *subscriber) expect(t *testing.T, request string, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if e := s.next(t); e.ID() != fmt.Sprintf("%s.%d", request, n) {
			t.Fatalf("got %s, want %s.%d", e.ID(), request, n)
		}
	}
}

// nothing says whether no fact has come that was not asked for.
func (s *subscriber) nothing(t *testing.T) {
	t.Helper()
	select {
	case e := <-s.got:
		t.Fatalf("got %s", e.ID())
	default:
	}
}
