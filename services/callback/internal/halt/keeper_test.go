package halt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded"
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

func TestHaltIsKeptUntilItIsResumed(t *testing.T) {
	t.Parallel()
	for _, end := range []string{events.RequestResumed, events.RequestCanceled, events.RequestFailed, events.RequestResubmitted, events.RequestDeleted} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			changes := b.keys()
			until := time.Now().Add(time.Hour).UTC()
			b.put(paused(until))
			b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
			if got := receive(t, changes); got != "+"+callID {
				t.Fatalf("first change: %s", got)
			}
			halts, err := readAll(t.Context(), b.halted)
			if err != nil || len(halts) != 1 {
				t.Fatalf("list: %v, %v", halts, err)
			}
			if h := halts[0]; h.RequestID != requestID || h.WebhookID != webhookID || h.WebhookKey != "prep" || h.WebhookName != "Prep" || !h.Until.Equal(until) || h.Since.IsZero() {
				t.Fatalf("halt: %+v", h)
			}
			b.put(record.Record{ID: requestID, Status: record.InProcessing})
			b.publish(end, 2, events.RequestData{CallID: callID})
			if got := receive(t, changes); got != "-"+callID {
				t.Fatalf("second change: %s", got)
			}
			if left := b.list(); len(left) != 0 {
				t.Fatalf("left: %v", left)
			}
		})
	}
}

// The key's life ends with the halt; the marker becomes a fact, once.
func TestExpiryBecomesAFact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Now().Add(time.Second).UTC()
	b.put(paused(until))
	b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
	e := receive(t, b.expired)
	checkExpired(t, e)
	if time.Now().Before(until) {
		t.Fatal("it expired before its time")
	}
}

// kept puts a request that is halted, and the key that is kept of it, which
// ends in a moment: the keeper may have been as slow as it likes.
func (b *bundle) kept() {
	b.t.Helper()
	b.put(paused(time.Now().Add(time.Hour).UTC()))
	if _, err := b.halted.Create(b.t.Context(), callID, []byte(`{}`), time.Second); err != nil {
		b.t.Fatal(err)
	}
}

func TestExpiryWhileTheServiceWasDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settled()
	b.stop()
	changes := b.keys()
	b.kept()
	for _, want := range []string{"+" + callID, "x" + callID} {
		if got := receive(t, changes); got != want {
			t.Fatalf("change: %s, want %s", got, want)
		}
	}
	if len(b.expired) != 0 {
		t.Fatal("a fact came though the service was down")
	}
	b.start()
	checkExpired(t, receive(t, b.expired))
}

func TestExpiryAfterARestartOfNATS(t *testing.T) {
	t.Parallel()
	options := embedded.NATSOptions{Dir: t.TempDir(), Addr: testbed.FreeAddr(t)}
	server := testbed.StartNATS(t, options)
	_, js := testbed.Connect(t, server.URL())
	b := prepare(t, js)
	b.start()
	b.settled()
	b.kept()
	server.Close()
	testbed.StartNATS(t, options)
	checkExpired(t, receive(t, b.expired))
}

// A key that ends after its halt tells nothing; one whose record is gone does.
func TestExpiryOfWhatIsOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resumed, lost := callID, record.WebhookCall("pri_lost", 1, record.Pre, webhookID, 1).String()
	b.put(record.Record{ID: requestID, Status: record.InProcessing})
	for i, call := range []string{resumed, lost} {
		if _, err := b.halted.Create(t.Context(), call, []byte(`{}`), time.Duration(i+1)*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if e := receive(t, b.expired); e.ID() != lost+".expired" {
		t.Fatalf("fact: %v", e)
	}
}

// A halt that is found only after its time was over expires at once.
func TestHaltFoundTooLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Now().Add(-time.Minute).UTC()
	b.put(paused(until))
	b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
	checkExpired(t, receive(t, b.expired))
	if left := b.list(); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}

// What the record does not confirm is no halt.
func TestOnlyTheRecordMakesAHalt(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).UTC()
	resumed := paused(until)
	resumed.Status, resumed.Wait = record.InProcessing, nil
	other := paused(until)
	other.Wait.CallID = record.WebhookCall(requestID, 1, record.Pre, webhookID, 4).String()
	early := paused(until)
	early.Wait.Kind = record.WaitCall
	tests := map[string]*record.Record{"no record": nil, "resumed": &resumed, "paused on another call": &other, "call in flight": &early}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if r != nil {
				b.put(*r)
			}
			b.publish(events.RequestPaused, 1, events.RequestData{CallID: callID, Until: &until})
			b.publish(events.RequestFailed, 2, events.RequestData{}) // one without a call changes nothing
			b.settled()
			if left := b.list(); len(left) != 0 {
				t.Fatalf("kept: %v", left)
			}
		})
	}
}

// A repeated fact leaves the halt as it is, and a message that cannot be read
// does not hold up the others.
func TestRepeatsAndRubbish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	changes := b.keys()
	until := time.Now().Add(time.Hour).UTC()
	b.put(paused(until))
	if _, err := b.js.Publish(t.Context(), "dsr.event.request.paused."+requestID, []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		b.publish(events.RequestPaused, n, events.RequestData{CallID: callID, Until: &until})
	}
	b.publish(events.RequestResumed, 9, events.RequestData{CallID: "not a call id, and not a key"})
	if _, err := b.js.Publish(t.Context(), b.halted.Subject("rubbish"), nil); err != nil {
		t.Fatal(err)
	}
	b.settled()
	if got := receive(t, changes); got != "+"+callID && got != "+rubbish" {
		t.Fatalf("change: %s", got)
	}
	entry, err := b.halted.Get(t.Context(), callID)
	if err != nil || len(entry.Value) == 0 {
		t.Fatalf("the halt: %v", err)
	}
}

// The end of a halt may be handled before its begin, by another replica.
func TestEndBeforeBegin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Now().Add(time.Hour).UTC()
	b.put(paused(until))
	if err := b.end(t.Context(), callID); err != nil {
		t.Fatal(err)
	}
	e, err := events.New(events.SourceOrchestrator, events.RequestPaused, "x", requestID, time.Now(), events.RequestData{CallID: callID})
	if err != nil {
		t.Fatal(err)
	}
	b.put(record.Record{ID: requestID, Status: record.InProcessing})
	if err := b.begin(t.Context(), e, callID); err != nil {
		t.Fatal(err)
	}
	if left := b.list(); len(left) != 0 {
		t.Fatalf("kept: %v", left)
	}
}

// looks gives one record after the other: what the keeper sees when it looks
// several times.
type looks []record.Record

func (l *looks) Get(context.Context, string) (topology.Entry, error) {
	value, err := json.Marshal((*l)[0])
	*l = (*l)[1:]
	return topology.Entry{Value: value}, err
}

// The request is resumed after the record was read and before the key is made:
// the end of the halt has found no key, so the second look takes it away.
func TestEndWhileItBegins(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	changes := b.keys()
	b.requests = &looks{paused(time.Now().Add(time.Hour)), {ID: requestID, Status: record.InProcessing}}
	e, err := events.New(events.SourceOrchestrator, events.RequestPaused, "x", requestID, time.Now(), events.RequestData{CallID: callID})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.begin(t.Context(), e, callID); err != nil {
		t.Fatal(err)
	}
	if first, second := receive(t, changes), receive(t, changes); first != "+"+callID || second != "-"+callID {
		t.Fatalf("changes: %s %s", first, second)
	}
}

func TestListIsOrderedByItsEnd(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	now := time.Now()
	for i, left := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour, time.Hour} {
		h := Halt{CallID: record.WebhookCall(requestID, 1, record.Pre, webhookID, i).String(), Until: now.Add(left)}
		value, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.halted.Create(t.Context(), h.CallID, value, left); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{}
	for _, i := range []int{1, 3, 2, 0} {
		want = append(want, record.WebhookCall(requestID, 1, record.Pre, webhookID, i).String())
	}
	if got := b.list(); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}
