package transition_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

// bench is a loop over a NATS of its own, without a read model.
type bench struct {
	t        *testing.T
	nc       *nats.Conn
	js       jetstream.JetStream
	requests *topology.Bucket
	vault    *vault.Vault
	catalog  *catalog.Store
	loop     *transition.Loop
	facts    *watcher
}

func setup(t *testing.T, change func(*transition.Config)) *bench {
	t.Helper()
	nc, js := testbed.NATS(t)
	ctx := t.Context()
	must(t, topology.EnsureOrchestrator(ctx, js, topology.Options{}))
	must(t, topology.EnsureConfig(ctx, js, topology.Options{}))
	bucket := func(name string) *topology.Bucket {
		b, err := topology.AwaitBucket(ctx, js, name, nil)
		must(t, err)
		return b
	}
	keys, err := keyring.Generate()
	must(t, err)
	ring, err := keyring.Parse(keys)
	must(t, err)
	b := &bench{
		t: t, nc: nc, js: js, requests: bucket(topology.BucketRequests),
		vault:   vault.Open(bucket(topology.BucketIdentities), ring),
		catalog: catalog.NewStore(bucket(topology.BucketConfig)),
	}
	b.facts = watch(t, js)
	config := transition.Config{
		NATS: nc, JS: js, Requests: b.requests, Vault: b.vault, Catalog: b.catalog,
		Rules: lifecycle.Rules{
			DeliveryMaxAge: time.Hour, DelayTimeout: time.Hour, ReleaseAfter: 30 * time.Second,
			ExecutionTimeout: time.Hour, Epoch: rand.Text()[:8],
		},
		IdentityTTL: time.Hour,
		Apply:       func(context.Context, *record.Record, []events.Event) error { return nil },
		Show: func(rec *record.Record, now time.Time) (json.RawMessage, error) {
			return view.JSON(rec, nil, now)
		},
		Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		Metrics: transition.NewMetrics(prometheus.NewRegistry()), Clock: time.Now,
	}
	if change != nil {
		change(&config)
	}
	b.loop = transition.New(config)
	return b
}

// run starts the loop and lets it end with the test.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.loop.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.t.Errorf("loop ended with %v", err)
		}
	})
}

func (b *bench) policy(pre, post []record.Webhook) {
	b.t.Helper()
	_, err := b.catalog.Put(b.t.Context(), catalog.PolicyKey("p1"), catalog.Policy{
		Entry: catalog.Entry{Version: 1},
		Policy: record.Policy{
			ID: "pol_1", Name: "Access", Key: "p1",
			Rules: []record.Rule{{ID: "rul_1", Name: "r", Key: "r", ActionType: "access"}},
		},
		Pre: pre, Post: post,
	})
	must(b.t, err)
}

func (b *bench) submit(id string) work.Answer {
	b.t.Helper()
	email := "a@example.com"
	must(b.t, b.vault.Put(b.t.Context(), id, vault.Person{Identity: identity.Identity{Email: &email}}, time.Hour))
	return b.command(work.Command{
		ID: rand.Text(), Name: work.Submit, RequestID: id, At: time.Now(),
		Submission: &record.Submission{PolicyKey: "p1", RequestedAt: time.Now()},
	})
}

// command publishes a command and waits for its answer.
func (b *bench) command(c work.Command) work.Answer {
	b.t.Helper()
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	must(b.t, err)
	data, err := json.Marshal(c)
	must(b.t, err)
	_, err = b.js.PublishMsg(b.t.Context(), &nats.Msg{
		Subject: events.CommandSubject(c.RequestID), Header: nats.Header{work.HeaderReply: {inbox}}, Data: data,
	}, jetstream.WithMsgID(c.ID))
	must(b.t, err)
	msg, err := sub.NextMsg(time.Minute)
	must(b.t, err)
	var a work.Answer
	must(b.t, json.Unmarshal(msg.Data, &a))
	return a
}

func (b *bench) record(id string) record.Record {
	b.t.Helper()
	entry, err := b.requests.Get(b.t.Context(), id)
	must(b.t, err)
	var rec record.Record
	must(b.t, json.Unmarshal(entry.Value, &rec))
	return rec
}

// watcher collects all facts and lets a test wait for one.
type watcher struct {
	t     *testing.T
	mu    sync.Mutex
	facts []events.Event
	more  chan struct{}
}

func watch(t *testing.T, js jetstream.JetStream) *watcher {
	t.Helper()
	w := &watcher{t: t, more: make(chan struct{})}
	consumer, err := js.OrderedConsumer(t.Context(), events.StreamEvents, jetstream.OrderedConsumerConfig{})
	must(t, err)
	taking, err := consumer.Consume(func(msg jetstream.Msg) {
		e, err := events.Decode(msg.Headers(), msg.Data())
		if err != nil {
			return // some tests publish what is no fact
		}
		w.mu.Lock()
		w.facts = append(w.facts, e)
		close(w.more)
		w.more = make(chan struct{})
		w.mu.Unlock()
	})
	must(t, err)
	t.Cleanup(taking.Stop)
	return w
}

// await waits until a fact of the type about the request was published.
func (w *watcher) await(eventType, id string) events.Event {
	w.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		more := w.more
		for _, e := range w.facts {
			if e.Type() == eventType && e.Subject() == id {
				w.mu.Unlock()
				return e
			}
		}
		w.mu.Unlock()
		select {
		case <-more:
		case <-deadline.C:
			w.t.Fatalf("no %s about %s; there were %v", eventType, id, w.types(id))
		}
	}
}

func (w *watcher) types(id string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	types := []string{}
	for _, e := range w.facts {
		if e.Subject() == id {
			types = append(types, e.Type())
		}
	}
	return types
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func hook(id, direction string) record.Webhook {
	return record.Webhook{
		ID: "pol_" + id, Key: id, Name: id, Direction: direction, ConnectionID: "con_" + id, ConnectionKey: id,
	}
}

func TestARequestRunsToItsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.policy(
		[]record.Webhook{hook("first", record.OneWay), hook("second", record.TwoWay)},
		[]record.Webhook{hook("last", record.TwoWay)},
	)
	b.run()
	dispatcher := dispatchertest.Play(t, b.js, dispatchertest.Succeed)

	answer := b.submit("pri_1")
	if !answer.Accepted || len(answer.Request) == 0 {
		t.Fatalf("answer: %+v", answer)
	}
	b.facts.await(events.RequestCompleted, "pri_1")

	keys := []string{}
	for _, c := range dispatcher.Calls() {
		keys = append(keys, c.Webhook.Key)
	}
	if want := []string{"first", "second", "last"}; !equal(keys, want) {
		t.Errorf("called %v, want %v", keys, want)
	}
	if rec := b.record("pri_1"); rec.Status != record.Complete {
		t.Errorf("status %s", rec.Status)
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
