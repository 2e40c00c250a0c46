package eventstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// BenchmarkSubscribe is the rate at which a durable subscriber, which takes one
// fact at a time, follows the stream.
func BenchmarkSubscribe(b *testing.B) {
	_, js := testbed.NATS(b)
	if err := topology.EnsureOrchestrator(b.Context(), js, topology.Options{}); err != nil {
		b.Fatal(err)
	}
	for n := range b.N {
		e, err := events.New(events.SourceOrchestrator, events.RequestStarted, fmt.Sprintf("pri_%d.1", n), fmt.Sprintf("pri_%d", n), time.Now(), events.RequestData{Sequence: 1})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := events.PublishAsync(js, e); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ResetTimer()
	handled := 0
	err := events.Subscribe(ctx, js, events.Subscription{Durable: "bench"}, func(context.Context, events.Event) error {
		if handled++; handled == b.N {
			cancel()
		}
		return nil
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "facts/s")
	if ctx.Err() == nil {
		b.Fatal(err)
	}
}
