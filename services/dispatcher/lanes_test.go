package dispatcher

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func laneConsumer(connectionID string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: topology.LaneConsumer(connectionID), FilterSubject: events.LaneFilter(connectionID),
		AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
	}
}

// blocking gives a receiver that answers when it is released, and tells of
// each call that begins.
type blocking struct {
	begun   chan string
	release chan struct{}
}

func newBlocking() *blocking {
	return &blocking{begun: make(chan string, 1000), release: make(chan struct{})}
}

func (s *blocking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.begun <- r.Header.Get("webhook-id")
	select {
	case <-s.release:
	case <-r.Context().Done():
	}
	_, _ = io.WriteString(w, `{"halt": false}`)
}

// more gives further orders on the connection of a call, each for a request of
// its own.
func (b *bundle) more(call work.Call, n int) []work.Call {
	b.t.Helper()
	calls := make([]work.Call, 0, n)
	for i := range n {
		c := call
		c.RequestID = fmt.Sprintf("%s-%d", call.RequestID, i)
		c.CallID = record.WebhookCall(c.RequestID, 1, c.Phase, c.Webhook.ID, 1).String()
		b.record(record.Record{ID: c.RequestID, Status: record.InProcessing,
			Wait: &record.Wait{Kind: record.WaitCall, CallID: c.CallID, Until: c.Until}})
		person, err := b.vault.Provided(b.t.Context(), call.RequestID)
		must(b.t, err)
		must(b.t, b.vault.Put(b.t.Context(), c.RequestID, person, time.Hour))
		calls = append(calls, c)
	}
	return calls
}

func TestSlowLaneHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	slow := newBlocking()
	url := b.receiver(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			slow.ServeHTTP(w, r)
			return
		}
		_, _ = io.WriteString(w, `{}`)
	})
	b.connection("con_slow", catalog.Secrets{URL: url + "/slow", Authorization: "s3cret"})
	b.connection("con_fast", catalog.Secrets{URL: url + "/fast", Authorization: "s3cret"})
	b.start()
	b.start() // the limit holds over replicas
	for _, call := range b.more(b.call("con_slow", record.Pre, record.TwoWay), 3*b.settings.LaneConcurrency) {
		b.order(call)
	}
	for range b.settings.LaneConcurrency {
		<-slow.begun
	}
	for _, call := range b.more(b.call("con_fast", record.Pre, record.TwoWay), 20) {
		b.order(call)
	}
	for range 20 {
		if f := b.expect(events.WebhookSucceeded, events.OutcomeOK); f.data.Webhook.ConnectionID != "con_fast" {
			t.Fatalf("%s ended", f.data.Webhook.ConnectionID)
		}
	}
	if n := len(slow.begun); n != 0 {
		t.Errorf("%d calls above the limit", n)
	}
	close(slow.release)
	for range 3 * b.settings.LaneConcurrency {
		b.expect(events.WebhookSucceeded, events.OutcomeOK)
	}
	b.settled()
}

func TestWorkThatNoHintToldOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler, _ := answering(http.StatusOK, `{}`)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	call := b.call("con_1", record.Pre, record.TwoWay)
	data, err := json.Marshal(call)
	must(t, err)
	_, err = b.js.Publish(t.Context(), events.CallSubject("con_1", call.RequestID), data)
	must(t, err)
	b.start()
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	b.settled()
}

// An idle lane is not pulled any more, and opens again with the next work.
func TestIdleLane(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.linger = 200 * time.Millisecond
	handler, _ := answering(http.StatusOK, `{}`)
	b.connection("con_1", catalog.Secrets{URL: b.receiver(handler), Authorization: "s3cret"})
	d := b.start()
	lanes := func() string {
		_, metrics := d.front.get(t, "/metrics")
		for line := range strings.Lines(metrics) {
			if value, ok := strings.CutPrefix(line, "parley_dispatcher_lanes "); ok {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	for _, call := range b.more(b.call("con_1", record.Pre, record.TwoWay), 3) {
		b.order(call)
		b.expect(events.WebhookSucceeded, events.OutcomeOK)
		b.until("the lane is closed", func() bool { return lanes() == "0" })
	}
}

// A call that is in flight when the dispatcher stops ends, and work that was
// not begun is there for the next one.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.LaneConcurrency = 2
	slow := newBlocking()
	b.connection("con_1", catalog.Secrets{URL: b.receiver(slow.ServeHTTP), Authorization: "s3cret"})
	d := b.start()
	orders := b.more(b.call("con_1", record.Pre, record.TwoWay), 6)
	for _, call := range orders {
		b.order(call)
	}
	<-slow.begun
	<-slow.begun
	stopped := make(chan struct{})
	go func() {
		d.stop()
		close(stopped)
	}()
	b.until("the lane is closed", func() bool {
		consumer, err := b.js.Consumer(t.Context(), events.StreamWork, topology.LaneConsumer("con_1"))
		must(t, err)
		return consumer.CachedInfo().NumWaiting == 0
	})
	close(slow.release)
	<-stopped
	b.start()
	seen := map[string]bool{}
	for range orders {
		f := b.expect(events.WebhookSucceeded, events.OutcomeOK)
		if seen[f.data.CallID] {
			t.Errorf("%s was called twice", f.data.CallID)
		}
		seen[f.data.CallID] = true
	}
	b.settled()
}

// A call that does not end in the time to drain is given back.
func TestStopInterruptsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settings.drain = 200 * time.Millisecond
	slow := newBlocking()
	b.connection("con_1", catalog.Secrets{URL: b.receiver(slow.ServeHTTP), Authorization: "s3cret"})
	d := b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	first := <-slow.begun
	d.stop()
	close(slow.release)
	b.start()
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	if again := <-slow.begun; again != first {
		t.Errorf("webhook-id %q, then %q", first, again)
	}
	b.settled()
}

// NATS goes away while a call is in flight and comes back with work that was
// scheduled: nothing is lost.
func TestNATSRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: testbed.FreeAddr(t)})
	nc, js := testbed.Connect(t, server.URL())
	b := setupOn(t, nc, js)
	var mu sync.Mutex
	failures := 1
	slow := newBlocking()
	b.connection("con_1", catalog.Secrets{URL: b.receiver(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		fail := failures > 0
		failures--
		mu.Unlock()
		if fail {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		slow.ServeHTTP(w, r)
	}), Authorization: "s3cret"})
	b.start()
	b.order(b.call("con_1", record.Pre, record.TwoWay))
	b.expect(events.WebhookAttempted, events.OutcomeStatus)
	addr := strings.TrimPrefix(server.URL(), "nats://")
	server.Close()
	testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: addr})
	<-slow.begun
	close(slow.release)
	b.facts = watch(t, js)
	b.expect(events.WebhookAttempted, events.OutcomeStatus)
	b.expect(events.WebhookSucceeded, events.OutcomeOK)
	b.settled()
}
