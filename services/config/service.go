// Package config is the service where an installation is configured:
// connections and their secrets, policies with their rules and webhooks, API
// clients, and runtime settings.
//
// Postgres has the truth; the bucket dsr_config has what the other services
// need of it. The service owns that bucket. At every start it rebuilds it from
// the database, so a bucket that was lost costs a restart and nothing else. A
// change is answered when it stands in both.
//
// It starts without Postgres and without NATS, says in /ready what it waits
// for, and refuses with 503 what it cannot do meanwhile. The other services do
// not need it while they run requests: they read the bucket.
package config

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/reference"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	document "github.com/parley-dsr/parley/services/config/api"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/egress"
	"github.com/parley-dsr/parley/services/config/internal/publish"
	"github.com/parley-dsr/parley/services/config/internal/rest"
	"github.com/parley-dsr/parley/services/config/internal/store"
)

const (
	name = "config"
	// watchEvery is how often the neighbours are looked at once they were
	// there.
	watchEvery = 5 * time.Second
	// watchWithin is how long they may take to answer.
	watchWithin = 3 * time.Second
	// handleWithin is how long one request may take.
	handleWithin = 30 * time.Second
)

// service is a running config service.
type service struct {
	settings  Settings
	deps      process.Deps
	js        jetstream.JetStream
	store     *store.Store
	publisher *publish.Publisher
	api       *rest.API
	told      string // what the log says of the database; publish's own

	database, bucket *process.Gate
}

// Run is the whole service. It returns when ctx has ended, or with what keeps
// it from starting.
func Run(ctx context.Context, s Settings, d process.Deps) error {
	if err := s.Validate(); err != nil {
		return err
	}
	svc, err := open(s, d, &s.RequireManualApproval)
	if err != nil {
		return err
	}
	process.ShowKeys(d.Registry, svc.api.Ring)
	defer svc.store.Close()
	health := process.NewHealth()
	connected := health.Gate("nats")
	svc.database, svc.bucket = health.Gate("postgres"), health.Gate(topology.BucketConfig)
	handler, err := svc.handler(health)
	if err != nil {
		return err
	}
	group := process.NewGroup(ctx, d.Logger)
	group.Go("rest", func(ctx context.Context) error { return d.Front.Serve(ctx, name, handler) })
	group.Go("nats", func(ctx context.Context) error { return process.FollowNATS(ctx, d.NATS, connected) })
	group.Go("publisher", svc.publish)
	return group.Wait()
}

// open opens what the service works on. approval is nil for who only visits and
// does not know with which settings the service runs.
func open(s Settings, d process.Deps, approval *bool) (*service, error) {
	ring, err := keyring.Parse(s.EncryptionKeys)
	if err != nil {
		return nil, fmt.Errorf("PARLEY_ENCRYPTION_KEYS: %w", err)
	}
	js, err := jetstream.New(d.NATS)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	kept, err := store.Open(s.DatabaseURL, store.Options{RequireManualApproval: approval, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	publisher, err := publish.New(kept, js, d.Logger, d.Registry)
	if err != nil {
		return nil, err
	}
	svc := &service{
		settings: s, deps: d, js: js, store: kept, publisher: publisher,
		api: &rest.API{
			Store: kept, Publisher: publisher, Ring: ring, Egress: egress.New(s.EgressAllowCIDRs, s.EgressAllowHTTP),
			RootClientID: s.RootClientID, RootClientSecret: s.RootClientSecret, AccessTokenTTL: s.AccessTokenTTL,
			RequireManualApproval: s.RequireManualApproval, Clock: d.Clock,
		},
	}
	svc.api.Probe, svc.api.PolicyUse = svc.probe, svc.policyUse
	return svc, nil
}

// handler puts the edge before the generated server.
func (s *service) handler(health *process.Health) (http.Handler, error) {
	front, err := edge.New(edge.Config{
		Service: name, Spec: document.OpenAPI, Clients: s.client, Ring: s.api.Ring,
		RootClientID: s.settings.RootClientID, Logger: s.deps.Logger, Registry: s.deps.Registry,
		Tracer: tracing.New(s.deps.Traces), TrustedProxies: s.settings.TrustedProxies, Clock: s.deps.Clock, Checks: rest.Checks(),
	})
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	strict := api.NewStrictHandlerWithOptions(s.api, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: edge.RequestError, ResponseErrorHandlerFunc: edge.ResponseError,
	})
	routes := api.HandlerWithOptions(strict, api.ChiServerOptions{
		BaseRouter: chi.NewRouter(), ErrorHandlerFunc: edge.RequestError,
	})
	api := reference.Handler(front.Handler(rest.WithBasic(within(handleWithin, routes))))
	return process.Handler(api, health, s.deps.Registry), nil
}

// within bounds the time of a request.
func within(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// client is how the edge finds the client of a token: in the database, so that
// a client that was just deleted is refused at once.
func (s *service) client(ctx context.Context, id string) (catalog.Client, error) {
	return s.api.CatalogClient(ctx, id)
}

// publish waits for the neighbours, rebuilds the bucket, and then publishes
// what changes until ctx ends.
func (s *service) publish(ctx context.Context) error {
	// One try may take longer than Await gives it: migrations, and the bucket of
	// a large installation. So each has the time of the service.
	if err := topology.Await(ctx, s.database.Waiting, func(context.Context) error { return s.prepare(ctx) }); err != nil {
		return err
	}
	s.database.Ready()
	if err := topology.Await(ctx, s.bucket.Waiting, func(context.Context) error { return s.rebuild(ctx) }); err != nil {
		return err
	}
	s.bucket.Ready()
	s.deps.Logger.Info("ready")
	group := process.NewGroup(ctx, s.deps.Logger)
	group.Go("outbox", s.publisher.Run)
	group.Go("watch", s.watch)
	return group.Wait()
}

// prepare brings the database to the state that this version needs.
func (s *service) prepare(ctx context.Context) error {
	err := s.store.Migrate(ctx)
	if err == nil {
		err = s.api.Seed(ctx)
	}
	if err == nil {
		err = s.noteKeys(ctx)
	}
	if err == nil {
		return nil
	}
	if text := err.Error(); text != s.told && ctx.Err() == nil {
		s.told = text // once for as long as it stays the same
		s.deps.Logger.Warn("the database is not ready", "error", err)
	}
	return plainReason(err)
}

// plainReason keeps addresses and users out of /ready.
func plainReason(err error) error {
	switch {
	case store.IsRefused(err):
		return errors.New("the database refuses the connection, see the log")
	case errors.Is(err, store.ErrUnavailable):
		return errors.New("the database does not answer")
	}
	return errors.New("the database could not be prepared, see the log")
}

// rebuild makes the bucket and fills it from the database.
func (s *service) rebuild(ctx context.Context) error {
	if err := topology.EnsureConfig(ctx, s.js, topology.Options{Replicas: s.settings.NATSReplicas}); err != nil {
		return err
	}
	bucket, err := topology.AwaitBucket(ctx, s.js, topology.BucketConfig, s.bucket.Waiting)
	if err != nil {
		return err
	}
	return s.publisher.Open(ctx, bucket)
}

// watch keeps /ready true to what is there now.
func (s *service) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		look(ctx, s.database, "the database does not answer", s.store.Ping)
		look(ctx, s.bucket, "NATS does not answer", s.publisher.Check)
	}
}

func look(ctx context.Context, gate *process.Gate, reason string, check func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, watchWithin)
	defer cancel()
	if err := check(ctx); err != nil {
		gate.Waiting(reason)
		return
	}
	gate.Ready()
}
