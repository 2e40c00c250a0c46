package watch

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// TestAnotherLeader: a message is in somebody's hands, and due back in an hour,
// when the consumer gets another leader. It comes again, and what was known to
// be acknowledged does not.
func TestAnotherLeader(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	nc, js := testbed.Cluster(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: 3})
	must(err)
	consumer, err := js.CreateConsumer(ctx, "S", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour})
	must(err)
	publish(t, js, 0, 3)
	for _, acknowledged := range []bool{true, true, false} {
		msg, err := consumer.Next(jetstream.FetchMaxWait(time.Minute))
		must(err)
		if acknowledged {
			must(msg.DoubleAck(ctx))
		}
	}

	var log lines
	w := New(js, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry()).Rewinding()
	w.every = 20 * time.Millisecond
	reading, done := w.Reading(ctx, consumer)
	defer done()
	await := func(what string, so func() bool) {
		t.Helper()
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for !so() {
			select {
			case <-look.C:
			case <-reading.Done():
				t.Fatalf("never %s: %v", what, context.Cause(reading))
			}
		}
	}
	await("looked at", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.led["S.c"].floor == 2
	})
	_, err = nc.RequestWithContext(ctx, "$JS.API.CONSUMER.LEADER.STEPDOWN.S.c", nil)
	must(err)
	await("put back", func() bool { return log.has("goes back") })
	if got := read(ctx, t, consumer, 1); got != "[2]" {
		t.Errorf("read %s", got)
	}
}
