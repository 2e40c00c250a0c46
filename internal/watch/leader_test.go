package watch

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// TestAnotherLeader: under its next leader a consumer stands behind a message
// that was not acknowledged when it was last looked at. It goes back to it, and
// never forward.
func TestAnotherLeader(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	nc, js := testbed.Cluster(t)
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 3})
	must(t, err)
	consumer, err := js.CreateConsumer(ctx, "S", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	must(t, err)
	publish(t, js, 0, 5)
	take := func(n int) {
		t.Helper()
		for range n {
			msg, err := consumer.Next(jetstream.FetchMaxWait(time.Minute))
			must(t, err)
			must(t, msg.DoubleAck(ctx))
		}
	}
	w := New(js, slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Rewinding()
	look := func() {
		t.Helper()
		info, err := consumer.Info(ctx)
		must(t, err)
		w.follow(ctx, info)
	}

	take(2)
	look()
	take(1)
	another(ctx, t, nc, consumer)
	look()
	if got := read(ctx, t, consumer, 3); got != "[2 3 4]" {
		t.Errorf("read %s", got)
	}

	publish(t, js, 5, 6)
	w.led["S.c"] = led{leader: "one before", floor: 100} // the consumer is another one since
	look()
	if got := read(ctx, t, consumer, 1); got != "[5]" {
		t.Errorf("read %s", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// another waits until the consumer has another leader.
func another(ctx context.Context, t *testing.T, nc *nats.Conn, c jetstream.Consumer) {
	t.Helper()
	before, err := c.Info(ctx)
	must(t, err)
	again := time.NewTicker(3 * time.Second)
	defer again.Stop()
	for {
		_, err := nc.RequestWithContext(ctx, "$JS.API.CONSUMER.LEADER.STEPDOWN.S.c", nil)
		must(t, err)
		look := time.NewTicker(50 * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case <-look.C:
				asking, cancel := context.WithTimeout(ctx, time.Second)
				info, err := c.Info(asking)
				cancel()
				if err == nil && info.Cluster.Leader != "" && info.Cluster.Leader != before.Cluster.Leader {
					look.Stop()
					return
				}
			case <-again.C: // the same one was elected
				waiting = false
			case <-ctx.Done():
				t.Fatal("no other leader")
			}
		}
		look.Stop()
	}
}
