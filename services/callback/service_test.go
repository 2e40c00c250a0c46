package callback

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	requestID = "pri_6f0c0000-0000-4000-8000-000000000001"
	otherID   = "pri_6f0c0000-0000-4000-8000-000000000009"
	webhookID = "pol_77aa0000-0000-4000-8000-000000000002"
	rootID    = "root"

	refusedAtMost = 120 // a minute
)

func callOf(requestID string, phase record.Phase, order int) string {
	return record.WebhookCall(requestID, 1, phase, webhookID, order).String()
}

// bundle is a running service with NATS around it.
type bundle struct {
	t       *testing.T
	nc      *nats.Conn
	js      jetstream.JetStream
	keys    string
	ring    *keyring.Ring
	url     string
	log     *safeBuffer
	records *topology.Bucket
	vault   *vault.Vault
	facts   chan events.Event // what the service published
	change  func(*Settings)   // of the settings, if any
	limits  process.Limits    // of the listener
}

// setup runs the service and, when it is ready, an orchestrator that answers
// by the script; a nil answer is silence.
func setup(t *testing.T, script func(events.Event) *work.Answer) *bundle {
	t.Helper()
	b := begin(t)
	b.ensure()
	b.run()
	b.ready()
	b.orchestrate(script)
	return b
}

func begin(t *testing.T) *bundle {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	nc, js := testbed.NATS(t)
	return &bundle{t: t, nc: nc, js: js, keys: keys, ring: ring, log: &safeBuffer{}, facts: make(chan events.Event, 64), limits: process.UsualLimits()}
}

// ensure does what the orchestrator does at its start.
func (b *bundle) ensure() {
	b.t.Helper()
	if err := topology.EnsureOrchestrator(b.t.Context(), b.js, topology.Options{}); err != nil {
		b.t.Fatal(err)
	}
	b.records = b.bucket(topology.BucketRequests)
	b.vault = vault.Open(b.bucket(topology.BucketIdentities), b.ring)
}

func (b *bundle) bucket(name string) *topology.Bucket {
	b.t.Helper()
	bucket, err := topology.AwaitBucket(b.t.Context(), b.js, name, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return bucket
}

// front is the usual one, on any free port.
type front struct {
	limits process.Limits
	url    chan string
}

func (f front) Serve(ctx context.Context, service string, h http.Handler) error {
	socket, err := process.Socket(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	f.url <- "http://" + socket.Addr().String()
	return process.OnWithin(f.limits, socket, slog.New(slog.DiscardHandler)).Serve(ctx, service, h)
}

// run starts the service; the test's end stops it.
func (b *bundle) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := front{limits: b.limits, url: make(chan string, 1)}
	ended := make(chan error, 1)
	settings := Settings{EncryptionKeys: b.keys, RootClientID: rootID, IdentityTTL: time.Hour, RefusedRepliesPerMinute: refusedAtMost}
	if b.change != nil {
		b.change(&settings)
	}
	deps := process.Deps{
		NATS: b.nc, Registry: prometheus.NewRegistry(), Clock: time.Now, Front: f, Version: "test",
		Logger: slog.New(slog.NewJSONHandler(io.MultiWriter(b.log, b.t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	go func() { ended <- Run(ctx, settings, deps) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("the service ended with: %v", err)
		}
	})
	b.url = <-f.url
}

// ready waits until the service says that it is.
func (b *bundle) ready() {
	b.t.Helper()
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for {
		a := b.do(http.MethodGet, "/ready", "", "")
		if a.status == http.StatusOK {
			return
		}
		select {
		case <-ticks.C:
		case <-time.After(time.Minute):
			b.t.Fatalf("not ready: %s", a.body)
		}
	}
}

// orchestrate answers the service's facts.
func (b *bundle) orchestrate(script func(events.Event) *work.Answer) {
	b.t.Helper()
	consumer, err := b.js.OrderedConsumer(b.t.Context(), events.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"dsr.event.callback.>"}})
	if err != nil {
		b.t.Fatal(err)
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		e, err := events.Decode(m.Headers(), m.Data())
		if err != nil {
			b.t.Error(err)
			return
		}
		b.facts <- e
		answer := script(e)
		reply := m.Headers().Get(work.HeaderReply)
		if answer == nil || reply == "" {
			return
		}
		encoded, err := json.Marshal(answer)
		if err != nil {
			b.t.Error(err)
			return
		}
		if err := b.nc.Publish(reply, encoded); err != nil {
			b.t.Error(err)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(consuming.Stop)
}

func accept(events.Event) *work.Answer {
	return &work.Answer{Accepted: true, Status: record.InProcessing, Request: json.RawMessage(inProcessing)}
}

const inProcessing = `{"id":"` + requestID + `","created_at":"2026-05-01T08:00:00Z","status":"in_processing","resume_endpoint":null}`

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

// paused is a record that is halted by the call with the order 3.
func paused() record.Record {
	now := time.Now().UTC()
	return record.Record{
		ID: requestID, Status: record.Paused,
		Run:  record.Run{Number: 1, Order: 3, Pre: []record.Webhook{{ID: webhookID, Key: "prep", Name: "Prep"}}},
		Wait: &record.Wait{Kind: record.WaitHalt, CallID: callOf(requestID, record.Pre, 3), Since: now, Until: now.Add(time.Hour)},
	}
}

// asked is a record that waits for the reply of a pre-approval webhook.
func asked() record.Record {
	call := callOf(requestID, record.PreApproval, 1)
	return record.Record{
		ID: requestID, Status: record.AwaitingPreApproval,
		Wait:     &record.Wait{Kind: record.WaitPreApproval, CallID: call, Until: time.Now().Add(time.Hour)},
		Repliers: []record.Replier{{Webhook: record.Webhook{ID: webhookID}, CallID: call}},
	}
}

func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

// resumeToken is the reply token of a call.
func (b *bundle) resumeToken(change func(*token.Reply)) string {
	return b.token(token.Reply{CallID: callOf(requestID, record.Pre, 3), Scopes: []string{token.ScopeResume}}, change)
}

func (b *bundle) reviewToken(change func(*token.Reply)) string {
	return b.token(token.Reply{CallID: callOf(requestID, record.PreApproval, 1), Scopes: []string{token.ScopeReview}}, change)
}

func (b *bundle) token(t token.Reply, change func(*token.Reply)) string {
	b.t.Helper()
	t.RequestID, t.WebhookID, t.ID = requestID, webhookID, "one"
	t.IssuedAt, t.ExpiresAt = time.Now(), time.Now().Add(time.Hour)
	if change != nil {
		change(&t)
	}
	bearer, err := token.IssueReply(b.ring, t)
	if err != nil {
		b.t.Fatal(err)
	}
	return bearer
}

func (b *bundle) accessToken(clientID string, scopes ...string) string {
	b.t.Helper()
	bearer, err := token.IssueAccess(b.ring, token.Access{ClientID: clientID, Scopes: scopes, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		b.t.Fatal(err)
	}
	return bearer
}

type answer struct {
	status int
	header http.Header
	body   string
}

// do makes a request; bearer is the whole Authorization header where it has a
// blank.
func (b *bundle) do(method, path, bearer, body string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if bearer != "" {
		if !strings.Contains(bearer, " ") {
			bearer = "Bearer " + bearer
		}
		r.Header.Set("Authorization", bearer)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: strings.TrimSpace(string(got))}
}

func (b *bundle) resume(bearer, body string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, "/api/v1/privacy-request/"+requestID+"/resume", bearer, body)
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

// dataOf reads the data of a callback fact.
func dataOf(t *testing.T, e events.Event) events.CallbackData {
	t.Helper()
	var data events.CallbackData
	if err := e.DataAs(&data); err != nil {
		t.Fatal(err)
	}
	return data
}

// safeBuffer is a log that several goroutines write.
type safeBuffer struct {
	mu  sync.Mutex
	all strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
