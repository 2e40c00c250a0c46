package readmodel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// pulling is a stream with a durable consumer that gives a message back only
// after an hour.
func pulling(t *testing.T) (jetstream.JetStream, *pull) {
	t.Helper()
	_, js := testbed.NATS(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
		t.Fatal(err)
	}
	_, err := js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{
		Durable: "C", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return js, another(t, js)
}

func another(t *testing.T, js jetstream.JetStream) *pull {
	t.Helper()
	p, err := newPull(js, "S", "C")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.sub.Unsubscribe() })
	return p
}

func store(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	for i := range n {
		if _, err := js.Publish(t.Context(), fmt.Sprintf("s.%d", i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}

// gather takes messages until there are so many.
func gather(t *testing.T, p *pull, want int) (all []message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(all) < want {
		batch, err := p.wake(ctx)
		if err != nil {
			t.Fatalf("after %d of %d: %v", len(all), want, err)
		}
		more, err := p.take(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, batch...), more...)
	}
	return all
}

func TestAPullTakesWhatIsThere(t *testing.T) {
	t.Parallel()
	js, p := pulling(t)
	if batch, err := p.take(t.Context(), 10); len(batch) != 0 || err != nil {
		t.Fatalf("of nothing: %v, %v", batch, err)
	}
	store(t, js, 25)
	for i, msg := range gather(t, p, 25) {
		meta, err := msg.Metadata()
		if err != nil || meta.Sequence.Stream != uint64(i+1) || string(msg.Data()) != "x" {
			t.Errorf("message %d: %+v, %v", i, meta, err)
		}
	}
}

// What a pull has asked for and nobody will take goes to another at once, not
// when its time is over.
func TestAPullGivesBackWhatItWillNotTake(t *testing.T) {
	t.Parallel()
	js, p := pulling(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.wake(ctx); !errors.Is(err, context.Canceled) { // its request is on the way
		t.Fatalf("after the end: %v", err)
	}
	store(t, js, 3)
	p.end()
	gather(t, another(t, js), 3)
}

// A feed that hears so leaves the making of the next consumer to who deleted
// this one, whether it was waiting then or asks only now.
func TestAPullOfAConsumerThatIsGone(t *testing.T) {
	t.Parallel()
	js, p := pulling(t)
	waiting := make(chan error, 1)
	go func() {
		_, err := p.wake(t.Context())
		waiting <- err
	}()
	awaitPull(t, js)
	if err := js.DeleteConsumer(t.Context(), "S", "C"); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, jetstream.ErrConsumerDeleted) {
		t.Errorf("while it waited: %v", err)
	}
	if _, err := p.wake(t.Context()); !errors.Is(err, jetstream.ErrConsumerDeleted) {
		t.Errorf("afterwards: %v", err)
	}
}

// awaitPull waits until the server has the request of somebody who waits.
func awaitPull(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		consumer, err := js.Consumer(t.Context(), "S", "C")
		if err != nil {
			t.Fatal(err)
		}
		if consumer.CachedInfo().NumWaiting > 0 {
			return
		}
	}
}
