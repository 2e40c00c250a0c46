package topology_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// left is a work stream of which the first message is below the place up to
// which its consumer has acknowledged all; the second is in hand, the third waits.
type left struct {
	topology.Leftovers
	nc       *nats.Conn
	consumer jetstream.Consumer
	inHand   jetstream.Msg
}

func leave(t *testing.T) left {
	t.Helper()
	nc, js := testbed.NATS(t)
	ctx := t.Context()
	check(t, topology.EnsureOrchestrator(ctx, js, topology.Options{}))
	publish := func(request string) {
		t.Helper()
		_, err := js.Publish(ctx, events.CommandSubject(request), []byte("{}"))
		check(t, err)
	}
	publish("pri_left")
	publish("pri_acked")
	config := jetstream.ConsumerConfig{
		Durable: topology.ConsumerCommands, FilterSubject: events.CommandSubject("pri_acked"), AckPolicy: jetstream.AckExplicitPolicy,
	}
	consumer, err := js.CreateConsumer(ctx, events.StreamWork, config)
	check(t, err)
	msg, err := consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
	check(t, err)
	check(t, msg.DoubleAck(ctx))
	// What the consumer has passed is not delivered any more, whatever its filter.
	config.FilterSubject = events.CommandFilter
	consumer, err = js.UpdateConsumer(ctx, events.StreamWork, config)
	check(t, err)
	publish("pri_taken")
	publish("pri_waits")
	stream, err := js.Stream(ctx, events.StreamWork)
	check(t, err)
	l := left{
		Leftovers: topology.Leftovers{
			Stream: stream, Consumer: topology.ConsumerCommands, Filter: events.CommandFilter,
			Done: func(context.Context, *jetstream.RawStreamMsg) (bool, error) { return true, nil },
		},
		nc: nc, consumer: consumer,
	}
	l.inHand = l.next(t, "pri_taken")
	return l
}

// next takes the next message, which must be about a request.
func (l left) next(t *testing.T, request string) jetstream.Msg {
	t.Helper()
	msg, err := l.consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
	check(t, err)
	if msg.Subject() != events.CommandSubject(request) {
		t.Fatalf("%s was delivered, want %s", msg.Subject(), request)
	}
	return msg
}

// What was done is taken out, and nothing else.
func TestLeftoversAreTakenOut(t *testing.T) {
	t.Parallel()
	l := leave(t)
	for _, want := range []int{1, 0} {
		if n, passed, err := l.Clean(t.Context(), l.nc); n != want || passed != nil || err != nil {
			t.Errorf("%d left over, %v passed, %v, want %d", n, passed, err, want)
		}
	}
	info, err := l.Stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	check(t, err)
	if len(info.State.Subjects) != 2 || info.State.Subjects[events.CommandSubject("pri_left")] != 0 {
		t.Errorf("the stream has %v", info.State.Subjects)
	}
	nobody := l.Leftovers
	nobody.Consumer, nobody.Filter = "lane-none", events.CallFilter
	if n, passed, err := nobody.Clean(t.Context(), l.nc); n != 0 || passed != nil || err != nil {
		t.Errorf("without calls and lanes: %d, %v, %v", n, passed, err)
	}
}

// What was not done is put into the stream anew, while others are in hand.
func TestLeftoversAreReplaced(t *testing.T) {
	t.Parallel()
	l := leave(t)
	l.Done = func(context.Context, *jetstream.RawStreamMsg) (bool, error) { return false, nil }
	n, passed, err := l.Clean(t.Context(), l.nc)
	if n != 0 || err != nil || passed == nil || passed.Sequence != 1 {
		t.Fatalf("%d left over, %v passed, %v, want the first message", n, passed, err)
	}
	put := func(_ context.Context, msg *jetstream.RawStreamMsg) error { return l.nc.Publish(msg.Subject, msg.Data) }
	check(t, l.Replace(t.Context(), l.nc, passed, put))
	check(t, l.next(t, "pri_waits").DoubleAck(t.Context()))
	check(t, l.next(t, "pri_left").DoubleAck(t.Context()))
	if n, passed, err := l.Clean(t.Context(), l.nc); n != 0 || passed != nil || err != nil {
		t.Errorf("after it was replaced: %d left over, %v passed, %v", n, passed, err)
	}
}

func TestCandidate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c topology.Candidate
		one, two := &jetstream.RawStreamMsg{Sequence: 1}, &jetstream.RawStreamMsg{Sequence: 2}
		for i, step := range []struct {
			seen   *jetstream.RawStreamMsg
			stands bool
		}{{one, false}, {one, false}, {one, true}, {two, false}, {one, false}, {one, false}, {nil, false}, {one, false}, {one, false}, {one, true}} {
			if got := c.Stands(step.seen, 2*time.Second); got != step.stands {
				t.Errorf("look %d: %t", i, got)
			}
			time.Sleep(time.Second) //nolint:forbidigo // the clock is the bubble's
		}
	})
}
