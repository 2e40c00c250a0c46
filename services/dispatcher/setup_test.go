package dispatcher

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testbed.Settling{M: m, Left: func() error { return goleak.Find() }})
}

const patience = time.Minute

// bundle is a dispatcher with what it needs around it.
type bundle struct {
	t        *testing.T
	nc       *nats.Conn
	js       jetstream.JetStream
	ring     *keyring.Ring
	requests *topology.Bucket
	catalog  *catalog.Store
	vault    *vault.Vault
	settings Settings
	facts    jetstream.MessagesContext
}

// setup gives a NATS server with streams and buckets, and settings under which
// a dispatcher may call the receivers of the test. It is not started yet.
func setup(t *testing.T) *bundle {
	t.Helper()
	nc, js := testbed.NATS(t)
	return setupOn(t, nc, js)
}

func setupOn(t *testing.T, nc *nats.Conn, js jetstream.JetStream) *bundle {
	t.Helper()
	keys, err := keyring.Generate()
	must(t, err)
	ring, err := keyring.Parse(keys)
	must(t, err)
	must(t, topology.EnsureOrchestrator(t.Context(), js, topology.Options{}))
	must(t, topology.EnsureConfig(t.Context(), js, topology.Options{}))
	requests, err := topology.AwaitBucket(t.Context(), js, topology.BucketRequests, nil)
	must(t, err)
	identities, err := topology.AwaitBucket(t.Context(), js, topology.BucketIdentities, nil)
	must(t, err)
	config, err := topology.AwaitBucket(t.Context(), js, topology.BucketConfig, nil)
	must(t, err)
	return &bundle{
		t: t, nc: nc, js: js, ring: ring, requests: requests,
		catalog: catalog.NewStore(config), vault: vault.Open(identities, ring),
		facts: watch(t, js),
		settings: Settings{
			EncryptionKeys:      keys,
			DeliveryTimeout:     20 * time.Second,
			DeliveryMaxAttempts: 3,
			DeliveryBackoff:     time.Second,
			DeliveryMaxAge:      time.Hour,
			LaneConcurrency:     4,
			EgressAllowCIDRs:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			DelayTimeout:        time.Hour,
			IdentityTTL:         2 * time.Hour,
			sweep:               100 * time.Millisecond,
			linger:              2 * time.Second,
			drain:               5 * time.Second,
		},
	}
}

func watch(t *testing.T, js jetstream.JetStream) jetstream.MessagesContext {
	t.Helper()
	consumer, err := js.OrderedConsumer(t.Context(), events.StreamEvents, jetstream.OrderedConsumerConfig{})
	must(t, err)
	facts, err := consumer.Messages()
	must(t, err)
	t.Cleanup(facts.Stop)
	return facts
}

// receiver starts an HTTPS receiver that the dispatcher trusts.
func (b *bundle) receiver(handler http.HandlerFunc) string {
	b.t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	b.t.Cleanup(server.Close)
	file := filepath.Join(b.t.TempDir(), "roots.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	must(b.t, os.WriteFile(file, block, 0o600))
	b.settings.EgressCAFile = file
	return server.URL
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// connection puts a connection into the catalog.
func (b *bundle) connection(id string, secrets catalog.Secrets, change ...func(*catalog.Connection)) {
	b.t.Helper()
	plain, err := json.Marshal(secrets)
	must(b.t, err)
	sealed, err := b.ring.Seal(keyring.Secret, plain)
	must(b.t, err)
	connection := catalog.Connection{
		Entry: catalog.Entry{Version: 1}, ID: id, Key: "key_" + id, Name: id, Type: "https", SealedSecrets: sealed,
	}
	for _, f := range change {
		f(&connection)
	}
	_, err = b.catalog.Put(b.t.Context(), catalog.ConnectionKey(id), connection)
	must(b.t, err)
}

// call gives the order of a call together with a record that waits for it.
func (b *bundle) call(connectionID string, phase record.Phase, direction string, change ...func(*record.Record)) work.Call {
	b.t.Helper()
	requestID := "pri_" + connectionID[len("con_"):]
	webhook := record.Webhook{
		ID: "pol_" + connectionID, Key: "hook", Name: "Hook", Direction: direction,
		ConnectionID: connectionID, ConnectionKey: "key_" + connectionID,
	}
	now := time.Now().UTC()
	call := work.Call{
		CallID:    record.WebhookCall(requestID, 1, phase, webhook.ID, 3).String(),
		RequestID: requestID, Run: 1, Phase: phase, Order: 3, Webhook: webhook, Attempt: 1,
		OrderedAt: now, Until: now.Add(time.Hour), TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	request := record.Record{
		ID: requestID, Status: record.InProcessing,
		Submission: record.Submission{RequestedAt: now},
		Policy: record.Policy{ID: "pol_policy", Key: "policy", Name: "Policy",
			Rules: []record.Rule{{ID: "rul_1", Key: "rule", Name: "Rule", ActionType: record.ActionErasure}}},
		Wait: &record.Wait{Kind: record.WaitCall, CallID: call.CallID, Since: now, Until: call.Until},
	}
	switch {
	case phase == record.PreApproval:
		request.Status = record.AwaitingPreApproval
		request.Wait.Kind, request.Wait.CallID = record.WaitPreApproval, ""
		request.Repliers = []record.Replier{{Webhook: webhook, CallID: call.CallID}}
	case direction == record.OneWay:
		request.Wait.Kind = record.WaitRelease
	}
	for _, f := range change {
		f(&request)
	}
	b.record(request)
	email := "jane@example.com"
	must(b.t, b.vault.Put(b.t.Context(), requestID, vault.Person{Identity: identity.Identity{Email: &email}}, time.Hour))
	return call
}

func (b *bundle) record(request record.Record) {
	b.t.Helper()
	data, err := json.Marshal(request)
	must(b.t, err)
	_, err = b.requests.Put(b.t.Context(), request.ID, data, 0)
	must(b.t, err)
}

// order publishes the call as the orchestrator does.
func (b *bundle) order(call work.Call) {
	b.t.Helper()
	data, err := json.Marshal(call)
	must(b.t, err)
	_, err = b.js.Publish(b.t.Context(), events.CallSubject(call.Webhook.ConnectionID, call.RequestID), data)
	must(b.t, err)
	must(b.t, b.nc.Publish(events.LaneHintSubject(call.Webhook.ConnectionID), nil))
}

// dispatcher is one that runs.
type dispatcher struct {
	front *front
	stop  func()
}

// start runs a dispatcher until the test ends or stop is called.
func (b *bundle) start() *dispatcher {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	d := &dispatcher{front: &front{serving: make(chan struct{})}}
	ended := make(chan error, 1)
	deps := process.Deps{
		NATS:     b.nc,
		Logger:   slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registry: prometheus.NewRegistry(),
		Clock:    time.Now,
		Front:    d.front,
		Version:  "1.2.3",
	}
	go func() { ended <- Run(ctx, b.settings, deps) }()
	stopped := false
	d.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				b.t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			b.t.Error("the dispatcher does not stop")
		}
	}
	b.t.Cleanup(d.stop)
	return d
}

// front keeps the handler instead of listening.
type front struct {
	serving chan struct{}
	handler http.Handler
}

func (f *front) Serve(ctx context.Context, _ string, h http.Handler) error {
	f.handler = h
	close(f.serving)
	<-ctx.Done()
	return nil
}

func (f *front) get(t *testing.T, path string) (int, string) {
	t.Helper()
	<-f.serving
	recorder := httptest.NewRecorder()
	f.handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

// fact is one of the dispatcher's facts.
type fact struct {
	events.Event
	data events.WebhookData
	raw  string
}

// next waits for the next fact.
func (b *bundle) next() fact {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	msg, err := b.facts.Next(jetstream.NextContext(ctx))
	if err != nil {
		b.t.Fatalf("no fact came: %v", err)
	}
	event, err := events.Decode(msg.Headers(), msg.Data())
	must(b.t, err)
	f := fact{Event: event, raw: string(msg.Data())}
	must(b.t, event.DataAs(&f.data))
	return f
}

// expect waits for the next fact and checks its type and outcome.
func (b *bundle) expect(eventType, outcome string) fact {
	b.t.Helper()
	f := b.next()
	if f.Type() != eventType || f.data.Outcome != outcome {
		b.t.Fatalf("got %s with outcome %q (%s), want %s with %q", f.Type(), f.data.Outcome, f.data.Error, eventType, outcome)
	}
	return f
}

// settled waits until no work is left.
func (b *bundle) settled() {
	b.t.Helper()
	b.until("no work is left", func() bool {
		stream, err := b.js.Stream(b.t.Context(), events.StreamWork)
		must(b.t, err)
		return stream.CachedInfo().State.Msgs == 0
	})
}

// until waits for a state that nothing tells of.
func (b *bundle) until(what string, reached func() bool) {
	b.t.Helper()
	limit := time.After(patience)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !reached() {
		select {
		case <-limit:
			b.t.Fatalf("gave up waiting until %s", what)
		case <-look.C:
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
