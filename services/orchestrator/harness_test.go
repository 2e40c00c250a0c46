package orchestrator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// front keeps the handler that the service shows.
type front struct{ shown chan http.Handler }

func (f front) Serve(ctx context.Context, _ string, h http.Handler) error {
	f.shown <- h
	<-ctx.Done()
	return context.Cause(ctx)
}

// service is a whole orchestrator over a NATS and a Postgres of its own.
type service struct {
	t       *testing.T
	nc      *nats.Conn
	js      jetstream.JetStream
	ring    *keyring.Ring
	catalog *catalog.Store
	client  *http.Client
	url     string
	token   string
	handler http.Handler
	stop    func()

	settings orchestrator.Settings
}

const root = "root"

func setup(t *testing.T, change func(*orchestrator.Settings)) *service {
	t.Helper()
	nc, js := testbed.NATS(t)
	return setupOn(t, nc, js, change)
}

func setupOn(t *testing.T, nc *nats.Conn, js jetstream.JetStream, change func(*orchestrator.Settings)) *service {
	t.Helper()
	must(t, topology.EnsureConfig(t.Context(), js, topology.Options{}))
	config, err := topology.AwaitBucket(t.Context(), js, topology.BucketConfig, nil)
	must(t, err)
	keys, err := keyring.Generate()
	must(t, err)
	ring, err := keyring.Parse(keys)
	must(t, err)
	settings := orchestrator.Settings{
		EncryptionKeys: keys, RootClientID: root, Execution: orchestrator.ExecutionImmediate,
		DelayTimeout: time.Hour, IdentityTTL: 2 * time.Hour, EventRetention: time.Hour,
		ExecutionTimeout: time.Hour, DeliveryMaxAge: time.Hour,
	}
	orchestrator.Patient(&settings)
	if change != nil {
		change(&settings)
	}
	if settings.DatabaseURL == "" {
		settings.DatabaseURL = testbed.Postgres(t)
	}
	s := &service{t: t, nc: nc, js: js, ring: ring, catalog: catalog.NewStore(config)}
	s.token, err = token.IssueAccess(ring, token.Access{
		ClientID: root, Scopes: edge.AllScopes(), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	must(t, err)
	s.start(settings)
	return s
}

// start runs the service until the test, or stop, ends it.
func (s *service) start(settings orchestrator.Settings) {
	s.t.Helper()
	s.settings = settings
	ctx, cancel := context.WithCancel(s.t.Context())
	f := front{shown: make(chan http.Handler, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- orchestrator.Run(ctx, settings, process.Deps{
			NATS: s.nc, Logger: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
			Registry: prometheus.NewRegistry(), Clock: time.Now, Front: f, Version: "test",
		})
	}()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) && !s.nc.IsClosed() {
			s.t.Errorf("the service ended with %v", err)
		}
	}
	s.t.Cleanup(s.stop)
	select {
	case h := <-f.shown:
		server := httptest.NewServer(h)
		s.handler = h
		s.t.Cleanup(server.Close)
		s.client, s.url = server.Client(), server.URL
	case err := <-ended:
		s.t.Fatalf("the service ended: %v", err)
	}
}

// ready waits until the service says that it is ready.
func (s *service) ready() {
	s.t.Helper()
	s.eventually("ready", func() bool {
		status, _ := s.call(http.MethodGet, "/ready", nil)
		return status == http.StatusOK
	})
}

// eventually asks until it is so.
func (s *service) eventually(what string, so func() bool) {
	s.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline:
			s.t.Fatalf("not in time: %s", what)
		}
	}
}

// call asks with the token of the root client.
func (s *service) call(method, path string, body any) (int, []byte) {
	s.t.Helper()
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		must(s.t, err)
		reader = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	must(s.t, err)
	r.Header.Set("Authorization", "Bearer "+s.token)
	response, err := s.client.Do(r)
	must(s.t, err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	must(s.t, err)
	return response.StatusCode, data
}

// expect is call for an answer that is decoded.
func (s *service) expect(status int, method, path string, body, into any) {
	s.t.Helper()
	got, data := s.call(method, path, body)
	if got != status {
		s.t.Fatalf("%s %s: %d %s, want %d", method, path, got, data, status)
	}
	if into != nil {
		must(s.t, json.Unmarshal(data, into))
	}
}

func (s *service) policy(pre, post []record.Webhook) {
	s.t.Helper()
	timeframe := 45
	_, err := s.catalog.Put(s.t.Context(), catalog.PolicyKey("access"), catalog.Policy{
		Entry: catalog.Entry{Version: time.Now().UnixNano()},
		Policy: record.Policy{
			ID: "pol_1", Name: "Access", Key: "access", ExecutionTimeframe: &timeframe,
			Rules: []record.Rule{{ID: "rul_1", Name: "r", Key: "r", ActionType: "access"}},
		},
		Pre: pre, Post: post,
	})
	must(s.t, err)
}

func (s *service) manual(required bool) {
	s.t.Helper()
	_, err := s.catalog.Put(s.t.Context(), catalog.KeySettings, catalog.Settings{
		Entry: catalog.Entry{Version: time.Now().UnixNano()}, RequireManualRequestApproval: &required,
	})
	must(s.t, err)
}

type object = map[string]any

type bulk struct {
	Succeeded []object
	Failed    []struct {
		Message string
		Data    any
	}
}

// submit creates one request and returns its id.
func (s *service) submit() string {
	s.t.Helper()
	var created bulk
	s.expect(200, "POST", "/api/v1/privacy-request", []object{{
		"policy_key": "access", "identity": object{"email": "a@example.com"}, "external_id": "ext-1",
	}}, &created)
	if len(created.Succeeded) != 1 {
		s.t.Fatalf("not created: %+v", created)
	}
	return created.Succeeded[0]["id"].(string)
}

// get finds a request by its id.
func (s *service) get(id string) object {
	s.t.Helper()
	var page struct{ Items []object }
	s.expect(200, "POST", "/api/v1/privacy-request/search", object{"request_id": id, "verbose": true, "include_identities": true}, &page)
	if len(page.Items) != 1 {
		s.t.Fatalf("%s: found %d", id, len(page.Items))
	}
	return page.Items[0]
}

func (s *service) awaitStatus(id, status string) object {
	s.t.Helper()
	var found object
	s.eventually(status, func() bool {
		found = s.get(id)
		return found["status"] == status
	})
	return found
}

func hook(id, direction string) record.Webhook {
	return record.Webhook{
		ID: "pol_" + id, Key: id, Name: "Webhook " + id, Direction: direction, ConnectionID: "con_" + id, ConnectionKey: id,
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
