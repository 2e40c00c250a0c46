package readmodel_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
)

// BenchmarkFeeds plays what requests leave in the streams at an even rate, with
// and without the feeds of the read model, and prints the processor time of a
// lifecycle: of this process, which has NATS, the feeds and who publishes, and
// of the connections of Postgres. Run it with
//
//	make bench-projection
func BenchmarkFeeds(b *testing.B) {
	const lifecycles, rate = 1500, 150
	_, js := testbed.NATS(b)
	if err := topology.EnsureOrchestrator(b.Context(), js, topology.Options{}); err != nil {
		b.Fatal(err)
	}
	bucket, err := topology.AwaitBucket(b.Context(), js, topology.BucketRequests, nil)
	if err != nil {
		b.Fatal(err)
	}
	s := openBench(b)
	inline := readmodel.NewInline(s)
	logger := slog.New(slog.DiscardHandler)
	lag := func() prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "lag"}) }
	feeds := []*readmodel.Feed{
		readmodel.NewRecordsFeed(s, js, bucket, logger, lag()), readmodel.NewEventsFeed(s, js, logger, lag()),
	}
	c := newCrowd(lifecycles * 10)
	number := 0
	play := func(inline *readmodel.Inline) {
		turn := time.NewTicker(time.Second / rate)
		defer turn.Stop()
		for range lifecycles {
			<-turn.C
			for step := range 3 { // a fifth of a second lies between two transitions
				if n := number - step*rate/5; n >= 0 {
					transition(b, js, bucket, inline, c.request(n, uint64(step+1)), step)
				}
			}
			number++
		}
	}
	for range 3 {
		own, base := spent(b, s)
		play(nil)
		bareOwn, bareBase := spent(b, s)
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, len(feeds))
		for _, f := range feeds {
			go func() { ended <- f.Run(ctx) }()
		}
		awaitFed(b, feeds)
		fedOwn, fedBase := spent(b, s)
		play(inline)
		awaitFed(b, feeds)
		endOwn, endBase := spent(b, s)
		cancel()
		for range feeds {
			<-ended
		}
		per := func(d time.Duration) int64 { return d.Microseconds() / lifecycles }
		say(os.Stdout, "a lifecycle: without feeds %4d µs and %4d µs in Postgres, with feeds %4d µs and %4d µs; catching up %4d and %4d µs\n",
			per(bareOwn-own), per(bareBase-base), per(endOwn-fedOwn), per(endBase-fedBase), per(fedOwn-bareOwn), per(fedBase-bareBase))
	}
}

// factsOf are those of a lifecycle, by its transitions.
func factsOf(step int) []string {
	switch step {
	case 0:
		return []string{events.RequestCreated, events.RequestApproved, events.RequestStarted, events.WebhookRequested}
	case 1:
		return []string{events.WebhookSucceeded, events.WebhookRequested}
	}
	return []string{events.WebhookSucceeded, events.RequestCompleted}
}

// transition leaves what one leaves: the record, its facts, and the record
// without its outbox. The caller of a submission waits for the read model.
func transition(b *testing.B, js jetstream.JetStream, bucket *topology.Bucket, inline *readmodel.Inline, rec *record.Record, step int) {
	b.Helper()
	store := func() {
		value, err := rec.Encode()
		if err == nil {
			_, err = bucket.Put(b.Context(), rec.ID, value, 0)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	var published []events.Event
	for n, eventType := range factsOf(step) {
		id := fmt.Sprintf("%s.%d.%d", rec.ID, rec.Revision, n)
		rec.Outbox = append(rec.Outbox, record.Recipe{ID: id, Kind: record.RecipeFact, Type: eventType, Time: rec.UpdatedAt})
		e, err := events.New(events.SourceOrchestrator, eventType, id, rec.ID, rec.UpdatedAt, said(eventType, rec))
		if err != nil {
			b.Fatal(err)
		}
		published = append(published, e)
	}
	store()
	for _, e := range published {
		if err := events.Publish(b.Context(), js, e); err != nil {
			b.Fatal(err)
		}
	}
	if step == 0 && inline != nil {
		shown := *rec
		go func() { _ = inline.Apply(context.WithoutCancel(b.Context()), &shown, published) }()
	}
	settled := *rec
	settled.Outbox = nil
	rec = &settled
	store()
}

func said(eventType string, rec *record.Record) any {
	if strings.Contains(eventType, ".webhook.") {
		return events.WebhookData{
			CallID: rec.ID + ".1", Sequence: rec.Sequence, Phase: "pre", Order: 1, Run: 1, Attempt: 1, DurationMS: 12,
			Webhook: events.Webhook{
				ID: "wbk_8a3c0000-0000-4000-8000-000000000003", Key: "prepare", Name: "Prepare", Direction: "two_way", ConnectionKey: "crm",
			},
		}
	}
	return events.RequestData{
		Sequence: rec.Sequence, Status: string(rec.Status), Reason: events.ReasonAutomatic,
		Request: events.Request{ID: rec.ID, Status: string(rec.Status), Policy: events.Policy{Key: rec.Policy.Key, Name: rec.Policy.Name}},
	}
}

// awaitFed waits until nothing is left to project.
func awaitFed(b *testing.B, feeds []*readmodel.Feed) {
	b.Helper()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for _, f := range feeds {
		for {
			if left, _, err := f.Left(b.Context()); err == nil && left == 0 {
				break
			}
			select {
			case <-look.C:
			case <-b.Context().Done():
				b.Fatal("the feeds did not come to their ends")
			}
		}
	}
}

// spent is the processor time of this process and of the connections of the
// store.
func spent(b *testing.B, s *readmodel.Store) (own, base time.Duration) {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	own = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	pids, err := s.Backends(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid)) // nanoseconds on a processor come first
		if err != nil {
			b.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		base += time.Duration(n)
	}
	return own, base
}
