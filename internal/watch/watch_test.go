package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// TestAStalledConsumerIsReadAnew: a reader has acknowledged three messages and
// then hangs, with some in hand and more pending. The watch ends it; the next
// reading of the same durable gets the rest and nothing that was acknowledged.
func TestAStalledConsumerIsReadAnew(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]func(context.Context, jetstream.Consumer) error{
		"with nothing in hand": func(ctx context.Context, _ jetstream.Consumer) error {
			<-ctx.Done() // it does not even ask
			return context.Cause(ctx)
		},
		"with messages in hand": func(ctx context.Context, c jetstream.Consumer) error {
			messages, err := c.Messages()
			if err != nil {
				return err
			}
			defer messages.Stop()
			<-ctx.Done() // it has got them and does not look at them
			return context.Cause(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, js := testbed.NATS(t)
			consumer := stocked(t, js, 0, 3)
			if got := read(ctx, t, consumer, 3); got != "[0 1 2]" {
				t.Fatalf("read %s", got)
			}
			publish(t, js, 3, 8)
			var log bytes.Buffer
			registry := prometheus.NewRegistry()
			w := New(js, slog.New(slog.NewTextHandler(&log, nil)), registry)
			w.every, w.after = 10*time.Millisecond, 100*time.Millisecond
			reading, done := w.Reading(ctx, consumer)
			err := hang(reading, consumer)
			done()
			if !errors.Is(err, ErrStalled) {
				t.Fatalf("the reading ended with %v", err)
			}
			if got := read(ctx, t, consumer, 5); got != "[3 4 5 6 7]" {
				t.Errorf("read %s", got)
			}
			if n := testutil.ToFloat64(w.metrics.restarts.WithLabelValues("S", "c")); n != 1 {
				t.Errorf("%v restarts", n)
			}
			if !strings.Contains(log.String(), "read anew") || !strings.Contains(log.String(), "consumer=c") {
				t.Errorf("log %s", log.String())
			}
		})
	}
}

// TestAConsumerThatStaysStalledIsReset: its messages are in the hands of a reader
// that is gone, and due back in an hour only. To read anew does not help; to
// reset does.
func TestAConsumerThatStaysStalledIsReset(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, js := testbed.NATS(t)
	consumer := stockedWith(t, js, 0, 4, jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour, MaxAckPending: 3,
	})
	taken, err := consumer.Fetch(3)
	if err != nil {
		t.Fatal(err)
	}
	if err := (<-taken.Messages()).DoubleAck(ctx); err != nil { // the others are acknowledged by nobody
		t.Fatal(err)
	}
	publish(t, js, 4, 6)
	w := New(js, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	w.every, w.after = 10*time.Millisecond, 100*time.Millisecond-time.Hour // what is in hand counts as late soon
	for range 2 {
		reading, done := w.Reading(ctx, consumer)
		<-reading.Done()
		done()
		if err := context.Cause(reading); !errors.Is(err, ErrStalled) {
			t.Fatalf("the reading ended with %v", err)
		}
	}
	if got := read(ctx, t, consumer, 5); got != "[1 2 3 4 5]" {
		t.Errorf("read %s", got)
	}
	restarts, resets := w.metrics.restarts.WithLabelValues("S", "c"), w.metrics.resets.WithLabelValues("S", "c")
	if testutil.ToFloat64(restarts) != 2 || testutil.ToFloat64(resets) != 1 {
		t.Errorf("%v restarts, %v resets", testutil.ToFloat64(restarts), testutil.ToFloat64(resets))
	}
}

// TestWhoMayWaitIsLeftAlone: nothing to do, a pause, messages in hand of one
// that may hold them, and work that moves are no stall.
func TestWhoMayWaitIsLeftAlone(t *testing.T) {
	t.Parallel()
	config := jetstream.ConsumerConfig{AckWait: time.Minute}
	at := func(delivered uint64, pending uint64, inHand int, paused bool) *jetstream.ConsumerInfo {
		return &jetstream.ConsumerInfo{
			Config: config, Delivered: jetstream.SequenceInfo{Consumer: delivered}, NumPending: pending, NumAckPending: inHand, Paused: paused,
		}
	}
	long := -time.Hour
	for name, test := range map[string]struct {
		first, then *jetstream.ConsumerInfo
		holds, want bool
	}{
		"nothing to do":            {at(3, 0, 0, false), at(3, 0, 0, false), false, false},
		"paused":                   {at(3, 5, 0, true), at(3, 5, 0, true), false, false},
		"it moves":                 {at(3, 5, 0, false), at(4, 5, 0, false), false, false},
		"it acknowledges":          {at(3, 5, 2, false), at(3, 5, 1, false), false, false},
		"it may hold":              {at(3, 5, 2, false), at(3, 5, 2, false), true, false},
		"it holds":                 {at(3, 5, 2, false), at(3, 5, 2, false), false, true},
		"pending and not a move":   {at(3, 5, 0, false), at(3, 5, 0, false), false, true},
		"and also one that may so": {at(3, 5, 0, false), at(3, 5, 0, false), true, true},
	} {
		p := placeOf(test.first)
		p.since = p.since.Add(long)
		p.move(test.then)
		if got := p.stalled(test.then, 30*time.Second, test.holds); got != test.want {
			t.Errorf("%s: stalled %t", name, got)
		}
	}
	var none *Watch
	ctx, done := none.Reading(t.Context(), nil)
	done()
	if ctx.Err() != nil {
		t.Error("no watch ends nothing")
	}
}

// TestConsumersAreMeasured: lag, what is in hand, and when it last delivered.
func TestConsumersAreMeasured(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	consumer := stocked(t, js, 0, 4)
	batch, err := consumer.Fetch(1)
	if err != nil {
		t.Fatal(err)
	}
	for range batch.Messages() { //nolint:revive // taken, not acknowledged
	}
	m := newMetrics(prometheus.NewRegistry())
	info, err := consumer.Info(t.Context())
	for err == nil && info.NumPending != 3 && t.Context().Err() == nil { // the server counts beside the delivery
		info, err = consumer.Info(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	m.show(info)
	if got := testutil.ToFloat64(m.pending); got != 3 {
		t.Errorf("pending %v", got)
	}
	if got := testutil.ToFloat64(m.unacknowledged); got != 1 {
		t.Errorf("unacknowledged %v", got)
	}
	if testutil.ToFloat64(m.delivered) < 1e9 {
		t.Error("no time of the last delivery")
	}
	m.forget(info)
	if n := testutil.CollectAndCount(m.pending); n != 0 {
		t.Errorf("%d series are left", n)
	}
}

func stocked(t *testing.T, js jetstream.JetStream, from, to int) jetstream.Consumer {
	t.Helper()
	return stockedWith(t, js, from, to, jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 100 * time.Millisecond,
	})
}

func stockedWith(t *testing.T, js jetstream.JetStream, from, to int, config jetstream.ConsumerConfig) jetstream.Consumer {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	consumer, err := js.CreateConsumer(t.Context(), "S", config)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, js, from, to)
	return consumer
}

func publish(t *testing.T, js jetstream.JetStream, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := js.Publish(t.Context(), "s.x", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
}

// read takes and acknowledges n messages; one that comes twice counts once.
func read(ctx context.Context, t *testing.T, c jetstream.Consumer, n int) string {
	t.Helper()
	messages, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	seen := make([]bool, 16)
	got := []string{}
	for len(got) < n {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		if err := msg.DoubleAck(ctx); err != nil {
			t.Fatal(err)
		}
		i := int(msg.Data()[0] - '0')
		if !seen[i] {
			seen[i] = true
			got = append(got, string(msg.Data()))
		}
	}
	slices.Sort(got) // what comes again may come later
	return fmt.Sprint(got)
}
