package halt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		want verdict
	}{
		{nil, done},
		{errMessage, giveUp},
		{fmt.Errorf("%w: %w", errMessage, events.ErrEvent), giveUp},
		{nats.ErrTimeout, again},
		{events.ErrNotStored, again},
		{topology.ErrConflict, again},
		{errors.New("anything else"), again},
	}
	for _, tt := range tests {
		if got := verdictOf(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for delivered, want := range map[uint64]time.Duration{
		0: 250 * time.Millisecond, 1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 5: 4 * time.Second,
		8: longest, 1000: longest,
	} {
		if got := backoff(delivered); got != want {
			t.Errorf("after %d deliveries: %s, want %s", delivered, got, want)
		}
	}
}

// A replica that stops finishes what it has begun and gives back the rest: here
// nothing would come again by itself for an hour.
func TestStopGivesBack(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	const messages = atOnce + fetchAhead
	for n := range messages {
		if _, err := js.Publish(t.Context(), fmt.Sprint("s.", n), nil); err != nil {
			t.Fatal(err)
		}
	}
	k := &Keeper{js: js, logger: slog.New(slog.DiscardHandler)}
	config := jetstream.ConsumerConfig{Durable: "d", AckWait: time.Hour}
	replica := func(handle func(context.Context, jetstream.Msg) error) (stop context.CancelFunc, ended <-chan error) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.follow(ctx, "S", config, handle) }()
		return stop, done
	}
	begun, finish := make(chan string, messages), make(chan struct{})
	stop, ended := replica(func(_ context.Context, m jetstream.Msg) error {
		begun <- m.Subject()
		<-finish
		return nil
	})
	handled := map[string]int{}
	for range atOnce { // the others are delivered, or wait in the stream
		handled[receive(t, begun)]++
	}
	stop()
	close(finish)
	if err := receive(t, ended); err != nil {
		t.Fatal(err)
	}
	for len(begun) > 0 { // it may have begun one more before it saw that it was to stop
		handled[<-begun]++
	}
	rest := make(chan string, messages)
	stop, ended = replica(func(_ context.Context, m jetstream.Msg) error {
		rest <- m.Subject()
		return nil
	})
	for range messages - len(handled) {
		handled[receive(t, rest)]++
	}
	stop()
	if err := receive(t, ended); err != nil {
		t.Fatal(err)
	}
	if len(handled) != messages {
		t.Errorf("%d of %d messages were handled", len(handled), messages)
	}
}
