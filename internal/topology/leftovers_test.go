package topology_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// TestAckLeftovers leaves a message below the place up to which its consumer has
// acknowledged all, and takes nothing else.
func TestAckLeftovers(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(topology.EnsureOrchestrator(ctx, js, topology.Options{}))
	publish := func(request string) {
		t.Helper()
		_, err := js.Publish(ctx, events.CommandSubject(request), []byte("{}"))
		check(err)
	}
	publish("pri_left")
	publish("pri_acked")
	config := jetstream.ConsumerConfig{
		Durable: topology.ConsumerCommands, FilterSubject: events.CommandSubject("pri_acked"), AckPolicy: jetstream.AckExplicitPolicy,
	}
	consumer, err := js.CreateConsumer(ctx, events.StreamWork, config)
	check(err)
	msg, err := consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
	check(err)
	check(msg.DoubleAck(ctx))
	// What the consumer has passed is not delivered any more, whatever its filter.
	config.FilterSubject = events.CommandFilter
	consumer, err = js.UpdateConsumer(ctx, events.StreamWork, config)
	check(err)
	publish("pri_taken")
	publish("pri_waits")
	msg, err = consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
	check(err)
	if msg.Subject() != events.CommandSubject("pri_taken") {
		t.Fatalf("%s was delivered", msg.Subject())
	}

	stream, err := js.Stream(ctx, events.StreamWork)
	check(err)
	for _, want := range []int{1, 0} {
		if n, err := topology.AckLeftovers(ctx, nc, stream, topology.ConsumerCommands, events.CommandFilter); n != want || err != nil {
			t.Errorf("%d left over, %v, want %d", n, err, want)
		}
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	check(err)
	if len(info.State.Subjects) != 2 || info.State.Subjects[events.CommandSubject("pri_left")] != 0 {
		t.Errorf("the stream has %v", info.State.Subjects)
	}
	if n, err := topology.AckLeftovers(ctx, nc, stream, "lane-none", events.CallFilter); n != 0 || err != nil {
		t.Errorf("without calls and lanes: %d, %v", n, err)
	}
}
