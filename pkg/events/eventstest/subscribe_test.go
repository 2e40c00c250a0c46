package eventstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testbed.Settling{M: m, Left: func() error { return goleak.Find() }})
}

func TestFactsComeInOrder(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]events.Subscription{
		"with a durable":    {Durable: "audit"},
		"without a durable": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.publish(t, "pri_1", 1, 20)
			sub := subscribe(t, b.js, s)
			sub.expect(t, "pri_1", 1, 20)
			b.publish(t, "pri_1", 21, 40)
			sub.expect(t, "pri_1", 21, 40)
			sub.nothing(t)
		})
	}
}

func TestAFactComesAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := fact(t, "pri_1", 7)
	events.SetTraceParent(&e, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if err := events.Publish(t.Context(), b.js, e); err != nil {
		t.Fatal(err)
	}
	got := subscribe(t, b.js, events.Subscription{}).next(t)
	if got.String() != e.String() {
		t.Errorf("got\n%s\nwant\n%s", got, e)
	}
	var data events.RequestData
	if err := got.DataAs(&data); err != nil || data.Sequence != 7 {
		t.Errorf("data %+v, %v", data, err)
	}
}

func TestAwayAndBackLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := events.Subscription{Durable: "audit"}
	first := subscribe(t, b.js, s)
	b.publish(t, "pri_1", 1, 5)
	first.expect(t, "pri_1", 1, 5)
	first.away(t)
	b.publish(t, "pri_1", 6, 10)
	second := subscribe(t, b.js, s)
	second.expect(t, "pri_1", 6, 10)
	second.nothing(t)
}

func TestWhereASubscriptionBegins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish(t, "pri_1", 1, 3)
	stream, err := b.js.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	third, err := stream.GetMsg(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from  events.From
		first int
	}{
		"zero":           {events.From{}, 1},
		"beginning":      {events.FromBeginning(), 1},
		"sequence":       {events.FromSequence(2), 2},
		"sequence zero":  {events.FromSequence(0), 1},
		"time":           {events.FromTime(third.Time), 3},
		"time long past": {events.FromTime(time.Unix(0, 0)), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subscribe(t, b.js, events.Subscription{From: c.from}).expect(t, "pri_1", c.first, 3)
		})
	}
}

func TestFromNewBeginsWithTheNext(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish(t, "pri_1", 1, 3)
	sub := subscribe(t, b.js, events.Subscription{Durable: "late", From: events.FromNew()})
	awaitConsumer(t, b.js, "late")
	b.publish(t, "pri_1", 4, 4)
	sub.expect(t, "pri_1", 4, 4)
}

// awaitConsumer waits until a durable exists.
func awaitConsumer(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	err := topology.Await(t.Context(), nil, func(ctx context.Context) error {
		_, err := js.Consumer(ctx, events.StreamEvents, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheTypesAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub := subscribe(t, b.js, events.Subscription{Durable: "some", Types: []string{events.RequestCompleted, events.RequestFailed, events.RequestFailed}})
	for n, eventType := range []string{events.RequestStarted, events.RequestCompleted, events.WebhookHalted, events.RequestFailed} {
		e, err := events.New(events.SourceOrchestrator, eventType, fmt.Sprintf("x.%d", n), "pri_1", time.Now(), struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if err := events.Publish(t.Context(), b.js, e); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{events.RequestCompleted, events.RequestFailed} {
		if got := sub.next(t).Type(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What a subscriber to all facts had in hand is no affair of one that goes on
// under its name and asks for a type.
func TestTypesAskedForLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := subscribe(t, b.js, events.Subscription{Durable: "some"})
	b.publish(t, "pri_1", 1, 1)
	all.expect(t, "pri_1", 1, 1)
	all.away(t)
	b.publish(t, "pri_1", 2, 2)
	consumer, err := b.js.Consumer(t.Context(), events.StreamEvents, "some")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	sub := subscribe(t, b.js, events.Subscription{Durable: "some", Types: []string{events.RequestCompleted}})
	if err := msg.Nak(); err != nil {
		t.Fatal(err)
	}
	e, err := events.New(events.SourceOrchestrator, events.RequestCompleted, "pri_1.3", "pri_1", time.Now(), struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Publish(t.Context(), b.js, e); err != nil {
		t.Fatal(err)
	}
	if got := sub.next(t); got.ID() != e.ID() {
		t.Errorf("got %s", got)
	}
	sub.nothing(t)
}

func TestAFailedFactComesAgainAndTheOthersWait(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var failures atomic.Int32
	pauses := make(chan int, 10)
	sub := subscribeWith(t, b.js, events.Subscription{
		Durable: "audit",
		Backoff: func(n int) time.Duration { pauses <- n; return 20 * time.Millisecond },
	}, func(e events.Event) error {
		if e.ID() == "pri_1.2" && failures.Add(1) <= 3 {
			return errors.New("not now")
		}
		return nil
	})
	b.publish(t, "pri_1", 1, 5)
	sub.expect(t, "pri_1", 1, 5)
	if failures.Load() != 4 {
		t.Errorf("the fact was handled %d times", failures.Load())
	}
	for want := 1; want <= 3; want++ {
		if n := <-pauses; n != want {
			t.Errorf("pause of failure %d, want %d", n, want)
		}
	}
}

func TestSubscribersOfADurableShareInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := make(chan string, 1000)
	for range 3 {
		_, js := testbed.Connect(t, b.server.URL())
		subscribeWith(t, js, events.Subscription{Durable: "shared"}, func(e events.Event) error {
			got <- e.ID()
			return nil
		})
	}
	b.publish(t, "pri_1", 1, 200)
	for n := 1; n <= 200; n++ {
		select {
		case id := <-got:
			if id != fmt.Sprintf("pri_1.%d", n) {
				t.Fatalf("got %s, want %d", id, n)
			}
		case <-time.After(patience):
			t.Fatalf("fact %d did not come", n)
		}
	}
}

func TestRepeatsAreDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub := subscribe(t, b.js, events.Subscription{Durable: "audit"})
	b.publish(t, "pri_1", 1, 2)
	// The second fact once more, as after a crash outside the stream's window.
	msg, err := events.Encode(fact(t, "pri_1", 2))
	if err != nil {
		t.Fatal(err)
	}
	msg.Header.Del(nats.MsgIdHdr)
	if _, err := b.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	b.publish(t, "pri_1", 3, 3)
	sub.expect(t, "pri_1", 1, 3)
}

func TestTheServerRestarts(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]events.Subscription{
		"with a durable":    {Durable: "audit"},
		"without a durable": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			sub := subscribe(t, b.js, s)
			b.publish(t, "pri_1", 1, 3)
			sub.expect(t, "pri_1", 1, 3)
			b.restart(t)
			b.publish(t, "pri_1", 4, 6)
			sub.expect(t, "pri_1", 4, 6)
			sub.nothing(t)
		})
	}
}

func TestADurableThatWasDeletedIsMadeAgainWhereItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub := subscribe(t, b.js, events.Subscription{Durable: "audit", From: events.FromNew()})
	awaitConsumer(t, b.js, "audit")
	b.publish(t, "pri_1", 1, 3)
	sub.expect(t, "pri_1", 1, 3)
	if err := b.js.DeleteConsumer(t.Context(), events.StreamEvents, "audit"); err != nil {
		t.Fatal(err)
	}
	b.publish(t, "pri_1", 4, 6)
	sub.expect(t, "pri_1", 4, 6)
}

func TestSubscribeWaitsForTheStream(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	reasons := make(chan string, 100)
	sub := subscribe(t, js, events.Subscription{Waiting: func(reason string) { reasons <- reason }})
	if reason := <-reasons; reason != "stream DSR_EVENTS does not exist yet" {
		t.Errorf("reason %q", reason)
	}
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := events.Publish(t.Context(), js, fact(t, "pri_1", 1)); err != nil {
		t.Fatal(err)
	}
	sub.expect(t, "pri_1", 1, 1)
}

func TestWhatIsNoCloudEventIsLeftOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub := subscribe(t, b.js, events.Subscription{Durable: "audit"})
	b.publish(t, "pri_1", 1, 1)
	if _, err := b.js.Publish(t.Context(), "dsr.event.request.started.pri_1", []byte("noise")); err != nil {
		t.Fatal(err)
	}
	b.publish(t, "pri_1", 2, 2)
	sub.expect(t, "pri_1", 1, 2)
}

func TestBadSubscriptions(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	for want, s := range map[error]events.Subscription{
		events.ErrSubscription: {Durable: "a.b"},
		events.ErrType:         {Types: []string{"request.created"}},
	} {
		if err := events.Subscribe(t.Context(), js, s, nil); !errors.Is(err, want) {
			t.Errorf("err = %v, want %v", err, want)
		}
	}
}

func TestSubscribeEndsWithItsContextOrTheConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub := subscribe(t, b.js, events.Subscription{})
	b.publish(t, "pri_1", 1, 1)
	sub.expect(t, "pri_1", 1, 1)
	sub.cancel()
	if err := sub.end(t); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	stream, err := b.js.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for name := range stream.ConsumerNames(t.Context()).Name() {
		left = append(left, name)
	}
	if !slices.Equal(left, nil) {
		t.Errorf("consumers left: %v", left)
	}

	nc, js := testbed.Connect(t, b.server.URL())
	other := subscribe(t, js, events.Subscription{})
	other.expect(t, "pri_1", 1, 1)
	nc.Close()
	if err := other.end(t); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("err = %v", err)
	}
}
