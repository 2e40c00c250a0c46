package halt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	requestID = "pri_6f0c0000-0000-4000-8000-000000000001"
	webhookID = "pol_77aa0000-0000-4000-8000-000000000002"
)

var callID = record.WebhookCall(requestID, 1, record.Pre, webhookID, 3).String()

type bundle struct {
	*Keeper
	t       *testing.T
	js      jetstream.JetStream
	halted  *topology.Bucket
	records *topology.Bucket
	expired <-chan events.Event
	stop    func() // ends the keeper and waits for it

	published uint64 // facts, by publish
}

// setup starts a NATS server and a keeper on it.
func setup(t *testing.T) *bundle {
	t.Helper()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	b.start()
	return b
}

func prepare(t *testing.T, js jetstream.JetStream) *bundle {
	t.Helper()
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := topology.EnsureCallback(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, js: js, halted: bucket(t, js, topology.BucketHalted), records: bucket(t, js, topology.BucketRequests)}
	b.Keeper = NewKeeper(Options{
		JetStream: js, Halted: b.halted, Requests: b.records, Clock: time.Now,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Registry: prometheus.NewRegistry(),
	})
	b.expired = b.facts(events.CallbackExpired)
	return b
}

func bucket(t *testing.T, js jetstream.JetStream, name string) *topology.Bucket {
	t.Helper()
	b, err := topology.AwaitBucket(t.Context(), js, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	for _, run := range []func(context.Context) error{b.Facts, b.Expiries} {
		go func() {
			if err := run(ctx); err != nil {
				b.t.Error(err)
			}
			ended <- struct{}{}
		}()
	}
	stopped := false
	b.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
			<-ended
		}
	}
	b.t.Cleanup(func() { b.stop() })
}

// facts follows the facts of one type.
func (b *bundle) facts(eventType string) <-chan events.Event {
	b.t.Helper()
	filter, err := events.Filter(eventType)
	if err != nil {
		b.t.Fatal(err)
	}
	consumer, err := b.js.OrderedConsumer(b.t.Context(), events.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	if err != nil {
		b.t.Fatal(err)
	}
	found := make(chan events.Event, 16)
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		e, err := events.Decode(m.Headers(), m.Data())
		if err != nil {
			b.t.Error(err)
			return
		}
		found <- e
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(consuming.Stop)
	return found
}

// keys follows the stream of the bucket: "+" a key that was made, "-" one that
// was removed, "x" one that has expired.
func (b *bundle) keys() <-chan string {
	b.t.Helper()
	consumer, err := b.js.OrderedConsumer(b.t.Context(), b.halted.StreamName(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.t.Fatal(err)
	}
	changes := make(chan string, 64)
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		sign := "+"
		if topology.IsExpiry(m.Headers()) {
			sign = "x"
		} else if topology.IsMarker(m.Headers()) {
			sign = "-"
		}
		changes <- sign + topology.KeyOfSubject(m.Subject())
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(consuming.Stop)
	return changes
}

func paused(until time.Time) record.Record {
	now := time.Now().UTC()
	return record.Record{
		ID: requestID, Status: record.Paused,
		Wait: &record.Wait{Kind: record.WaitHalt, CallID: callID, Since: now, Until: until},
		Run:  record.Run{Number: 1, Pre: []record.Webhook{{ID: webhookID, Key: "prep", Name: "Prep"}}},
	}
}

func (b *bundle) put(r record.Record) {
	b.t.Helper()
	value, err := json.Marshal(r)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.records.Put(b.t.Context(), r.ID, value, 0); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) publish(eventType string, n int, data events.RequestData) {
	b.t.Helper()
	e, err := events.New(events.SourceOrchestrator, eventType, fmt.Sprintf("%s.%d", requestID, n), requestID, time.Now(), data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := events.Publish(b.t.Context(), b.js, e); err != nil {
		b.t.Fatal(err)
	}
	b.published++
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// settled returns when the keeper has acknowledged every fact so far. The server
// counts what a consumer has before it only some time after it was made, so that
// nothing pending alone says nothing.
func (b *bundle) settled() {
	b.t.Helper()
	for {
		consumer, err := b.js.Consumer(b.t.Context(), events.StreamEvents, topology.ConsumerCallbackFacts)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue // the keeper is about to make it
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if info := consumer.CachedInfo(); info.Delivered.Consumer >= b.published && info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
	}
}

func (b *bundle) list() []string {
	b.t.Helper()
	halts, err := readAll(b.t.Context(), b.halted)
	if err != nil {
		b.t.Fatal(err)
	}
	ids := []string{}
	for _, h := range halts {
		ids = append(ids, h.CallID)
	}
	return ids
}

func checkExpired(t *testing.T, e events.Event) {
	t.Helper()
	var data events.CallbackData
	if err := e.DataAs(&data); err != nil {
		t.Fatal(err)
	}
	if e.ID() != callID+".expired" || e.Subject() != requestID || e.Source() != events.SourceCallback ||
		data.CallID != callID || data.WebhookID != webhookID {
		t.Fatalf("expiry: %v %+v", e, data)
	}
}
