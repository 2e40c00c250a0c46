// Package orchestrator is the service that owns the state of every privacy
// request: it takes submissions and decisions, orders the calls of webhooks and
// the executions, and learns from facts what became of them.
//
// The state is in NATS, and transitions need nothing else. Postgres holds the
// read model: while it is away requests are submitted, reviewed and carried
// out, and only lists and logs answer 503. The service starts without both,
// says in /ready what it waits for, and goes on when it comes. Any number of
// replicas may run.
package orchestrator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/tracing"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/watch"
	openapi "github.com/parley-dsr/parley/services/orchestrator/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/admission"
	"github.com/parley-dsr/parley/services/orchestrator/internal/census"
	"github.com/parley-dsr/parley/services/orchestrator/internal/disclosure"
	"github.com/parley-dsr/parley/services/orchestrator/internal/door"
	"github.com/parley-dsr/parley/services/orchestrator/internal/follow"
	"github.com/parley-dsr/parley/services/orchestrator/internal/lifecycle"
	"github.com/parley-dsr/parley/services/orchestrator/internal/policyuse"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/recount"
	"github.com/parley-dsr/parley/services/orchestrator/internal/rest"
	"github.com/parley-dsr/parley/services/orchestrator/internal/sweep"
	"github.com/parley-dsr/parley/services/orchestrator/internal/transition"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

const (
	name = "orchestrator"
	// publishWithin is how long a publish may wait for its acknowledgement.
	publishWithin = 5 * time.Second
	// releaseAfter is how long a queued one_way call may hold a request.
	releaseAfter = 30 * time.Second
	// maxBody holds fifty submissions, or 25 000 ids.
	maxBody = 1 << 20
	// rememberWithin is how long requests wait, at the start and after NATS went
	// back, for the comparison with the database.
	rememberWithin = 5 * time.Second
)

// Run runs the service until ctx ends and what it has begun is done.
func Run(ctx context.Context, s Settings, d process.Deps) error {
	ring, err := keyring.Parse(s.EncryptionKeys)
	if err != nil {
		return err
	}
	process.ShowKeys(d.Registry, ring)
	js, err := jetstream.New(d.NATS, jetstream.WithPublishAsyncTimeout(publishWithin))
	if err != nil {
		return err
	}
	store, err := readmodel.Open(ctx, s.DatabaseURL, unsealer(ring))
	if err != nil {
		return err
	}
	defer store.Close()
	store.ReadWithin = cmp.Or(s.patience, store.ReadWithin)
	if s.Execution == ExecutionImmediate {
		d.Logger.Info("no executor is asked: the webhooks do the work", "setting", "PARLEY_EXECUTION=immediate")
	}
	v := &service{settings: s, deps: d, js: js, ring: ring, store: store, health: process.NewHealth(), served: make(chan struct{})}
	v.group = process.NewGroup(ctx, d.Logger)
	return v.run()
}

type service struct {
	settings Settings
	deps     process.Deps
	js       jetstream.JetStream
	ring     *keyring.Ring
	store    *readmodel.Store
	health   *process.Health
	group    *process.Group
	catalog  atomic.Pointer[catalog.Store]
	api      atomic.Pointer[http.Handler]
	// served is closed when the last caller has got its answer.
	served chan struct{}
}

func (v *service) run() error {
	e, err := edge.New(edge.Config{
		Service: name, Spec: openapi.Spec, Clients: v.client, Ring: v.ring, RootClientID: v.settings.RootClientID,
		Logger: v.deps.Logger, Registry: v.deps.Registry, Tracer: tracing.New(v.deps.Traces), TrustedProxies: v.settings.TrustedProxies,
		MaxBody: maxBody, Clock: v.deps.Clock,
	})
	if err != nil {
		return err
	}
	connected := v.health.Gate("nats")
	v.group.Go("nats", func(ctx context.Context) error { return process.FollowNATS(ctx, v.deps.NATS, connected) })
	v.start(v.followDatabase())
	// last, so that /ready knows of all that is missing
	v.group.Go("http", func(ctx context.Context) error {
		defer close(v.served)
		api := process.Handler(e.Handler(http.HandlerFunc(v.serve)), v.health, v.deps.Registry)
		return v.deps.Front.Serve(ctx, name, api)
	})
	return v.group.Wait()
}

// serve is the API, or 503 until the service has what it needs.
func (v *service) serve(w http.ResponseWriter, r *http.Request) {
	if api := v.api.Load(); api != nil {
		(*api).ServeHTTP(w, r)
		return
	}
	edge.WriteError(w, r, edge.Unavailable(2*time.Second, "The service is starting."))
}

// client finds an API client for the edge.
func (v *service) client(ctx context.Context, id string) (catalog.Client, error) {
	store := v.catalog.Load()
	if store == nil {
		return catalog.Client{}, edge.Unavailable(2*time.Second, "The service is starting.")
	}
	return store.Client(ctx, id)
}

// start begins the work as soon as NATS and the buckets are there.
func (v *service) start(migrated <-chan struct{}) {
	gates := map[string]*process.Gate{}
	for _, need := range []string{"streams", topology.BucketConfig, "transitions"} {
		gates[need] = v.health.Gate(need)
	}
	v.group.Go("start", func(ctx context.Context) error {
		b, err := v.await(ctx, gates)
		if err != nil {
			return err
		}
		if err := v.open(b); err != nil {
			return err
		}
		loop := v.loop(b)
		// What Postgres remembers better is put back before anything moves.
		v.awaitCompared(ctx, v.remember(b, loop, migrated))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		loop.Recheck = func(ctx context.Context) error { return v.recheck(ctx, b, loop) }
		v.move(b, loop)
		gates["transitions"].Ready()
		return nil
	})
}

// buckets are what the service works on.
type buckets struct {
	requests *topology.Bucket
	vault    *vault.Vault
	catalog  *catalog.Store
}

// await makes the streams and buckets that the service owns and waits for the
// catalog.
func (v *service) await(ctx context.Context, gates map[string]*process.Gate) (b buckets, err error) {
	err = topology.Await(ctx, gates["streams"].Waiting, func(ctx context.Context) error {
		return topology.EnsureOrchestrator(ctx, v.js, v.topology())
	})
	if err != nil {
		return b, err
	}
	if b.requests, err = topology.AwaitBucket(ctx, v.js, topology.BucketRequests, gates["streams"].Waiting); err != nil {
		return b, err
	}
	identities, err := topology.AwaitBucket(ctx, v.js, topology.BucketIdentities, gates["streams"].Waiting)
	if err != nil {
		return b, err
	}
	gates["streams"].Ready()
	config, err := topology.AwaitBucket(ctx, v.js, topology.BucketConfig, gates[topology.BucketConfig].Waiting)
	if err != nil {
		return b, err
	}
	gates[topology.BucketConfig].Ready()
	b.vault, b.catalog = vault.Open(identities, v.ring), catalog.NewStore(config)
	v.catalog.Store(b.catalog)
	return b, nil
}

// topology is what the deployment says about streams and buckets.
func (v *service) topology() topology.Options {
	return topology.Options{Replicas: v.settings.NATSReplicas, EventRetention: v.settings.EventRetention}
}

// open lets callers in.
func (v *service) open(b buckets) error {
	commands, err := door.Open(v.deps.NATS, v.js, v.settings.patience)
	if err != nil {
		return err
	}
	server := &rest.Server{
		Commands: commands, ReadModel: v.store, Vault: b.vault, Catalog: b.catalog, Ring: v.ring,
		Requests: b.requests, Show: v.show, Apply: readmodel.NewInline(v.store).Apply, Clock: v.deps.Clock, Logger: v.deps.Logger, IdentityTTL: v.settings.IdentityTTL,
		Submissions: rest.NewLimit(v.settings.SubmissionsPerMinute, v.deps.Clock), Tracer: tracing.New(v.deps.Traces),
		Facts: follow.New(v.deps.NATS, v.js, b.requests), Stopping: v.group.Context(), ShownWithin: v.settings.patience,
	}
	handler := server.Handler()
	v.api.Store(&handler)
	return nil
}

// loop is the transition loop, not yet running.
func (v *service) loop(b buckets) *transition.Loop {
	s := v.settings
	return transition.New(transition.Config{
		NATS: v.deps.NATS, JS: v.js, Requests: b.requests, Vault: b.vault, Catalog: b.catalog,
		Rules: lifecycle.Rules{
			DeliveryMaxAge: s.DeliveryMaxAge, DelayTimeout: s.DelayTimeout, ReleaseAfter: releaseAfter,
			ExecutionTimeout: s.ExecutionTimeout, External: s.Execution == ExecutionExternal, Epoch: newEpoch(),
		},
		ManualApproval: s.ManualApproval, IdentityTTL: s.IdentityTTL, Retention: s.RequestRetention,
		Apply: readmodel.NewInline(v.store).Apply, Show: v.show,
		Logger: v.deps.Logger, Metrics: transition.NewMetrics(v.deps.Registry), Clock: v.deps.Clock,
		Tracer: tracing.New(v.deps.Traces), Watch: watch.New(v.js, v.deps.Logger, v.deps.Registry),
	})
}

// move runs the transition loop and what belongs to it.
func (v *service) move(b buckets, loop *transition.Loop) {
	v.group.Go("transitions", func(ctx context.Context) error { return loop.Run(v.untilServed(ctx)) })
	v.group.Go("disclosure", disclosure.New(v.deps.NATS, b.requests, b.vault, v.deps.Logger).Run)
	v.group.Go("admission", admission.New(v.deps.NATS, v.deps.Logger).Run)
	v.group.Go("use of policies", policyuse.New(v.deps.NATS, v.store, v.deps.Logger).Run)
	v.group.Go("recount", recount.New(v.deps.NATS, v.js, v.store, v.deps.Clock, v.deps.Logger).Run)
	v.group.Go("census", census.New(v.store, v.deps.Registry).Run)
	v.group.Go("sweep", sweep.New(v.store, v.js, v.deps.Clock, v.deps.Logger, v.deps.Registry).Run)
}

// untilServed ends when ctx has ended and nobody waits for an answer any more:
// callers who are still there when the service stops get theirs.
func (v *service) untilServed(ctx context.Context) context.Context {
	serving, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	go func() {
		<-ctx.Done()
		<-v.served
		stop(context.Cause(ctx))
	}()
	return serving
}

// show is a record as answers show it.
func (v *service) show(rec *record.Record, now time.Time) (json.RawMessage, error) {
	return view.JSON(rec, unsealer(v.ring)(rec.Submission.SealedExternalID), now)
}

func unsealer(ring *keyring.Ring) func(sealed string) *string {
	return func(sealed string) *string { return ring.OpenText(keyring.Vault, sealed) }
}

// newEpoch is a part of the ids of everything that is published under it.
func newEpoch() string { return strings.ToLower(rand.Text()[:8]) }
