// Package callback is the service to which the called systems reply: it keeps
// account of what is halted, takes the resume of a halted request and the
// replies of pre-approval webhooks, and notices when a halt's time is over.
//
// It decides nothing. A reply becomes a fact, stored before it is answered, and
// the orchestrator says what it means. It needs NATS and nothing else: no
// Postgres, and neither the dispatcher nor the config service. Only the list of
// halts, which API clients ask for, needs what config publishes about clients;
// without it replies go on.
//
// Any number of replicas may run, started in any order with everything else. One
// that lacks something says so in /ready and answers 503; it waits for it and
// goes on.
package callback

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/inbox"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
	openapi "github.com/parley-dsr/parley/services/callback/api"
	"github.com/parley-dsr/parley/services/callback/internal/api"
	"github.com/parley-dsr/parley/services/callback/internal/halt"
	"github.com/parley-dsr/parley/services/callback/internal/reply"
)

// maxBody is the size of a reply at most: a derived identity is small.
const maxBody = 64 << 10

// Run runs the service until ctx ends and the replies in flight are answered.
func Run(ctx context.Context, s Settings, d process.Deps) error {
	ring, err := keyring.Parse(s.EncryptionKeys)
	if err != nil {
		return err
	}
	process.ShowKeys(d.Registry, ring)
	js, err := jetstream.New(d.NATS)
	if err != nil {
		return err
	}
	answers, err := inbox.Open(d.NATS, js, 0)
	if err != nil {
		return err
	}
	v := &service{settings: s, deps: d, js: js, ring: ring, answers: answers, gate: reply.NewGate(ring, s.RefusedRepliesPerMinute, d.Clock)}
	v.health = process.NewHealth()
	v.group = process.NewGroup(ctx, d.Logger)
	err = v.run()
	_ = answers.Close() // the connection may be gone already
	return err
}

type service struct {
	settings Settings
	deps     process.Deps
	js       jetstream.JetStream
	ring     *keyring.Ring
	answers  *inbox.Inbox
	gate     *reply.Gate
	health   *process.Health
	group    *process.Group
	clients  clients
	api      door
}

func (v *service) run() error {
	e, err := edge.New(edge.Config{
		Service:        "callback",
		Spec:           openapi.Spec,
		Clients:        v.clients.Client,
		Ring:           v.ring,
		RootClientID:   v.settings.RootClientID,
		Logger:         v.deps.Logger,
		Registry:       v.deps.Registry,
		Tracer:         tracing.New(v.deps.Traces),
		TrustedProxies: v.settings.TrustedProxies,
		MaxBody:        maxBody,
		Clock:          v.deps.Clock,
		ReplyToken:     v.gate.Check,
	})
	if err != nil {
		return err
	}
	gates := map[string]*process.Gate{}
	for _, name := range []string{
		gateNATS, topology.BucketHalted, events.StreamEvents, topology.BucketRequests, topology.BucketIdentities, gateReplies,
	} {
		gates[name] = v.health.Gate(name) // before anyone can ask whether we are ready
	}
	v.group.Go("nats", func(ctx context.Context) error { return process.FollowNATS(ctx, v.deps.NATS, gates[gateNATS]) })
	v.group.Go("http", func(ctx context.Context) error {
		return v.deps.Front.Serve(ctx, "callback", process.Handler(e.Handler(&v.api), v.health, v.deps.Registry))
	})
	v.group.Go("clients", func(ctx context.Context) error { return v.clients.await(ctx, v.js) })
	v.group.Go("start", func(ctx context.Context) error { return v.start(ctx, gates) })
	return v.group.Wait()
}

// What the service waits for beside streams and buckets.
const (
	gateNATS    = "nats"
	gateReplies = "replies" // everything is there and replies are let in
)

// start waits for what the service needs, then lets replies in and follows the
// halts.
func (v *service) start(ctx context.Context, gates map[string]*process.Gate) error {
	n, err := v.await(ctx, gates)
	if err != nil {
		return err
	}
	list := halt.NewList(v.js, n.halted, v.deps.Logger)
	v.group.Go("list", list.Run)
	v.open(n, list)
	gates[gateReplies].Ready()
	keeper := halt.NewKeeper(halt.Options{
		JetStream: v.js, Halted: n.halted, Requests: n.requests,
		Logger: v.deps.Logger, Registry: v.deps.Registry, Tracer: tracing.New(v.deps.Traces), Clock: v.deps.Clock,
	})
	v.group.Go("facts", keeper.Facts)
	v.group.Go("expiries", keeper.Expiries)
	return nil
}

// needs are the buckets that the service works on.
type needs struct {
	halted     *topology.Bucket
	requests   *topology.Bucket
	identities *topology.Bucket
}

// await makes what the service owns and waits for what it does not.
func (v *service) await(ctx context.Context, gates map[string]*process.Gate) (n needs, err error) {
	own := topology.Options{Replicas: v.settings.NATSReplicas}
	err = topology.Await(ctx, gates[topology.BucketHalted].Waiting, func(ctx context.Context) error {
		return topology.EnsureCallback(ctx, v.js, own)
	})
	if err != nil {
		return n, err
	}
	stream := gates[events.StreamEvents]
	if _, err = topology.AwaitStream(ctx, v.js, events.StreamEvents, stream.Waiting); err != nil {
		return n, err
	}
	stream.Ready()
	for name, bucket := range map[string]**topology.Bucket{
		topology.BucketHalted:     &n.halted,
		topology.BucketRequests:   &n.requests,
		topology.BucketIdentities: &n.identities,
	} {
		if *bucket, err = topology.AwaitBucket(ctx, v.js, name, gates[name].Waiting); err != nil {
			return n, err
		}
		gates[name].Ready()
	}
	return n, nil
}

// open lets replies in.
func (v *service) open(n needs, list *halt.List) {
	handlers := reply.NewHandlers(reply.Options{
		Gate: v.gate, Requests: n.requests, Halted: list,
		Vault: vault.Open(n.identities, v.ring), Orchestrator: v.answers,
		IdentityTTL: v.settings.IdentityTTL, Clock: v.deps.Clock,
		Logger: v.deps.Logger, Registry: v.deps.Registry, Tracer: tracing.New(v.deps.Traces),
	})
	strict := api.NewStrictHandlerWithOptions(handlers, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  edge.RequestError,
		ResponseErrorHandlerFunc: edge.ResponseError,
	})
	v.api.open(api.HandlerWithOptions(strict, api.ChiServerOptions{ErrorHandlerFunc: edge.RequestError}))
}

// door is the API; it is closed until the service has what it needs.
type door struct{ api atomic.Pointer[http.Handler] }

func (d *door) open(h http.Handler) { d.api.Store(&h) }

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := d.api.Load()
	if h == nil {
		edge.WriteError(w, r, edge.Unavailable(startSoon, "The service is starting. Nothing was stored; send the reply again."))
		return
	}
	(*h).ServeHTTP(w, r)
}

const startSoon = 2 * time.Second

// clients are the API clients that config has published; there are none until
// config has once been there.
type clients struct{ store atomic.Pointer[catalog.Store] }

func (c *clients) await(ctx context.Context, js jetstream.JetStream) error {
	bucket, err := topology.AwaitBucket(ctx, js, topology.BucketConfig, nil)
	if err != nil {
		return err
	}
	c.store.Store(catalog.NewStore(bucket))
	return nil
}

// Client gives an API client.
func (c *clients) Client(ctx context.Context, id string) (catalog.Client, error) {
	store := c.store.Load()
	if store == nil {
		return catalog.Client{}, errNoCatalog
	}
	return store.Client(ctx, id)
}
